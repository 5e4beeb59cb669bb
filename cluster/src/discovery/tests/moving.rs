//! Moving dates, in every time zone that there is.

use chrono::{
    DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Timelike as _,
};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;

use crate::discovery::shift::{self, Shift};

fn zones() -> impl Strategy<Value = Tz> {
    (0..TZ_VARIANTS.len()).prop_map(|index| TZ_VARIANTS[index])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_moved_show_keeps_weekday_and_local_time(
        zone in zones(),
        day in 0..3_650_i64,
        minute in 0..24 * 60_u32,
        years in 1..40_u32,
    ) {
        let date = NaiveDate::from_ymd_opt(2016, 1, 1).unwrap() + chrono::Days::new(day.unsigned_abs());
        let time = NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0).unwrap();
        let from = date.and_time(time);
        let to = shift::same_weekday(from, years).unwrap();
        prop_assert_eq!(to.weekday(), from.weekday());
        prop_assert_eq!(to.time(), from.time());
        let apart = (to.date() - from.date()).num_days();
        let years_apart = i64::from(years) * 146_097 / 400;
        prop_assert!((apart - years_apart).abs() <= 5, "{} days", apart);

        let seen = shift::instant(to, zone).unwrap().with_timezone(&zone);
        let skipped = seen.naive_local() - to;
        // The same wall clock, but where it is set forward over it.
        prop_assert!(
            skipped.is_zero() || (zone_skips(zone, to) && skipped.num_hours() <= 24),
            "{} is seen as {} in {}", to, seen, zone
        );
        prop_assert!(seen.minute() == to.minute() || zone_skips(zone, to));
    }

    #[test]
    fn auto_brings_every_start_into_the_future_and_no_farther(
        zone in zones(),
        day in 0..10_000_u64,
        now in 0..4_000_000_000_i64,
    ) {
        let from = (NaiveDate::from_ymd_opt(1990, 1, 1).unwrap() + chrono::Days::new(day))
            .and_hms_opt(20, 0, 0)
            .unwrap();
        let now = DateTime::from_timestamp(now, 0).unwrap();
        let years = Shift::Auto.years(from, zone, now).unwrap();
        let start = |years| shift::instant(shift::same_weekday(from, years).unwrap(), zone).unwrap();
        prop_assert!(start(years) > now);
        prop_assert!(years == 0 || start(years - 1) <= now);
    }

}

fn zone_skips(zone: Tz, local: NaiveDateTime) -> bool {
    zone.from_local_datetime(&local).earliest().is_none()
}
