//! Bookings as they are: by their keys, their holds and their users.

use booking_core::Booking;
use holdfast_types::{BookingId, HoldToken, ShowId, UserId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    super::Error,
    Stored, Version, Which,
    rows::{Row, RowWithPayment, Unreadable, each_with_payments, joined, with_payments},
};

/// A booking, locked until the caller's transaction ends.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    which: Which,
) -> Result<Option<Booking>, Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT booking_id, user_id, show_id, seat_nos, returned_nos, amount, currency, state, reason,
             step, step_ending, hold_id, fence, hold_attempt, expires_at, session_payment_id,
             payment_url, created_at, pay_until
         FROM booking.bookings
         WHERE booking_id = $1 AND show_id = coalesce($2, (
             SELECT d.show_id FROM booking.directory d WHERE d.booking_id = $1))
         FOR NO KEY UPDATE",
        which.booking_id.as_uuid(),
        which.show_id.map(ShowId::as_uuid),
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(with_payments(connection, vec![row])
        .await?
        .pop()
        .map(|stored| stored.booking))
}

/// A booking as it is now, read without a lock, and which version of its row that is.
pub(crate) async fn read(pool: &PgPool, which: Which) -> Result<Option<(Booking, Version)>, Error> {
    let rows = sqlx::query_file_as!(
        RowWithPayment,
        "src/store/read_booking.sql",
        which.booking_id.as_uuid(),
        which.show_id.map(ShowId::as_uuid),
        None::<Uuid>,
    )
    .fetch_all(pool)
    .await?;
    let version = rows.first().map(|row| Version(row.version.clone()));
    Ok(joined(rows)?.map(|stored| stored.booking).zip(version))
}

/// A user's booking as it is now; nobody else's.
pub(crate) async fn of_user(
    pool: &PgPool,
    user_id: UserId,
    booking_id: BookingId,
) -> Result<Option<Stored>, Error> {
    let rows = sqlx::query_file_as!(
        RowWithPayment,
        "src/store/read_booking.sql",
        booking_id.as_uuid(),
        None::<Uuid>,
        user_id.as_uuid(),
    )
    .fetch_all(pool)
    .await?;
    joined(rows)
}

/// The booking of a hold as it is now.
pub(crate) async fn of_hold(pool: &PgPool, hold: HoldToken) -> Result<Option<Stored>, Error> {
    let mut connection = pool.acquire().await?;
    let row = sqlx::query_as!(
        Row,
        "SELECT booking_id, user_id, show_id, seat_nos, returned_nos, amount, currency, state, reason,
             step, step_ending, hold_id, fence, hold_attempt, expires_at, session_payment_id,
             payment_url, created_at, pay_until
         FROM booking.bookings WHERE show_id = $1 AND hold_id = $2 AND fence = $3",
        hold.show_id.as_uuid(),
        hold.hold_id.as_uuid(),
        hold.fence.as_i64(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(with_payments(&mut connection, vec![row]).await?.pop())
}

/// A user's bookings before `before`, newest first; one that can't be read spoils no other.
pub(crate) async fn list(
    pool: &PgPool,
    user_id: UserId,
    before: Option<BookingId>,
    limit: u32,
) -> Result<Vec<Result<Stored, Unreadable>>, Error> {
    let mut connection = pool.acquire().await?;
    let rows = sqlx::query_as!(
        Row,
        "SELECT b.booking_id, b.user_id, b.show_id, seat_nos, returned_nos, amount, currency, state,
             reason, step, step_ending, hold_id, fence, hold_attempt, expires_at,
             session_payment_id, payment_url, created_at, pay_until
         FROM booking.directory d
         JOIN booking.bookings b ON b.show_id = d.show_id AND b.booking_id = d.booking_id
         WHERE d.user_id = $1 AND d.booking_id < $2
         ORDER BY d.booking_id DESC LIMIT $3",
        user_id.as_uuid(),
        before.map_or(Uuid::max(), BookingId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(&mut *connection)
    .await?;
    each_with_payments(&mut connection, rows).await
}
