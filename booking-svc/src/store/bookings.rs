//! Bookings as rows: the workflow's state, and what a replay and a list need.

use booking_core::{Booking, Ending, Entry, HeldAs, Reason, Session, Step};
use chrono::{DateTime, Utc};
use holdfast_types::{
    BookingId, ClusterTime, Fence, HoldId, Lineage, Money, PaymentId, Revision, ShowId, UserId,
};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Corrupt, Error, corrupt, payments, requests::Named, timeline, to_cluster_time, to_columns,
    to_seats, to_timestamp,
};

/// A booking with what the workflow doesn't need of it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) booking: Booking,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) pay_until: DateTime<Utc>,
}

/// What a new booking has besides the workflow's state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewBooking<'a> {
    pub(crate) booking: &'a Booking,
    /// The request that asked for it, and what it is answered.
    pub(crate) named: &'a Named,
    pub(crate) answer: &'a [u8],
    pub(crate) price_version: u32,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) pay_until: DateTime<Utc>,
    /// The store's, at which it lengthened the hold, and in which life of its.
    pub(crate) revision: Revision,
    pub(crate) lineage: Lineage,
}

/// Which booking to look for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    Id(BookingId),
    Hold { hold_id: HoldId, fence: Fence },
}

struct Row {
    booking_id: Uuid,
    user_id: Uuid,
    show_id: Uuid,
    seat_nos: Vec<i32>,
    returned_nos: Vec<i32>,
    amount: i64,
    currency: String,
    state: String,
    reason: Option<String>,
    step: String,
    step_ending: Option<String>,
    hold_id: Uuid,
    fence: i64,
    hold_attempt: i32,
    expires_at: DateTime<Utc>,
    session_payment_id: Option<Uuid>,
    payment_url: Option<String>,
    created_at: DateTime<Utc>,
    pay_until: DateTime<Utc>,
}

/// Writes a new booking, with the request that asked for it and the beginning of its timeline, on an
/// answer of this lineage. False, and nothing is written: it isn't the current one, or its store isn't
/// loaded, or another transaction is writing under the request's name. A unique violation says that the
/// request or the hold has a booking.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    new: NewBooking<'_>,
) -> Result<bool, Error> {
    let booking = new.booking;
    let written = sqlx::query!(
        "WITH turn AS (
             SELECT pg_try_advisory_xact_lock($1) AND EXISTS (
                 SELECT FROM booking.lineage WHERE lineage = $20 AND NOT rebuilding) AS is_ours
         ),
         request AS (
             INSERT INTO booking.requests (user_id, idempotency_key, route, body_hash, answer)
             SELECT $3, $4, $5, $6, $7 FROM turn WHERE is_ours
         ),
         timeline AS (
             INSERT INTO booking.timeline (booking_id, position, happened, revision, fence)
             SELECT $2, e.position, e.happened, $19, $15
             FROM turn, (VALUES (1, 'HOLD_EXTENDED'), (2, 'CREATED')) AS e (position, happened)
             WHERE is_ours
         )
         INSERT INTO booking.bookings (booking_id, user_id, idempotency_key, body_hash, show_id,
             seat_nos, amount, currency, price_version, state, hold_id, fence, expires_at,
             pay_until, created_at)
         SELECT $2, $3, $4, $6, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
         FROM turn WHERE is_ours",
        new.named.lock(),
        booking.id.as_uuid(),
        booking.user_id.as_uuid(),
        new.named.idempotency_key,
        new.named.route.as_str(),
        &new.named.body_hash[..],
        new.answer,
        booking.show_id.as_uuid(),
        &to_columns(&booking.seats),
        booking.total.amount,
        booking.total.currency.as_str(),
        i32::try_from(new.price_version).unwrap_or(i32::MAX),
        booking.state.as_str(),
        booking.hold.hold_id.as_uuid(),
        booking.hold.fence.as_i64(),
        to_timestamp(booking.expires_at),
        new.pay_until,
        new.created_at,
        new.revision.as_i64(),
        i16::from(new.lineage.0),
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// A booking, locked until the caller's transaction ends.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    booking_id: BookingId,
) -> Result<Option<Booking>, Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT booking_id, user_id, show_id, seat_nos, returned_nos, amount, currency, state, reason,
             step, step_ending, hold_id, fence, hold_attempt, expires_at, session_payment_id,
             payment_url, created_at, pay_until
         FROM booking.bookings WHERE booking_id = $1 FOR NO KEY UPDATE",
        booking_id.as_uuid()
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(with_payments(connection, vec![row])
        .await?
        .pop()
        .map(|stored| stored.booking))
}

