//! Time as the lock store counts it. Cores take it as an input; nothing here reads a clock.

use std::fmt;

/// A span in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct DurationMs(pub u64);

impl DurationMs {
    /// From whole seconds, saturating.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }
}

impl From<DurationMs> for std::time::Duration {
    fn from(span: DurationMs) -> Self {
        Self::from_millis(span.0)
    }
}

/// Cluster time: milliseconds since the Unix epoch as the store's log has them. It never goes
/// back, and it can differ from a wall clock; see `lockstore/node/src/clock.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ClusterTime(pub u64);

impl ClusterTime {
    /// Later by `span`, saturating.
    pub const fn plus(self, span: DurationMs) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// What is left from `self` until `end`; zero when `end` has passed.
    pub const fn until(self, end: Self) -> DurationMs {
        DurationMs(end.0.saturating_sub(self.0))
    }
}

impl fmt::Display for ClusterTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
