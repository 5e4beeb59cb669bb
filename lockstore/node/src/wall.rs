//! The wall clock, which is read only to be noted in the log.

use std::time::{SystemTime, UNIX_EPOCH};

/// This machine's wall clock, or one that a test sets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wall {
    /// By how much it is ahead of this machine's.
    pub(crate) ahead_ms: i64,
}

impl Wall {
    /// What it shows, in milliseconds since the Unix epoch.
    pub(crate) fn ms(self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        ms.saturating_add_signed(self.ahead_ms)
    }
}
