//! SQL over schema `identity`, one file an aggregate. No decisions here.

pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod failures;
pub(crate) mod mail;
pub(crate) mod mailed_tokens;
pub(crate) mod organisations;
pub(crate) mod sign_ins;
pub(crate) mod signing_keys;
pub(crate) mod users;
