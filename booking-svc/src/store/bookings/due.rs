//! Bookings that somebody must go on with: open steps, and what is overdue.

use booking_core::Booking;
use holdfast_types::{BookingId, ClusterTime, Fence, HoldId, HoldToken, ShowId, UserId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    super::{Error, corrupt, to_timestamp},
    Key,
    rows::{Row, Unreadable, each_with_payments},
};

struct KeyRow {
    show_id: Uuid,
    booking_id: Uuid,
}

impl From<KeyRow> for Key {
    fn from(row: KeyRow) -> Self {
        Self {
            show_id: ShowId::from_uuid(row.show_id),
            booking_id: BookingId::from_uuid(row.booking_id),
        }
    }
}

/// An unpaid booking whose end has passed, and the hold that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overdue {
    pub(crate) key: Key,
    pub(crate) user_id: UserId,
    pub(crate) hold: HoldToken,
}

/// Takes over unfinished steps that are due: each is this process's until its next try is due,
/// which doubles from 1 s to 30 s.
pub(crate) async fn take_unfinished(pool: &PgPool, limit: u32) -> Result<Vec<Key>, Error> {
    let keys = sqlx::query_as!(
        KeyRow,
        "UPDATE booking.bookings SET step_tries = step_tries + 1,
             step_due_at = now() + make_interval(secs => least(30, power(2, least(step_tries, 5))))
         WHERE (show_id, booking_id) IN (
             SELECT show_id, booking_id FROM booking.bookings
             WHERE step <> 'IDLE' AND step_due_at <= now()
             ORDER BY step_due_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
         RETURNING show_id, booking_id",
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?;
    Ok(keys.into_iter().map(Key::from).collect())
}

/// Unpaid bookings whose end has passed at `now`, the longest overdue first; none of `met`.
pub(crate) async fn overdue(
    pool: &PgPool,
    now: ClusterTime,
    met: &[BookingId],
    limit: u32,
) -> Result<Vec<Result<Overdue, Unreadable>>, Error> {
    let met: Vec<Uuid> = met.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query_file!(
        "src/store/settle_overdue.sql",
        to_timestamp(now),
        i64::from(limit),
        &met,
    )
    .fetch_all(pool)
    .await?;
    let read = rows.into_iter().map(|row| {
        let show_id = ShowId::from_uuid(row.show_id);
        let key = Key {
            show_id,
            booking_id: BookingId::from_uuid(row.booking_id),
        };
        let fence = Fence::from_i64(row.fence).map_err(|error| Unreadable {
            key,
            why: corrupt("bookings", error),
        })?;
        Ok(Overdue {
            key,
            user_id: UserId::from_uuid(row.user_id),
            hold: HoldToken {
                show_id,
                hold_id: HoldId::from_uuid(row.hold_id),
                fence,
            },
        })
    });
    Ok(read.collect())
}

/// The unpaid bookings of these holds with which nobody is at work, locked until the caller's
/// transaction ends. Those that others have locked are left out.
pub(crate) async fn lock_pending(
    connection: &mut PgConnection,
    holds: &[HoldToken],
) -> Result<Vec<Result<Booking, Unreadable>>, Error> {
    let shows: Vec<Uuid> = holds.iter().map(|hold| hold.show_id.as_uuid()).collect();
    let ids: Vec<Uuid> = holds.iter().map(|hold| hold.hold_id.as_uuid()).collect();
    let fences: Vec<i64> = holds.iter().map(|hold| hold.fence.as_i64()).collect();
    let rows = sqlx::query_file_as!(Row, "src/store/settle_lock.sql", &shows, &ids, &fences)
        .fetch_all(&mut *connection)
        .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let locked = each_with_payments(connection, rows).await?.into_iter();
    Ok(locked.map(|read| Ok(read?.booking)).collect())
}
