//! Outbound calls.

pub(crate) mod catalog;
pub(crate) mod identity;
