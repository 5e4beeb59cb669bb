//! Signatures of webhooks: `t=<unix seconds>,v1=<hex>`, where `v1` is HMAC-SHA256 over
//! `<t>.<raw body>`. The scheme is Stripe's (docs.stripe.com/webhooks, "Verify webhook
//! signatures manually"); several `v1` may stand there while a secret is being changed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far a signature's time may lie from ours: room for retries in transit and clocks that
/// differ, none for somebody who replays last week's.
const TOLERANCE: Duration = Duration::from_secs(300);

/// `v1` values looked at in one header.
const SIGNATURES_MAX: usize = 4;

/// The header's value for `body`, sent at `now`.
pub(crate) fn sign(secret: &str, body: &[u8], now: SystemTime) -> String {
    let time = unix_seconds(now).to_string();
    let signature = hex::encode(mac(secret, &time, body).finalize().into_bytes());
    format!("t={time},v1={signature}")
}

/// Whether `header` signs `body` with `secret` at about `now`. Takes the same time for every wrong
/// signature.
pub(crate) fn verify(secret: &str, header: &str, body: &[u8], now: SystemTime) -> bool {
    let field = |name: &'static str| {
        header
            .split(',')
            .filter_map(move |part| part.trim().strip_prefix(name))
    };
    let Some(time) = field("t=").next() else {
        return false;
    };
    let Ok(seconds) = time.parse::<u64>() else {
        return false;
    };
    if unix_seconds(now).abs_diff(seconds) > TOLERANCE.as_secs() {
        return false;
    }
    field("v1=").take(SIGNATURES_MAX).any(|signature| {
        hex::decode(signature)
            .is_ok_and(|bytes| mac(secret, time, body).verify_slice(&bytes).is_ok())
    })
}

fn mac(secret: &str, time: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("takes any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_body_secret_and_time_only() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let header = sign("secret", b"{}", now);
        assert!(verify("secret", &header, b"{}", now));
        assert!(verify("secret", &header, b"{}", now + TOLERANCE));
        assert!(verify("secret", &format!("{header},v1=00"), b"{}", now));
        assert!(!verify("secret", &header, b"{} ", now), "another body");
        assert!(!verify("other", &header, b"{}", now), "another secret");
        assert!(!verify(
            "secret",
            &header,
            b"{}",
            now + TOLERANCE + Duration::from_secs(1)
        ));
        assert!(!verify(
            "secret",
            &header,
            b"{}",
            now - TOLERANCE - Duration::from_secs(1)
        ));
        let moved = header.replace("t=1700000000", "t=1700000001");
        assert!(!verify("secret", &moved, b"{}", now), "another time");
        for broken in [
            "",
            "t=1700000000",
            "v1=00",
            "t=x,v1=00",
            "t=1700000000,v1=zz",
        ] {
            assert!(!verify("secret", broken, b"{}", now), "{broken}");
        }
    }

    #[test]
    fn the_scheme_is_the_documented_one() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
        let header = sign(
            "secret",
            b"{}",
            UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        );
        assert_eq!(
            header,
            "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
        );
    }
}