/// A booking as it is now.
pub(crate) async fn find(pool: &PgPool, which: Which) -> Result<Option<Stored>, Error> {
    let mut connection = pool.acquire().await?;
    let (id, hold_id, fence) = match which {
        Which::Id(id) => (Some(id.as_uuid()), None, None),
        Which::Hold { hold_id, fence } => (None, Some(hold_id.as_uuid()), Some(fence.as_i64())),
    };
    // Two index scans of which one has nothing to look for.
    let row = sqlx::query_as!(
        Row,
        "SELECT booking_id, user_id, show_id, seat_nos, returned_nos, amount, currency, state, reason,
             step, step_ending, hold_id, fence, hold_attempt, expires_at, session_payment_id,
             payment_url, created_at, pay_until
         FROM booking.bookings
         WHERE booking_id = $1 OR (hold_id = $2 AND fence = $3)",
        id,
        hold_id,
        fence
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(with_payments(&mut connection, vec![row]).await?.pop())
}

/// A user's bookings before `before`, newest first.
pub(crate) async fn list(
    pool: &PgPool,
    user_id: UserId,
    before: Option<BookingId>,
    limit: u32,
) -> Result<Vec<Stored>, Error> {
    let mut connection = pool.acquire().await?;
    let rows = sqlx::query_as!(
        Row,
        "SELECT booking_id, user_id, show_id, seat_nos, returned_nos, amount, currency, state, reason,
             step, step_ending, hold_id, fence, hold_attempt, expires_at, session_payment_id,
             payment_url, created_at, pay_until
         FROM booking.bookings WHERE user_id = $1 AND booking_id < $2
         ORDER BY booking_id DESC LIMIT $3",
        user_id.as_uuid(),
        before.map_or(Uuid::max(), BookingId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(&mut *connection)
    .await?;
    with_payments(&mut connection, rows).await
}

/// A change, and what it adds to the timeline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) before: &'a Booking,
    pub(crate) after: &'a Booking,
    pub(crate) entries: &'a [Entry],
    /// The store's, of the answer that the change follows from.
    pub(crate) revision: Option<Revision>,
}

/// Writes what the workflow changed. An open step is the caller's for `lease_s` seconds; then
/// anyone may take it over.
pub(crate) async fn save(
    connection: &mut PgConnection,
    change: Change<'_>,
    lease_s: f64,
) -> Result<(), Error> {
    let Change { before, after, .. } = change;
    let (step, ending) = step_columns(after.step);
    let entries = timeline::Columns::of(change.entries);
    sqlx::query!(
        "WITH timeline AS (
             INSERT INTO booking.timeline (booking_id, position, happened, reason, revision, fence,
                 payment_id, refund_id, amount, currency, seat_nos)
             SELECT $1, last.position + e.place::int, e.happened, e.reason, $13, $8, e.payment_id,
                 e.refund_id, e.amount, e.currency, e.seats::int[]
             FROM (SELECT coalesce(max(position), 0) AS position FROM booking.timeline
                   WHERE booking_id = $1) AS last,
                 unnest($14::text[], $15::text[], $16::uuid[], $17::uuid[], $18::bigint[],
                     $19::text[], $20::text[]) WITH ORDINALITY
                     AS e (happened, reason, payment_id, refund_id, amount, currency, seats, place)
         )
         UPDATE booking.bookings SET state = $2, reason = $3, step = $4, step_ending = $5,
             step_due_at = now() + make_interval(secs => $6), step_tries = 0,
             hold_id = $7, fence = $8, hold_attempt = $9, session_payment_id = $10,
             payment_url = $11, returned_nos = $12, updated_at = now()
         WHERE booking_id = $1",
        after.id.as_uuid(),
        after.state.as_str(),
        after.reason.map(Reason::as_str),
        step,
        ending,
        lease_s,
        after.hold.hold_id.as_uuid(),
        after.hold.fence.as_i64(),
        i32::try_from(after.hold.attempt).unwrap_or(i32::MAX),
        after
            .session
            .as_ref()
            .map(|session| session.payment_id.as_uuid()),
        after.session.as_ref().map(|session| session.url.as_str()),
        &to_columns(&after.returned),
        change.revision.map(Revision::as_i64),
        &entries.happened,
        &entries.reasons as &[Option<String>],
        &entries.payments as &[Option<Uuid>],
        &entries.refunds as &[Option<Uuid>],
        &entries.amounts as &[Option<i64>],
        &entries.currencies as &[Option<String>],
        &entries.seats as &[Option<String>],
    )
    .execute(&mut *connection)
    .await?;
    payments::save(connection, before, after).await
}

/// Takes over unfinished steps that are due: each is this process's until its next try is due,
/// which doubles from 1 s to 30 s.
pub(crate) async fn take_unfinished(pool: &PgPool, limit: u32) -> Result<Vec<BookingId>, Error> {
    let ids = sqlx::query_scalar!(
        "UPDATE booking.bookings SET step_tries = step_tries + 1,
             step_due_at = now() + make_interval(secs => least(30, power(2, least(step_tries, 5))))
         WHERE booking_id IN (
             SELECT booking_id FROM booking.bookings WHERE step <> 'IDLE' AND step_due_at <= now()
             ORDER BY step_due_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
         RETURNING booking_id",
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(BookingId::from_uuid).collect())
}

/// Unpaid bookings whose end has passed at `now`, the longest overdue first.
pub(crate) async fn overdue(
    pool: &PgPool,
    now: ClusterTime,
    limit: u32,
) -> Result<Vec<BookingId>, Error> {
    let ids = sqlx::query_scalar!(
        "SELECT booking_id FROM booking.bookings
         WHERE state = 'PENDING_PAYMENT' AND step = 'IDLE' AND expires_at <= $1
         ORDER BY expires_at LIMIT $2",
        to_timestamp(now),
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(BookingId::from_uuid).collect())
}

/// Unpaid bookings of these holds with which nobody is at work, and the fence of each.
pub(crate) async fn of_holds(
    pool: &PgPool,
    holds: &[(HoldId, Fence)],
) -> Result<Vec<(BookingId, Fence)>, Error> {
    let ids: Vec<Uuid> = holds.iter().map(|(hold_id, _)| hold_id.as_uuid()).collect();
    let fences: Vec<i64> = holds.iter().map(|(_, fence)| fence.as_i64()).collect();
    let rows = sqlx::query!(
        "SELECT booking_id, fence FROM booking.bookings
         JOIN UNNEST($1::uuid[], $2::bigint[]) AS ended (hold_id, fence) USING (hold_id, fence)
         WHERE state = 'PENDING_PAYMENT' AND step = 'IDLE'",
        &ids,
        &fences
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let fence = Fence::from_i64(row.fence)
                .map_err(|error| corrupt("bookings", error.to_string()))?;
            Ok((BookingId::from_uuid(row.booking_id), fence))
        })
        .collect()
}

async fn with_payments(
    connection: &mut PgConnection,
    rows: Vec<Row>,
) -> Result<Vec<Stored>, Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.booking_id).collect();
    let mut payments = payments::of(connection, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let (created_at, pay_until) = (row.created_at, row.pay_until);
            let mut booking = from_row(row)?;
            booking.payments = payments.remove(&booking.id).unwrap_or_default();
            Ok(Stored {
                booking,
                created_at,
                pay_until,
            })
        })
        .collect()
}

