//! SQL over schema `identity`, one file an aggregate. No decisions here.

pub(crate) mod audit;
pub(crate) mod sign_ins;
pub(crate) mod signing_keys;
pub(crate) mod users;
