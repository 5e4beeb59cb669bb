//! Bookings as rows: the workflow's state, and what a replay and a list need.

use booking_core::{Booking, Ending, Entry, HeldAs, Reason, Session, Step};
use chrono::{DateTime, Utc};
use holdfast_eventlog as outbox;
use holdfast_types::{
    BookingId, ClusterTime, Fence, HoldId, HoldToken, Lineage, Money, PaymentId, Revision, ShowId,
    UserId,
};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Corrupt, Error, corrupt, payments,
    requests::Named,
    tickets::{self, NewTicket},
    timeline, to_cluster_time, to_columns, to_seats, to_timestamp,
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

/// Which booking. Where its show is known, too, it is found by its key; else by way of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Which {
    pub(crate) booking_id: BookingId,
    pub(crate) show_id: Option<ShowId>,
}

impl From<BookingId> for Which {
    fn from(booking_id: BookingId) -> Self {
        Self {
            booking_id,
            show_id: None,
        }
    }
}

impl From<Key> for Which {
    fn from(key: Key) -> Self {
        Self {
            booking_id: key.booking_id,
            show_id: Some(key.show_id),
        }
    }
}

/// A booking's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) show_id: ShowId,
    pub(crate) booking_id: BookingId,
}

impl From<&Booking> for Key {
    fn from(booking: &Booking) -> Self {
        Self {
            show_id: booking.show_id,
            booking_id: booking.id,
        }
    }
}

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

/// A booking with one of its payments, or none.
struct RowWithPayment {
    version: String,
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
    payment_id: Option<Uuid>,
    paid: Option<i64>,
    paid_currency: Option<String>,
    fate: Option<String>,
    refund_id: Option<Uuid>,
    parts: Option<Vec<i64>>,
    parts_went: Option<Vec<bool>>,
}

impl RowWithPayment {
    fn split(self) -> (Row, Option<payments::Row>) {
        let payment = self.payment_id.map(|payment_id| payments::Row {
            payment_id,
            booking_id: self.booking_id,
            amount: self.paid.unwrap_or_default(),
            currency: self.paid_currency.unwrap_or_default(),
            fate: self.fate.unwrap_or_default(),
            refund_id: self.refund_id,
            parts: self.parts.unwrap_or_default(),
            parts_went: self.parts_went.unwrap_or_default(),
        });
        let row = Row {
            booking_id: self.booking_id,
            user_id: self.user_id,
            show_id: self.show_id,
            seat_nos: self.seat_nos,
            returned_nos: self.returned_nos,
            amount: self.amount,
            currency: self.currency,
            state: self.state,
            reason: self.reason,
            step: self.step,
            step_ending: self.step_ending,
            hold_id: self.hold_id,
            fence: self.fence,
            hold_attempt: self.hold_attempt,
            expires_at: self.expires_at,
            session_payment_id: self.session_payment_id,
            payment_url: self.payment_url,
            created_at: self.created_at,
            pay_until: self.pay_until,
        };
        (row, payment)
    }
}

/// Writes a new booking, with its seats, the request that asked for it, its place in the directory, the
/// beginning of its timeline and its news, on an answer of this lineage. False, and nothing is written: the
/// lineage isn't the current one, or its store isn't loaded, or a seat can't be marked, or another
/// transaction is writing under the request's name. A unique violation says that the request or the hold has
/// a booking.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    new: NewBooking<'_>,
    news: &outbox::Row,
) -> Result<bool, Error> {
    let booking = new.booking;
    let written = sqlx::query_file!(
        "src/store/insert_booking.sql",
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
        news.id,
        news.event.topic,
        news.event.key,
        news.event.event_type,
        news.event.payload,
        news.traceparent,
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == 1)
}

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

/// A version of a booking's row: another as soon as anything of it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(pub(super) String);

/// Everything that a change of the common kinds writes.
#[derive(Debug, Clone)]
pub(crate) struct AtOnce<'a> {
    pub(crate) change: Change<'a>,
    /// Of `change.before`.
    pub(crate) version: &'a Version,
    /// What must be the current one, if the change builds on an answer of the store's.
    pub(crate) lineage: Option<Lineage>,
    /// The fence that its seats are sold under, if they are.
    pub(crate) sold: Option<Fence>,
    pub(crate) tickets: &'a [NewTicket],
    /// The one payment that is new or has another fate, which has no parts, and its place.
    pub(crate) payment: Option<(usize, &'a booking_core::Payment)>,
    pub(crate) news: Option<outbox::Row>,
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
             INSERT INTO booking.timeline (show_id, booking_id, position, happened, reason, revision,
                 fence, payment_id, refund_id, amount, currency, seat_nos)
             SELECT $21, $1, last.position + e.place::int, e.happened, e.reason, $13, $8, e.payment_id,
                 e.refund_id, e.amount, e.currency, e.seats::int[]
             FROM (SELECT coalesce(max(position), 0) AS position FROM booking.timeline
                   WHERE show_id = $21 AND booking_id = $1) AS last,
                 unnest($14::text[], $15::text[], $16::uuid[], $17::uuid[], $18::bigint[],
                     $19::text[], $20::text[]) WITH ORDINALITY
                     AS e (happened, reason, payment_id, refund_id, amount, currency, seats, place)
         )
         UPDATE booking.bookings SET state = $2, reason = $3, step = $4, step_ending = $5,
             step_due_at = now() + make_interval(secs => $6), step_tries = 0,
             hold_id = $7, fence = $8, hold_attempt = $9, session_payment_id = $10,
             payment_url = $11, returned_nos = $12, updated_at = now()
         WHERE show_id = $21 AND booking_id = $1",
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
        after.show_id.as_uuid(),
    )
    .execute(&mut *connection)
    .await?;
    payments::save(connection, before, after).await
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

