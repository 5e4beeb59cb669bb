//! SQL only: what is read and written of schema `booking`. No decisions.
//!
//! Always holds: rows of several seats are locked in seat order; a function that takes a
//! connection is part of its caller's transaction.

pub(crate) mod audit;
pub(crate) mod audit_seats;
pub(crate) mod bookings;
pub(crate) mod changes;
pub(crate) mod closing_accounts;
pub(crate) mod house_seats;
pub(crate) mod lineage;
pub(crate) mod payments;
pub(crate) mod rebuild;
pub(crate) mod refunds;
pub(crate) mod requests;
pub(crate) mod sales;
pub(crate) mod seats;
pub(crate) mod settle;
pub(crate) mod show_refunds;
pub(crate) mod shows;
pub(crate) mod tickets;
pub(crate) mod timeline;

use chrono::{DateTime, Utc};
use holdfast_types::{ClusterTime, SeatNo};
use sqlx::PgPool;

/// A row that no code of ours writes.
#[derive(Debug, thiserror::Error)]
#[error("corrupt row in booking.{table}: {what}")]
pub struct Corrupt {
    table: &'static str,
    what: String,
}

/// What reading a table can end in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres refused, or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A row can't be understood.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// The time, by the database's clock.
pub(crate) async fn now(pool: &PgPool) -> Result<DateTime<Utc>, Error> {
    let now = sqlx::query_scalar!(r#"SELECT now() AS "now!""#);
    Ok(now.fetch_one(pool).await?)
}

pub(crate) fn corrupt(table: &'static str, what: impl std::fmt::Display) -> Corrupt {
    Corrupt {
        table,
        what: what.to_string(),
    }
}

/// Cluster time as a column has it.
pub(crate) fn to_timestamp(time: ClusterTime) -> DateTime<Utc> {
    i64::try_from(time.0)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn to_cluster_time(column: DateTime<Utc>) -> ClusterTime {
    ClusterTime(u64::try_from(column.timestamp_millis()).unwrap_or(0))
}

fn to_columns(seats: &[SeatNo]) -> Vec<i32> {
    seats
        .iter()
        .map(|seat| i32::try_from(seat.0).expect("a layout has under 2^31 seats"))
        .collect()
}

fn to_seats(columns: &[i32]) -> Vec<SeatNo> {
    columns
        .iter()
        .map(|seat_no| SeatNo(u32::try_from(*seat_no).unwrap_or(u32::MAX)))
        .collect()
}
