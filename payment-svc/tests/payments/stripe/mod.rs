//! Stripe: what is its own, against a double of it, over faults, and against `localstripe`.

mod double;
mod faults;
mod localstripe;
mod own;
mod shapes;
mod webhooks;

pub(crate) use double::{Double, SECRET_KEY};

use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs as Stripe does (docs.stripe.com/webhooks), `later_s` from now.
pub(crate) fn sign(secret: &str, body: &[u8], later_s: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let time = i64::try_from(now.unwrap().as_secs()).unwrap() + later_s;
    format!("t={time},v1={}", signature(secret, time, body))
}

/// The `v1` alone.
pub(crate) fn signature(secret: &str, time: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let time = time.to_string();
    mac.update([time.as_bytes(), b".", body].concat().as_slice());
    hex::encode(mac.finalize().into_bytes())
}
