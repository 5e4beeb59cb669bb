//! Cluster time by the wall clock, for those who know no other: customers and providers.
//!
//! Always holds: what the two differ by, however much, changes no span. Cluster time stands still
//! while a machine sleeps, and for what can't be believed of a wall clock that jumped, so it may
//! be hours behind; nobody outside may be told of it as it is.

use chrono::{DateTime, TimeDelta, Utc};
use holdfast_types::ClusterTime;

use crate::store::to_timestamp;

/// Differences count in whole steps of this: a replay is to tell the same moment to the
/// millisecond, though the two clocks never differ by quite the same. Nobody misses half of it.
const STEP_MS: i64 = 2_000;

/// The moment `at`, when it is `now` in the cluster and `wall` here; right to a second.
pub(super) fn moment(at: ClusterTime, now: ClusterTime, wall: DateTime<Utc>) -> DateTime<Utc> {
    let behind_ms = (wall - to_timestamp(now)).num_milliseconds();
    let steps = behind_ms.saturating_add(STEP_MS / 2).div_euclid(STEP_MS);
    let behind = TimeDelta::milliseconds(steps.saturating_mul(STEP_MS));
    to_timestamp(at)
        .checked_add_signed(behind)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).expect("a moment")
    }

    #[test]
    fn clocks_that_agree_tell_the_same_moment_each_time() {
        let at = ClusterTime(1_000_600_123);
        for jitter_ms in [-999, -40, 0, 7, 999] {
            let told = moment(
                at,
                ClusterTime(1_000_000_000),
                utc(1_000_000_000 + jitter_ms),
            );
            assert_eq!(told, utc(1_000_600_123), "{jitter_ms} ms apart");
        }
    }

    #[test]
    fn hours_between_the_clocks_leave_the_span_as_it_is() {
        for behind_ms in [7_200_400, -7_200_400, 90 * 86_400_000] {
            let (now, wall) = (ClusterTime(90_000_000_000), 90_000_000_000 + behind_ms);
            let told = moment(
                now.plus(holdfast_types::DurationMs(600_000)),
                now,
                utc(wall),
            );
            let off_ms = (told - utc(wall + 600_000)).num_milliseconds().abs();
            assert!(off_ms <= STEP_MS / 2, "{off_ms} ms off, {behind_ms} apart");
        }
    }

    #[test]
    fn what_lies_beyond_any_calendar_is_its_last_day() {
        let last = DateTime::<Utc>::MAX_UTC;
        assert_eq!(
            moment(ClusterTime(u64::MAX), ClusterTime(0), utc(5_000)),
            last
        );
    }
}
