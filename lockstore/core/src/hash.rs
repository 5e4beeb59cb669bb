//! One hash that is the same everywhere and for good: over processes, machines and versions.
//!
//! It is FNV-1a with 128 bits (offset basis and prime as published by Fowler, Noll and Vo) over a
//! canonical encoding (integers big-endian in their full width, sequences after their length),
//! then a finaliser that mixes the halves (the one of MurmurHash3 x64-128), because FNV alone is
//! too regular to be summed. It finds divergence and reuse, not attackers: the callers are our own
//! services. Changing it, or the encodings fed to it, is a change of behaviour (HS-5).

use std::fmt;

const FNV_OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// The hash of a request's body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyHash(pub u128);

/// A hash of a state: the wrapping sum of its records' hashes, so that it can be kept up to date
/// by subtracting what was and adding what is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StateHash(pub u128);

impl StateHash {
    pub(crate) const fn add(&mut self, record: u128) {
        self.0 = self.0.wrapping_add(record);
    }

    pub(crate) const fn subtract(&mut self, record: u128) {
        self.0 = self.0.wrapping_sub(record);
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes a canonical encoding piece by piece.
#[derive(Debug, Clone, Copy)]
pub struct StableHasher(u128);

impl StableHasher {
    /// A hasher for one kind of thing; equal encodings of two kinds hash differently.
    pub fn new(kind: u8) -> Self {
        Self(FNV_OFFSET).u8(kind)
    }

    /// Takes bytes as they are; the caller sees to it that the encoding is unambiguous.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(FNV_PRIME);
        }
        self
    }

    /// Takes text, after its length in bytes.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.u64(text.len() as u64).bytes(text.as_bytes())
    }

    /// Takes one byte.
    #[must_use]
    pub fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    /// Takes four bytes.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Takes eight bytes.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Takes sixteen bytes.
    #[must_use]
    pub fn u128(self, value: u128) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// The hash of what was taken.
    pub const fn finish(self) -> u128 {
        const fn mix(mut half: u64) -> u64 {
            half ^= half >> 33;
            half = half.wrapping_mul(0xff51_afd7_ed55_8ccd);
            half ^= half >> 33;
            half = half.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
            half ^ (half >> 33)
        }
        let mut low = self.0 as u64;
        let mut high = (self.0 >> 64) as u64;
        low = low.wrapping_add(high);
        high = high.wrapping_add(low);
        low = mix(low);
        high = mix(high);
        low = low.wrapping_add(high);
        high = high.wrapping_add(low);
        ((high as u128) << 64) | low as u128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_matches_its_published_vectors() {
        let fnv = |bytes: &[u8]| StableHasher(FNV_OFFSET).bytes(bytes).0;
        assert_eq!(fnv(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fnv(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
        assert_eq!(fnv(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }

    #[test]
    fn the_hash_stays_as_it_was_first_written() {
        // Changing this number changes every replica's hash: a version in the log, not an edit.
        let hash = StableHasher::new(7)
            .u8(1)
            .u32(2)
            .u64(3)
            .u128(4)
            .bytes(b"seat")
            .finish();
        assert_eq!(hash, 0x5484_8ea4_55b6_d05b_208c_b555_0c03_6e1f);
    }

    #[test]
    fn values_swapped_between_two_keys_change_the_sum() {
        let record = |key: u32, value: u8| StableHasher::new(1).u32(key).u8(value).finish();
        let mut sums = std::collections::BTreeSet::new();
        for a in 0..64_u8 {
            for b in 0..64_u8 {
                sums.insert(record(1, a).wrapping_add(record(2, b)));
            }
        }
        assert_eq!(sums.len(), 64 * 64);
    }
}
