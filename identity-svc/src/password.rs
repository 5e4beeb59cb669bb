//! Hashing and checking passwords without starving everything else.
//!
//! Always holds: hashes run on threads of their own, behind which a bounded queue waits
//! (`hash_threads`), and beyond that callers are told to come back; checking the password of an account
//! that isn't there costs the same as of one that is.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use rand::RngExt;

use crate::{account::Password, error::CallError, hash_threads::HashThreads, metrics};

/// OWASP's Password Storage Cheat Sheet, argon2id, "a minimum configuration of 19 MiB of memory, an iteration
/// count of 2, and 1 degree of parallelism". Whoever signs in has their password hashed again when these
/// change.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes passwords; shared by all calls.
#[derive(Debug)]
pub(crate) struct Hasher {
    argon2: Argon2<'static>,
    threads: HashThreads,
    /// What the password of an account that isn't there is checked against.
    nobody: Arc<str>,
}

impl Hasher {
    /// One that works on these threads.
    pub(crate) fn new(threads: HashThreads) -> Result<Self, password_hash::Error> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
            .expect("the constants are within argon2's bounds");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let unguessable: [u8; 32] = rand::rng().random();
        let nobody = hash(&argon2, &unguessable)?.into();
        Ok(Self {
            argon2,
            threads,
            nobody,
        })
    }

    /// The PHC string to store.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, CallError> {
        let argon2 = self.argon2.clone();
        self.run(move || hash(&argon2, password.expose().as_bytes()))
            .await?
            .map_err(CallError::Hash)
    }

    /// Whether `password` is the one of `stored`; never, after the same work, where that is none.
    pub(crate) async fn is_right(
        &self,
        password: Password,
        stored: Option<String>,
    ) -> Result<bool, CallError> {
        let known = stored.is_some();
        let stored: Arc<str> = stored.map_or_else(|| self.nobody.clone(), Into::into);
        let argon2 = self.argon2.clone();
        let verified = self
            .run(move || {
                let parsed = PasswordHash::new(&stored)
                    .map_err(|_| password_hash::Error::EncodingInvalid)?;
                argon2.verify_password(password.expose().as_bytes(), &parsed)
            })
            .await?;
        match verified {
            Ok(()) => Ok(known),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A hash of what nobody knows.
    pub(crate) fn nobody(&self) -> Arc<str> {
        self.nobody.clone()
    }

    /// Whether it was hashed with other parameters than passwords are now.
    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        !stored.starts_with(&format!(
            "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"
        ))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let in_flight = ::metrics::gauge!(metrics::HASHES_IN_FLIGHT);
        in_flight.increment(1.0);
        // Goes with the work: it counts until that is done or left out.
        let counted = Counted(in_flight);
        self.threads
            .run(move || {
                let _counted = counted;
                work()
            })
            .await
    }
}

/// Takes itself off the gauge.
struct Counted(::metrics::Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, password_hash::Error> {
    let hash: PasswordHash = argon2.hash_password(password)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text.to_owned()).expect("long enough")
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_real_account_is_right() {
        let threads = HashThreads::start().expect("threads");
        let hasher = Hasher::new(threads).expect("a hasher");
        let stored = hasher
            .hash(password("correct horse"))
            .await
            .expect("hashes");
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert!(!hasher.is_outdated(&stored));
        for other in ["m=19456,t=2,p=1", "m=9216,t=2,p=1", "m=19456,t=1,p=1"] {
            let of = |kind| format!("${kind}$v=19${other}$c2FsdHNhbHQ$aGFzaA");
            assert!(hasher.is_outdated(&of("argon2i")));
            let current = other == "m=19456,t=2,p=1";
            assert_eq!(hasher.is_outdated(&of("argon2id")), !current, "{other}");
        }
        assert_ne!(
            stored,
            hasher
                .hash(password("correct horse"))
                .await
                .expect("hashes"),
            "salted"
        );
        assert!(
            hasher
                .is_right(password("correct horse"), Some(stored.clone()))
                .await
                .expect("checks")
        );
        assert!(
            !hasher
                .is_right(password("battery staple"), Some(stored))
                .await
                .expect("checks")
        );
        assert!(
            !hasher
                .is_right(password("correct horse"), None)
                .await
                .expect("checks")
        );
    }
}
