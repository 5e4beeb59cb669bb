//! From the services' messages to the public shapes: ids, money, times.
//!
//! A message that breaks its contract is a defect of the service and answered as one.

use chrono::{DateTime, FixedOffset, Utc};
use holdfast_proto::booking::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{cursors, failure::ApiError};

/// An amount in minor units (cents for EUR) of one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Money {
    #[schema(example = 11000)]
    pub(crate) amount: i64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub(crate) currency: String,
}

/// What a fee came to: one per ticket for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ChargedFee {
    #[schema(example = "Service fee")]
    name: String,
    #[schema(example = 500)]
    amount: i64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
}

/// `total`, what seats cost of it, and the fees, as booking-svc told them: a release before there were fees
/// told the total alone.
pub(crate) fn cost(
    total: Option<pb::Money>,
    seats_total: Option<pb::Money>,
    fees: Vec<pb::ChargedFee>,
) -> Result<(Money, Money, Vec<ChargedFee>), ApiError> {
    let money = |money: pb::Money| Money {
        amount: money.amount,
        currency: money.currency,
    };
    let total = money(required(total, "total")?);
    let seats_total = seats_total.map_or_else(|| total.clone(), money);
    let fee = |fee: pb::ChargedFee| ChargedFee {
        name: fee.name,
        amount: fee.amount,
        currency: total.currency.clone(),
    };
    let fees = fees.into_iter().map(fee).collect();
    Ok((total, seats_total, fees))
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Send it as `cursor` for the next page; null on the last.
    #[schema(required = true)]
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// `next_cursor` as the service gave it; empty on the last page.
    pub(crate) fn new(items: Vec<T>, next_cursor: String) -> Self {
        Self {
            items,
            next_cursor: (!next_cursor.is_empty()).then(|| cursors::sign(&next_cursor)),
        }
    }
}

/// A message that must be there.
pub(crate) fn required<T>(message: Option<T>, what: &str) -> Result<T, ApiError> {
    message.ok_or_else(|| ApiError::defect(&format!("an answer without {what}")))
}

/// Text that may be absent, which the wire writes as empty.
pub(crate) fn optional(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

pub(crate) fn id(bytes: &[u8], what: &str) -> Result<Uuid, ApiError> {
    Uuid::from_slice(bytes)
        .map_err(|_| ApiError::defect(&format!("an answer with a broken {what}")))
}

/// Milliseconds since the Unix epoch, in UTC.
pub(crate) fn utc(ms: i64) -> Result<DateTime<Utc>, ApiError> {
    DateTime::from_timestamp_millis(ms)
        .ok_or_else(|| ApiError::defect("an answer with a time out of range"))
}

/// Milliseconds since the Unix epoch with the offset of `time_zone` at that time; of UTC for a
/// zone that this build's database hasn't.
pub(crate) fn local(ms: i64, time_zone: &str) -> Result<DateTime<FixedOffset>, ApiError> {
    let time = utc(ms)?;
    Ok(match time_zone.parse::<chrono_tz::Tz>() {
        Ok(zone) => time.with_timezone(&zone).fixed_offset(),
        Err(_) => time.fixed_offset(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_have_the_offset_of_that_day() {
        let at = |ms, zone| {
            local(ms, zone)
                .map(|time| time.to_rfc3339())
                .map_err(|_| ())
        };
        assert_eq!(
            at(1_768_500_000_000, "Europe/Berlin"),
            Ok("2026-01-15T19:00:00+01:00".to_owned())
        );
        assert_eq!(
            at(1_784_138_400_000, "Europe/Berlin"),
            Ok("2026-07-15T20:00:00+02:00".to_owned())
        );
        assert_eq!(
            at(0, "Nowhere/Land"),
            Ok("1970-01-01T00:00:00+00:00".to_owned())
        );
        assert_eq!(at(i64::MAX, "UTC"), Err(()));
    }
}
