//! Refunds that were asked for, until payment-svc said that the money went.

use std::time::Duration;

use holdfast_types::{BookingId, Money, PaymentId, ShowId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Corrupt, Error, corrupt};

/// A refund as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefundOrder {
    pub(crate) refund_id: Uuid,
    pub(crate) show_id: ShowId,
    pub(crate) booking_id: BookingId,
    pub(crate) payment_id: PaymentId,
    pub(crate) amount: Money,
    pub(crate) reason: String,
}

struct Row {
    refund_id: Uuid,
    show_id: Uuid,
    booking_id: Uuid,
    payment_id: Uuid,
    amount: i64,
    currency: String,
    reason: String,
}

impl TryFrom<Row> for RefundOrder {
    type Error = Corrupt;

    fn try_from(row: Row) -> Result<Self, Corrupt> {
        let currency = row.currency.parse();
        Ok(Self {
            refund_id: row.refund_id,
            show_id: ShowId::from_uuid(row.show_id),
            booking_id: BookingId::from_uuid(row.booking_id),
            payment_id: PaymentId::from_uuid(row.payment_id),
            amount: Money {
                amount: row.amount,
                currency: currency.map_err(|error| corrupt("refunds", error))?,
            },
            reason: row.reason,
        })
    }
}

/// Records that a refund is asked for; it is asked for again if nobody says within `ask_in` that it
/// went.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    order: &RefundOrder,
    ask_in: Duration,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO booking.refunds
             (refund_id, booking_id, payment_id, amount, currency, reason, ask_at, show_id)
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7), $8)",
        order.refund_id,
        order.booking_id.as_uuid(),
        order.payment_id.as_uuid(),
        order.amount.amount,
        order.amount.currency.as_str(),
        order.reason,
        ask_in.as_secs_f64(),
        order.show_id.as_uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records that the money went.
pub(super) async fn went(
    connection: &mut PgConnection,
    show_id: ShowId,
    refund_id: Uuid,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE booking.refunds SET ask_at = NULL WHERE show_id = $1 AND refund_id = $2",
        show_id.as_uuid(),
        refund_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A refund that was asked for.
pub(crate) async fn find(
    connection: &mut PgConnection,
    show_id: ShowId,
    refund_id: Uuid,
) -> Result<Option<RefundOrder>, Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT refund_id, show_id, booking_id, payment_id, amount, currency, reason
         FROM booking.refunds WHERE show_id = $1 AND refund_id = $2",
        show_id.as_uuid(),
        refund_id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(RefundOrder::try_from).transpose()?)
}

/// Takes up to `limit` refunds that are due to be asked for again, the longest due first, and puts off
/// the next time by twice as long as before (between `after` and `after_max`).
pub(crate) async fn take_unanswered(
    connection: &mut PgConnection,
    limit: u32,
    after: Duration,
    after_max: Duration,
) -> Result<Vec<RefundOrder>, Error> {
    let rows = sqlx::query_as!(
        Row,
        "UPDATE booking.refunds r
         SET asks = r.asks + 1,
             ask_at = now() + make_interval(secs => least($3, $2 * 2 ^ least(r.asks + 1, 20)))
         WHERE (show_id, refund_id) IN (
             SELECT show_id, refund_id FROM booking.refunds WHERE ask_at <= now()
             ORDER BY ask_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
         RETURNING refund_id, show_id, booking_id, payment_id, amount, currency, reason",
        i64::from(limit),
        after.as_secs_f64(),
        after_max.as_secs_f64(),
    )
    .fetch_all(connection)
    .await?;
    let orders = rows.into_iter().map(RefundOrder::try_from);
    Ok(orders.collect::<Result<_, _>>()?)
}
