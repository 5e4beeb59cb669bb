//! Revisions and fences: one number, 63 bits, that only ever grows.
//!
//! Layout, most significant first: lineage (8 bits), log index (40 bits), position of the command
//! in its log entry (15 bits). Ordering the numbers orders the history, over restores and rebuilds
//! too, because each of those takes a larger lineage. 63 bits so that it fits a signed column;
//! JSON carries it as a string, because a browser's numbers stop at 53 bits.

use std::{fmt, str::FromStr};

const POSITION_BITS: u32 = 15;
const INDEX_BITS: u32 = 40;

/// Which life of the cluster an answer belongs to; raised by initialise, restore and rebuild.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Lineage(pub u8);

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that is no revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid revision: expected an integer from 0 to 2^63 - 1")]
pub struct FenceError;

/// A point in the store's history. `Revision(0)` is before everything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Revision(u64);

/// The revision at which a hold took its seats; strictly increasing per seat (HS-3).
pub type Fence = Revision;

impl Revision {
    /// The largest log index that fits.
    pub const INDEX_MAX: u64 = (1 << INDEX_BITS) - 1;
    /// The largest position in an entry that fits; also the most commands one entry may carry, less one.
    pub const POSITION_MAX: u16 = (1 << POSITION_BITS) - 1;
    /// Before everything.
    pub const ZERO: Self = Self(0);

    /// Puts the three parts together.
    ///
    /// # Panics
    /// If `index` or `position` is out of range: a log that long, or an entry that full, is a
    /// defect of the node and not of its input.
    pub const fn new(lineage: Lineage, index: u64, position: u16) -> Self {
        assert!(index <= Self::INDEX_MAX, "log index exceeds 40 bits");
        assert!(
            position <= Self::POSITION_MAX,
            "position in entry exceeds 15 bits"
        );
        Self(
            ((lineage.0 as u64) << (INDEX_BITS + POSITION_BITS))
                | (index << POSITION_BITS)
                | position as u64,
        )
    }

    /// From the number on the wire or in a column.
    ///
    /// # Errors
    /// [`FenceError`] if bit 63 is set.
    pub const fn from_u64(value: u64) -> Result<Self, FenceError> {
        if value >> 63 == 0 {
            Ok(Self(value))
        } else {
            Err(FenceError)
        }
    }

    /// From a signed database column.
    ///
    /// # Errors
    /// [`FenceError`] if negative.
    pub const fn from_i64(value: i64) -> Result<Self, FenceError> {
        if value >= 0 {
            Ok(Self(value as u64))
        } else {
            Err(FenceError)
        }
    }

    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number for a signed database column; never negative.
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// The lineage part.
    pub const fn lineage(self) -> Lineage {
        Lineage((self.0 >> (INDEX_BITS + POSITION_BITS)) as u8)
    }

    /// The log index part.
    pub const fn index(self) -> u64 {
        (self.0 >> POSITION_BITS) & Self::INDEX_MAX
    }

    /// The position in the entry.
    pub const fn position(self) -> u16 {
        (self.0 & Self::POSITION_MAX as u64) as u16
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.lineage(), self.index(), self.position())
    }
}

impl FromStr for Revision {
    type Err = FenceError;

    fn from_str(text: &str) -> Result<Self, FenceError> {
        let digits =
            !text.is_empty() && text.len() <= 19 && text.bytes().all(|b| b.is_ascii_digit());
        if !digits {
            return Err(FenceError);
        }
        text.parse::<u64>()
            .map_err(|_| FenceError)
            .and_then(Self::from_u64)
    }
}

impl serde::Serialize for Revision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Revision {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_round_trip_at_their_limits() {
        let r = Revision::new(Lineage(255), Revision::INDEX_MAX, Revision::POSITION_MAX);
        assert_eq!(r.as_u64(), (1 << 63) - 1);
        assert_eq!(
            (r.lineage().0, r.index(), r.position()),
            (255, (1 << 40) - 1, (1 << 15) - 1)
        );
        assert_eq!(Revision::from_u64(1 << 63), Err(FenceError));
        assert_eq!(Revision::from_i64(-1), Err(FenceError));
    }

    #[test]
    fn order_is_lineage_then_index_then_position() {
        let r = |l, i, p| Revision::new(Lineage(l), i, p);
        assert!(r(1, 0, 0) > r(0, Revision::INDEX_MAX, Revision::POSITION_MAX));
        assert!(r(0, 2, 0) > r(0, 1, Revision::POSITION_MAX));
        assert!(r(0, 1, 2) > r(0, 1, 1));
    }

    #[test]
    fn text_form_is_plain_digits() {
        let r = Revision::new(Lineage(1), 5, 3);
        assert_eq!(r.to_string().parse(), Ok(r));
        for text in [
            "",
            "-1",
            "+1",
            " 1",
            "1.0",
            "9223372036854775808",
            "99999999999999999999",
        ] {
            assert_eq!(text.parse::<Revision>(), Err(FenceError), "{text}");
        }
    }
}
