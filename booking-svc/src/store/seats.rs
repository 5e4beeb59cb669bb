//! What bookings do to seats. Each returns how many rows it met; the caller judges.
//!
//! Rows are locked in seat order, so that bookings that share seats wait for each other instead of
//! deadlocking; and judged as they are once locked, not as they were when the statement began.

use holdfast_types::{BookingId, ClusterTime, Fence, SeatNo, ShowId};
use sqlx::PgConnection;

use super::{Error, to_columns, to_timestamp};

/// Whose seats, and under which fence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) show_id: ShowId,
    pub(crate) seats: &'a [SeatNo],
    pub(crate) booking_id: BookingId,
    pub(crate) fence: Fence,
}

/// `HELD` where the stored fence is smaller and the seat isn't sold.
pub(crate) async fn mark(
    connection: &mut PgConnection,
    claim: Claim<'_>,
    expires_at: ClusterTime,
) -> Result<u64, Error> {
    let updated = sqlx::query!(
        "WITH locked AS (
             SELECT seat_no, fence, state FROM booking.seats
             WHERE show_id = $1 AND seat_no = ANY($2) ORDER BY seat_no FOR NO KEY UPDATE)
         UPDATE booking.seats s SET state = 'HELD', booking_id = $3, fence = $4, expires_at = $5
         FROM locked l
         WHERE s.show_id = $1 AND s.seat_no = l.seat_no
             AND l.fence < $4 AND l.state IN ('AVAILABLE', 'HELD')",
        claim.show_id.as_uuid(),
        &to_columns(claim.seats),
        claim.booking_id.as_uuid(),
        claim.fence.as_i64(),
        to_timestamp(expires_at),
    )
    .execute(connection)
    .await?;
    Ok(updated.rows_affected())
}

/// `SOLD` where booking and fence match.
pub(crate) async fn sell(connection: &mut PgConnection, claim: Claim<'_>) -> Result<u64, Error> {
    let updated = sqlx::query!(
        "WITH locked AS (
             SELECT seat_no, booking_id, fence, state FROM booking.seats
             WHERE show_id = $1 AND seat_no = ANY($2) ORDER BY seat_no FOR NO KEY UPDATE)
         UPDATE booking.seats s SET state = 'SOLD', expires_at = NULL
         FROM locked l
         WHERE s.show_id = $1 AND s.seat_no = l.seat_no
             AND l.booking_id = $3 AND l.fence = $4 AND l.state = 'HELD'",
        claim.show_id.as_uuid(),
        &to_columns(claim.seats),
        claim.booking_id.as_uuid(),
        claim.fence.as_i64(),
    )
    .execute(connection)
    .await?;
    Ok(updated.rows_affected())
}

/// `AVAILABLE`, the fence kept, where booking and fence match.
pub(crate) async fn free(connection: &mut PgConnection, claim: Claim<'_>) -> Result<u64, Error> {
    let updated = sqlx::query!(
        "WITH locked AS (
             SELECT seat_no, booking_id, fence FROM booking.seats
             WHERE show_id = $1 AND seat_no = ANY($2) ORDER BY seat_no FOR NO KEY UPDATE)
         UPDATE booking.seats s SET state = 'AVAILABLE', booking_id = NULL, expires_at = NULL
         FROM locked l
         WHERE s.show_id = $1 AND s.seat_no = l.seat_no AND l.booking_id = $3 AND l.fence = $4",
        claim.show_id.as_uuid(),
        &to_columns(claim.seats),
        claim.booking_id.as_uuid(),
        claim.fence.as_i64(),
    )
    .execute(connection)
    .await?;
    Ok(updated.rows_affected())
}

/// What stands in a claim's way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Seats that a newer hold has been booked for.
    pub(crate) newer: u64,
    /// Seats that could be marked, or that a booking of this very hold has: of a copy of the request.
    pub(crate) free: u64,
}

/// Looks at a claim's seats.
pub(crate) async fn look(connection: &mut PgConnection, claim: Claim<'_>) -> Result<Look, Error> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE fence > $3) AS "newer!",
             count(*) FILTER (WHERE fence = $3 OR (fence < $3 AND state IN ('AVAILABLE', 'HELD'))) AS "free!"
           FROM booking.seats WHERE show_id = $1 AND seat_no = ANY($2)"#,
        claim.show_id.as_uuid(),
        &to_columns(claim.seats),
        claim.fence.as_i64(),
    )
    .fetch_one(connection)
    .await?;
    Ok(Look {
        newer: row.newer.unsigned_abs(),
        free: row.free.unsigned_abs(),
    })
}
