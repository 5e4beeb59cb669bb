//! Reads answers of the Ticketmaster Discovery API (version 2, HAL) and takes them over.
//!
//! In reading order: `document` finds the events of a file, one at a time; `raw` is what a file may
//! say of one; `read` makes a [`read::Performance`] of it or, with `notes`, says what is wrong and where; `shift`
//! moves its dates; `plan` says what becomes of it (for sale, a draft and why); `import` does it.
//!
//! Always holds: a file of any size is read in bounded memory, but for 8 bytes of each id; nothing
//! is written before every file was read to its end; what an event becomes depends on the file and the options only, and on the
//! time where dates are moved or a sale has or hasn't begun.

mod document;
mod import;
mod notes;
mod plan;
mod raw;
mod read;
mod shift;
#[cfg(test)]
mod tests;

pub(crate) use import::{Checked, Input, Listed, Options, Report, check, import};
pub(crate) use shift::{Shift, instant};
