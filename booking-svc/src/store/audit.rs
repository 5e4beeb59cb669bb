//! BK-1, BK-2 and BK-3 as far as this schema can tell, read at one snapshot; and what payment-svc's
//! is compared with.

use std::time::Duration;

use holdfast_types::{BookingId, Money, PaymentId, ShowId};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Error, corrupt};

/// Findings of one check at most; the first tell enough.
pub const FINDINGS_MAX: i64 = 100;

/// A promise that doesn't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its id in the design, e.g. `BK-1`.
    pub invariant: &'static str,
    /// The booking concerned, where it is one.
    pub booking_id: Option<BookingId>,
    /// What is wrong.
    pub what: String,
}

/// Checks what Postgres alone can show. No findings: all is well.
///
/// - BK-1: no seat has two tickets that aren't void.
/// - BK-2: kept money stands for confirmed bookings and they for it; a decided booking has no
///   pending money; no money is under way for more than 15 minutes. Money that was captured and
///   never told of here shows by [`missing_payments`].
/// - BK-3: a confirmed booking has all its seats `SOLD` under its fence with a ticket each, and no
///   other booking has a sold seat or a ticket that isn't void.
///
/// # Errors
/// [`Error::Database`].
pub async fn audit(pool: &PgPool) -> Result<Vec<Finding>, Error> {
    let rows = sqlx::query_file!("src/store/audit.sql", FINDINGS_MAX)
        .fetch_all(pool)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Finding {
            invariant: match row.invariant.as_str() {
                "BK-1" => "BK-1",
                "BK-2" => "BK-2",
                _ => "BK-3",
            },
            booking_id: row.booking_id.map(|id: Uuid| BookingId::from_uuid(id)),
            what: row.what,
        })
        .collect())
}

/// Which of `captured`, each with the show that it is for, this schema doesn't know, or knows with another
/// amount. Those of shows that were detached with their month are left out.
///
/// # Errors
/// [`Error::Database`].
pub async fn missing_payments(
    pool: &PgPool,
    captured: &[(PaymentId, ShowId, Money)],
) -> Result<Vec<PaymentId>, Error> {
    let ids: Vec<Uuid> = captured.iter().map(|(id, ..)| id.as_uuid()).collect();
    let shows: Vec<Uuid> = captured
        .iter()
        .map(|(_, show_id, _)| show_id.as_uuid())
        .collect();
    let amounts: Vec<i64> = captured.iter().map(|(.., money)| money.amount).collect();
    let currencies: Vec<String> = captured
        .iter()
        .map(|(.., money)| money.currency.to_string())
        .collect();
    let missing = sqlx::query_scalar!(
        r#"SELECT c.payment_id AS "payment_id!"
           FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[])
               AS c (payment_id, show_id, amount, currency)
           LEFT JOIN booking.booking_payments p USING (show_id, payment_id)
           WHERE (p.amount IS DISTINCT FROM c.amount OR p.currency IS DISTINCT FROM c.currency)
             AND NOT (p.payment_id IS NULL
                 AND NOT EXISTS (SELECT FROM booking.shows s WHERE s.show_id = c.show_id)
                 AND EXISTS (SELECT FROM booking.months m WHERE m.detached_at IS NOT NULL
                     AND c.show_id >= booking.first_id_of(m.month)
                     AND c.show_id < booking.first_id_of((m.month + interval '1 month')::date)))"#,
        &ids,
        &shows,
        &amounts,
        &currencies
    )
    .fetch_all(pool)
    .await?;
    Ok(missing.into_iter().map(PaymentId::from_uuid).collect())
}

/// Refunds that were asked for at least `age_min` ago, those after `after` in the order of shows and
/// their ids, at most `limit`.
///
/// # Errors
/// [`Error::Database`]; [`Error::Corrupt`] for a currency that can't be one.
pub async fn refunds(
    pool: &PgPool,
    after: (ShowId, Uuid),
    age_min: Duration,
    limit: u32,
) -> Result<Vec<(ShowId, Uuid, Money)>, Error> {
    let rows = sqlx::query!(
        "SELECT show_id, refund_id, amount, currency FROM booking.refunds
         WHERE (show_id, refund_id) > ($4, $1) AND asked_at <= now() - make_interval(secs => $2)
         ORDER BY show_id, refund_id LIMIT $3",
        after.1,
        age_min.as_secs_f64(),
        i64::from(limit),
        after.0.as_uuid()
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let currency = row.currency.parse();
            let currency = currency.map_err(|error| corrupt("refunds", error))?;
            let amount = row.amount;
            let show_id = ShowId::from_uuid(row.show_id);
            Ok((show_id, row.refund_id, Money { amount, currency }))
        })
        .collect()
}
