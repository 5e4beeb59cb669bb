//! What is written of a booking: a new one, and what the workflow changed.

use booking_core::{Booking, Entry, Reason};
use chrono::{DateTime, Utc};
use holdfast_eventlog as outbox;
use holdfast_types::{Fence, Lineage, Revision};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    super::{
        Error, payments,
        requests::Named,
        tickets::{self, NewTicket},
        timeline, to_columns, to_timestamp,
    },
    Version,
    rows::step_columns,
};

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

/// A change, and what it adds to the timeline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) before: &'a Booking,
    pub(crate) after: &'a Booking,
    pub(crate) entries: &'a [Entry],
    /// The store's, of the answer that the change follows from.
    pub(crate) revision: Option<Revision>,
}

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

/// Writes a new booking, with its seats, the request that asked for it, its place in the directory, the
/// beginning of its timeline and its news, on an answer of this lineage. False, and nothing is written: the
/// lineage isn't the current one, or its store isn't loaded, or the account is being deleted, or a seat can't be
/// marked, or another transaction is writing under the request's name. A unique violation says that the request or the hold has
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
