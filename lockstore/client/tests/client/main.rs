//! The client against small servers that answer by script.

mod following;
mod node;
mod reading;
mod retrying;
mod watching;
