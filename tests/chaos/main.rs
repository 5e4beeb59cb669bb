//! Real processes, killed while people do everything that can be done; an oracle checks what they saw, and
//! `holdfast cluster audit` what is left.

mod ending;
mod mix;
mod oracle;
mod people;
