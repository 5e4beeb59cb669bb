//! What this client knows of cluster time.
//!
//! Always holds: the newest time heard in the newest lineage, plus this process's own monotonic
//! time since, and after the answer to a write at most that answer's time plus the time that its
//! try took; so a clock that runs fast, or a store whose time went back, puts it ahead of the store
//! only until the next write. It is used only to name `not_after` and `until`.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use holdfast_types::{ClusterTime, DurationMs, Lineage};

#[derive(Debug, Clone, Copy)]
struct Heard {
    lineage: Lineage,
    time: ClusterTime,
    at: Instant,
}

impl Heard {
    fn time_at(&self, now: Instant) -> ClusterTime {
        let since = now.saturating_duration_since(self.at).as_millis();
        self.time
            .plus(DurationMs(u64::try_from(since).unwrap_or(u64::MAX)))
    }
}

#[derive(Debug, Default)]
pub(crate) struct ClusterClock(Mutex<Option<Heard>>);

impl ClusterClock {
    /// An answer of `lineage` came at `at` and carried `time`. `decided_after` is given where the
    /// store read its time after that instant, as for a write: its time at `at` is then known from
    /// above too. A read's time may be older than its question, and says only "at least".
    pub(crate) fn hear(
        &self,
        lineage: Lineage,
        time: ClusterTime,
        at: Instant,
        decided_after: Option<Instant>,
    ) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let time = match *heard {
            None => time,
            Some(old) if lineage < old.lineage => return,
            Some(old) if lineage > old.lineage => time,
            Some(old) => {
                let earliest = Heard { lineage, time, at };
                let latest = decided_after.map(|after| Heard {
                    at: after,
                    ..earliest
                });
                let believed = old.time_at(at);
                match latest.map(|latest| latest.time_at(at)) {
                    _ if time > believed => time,
                    Some(latest) if latest < believed => latest,
                    _ => return,
                }
            }
        };
        *heard = Some(Heard { lineage, time, at });
    }

    /// Cluster time at `now`; unknown before anything was heard.
    pub(crate) fn time_at(&self, now: Instant) -> Option<ClusterTime> {
        let heard = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map(|heard| heard.time_at(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn newest_time_of_the_newest_lineage_counts_and_goes_on() {
        let clock = ClusterClock::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(clock.time_at(start), None);
        clock.hear(Lineage(1), ClusterTime(5_000), start, None);
        assert_eq!(clock.time_at(at(100)), Some(ClusterTime(5_100)));
        clock.hear(Lineage(1), ClusterTime(5_050), at(100), None);
        assert_eq!(clock.time_at(at(100)), Some(ClusterTime(5_100)));
        clock.hear(Lineage(1), ClusterTime(6_000), at(100), None);
        assert_eq!(clock.time_at(at(150)), Some(ClusterTime(6_050)));
        clock.hear(Lineage(2), ClusterTime(10), at(200), None);
        assert_eq!(clock.time_at(at(201)), Some(ClusterTime(11)));
        clock.hear(Lineage(1), ClusterTime(9_000), at(300), None);
        assert_eq!(clock.time_at(at(300)), Some(ClusterTime(110)));
    }

    #[test]
    fn clock_that_runs_fast_stays_within_a_round_trip_of_the_store() {
        let clock = ClusterClock::default();
        let start = Instant::now();
        let mut ours = Duration::ZERO;
        // Ours runs 1 % fast; the store answers a write every second, 10 ms after it was sent, for
        // three hours.
        for second in 1..=3 * 3_600_u64 {
            ours += Duration::from_millis(1_010);
            let received = start + ours;
            let sent = received - Duration::from_millis(10);
            let store = ClusterTime(second * 1_000);
            clock.hear(Lineage(1), store, received, Some(sent));
            let known = clock.time_at(received).expect("it was heard");
            assert!(store <= known && known <= ClusterTime(store.0 + 10));
        }
    }

    #[test]
    fn time_that_went_back_is_learned_from_a_write_and_not_from_a_read() {
        let clock = ClusterClock::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        clock.hear(Lineage(1), ClusterTime(500_000), start, Some(start));
        clock.hear(Lineage(1), ClusterTime(1_000), at(100), None);
        assert_eq!(clock.time_at(at(100)), Some(ClusterTime(500_100)));
        clock.hear(Lineage(1), ClusterTime(1_000), at(100), Some(at(60)));
        assert_eq!(clock.time_at(at(100)), Some(ClusterTime(1_040)));
        // What an old lineage says counts for nothing.
        clock.hear(Lineage(2), ClusterTime(9_000), at(200), Some(at(150)));
        clock.hear(Lineage(1), ClusterTime(7), at(300), Some(at(250)));
        assert_eq!(clock.time_at(at(300)), Some(ClusterTime(9_100)));
    }
}
