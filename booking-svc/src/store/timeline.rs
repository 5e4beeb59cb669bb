//! What happened to bookings, in order.
//!
//! Always holds: whoever adds an entry has its booking locked and changes its row, so that positions have no
//! gaps and nobody adds one to what was read before.

use booking_core::{Booking, Entry, Happened};
use chrono::{DateTime, Utc};
use holdfast_types::{Fence, Money, PaymentId, Revision, SeatNo, ShowId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Error, bookings::Key, corrupt, to_seats};

/// Entries as columns.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) happened: Vec<String>,
    pub(super) reasons: Vec<Option<String>>,
    pub(super) payments: Vec<Option<Uuid>>,
    pub(super) refunds: Vec<Option<Uuid>>,
    pub(super) amounts: Vec<Option<i64>>,
    pub(super) currencies: Vec<Option<String>>,
    /// As text: Postgres has no arrays of arrays that differ in length.
    pub(super) seats: Vec<Option<String>>,
}

impl Columns {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut columns = Self::default();
        for entry in entries {
            columns.happened.push(entry.happened.as_str().to_owned());
            columns.reasons.push(entry.reason.map(str::to_owned));
            let payment = entry.payment_id.map(PaymentId::as_uuid);
            columns.payments.push(payment);
            columns.refunds.push(entry.refund_id);
            let amount = entry.amount;
            columns.amounts.push(amount.map(|money| money.amount));
            let currency = amount.map(|money| money.currency.to_string());
            columns.currencies.push(currency);
            columns.seats.push(seats_text(&entry.seats));
        }
        columns
    }
}

fn seats_text(seats: &[SeatNo]) -> Option<String> {
    let numbers: Vec<String> = seats.iter().map(|seat| seat.0.to_string()).collect();
    (!numbers.is_empty()).then(|| format!("{{{}}}", numbers.join(",")))
}

/// An entry as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) position: u32,
    pub(crate) at: DateTime<Utc>,
    pub(crate) happened: String,
    pub(crate) reason: Option<String>,
    pub(crate) revision: Option<Revision>,
    pub(crate) fence: Fence,
    pub(crate) payment_id: Option<PaymentId>,
    pub(crate) refund_id: Option<Uuid>,
    pub(crate) amount: Option<Money>,
    pub(crate) seats: Vec<SeatNo>,
}

/// Up to `limit` entries of a booking behind a position, in order.
pub(crate) async fn page(
    pool: &PgPool,
    of: Key,
    after: u32,
    limit: u32,
) -> Result<Vec<Written>, Error> {
    let rows = sqlx::query!(
        "SELECT position, at, happened, reason, revision, fence, payment_id, refund_id, amount,
             currency, seat_nos
         FROM booking.timeline
         WHERE show_id = $4 AND booking_id = $1 AND position > $2 ORDER BY position LIMIT $3",
        of.booking_id.as_uuid(),
        i32::try_from(after).unwrap_or(i32::MAX),
        i64::from(limit),
        of.show_id.as_uuid(),
    )
    .fetch_all(pool)
    .await?;
    let bad = |what: String| corrupt("timeline", what);
    rows.into_iter()
        .map(|row| {
            let amount = match (row.amount, row.currency) {
                (Some(amount), Some(currency)) => Some(Money {
                    amount,
                    currency: currency
                        .parse()
                        .map_err(|_| bad(format!("currency {currency}")))?,
                }),
                _ => None,
            };
            let number = |n: i64| Revision::from_i64(n).map_err(|_| bad(format!("revision {n}")));
            Ok(Written {
                position: u32::try_from(row.position).map_err(|error| bad(error.to_string()))?,
                at: row.at,
                happened: row.happened,
                reason: row.reason,
                revision: row.revision.map(number).transpose()?,
                fence: number(row.fence)?,
                payment_id: row.payment_id.map(PaymentId::from_uuid),
                refund_id: row.refund_id,
                amount,
                seats: row.seat_nos.as_deref().map_or(Vec::new(), to_seats),
            })
        })
        .collect()
}

/// That a payment of a booking, which the caller has locked, is disputed, and how that stands. Once for
/// each way.
pub(crate) async fn dispute(
    connection: &mut PgConnection,
    booking: &Booking,
    payment_id: PaymentId,
    state: &str,
) -> Result<(), Error> {
    // The booking's row changes with its timeline: see `bookings::Version`.
    sqlx::query!(
        "WITH changed AS (
             UPDATE booking.bookings SET updated_at = now() WHERE show_id = $6 AND booking_id = $1
         )
         INSERT INTO booking.timeline
             (show_id, booking_id, position, happened, reason, fence, payment_id)
         SELECT $6, $1, last.position + 1, $2, $3, $4, $5
         FROM (SELECT coalesce(max(position), 0) AS position FROM booking.timeline
               WHERE show_id = $6 AND booking_id = $1) AS last
         WHERE NOT EXISTS (SELECT FROM booking.timeline WHERE show_id = $6 AND booking_id = $1
             AND happened = $2 AND reason = $3 AND payment_id = $5)",
        booking.id.as_uuid(),
        Happened::PaymentDisputed.as_str(),
        state,
        booking.hold.fence.as_i64(),
        payment_id.as_uuid(),
        booking.show_id.as_uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// That a show was loaded into a new lock store, for every booking that has seats of it. Once for each
/// life of the store.
pub(crate) async fn rebuilt(
    pool: &PgPool,
    show_id: ShowId,
    revision: Revision,
) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    let bookings = sqlx::query_scalar!(
        "SELECT booking_id FROM booking.bookings WHERE show_id = $1 AND booking_id IN (
             SELECT booking_id FROM booking.seats WHERE show_id = $1 AND state IN ('HELD', 'SOLD'))
         ORDER BY booking_id FOR NO KEY UPDATE",
        show_id.as_uuid()
    )
    .fetch_all(&mut *transaction)
    .await?;
    let first = Revision::new(revision.lineage(), 0, 0);
    sqlx::query!(
        "WITH changed AS (
             UPDATE booking.bookings SET updated_at = now() WHERE show_id = $5 AND booking_id = ANY($1)
         )
         INSERT INTO booking.timeline (show_id, booking_id, position, happened, revision, fence)
         SELECT b.show_id, b.booking_id, last.position + 1, $2, $3, b.fence
         FROM booking.bookings b, LATERAL (
             SELECT coalesce(max(position), 0) AS position FROM booking.timeline t
             WHERE t.show_id = b.show_id AND t.booking_id = b.booking_id) AS last
         WHERE b.show_id = $5 AND b.booking_id = ANY($1) AND NOT EXISTS (
             SELECT FROM booking.timeline t WHERE t.show_id = b.show_id
                 AND t.booking_id = b.booking_id AND t.happened = $2 AND t.revision >= $4)",
        &bookings,
        Happened::StoreRebuilt.as_str(),
        revision.as_i64(),
        first.as_i64(),
        show_id.as_uuid(),
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}
