//! The client against small servers that answer by script.

mod following;
mod node;
mod retrying;
mod watching;
