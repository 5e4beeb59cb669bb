//! Loud log lines that others can cause: a few of them are said, and the rest counted.

use std::time::{Duration, Instant};

/// How many are said in one period: enough to see who it is.
const SAID_MAX: u32 = 10;
const PERIOD: Duration = Duration::from_secs(60);

/// One kind of line.
#[derive(Debug)]
pub(crate) struct Sparse {
    since: Instant,
    said: u32,
    left_out: u64,
}

impl Sparse {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            said: 0,
            left_out: 0,
        }
    }

    /// Whether the next line may be said: then how many were left out since the last one.
    pub(crate) fn may_say(&mut self) -> Option<u64> {
        self.may_say_at(Instant::now())
    }

    fn may_say_at(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= PERIOD {
            self.since = now;
            self.said = 0;
        }
        if self.said == SAID_MAX {
            self.left_out += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_its_size_is_told_by_the_next_period() {
        let mut lines = Sparse::new();
        let start = lines.since;
        let said = (0..1000).filter_map(|_| lines.may_say_at(start)).count();
        assert_eq!(said, 10);
        assert_eq!(lines.may_say_at(start + PERIOD), Some(990));
        assert_eq!(lines.may_say_at(start + PERIOD), Some(0));
    }
}
