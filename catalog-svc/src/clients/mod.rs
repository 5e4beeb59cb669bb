//! Outbound calls.

pub(crate) mod identity;
pub(crate) mod inventory;
