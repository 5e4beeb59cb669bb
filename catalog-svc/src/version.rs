//! What tells two states of a thing apart: text that is another one whenever something of it is.
//!
//! Always holds: the same parts in the same order give the same version, in every process and release
//! that names the same parts; it says nothing about which of two is newer.

use sha2::{Digest, Sha256};

/// Bytes of the hash that a version shows: enough that two states of one thing never meet.
const VERSION_BYTES: usize = 12;

/// Parts that were taken in so far.
#[derive(Default)]
pub(crate) struct Version(Sha256);

impl Version {
    /// Takes in a part; its length goes first, so that parts can't run into each other.
    pub(crate) fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// Takes in a number.
    pub(crate) fn number(self, number: i64) -> Self {
        self.with(number.to_be_bytes())
    }

    /// Takes in a number that may be missing.
    pub(crate) fn maybe(self, number: Option<i64>) -> Self {
        match number {
            None => self.with(b""),
            Some(number) => self.number(number),
        }
    }

    /// The version of all of them.
    pub(crate) fn finish(self) -> String {
        use std::fmt::Write as _;

        let hash = self.0.finalize();
        let mut text = String::with_capacity(2 * VERSION_BYTES);
        for byte in hash.iter().take(VERSION_BYTES) {
            write!(text, "{byte:02x}").expect("a string takes all");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_by_every_part_and_by_where_parts_end() {
        let of = |parts: &[&str]| {
            let version = parts.iter().fold(Version::default(), Version::with);
            version.finish()
        };
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        for other in [&["ab", ""][..], &["", "ab"], &["a"], &["b", "a"]] {
            assert_ne!(of(&["a", "b"]), of(other), "{other:?}");
        }
        let maybe = |number| Version::default().maybe(number).finish();
        assert_ne!(maybe(None), maybe(Some(0)));
    }
}
