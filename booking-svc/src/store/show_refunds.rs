//! Shows whose bookings are being refunded, and how far that is.

use std::time::Duration;

use holdfast_types::{BookingId, Money, ShowId};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Error, corrupt};

/// How far the refunding of a show is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Whether it has been asked for.
    pub(crate) asked: bool,
    /// Whether every booking was looked at.
    pub(crate) finished: bool,
    /// Confirmed bookings when it was first asked for.
    pub(crate) bookings: u32,
    /// Confirmed bookings now.
    pub(crate) bookings_left: u32,
    /// Their seats.
    pub(crate) seats_left: u32,
    /// What was paid for them.
    pub(crate) amount_left: Money,
    /// Refunds whose money hasn't gone.
    pub(crate) refunds_under_way: u32,
}

/// A run that is this process's for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) show_id: ShowId,
    /// Bookings up to this one were looked at.
    pub(crate) looked_at: Uuid,
}

/// How far it is; none for a show that isn't there.
pub(crate) async fn progress(pool: &PgPool, show_id: ShowId) -> Result<Option<Progress>, Error> {
    let row = sqlx::query_file!("src/store/show_refund_progress.sql", show_id.as_uuid())
        .fetch_optional(pool)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let currency = row.currency.parse();
    let currency = currency.map_err(|error| corrupt("shows", error))?;
    let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Some(Progress {
        asked: row.asked,
        finished: row.finished,
        bookings: count(row.bookings.into()),
        bookings_left: count(row.bookings_left),
        seats_left: count(row.seats_left),
        amount_left: Money {
            amount: row.amount_left,
            currency,
        },
        refunds_under_way: count(row.refunds_under_way),
    }))
}

/// Asks for it. One that is under way goes on; one that has finished and left bookings begins anew.
pub(crate) async fn ask(pool: &PgPool, show_id: ShowId) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO booking.show_refunds (show_id, bookings)
         SELECT $1, count(*) FROM booking.bookings WHERE show_id = $1 AND state = 'CONFIRMED'
         ON CONFLICT (show_id) DO UPDATE
             SET finished_at = NULL, looked_at = DEFAULT, due_at = now()
             WHERE show_refunds.finished_at IS NOT NULL AND excluded.bookings > 0",
        show_id.as_uuid()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes over the run that is longest due, for `lease`.
pub(crate) async fn take_run(pool: &PgPool, lease: Duration) -> Result<Option<Run>, Error> {
    let row = sqlx::query!(
        "UPDATE booking.show_refunds r
         SET due_at = now() + make_interval(secs => $1),
             is_last = CASE WHEN r.looked_at <> '00000000-0000-0000-0000-000000000000' THEN r.is_last
                 ELSE NOT EXISTS (
                     SELECT FROM booking.bookings b
                     WHERE b.show_id = r.show_id AND b.step <> 'IDLE'
                         AND b.step IN ('COMMITTING', 'HOLDING')) END
         WHERE r.show_id = (
             SELECT show_id FROM booking.show_refunds WHERE finished_at IS NULL AND due_at <= now()
             ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING r.show_id, r.looked_at",
        lease.as_secs_f64()
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Run {
        show_id: ShowId::from_uuid(row.show_id),
        looked_at: row.looked_at,
    }))
}

/// The run's next bookings that are confirmed, at most `limit`.
pub(crate) async fn confirmed(
    pool: &PgPool,
    run: Run,
    limit: u32,
) -> Result<Vec<BookingId>, Error> {
    let ids = sqlx::query_scalar!(
        "SELECT booking_id FROM booking.bookings
         WHERE show_id = $1 AND state = 'CONFIRMED' AND booking_id > $2
         ORDER BY booking_id LIMIT $3",
        run.show_id.as_uuid(),
        run.looked_at,
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(BookingId::from_uuid).collect())
}

/// Bookings up to `last` were looked at, and the run is this process's for another `lease`.
pub(crate) async fn looked_at(
    pool: &PgPool,
    run: Run,
    last: BookingId,
    lease: Duration,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE booking.show_refunds
         SET looked_at = $2, due_at = now() + make_interval(secs => $3)
         WHERE show_id = $1 AND finished_at IS NULL",
        run.show_id.as_uuid(),
        last.as_uuid(),
        lease.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A pass has ended: the run has finished if it was the last, else another begins in `pause`. True if
/// it has finished.
pub(crate) async fn end_pass(pool: &PgPool, run: Run, pause: Duration) -> Result<bool, Error> {
    let finished = sqlx::query_scalar!(
        r#"UPDATE booking.show_refunds
           SET finished_at = CASE WHEN is_last THEN now() END, looked_at = DEFAULT,
               due_at = now() + make_interval(secs => $2)
           WHERE show_id = $1 AND finished_at IS NULL
           RETURNING finished_at IS NOT NULL AS "finished!""#,
        run.show_id.as_uuid(),
        pause.as_secs_f64()
    );
    Ok(finished.fetch_optional(pool).await?.unwrap_or(true))
}
