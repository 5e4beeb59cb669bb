//! Seats that are kept for the house, as the lock store last said, and which shows are to be compared with it.
//!
//! Always holds: of two words about a seat the one of the later revision counts, in whichever order they are
//! written. Leaves to its callers that a word is of the current lineage.

use std::time::Duration;

use chrono::{DateTime, Utc};
use holdfast_types::{Revision, SeatNo, ShowId, UserId};
use sqlx::{PgConnection, PgPool};

use super::{Error, corrupt, to_columns, to_seats};

/// How long somebody who changes house seats may be at it: a comparison that begins later sees what it did at the
/// store. Longer than [`crate::app::house_seats::STORE_MAX`] and any wait for a connection before it.
pub(crate) const UNDER_WAY_MAX: Duration = Duration::from_secs(60);

/// How long after its beginning a show may not be over yet.
const SHOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A blocked seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HouseSeat {
    pub(crate) seat_no: SeatNo,
    /// Of the store's word.
    pub(crate) revision: Revision,
    pub(crate) by: Option<UserId>,
}

/// The store's word about a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) seat_no: SeatNo,
    pub(crate) is_blocked: bool,
    /// By this very word; otherwise it may have been blocked before, by somebody else.
    pub(crate) is_new: bool,
}

/// The store's word about some seats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'a> {
    pub(crate) show_id: ShowId,
    pub(crate) revision: Revision,
    /// Who asked, if anybody knows.
    pub(crate) by: Option<UserId>,
    /// Each seat once.
    pub(crate) seats: &'a [Said],
}

/// Records what the store said, but for seats of which it said something later.
pub(crate) async fn record(connection: &mut PgConnection, word: Word<'_>) -> Result<(), Error> {
    let seats: Vec<SeatNo> = word.seats.iter().map(|said| said.seat_no).collect();
    let are_blocked: Vec<bool> = word.seats.iter().map(|said| said.is_blocked).collect();
    let are_new: Vec<bool> = word.seats.iter().map(|said| said.is_new).collect();
    sqlx::query!(
        "INSERT INTO booking.house_seats AS h
             (show_id, seat_no, is_blocked, revision, blocked_by, blocked_at)
         SELECT $1, said.seat_no, said.is_blocked, $2,
             CASE WHEN said.is_blocked THEN CASE
                 WHEN known.is_blocked AND NOT said.is_new THEN coalesce(known.blocked_by, $3) ELSE $3 END END,
             CASE WHEN said.is_blocked THEN CASE
                 WHEN known.is_blocked AND NOT said.is_new THEN known.blocked_at ELSE now() END END
         FROM unnest($4::int[], $5::bool[], $6::bool[]) AS said (seat_no, is_blocked, is_new)
         LEFT JOIN booking.house_seats known ON known.show_id = $1 AND known.seat_no = said.seat_no
         ORDER BY said.seat_no
         ON CONFLICT (show_id, seat_no) DO UPDATE
             SET is_blocked = excluded.is_blocked, revision = excluded.revision,
                 blocked_by = excluded.blocked_by, blocked_at = excluded.blocked_at
             WHERE h.revision <= excluded.revision",
        word.show_id.as_uuid(),
        word.revision.as_i64(),
        word.by.map(UserId::as_uuid),
        &to_columns(&seats),
        &are_blocked,
        &are_new,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The seats of a show that are kept for the house, in seat order. Not those that are sold here, nor any that was
/// held after it was blocked, and so was released in between.
pub(crate) async fn blocked(
    connection: &mut PgConnection,
    show_id: ShowId,
) -> Result<Vec<HouseSeat>, Error> {
    let rows = sqlx::query!(
        "SELECT h.seat_no, h.revision, h.blocked_by
         FROM booking.house_seats h JOIN booking.seats s USING (show_id, seat_no)
         WHERE h.show_id = $1 AND h.is_blocked AND h.revision > s.fence AND s.state <> 'SOLD'
         ORDER BY h.seat_no",
        show_id.as_uuid()
    );
    let rows = rows.fetch_all(connection).await?;
    let seats = rows.into_iter().map(|row| {
        let revision = Revision::from_i64(row.revision);
        Ok(HouseSeat {
            seat_no: to_seats(&[row.seat_no])[0],
            revision: revision.map_err(|error| corrupt("house_seats", error))?,
            by: row.blocked_by.map(UserId::from_uuid),
        })
    });
    seats.collect()
}

/// Somebody is about to change house seats of a show, or has: it is compared when he must be done.
pub(crate) async fn mark(pool: &PgPool, show_id: ShowId) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO booking.house_checks (show_id, late_from, due_at)
         SELECT $1, due_at, due_at FROM (SELECT now() + make_interval(secs => $2) AS due_at) AS later
         ON CONFLICT (show_id) DO UPDATE SET marked_at = now()",
        show_id.as_uuid(),
        UNDER_WAY_MAX.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Somebody may have changed house seats of any show before now: each that isn't over is compared by a comparison
/// that begins from now on. Returns how many were marked.
pub(crate) async fn mark_all(pool: &PgPool) -> Result<u64, Error> {
    let marked = sqlx::query!(
        "INSERT INTO booking.house_checks AS h (show_id, late_from, due_at, marked_at)
         SELECT show_id, now(), now(), now() - make_interval(secs => $1) FROM booking.shows
         WHERE state <> 'DRAFT' AND starts_at > now() - make_interval(secs => $2)
         ORDER BY show_id
         ON CONFLICT (show_id) DO UPDATE SET marked_at = excluded.marked_at
             WHERE h.marked_at < excluded.marked_at",
        UNDER_WAY_MAX.as_secs_f64(),
        SHOW_MAX.as_secs_f64(),
    );
    Ok(marked.execute(pool).await?.rows_affected())
}

/// A show that is to be compared, and when it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) show_id: ShowId,
    taken_at: DateTime<Utc>,
}

/// Takes shows whose comparison is due, at most `limit`; each is due again unless [`compared`] is told.
pub(crate) async fn take_due(pool: &PgPool, limit: u32) -> Result<Vec<Due>, Error> {
    let rows = sqlx::query!(
        r#"UPDATE booking.house_checks SET due_at = now() + make_interval(secs => $2)
           WHERE show_id IN (
               SELECT show_id FROM booking.house_checks WHERE due_at <= now()
               ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
           RETURNING show_id, now() AS "taken_at!""#,
        i64::from(limit),
        UNDER_WAY_MAX.as_secs_f64(),
    );
    let rows = rows.fetch_all(pool).await?.into_iter();
    let due = rows.map(|row| Due {
        show_id: ShowId::from_uuid(row.show_id),
        taken_at: row.taken_at,
    });
    Ok(due.collect())
}

/// A show was compared. It is again if somebody may have been changing its house seats meanwhile, and is late
/// only after that.
pub(crate) async fn compared(pool: &PgPool, due: Due) -> Result<(), Error> {
    let done = sqlx::query!(
        "DELETE FROM booking.house_checks
         WHERE show_id = $1 AND marked_at <= $2::timestamptz - make_interval(secs => $3)",
        due.show_id.as_uuid(),
        due.taken_at,
        UNDER_WAY_MAX.as_secs_f64(),
    );
    if done.execute(pool).await?.rows_affected() == 0 {
        sqlx::query!(
            "UPDATE booking.house_checks SET late_from = due_at WHERE show_id = $1",
            due.show_id.as_uuid(),
        )
        .execute(pool)
        .await?;
    }
    Ok(())
}
