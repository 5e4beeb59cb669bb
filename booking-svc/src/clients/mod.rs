//! What other services are asked.

pub(crate) mod identity;
