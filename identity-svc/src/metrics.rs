//! Every metric of this service.

/// Sign-ins tried; label `outcome`: `ok`, `refused` (wrong address or password), `waits` (not looked at
/// after too many wrong ones), `overloaded`, `failed` (no answer to be had).
pub(crate) const SIGN_INS: &str = "identity_sign_ins_total";

/// Refresh tokens used a second time; each ended a family.
pub(crate) const REFRESH_REUSES: &str = "identity_refresh_reuses_total";

/// Passwords being hashed or waiting for it.
pub(crate) const HASHES_IN_FLIGHT: &str = "identity_password_hashes_in_flight";

/// Mails tried; label `outcome`: `sent`, `failed` (it is tried again), `given_up`.
pub(crate) const MAILS: &str = "identity_mails_total";
