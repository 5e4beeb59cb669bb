//! Moves dates to the future: by whole years, to the nearest date of the same weekday.
//!
//! Always holds: weekday, time of day at the venue and time zone stay; the date is within three days
//! of the same date that many years later. Pure: the time now is an input.
//!
//! Not by 52-week steps, which keep the weekday too but slip a day and a quarter a year: after ten
//! years an Advent concert would be in the middle of December.

use std::str::FromStr;

use chrono::{
    DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _,
    Utc,
};
use chrono_tz::Tz;

/// Years that dates are moved at most.
const YEARS_MAX: u32 = 200;

/// How far dates are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shift {
    /// As little as brings the start into the future; what is in the future stays.
    Auto,
    /// By so many years; 0 leaves them.
    Years(u32),
}

impl FromStr for Shift {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let years = text.parse().ok().filter(|years| *years <= YEARS_MAX);
        let refuse = || format!("must be auto, or years from 0 to {YEARS_MAX}");
        years.map(Self::Years).ok_or_else(refuse)
    }
}

impl Shift {
    /// By how many years something that starts at `local` is moved; `None` if no number of years
    /// brings it there.
    pub(super) fn years(self, local: NaiveDateTime, zone: Tz, now: DateTime<Utc>) -> Option<u32> {
        match self {
            Self::Years(years) => Some(years),
            Self::Auto => (0..=YEARS_MAX).find(|years| {
                let start = same_weekday(local, *years).and_then(|local| instant(local, zone));
                start.is_some_and(|start| start > now)
            }),
        }
    }
}

/// The same time of day on the same weekday, on the nearest such date so many years later.
pub(super) fn same_weekday(local: NaiveDateTime, years: u32) -> Option<NaiveDateTime> {
    let date = local.date();
    let year = date.year().checked_add_unsigned(years)?;
    // The 29th of February is the 28th in other years.
    let later = date
        .with_year(year)
        .or_else(|| NaiveDate::from_ymd_opt(year, date.month(), 28))?;
    let of = |date: NaiveDate| i64::from(date.weekday().num_days_from_monday());
    // From -3 to 3.
    let days = (of(date) - of(later) + 10).rem_euclid(7) - 3;
    let moved = match days {
        0.. => later.checked_add_days(Days::new(days.unsigned_abs())),
        _ => later.checked_sub_days(Days::new(days.unsigned_abs())),
    };
    Some(moved?.and_time(local.time()))
}

/// As [`same_weekday`], for an instant seen at the venue.
pub(super) fn moved(at: DateTime<Utc>, zone: Tz, years: u32) -> Option<DateTime<Utc>> {
    if years == 0 {
        return Some(at);
    }
    let local = same_weekday(at.with_timezone(&zone).naive_local(), years)?;
    instant(local, zone)
}

/// When it is `local` in `zone`: the earlier time where clocks are set back; where they are set
/// forward over it, as much later as they are.
pub(crate) fn instant(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    if let Some(time) = zone.from_local_datetime(&local).earliest() {
        return Some(time.with_timezone(&Utc));
    }
    // The offset before the gap. Gaps are an hour, and a day where the date line moved.
    (1..=48).find_map(|hours| {
        let before = local.checked_sub_signed(TimeDelta::hours(hours))?;
        let offset = zone.offset_from_local_datetime(&before).latest()?;
        Some(local.checked_sub_offset(offset.fix())?.and_utc())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn dates_move_to_the_nearest_of_the_same_weekday() {
        for (from, years, to) in [
            ("2016-07-27T19:30:00", 0, "2016-07-27T19:30:00"),
            ("2016-07-27T19:30:00", 1, "2017-07-26T19:30:00"),
            ("2016-07-27T19:30:00", 11, "2027-07-28T19:30:00"),
            ("2016-12-24T22:00:00", 10, "2026-12-26T22:00:00"),
            ("2016-02-29T20:00:00", 1, "2017-02-27T20:00:00"),
            ("2016-02-29T20:00:00", 4, "2020-03-02T20:00:00"),
        ] {
            assert_eq!(
                same_weekday(local(from), years),
                Some(local(to)),
                "{from} {years}"
            );
        }
    }

    #[test]
    fn auto_moves_no_farther_than_into_the_future() {
        let zone = chrono_tz::America::New_York;
        let years =
            |now: &str| Shift::Auto.years(local("2016-07-27T19:30:00"), zone, now.parse().unwrap());
        assert_eq!(years("2016-07-27T23:29:59Z"), Some(0));
        assert_eq!(years("2016-07-27T23:30:00Z"), Some(1));
        assert_eq!(years("2026-11-26T12:00:00Z"), Some(11));
        assert_eq!(years("2500-01-01T00:00:00Z"), None);
    }

    #[test]
    fn times_that_are_skipped_or_there_twice_have_an_instant() {
        let berlin = chrono_tz::Europe::Berlin;
        let at = |text| instant(local(text), berlin).unwrap().to_rfc3339();
        assert_eq!(at("2027-03-28T02:30:00"), "2027-03-28T01:30:00+00:00");
        assert_eq!(at("2027-10-31T02:30:00"), "2027-10-31T00:30:00+00:00");
        // Samoa went over the date line and had no 30th of December.
        let apia = instant(local("2011-12-30T12:00:00"), chrono_tz::Pacific::Apia);
        assert!(apia.is_some());
    }

    #[test]
    fn only_auto_and_years_are_shifts() {
        assert_eq!("auto".parse(), Ok(Shift::Auto));
        assert_eq!("11".parse(), Ok(Shift::Years(11)));
        for text in ["", "-1", "201", "1.5", "AUTO"] {
            assert!(text.parse::<Shift>().is_err(), "{text}");
        }
    }
}