fn from_row(row: Row) -> Result<Booking, Corrupt> {
    let bad = |what: String| corrupt("bookings", what);
    let reason = row
        .reason
        .map(|code| Reason::from_code(&code).ok_or_else(|| bad(format!("reason {code}"))))
        .transpose()?;
    let session = match (row.session_payment_id, row.payment_url) {
        (Some(id), Some(url)) => Some(Session {
            payment_id: PaymentId::from_uuid(id),
            url,
        }),
        _ => None,
    };
    Ok(Booking {
        id: BookingId::from_uuid(row.booking_id),
        user_id: UserId::from_uuid(row.user_id),
        show_id: ShowId::from_uuid(row.show_id),
        seats: to_seats(&row.seat_nos),
        returned: to_seats(&row.returned_nos),
        total: Money {
            amount: row.amount,
            currency: row
                .currency
                .parse()
                .map_err(|_| bad(format!("currency {}", row.currency)))?,
        },
        state: row
            .state
            .parse()
            .map_err(|_| bad(format!("state {}", row.state)))?,
        reason,
        step: step_from(&row.step, row.step_ending.as_deref())
            .ok_or_else(|| bad(format!("step {} {:?}", row.step, row.step_ending)))?,
        hold: HeldAs {
            hold_id: HoldId::from_uuid(row.hold_id),
            fence: Fence::from_i64(row.fence).map_err(|_| bad(format!("fence {}", row.fence)))?,
            attempt: u32::try_from(row.hold_attempt).map_err(|error| bad(error.to_string()))?,
        },
        expires_at: to_cluster_time(row.expires_at),
        session,
        payments: Vec::new(),
    })
}

const ENDINGS: [(Ending, &str); 4] = [
    (Ending::Expired, "EXPIRED"),
    (Ending::Cancelled, "CANCELLED"),
    (Ending::PaymentFailed, "PAYMENT_FAILED"),
    (Ending::Ended, "ENDED"),
];

fn step_columns(step: Step) -> (&'static str, Option<&'static str>) {
    match step {
        Step::Idle => ("IDLE", None),
        Step::Releasing(ending) => {
            let text = ENDINGS
                .iter()
                .find(|(known, _)| *known == ending)
                .map(|(_, text)| *text);
            ("RELEASING", text)
        }
        Step::Committing => ("COMMITTING", None),
        Step::Holding => ("HOLDING", None),
        Step::Returning => ("RETURNING", None),
    }
}

fn step_from(step: &str, ending: Option<&str>) -> Option<Step> {
    match (step, ending) {
        ("IDLE", None) => Some(Step::Idle),
        ("COMMITTING", None) => Some(Step::Committing),
        ("HOLDING", None) => Some(Step::Holding),
        ("RETURNING", None) => Some(Step::Returning),
        ("RELEASING", Some(text)) => ENDINGS
            .iter()
            .find(|(_, known)| *known == text)
            .map(|(end, _)| Step::Releasing(*end)),
        _ => None,
    }
}
