//! Captured payments and where their money is.

use std::collections::HashMap;

use booking_core::{Booking, Fate, Part, Payment, part_refund_id};
use holdfast_types::{BookingId, Money, PaymentId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Corrupt, Error, corrupt, refunds};

/// Writes the payments that differ between `before` and `after`. One that stops standing is
/// written before another begins to.
pub(super) async fn save(
    connection: &mut PgConnection,
    before: &Booking,
    after: &Booking,
) -> Result<(), Error> {
    for (position, payment) in after.payments.iter().enumerate() {
        if before.payments.get(position) == Some(payment) {
            continue;
        }
        let (fate, refund_id) = fate_columns(payment.fate);
        let parts = payment.parts.iter().map(|part| (part.amount, part.went));
        let (amounts, went): (Vec<i64>, Vec<bool>) = parts.unzip();
        sqlx::query!(
            "INSERT INTO booking.booking_payments
                 (payment_id, booking_id, position, amount, currency, fate, refund_id, parts,
                  parts_went, show_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (show_id, payment_id) DO UPDATE
                 SET fate = excluded.fate, refund_id = excluded.refund_id, fate_since = now(),
                     parts = excluded.parts, parts_went = excluded.parts_went",
            payment.payment_id.as_uuid(),
            after.id.as_uuid(),
            i32::try_from(position).unwrap_or(i32::MAX),
            payment.amount.amount,
            payment.amount.currency.as_str(),
            fate,
            refund_id,
            &amounts,
            &went,
            after.show_id.as_uuid(),
        )
        .execute(&mut *connection)
        .await?;
        if let Fate::Refunded(refund_id) = payment.fate {
            refunds::went(connection, after.show_id, refund_id).await?;
        }
        for (n, part) in payment.parts.iter().enumerate() {
            if part.went {
                let refund_id = part_refund_id(payment.payment_id, n);
                refunds::went(connection, after.show_id, refund_id).await?;
            }
        }
    }
    Ok(())
}

/// The payments of several bookings, the nth one's show being the nth of `shows`; each in order of
/// arrival. One that can't be read is its booking's alone.
pub(super) async fn of(
    connection: &mut PgConnection,
    shows: &[Uuid],
    bookings: &[Uuid],
) -> Result<HashMap<BookingId, Result<Vec<Payment>, Corrupt>>, Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT payment_id, booking_id, amount, currency, fate, refund_id, parts, parts_went
         FROM booking.booking_payments
         JOIN unnest($1::uuid[], $2::uuid[]) AS b (show_id, booking_id) USING (show_id, booking_id)
         ORDER BY booking_id, position",
        shows,
        bookings
    )
    .fetch_all(connection)
    .await?;
    let mut payments: HashMap<BookingId, Result<Vec<Payment>, Corrupt>> = HashMap::new();
    for row in rows {
        let id = BookingId::from_uuid(row.booking_id);
        let of = payments.entry(id).or_insert_with(|| Ok(Vec::new()));
        let Ok(read) = of else { continue };
        match from_row(row) {
            Ok(payment) => read.push(payment),
            Err(corrupt) => *of = Err(corrupt),
        }
    }
    Ok(payments)
}

/// A payment as a row.
pub(super) struct Row {
    pub(super) payment_id: Uuid,
    pub(super) booking_id: Uuid,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) fate: String,
    pub(super) refund_id: Option<Uuid>,
    pub(super) parts: Vec<i64>,
    pub(super) parts_went: Vec<bool>,
}

pub(super) fn from_row(row: Row) -> Result<Payment, Corrupt> {
    let currency = row
        .currency
        .parse()
        .map_err(|error| corrupt("booking_payments", error))?;
    Ok(Payment {
        payment_id: PaymentId::from_uuid(row.payment_id),
        amount: Money {
            amount: row.amount,
            currency,
        },
        fate: fate_from(&row.fate, row.refund_id)?,
        parts: row
            .parts
            .into_iter()
            .zip(row.parts_went)
            .map(|(amount, went)| Part { amount, went })
            .collect(),
    })
}

/// Payments that are overdue: under way for 15 minutes, or waiting for a minute for a decision on
/// a booking with no open step. The longest waiting come first.
pub(crate) async fn stuck(pool: &PgPool, limit: u32) -> Result<Vec<(BookingId, PaymentId)>, Error> {
    let rows = sqlx::query!(
        "SELECT p.booking_id, p.payment_id
         FROM booking.booking_payments p JOIN booking.bookings b USING (show_id, booking_id)
         WHERE p.fate IN ('PENDING', 'REFUNDING')
             AND p.fate_since < now() - make_interval(mins => 1)
             AND (p.fate_since < now() - make_interval(mins => 15)
                  OR (p.fate = 'PENDING' AND b.step = 'IDLE'))
         ORDER BY p.fate_since LIMIT $1",
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let booking_id = BookingId::from_uuid(row.booking_id);
            (booking_id, PaymentId::from_uuid(row.payment_id))
        })
        .collect())
}

pub(super) fn fate_columns(fate: Fate) -> (&'static str, Option<Uuid>) {
    match fate {
        Fate::Pending => ("PENDING", None),
        Fate::Kept => ("KEPT", None),
        Fate::Refunding(refund_id) => ("REFUNDING", Some(refund_id)),
        Fate::Refunded(refund_id) => ("REFUNDED", Some(refund_id)),
    }
}

fn fate_from(fate: &str, refund_id: Option<Uuid>) -> Result<Fate, Corrupt> {
    match (fate, refund_id) {
        ("PENDING", None) => Ok(Fate::Pending),
        ("KEPT", None) => Ok(Fate::Kept),
        ("REFUNDING", Some(refund_id)) => Ok(Fate::Refunding(refund_id)),
        ("REFUNDED", Some(refund_id)) => Ok(Fate::Refunded(refund_id)),
        _ => Err(corrupt("booking_payments", format!("fate {fate}"))),
    }
}