/// An unpaid booking whose end has passed, and the hold that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overdue {
    pub(crate) key: Key,
    pub(crate) user_id: UserId,
    pub(crate) hold: HoldToken,
}

/// A booking whose rows can't be understood.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) key: Key,
    pub(crate) why: Corrupt,
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

/// Writes what the workflow changed in one statement that is its own transaction. None, and nothing is
/// written: the booking isn't as it was read any more, or the lineage isn't current or its store not loaded,
/// or a seat isn't the booking's to sell. A unique violation says the same of a ticket.
pub(crate) async fn save_at_once(
    pool: &PgPool,
    all: AtOnce<'_>,
    lease_s: f64,
) -> Result<Option<Version>, Error> {
    let AtOnce { change, .. } = all;
    let after = change.after;
    let (step, ending) = step_columns(after.step);
    let entries = timeline::Columns::of(change.entries);
    let tickets = tickets::Columns::of(all.tickets);
    let (position, paid) = all.payment.unzip();
    let news = all.news.as_ref();
    let event = news.map(|news| &news.event);
    let version = sqlx::query_file_scalar!(
        "src/store/save_at_once.sql",
        after.show_id.as_uuid(),
        after.id.as_uuid(),
        all.version.0,
        all.lineage.map(|lineage| i16::from(lineage.0)),
        all.sold.map(Fence::as_i64),
        &to_columns(&after.seats),
        &tickets.ids,
        &tickets.seats,
        &tickets.payloads,
        paid.map(|paid| paid.payment_id.as_uuid()),
        position.map(|position| i32::try_from(position).unwrap_or(i32::MAX)),
        paid.map(|paid| paid.amount.amount),
        paid.map(|paid| paid.amount.currency.to_string()),
        paid.map(|paid| payments::fate_columns(paid.fate).0),
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
        change.revision.map(Revision::as_i64),
        &entries.happened,
        &entries.reasons as &[Option<String>],
        &entries.payments as &[Option<Uuid>],
        &entries.refunds as &[Option<Uuid>],
        &entries.amounts as &[Option<i64>],
        &entries.currencies as &[Option<String>],
        &entries.seats as &[Option<String>],
        news.map(|news| news.id),
        event.map(|event| event.topic),
        event.map(|event| event.key.as_str()),
        event.map(|event| event.event_type),
        event.map(|event| &event.payload[..]),
        news.and_then(|news| news.traceparent.as_deref()),
        &to_columns(&after.returned),
    )
    .fetch_optional(pool)
    .await;
    match version {
        Err(error) if is_unique_violation(&error) => Ok(None),
        version => Ok(version?.map(Version)),
    }
}

fn is_unique_violation(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}

/// The booking of these rows, one for each payment.
fn joined(rows: Vec<RowWithPayment>) -> Result<Option<Stored>, Error> {
    let mut payments = Vec::new();
    let mut first = None;
    for joined in rows {
        let (row, payment) = joined.split();
        payments.extend(payment.map(payments::from_row).transpose()?);
        first.get_or_insert(row);
    }
    let Some(row) = first else { return Ok(None) };
    let (created_at, pay_until) = (row.created_at, row.pay_until);
    let mut booking = from_row(row)?;
    booking.payments = payments;
    Ok(Some(Stored {
        booking,
        created_at,
        pay_until,
    }))
}

async fn with_payments(
    connection: &mut PgConnection,
    rows: Vec<Row>,
) -> Result<Vec<Stored>, Error> {
    let read = each_with_payments(connection, rows).await?.into_iter();
    read.map(|read| read.map_err(|unreadable| Error::from(unreadable.why)))
        .collect()
}

/// Each for itself: one that can't be read spoils no other.
async fn each_with_payments(
    connection: &mut PgConnection,
    rows: Vec<Row>,
) -> Result<Vec<Result<Stored, Unreadable>>, Error> {
    let shows: Vec<Uuid> = rows.iter().map(|row| row.show_id).collect();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.booking_id).collect();
    let mut payments = payments::of(connection, &shows, &ids).await?;
    let mut stored = |row: Row| {
        let (created_at, pay_until) = (row.created_at, row.pay_until);
        let mut booking = from_row(row)?;
        let paid = payments.remove(&booking.id);
        booking.payments = paid.transpose()?.unwrap_or_default();
        Ok(Stored {
            booking,
            created_at,
            pay_until,
        })
    };
    let read = rows.into_iter().map(|row| {
        let key = Key {
            show_id: ShowId::from_uuid(row.show_id),
            booking_id: BookingId::from_uuid(row.booking_id),
        };
        stored(row).map_err(|why| Unreadable { key, why })
    });
    Ok(read.collect())
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
