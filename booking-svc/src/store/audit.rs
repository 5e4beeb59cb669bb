//! BK-1, BK-2 and BK-3 as far as this schema can tell, read at one snapshot; and what payment-svc's
//! is compared with.

use std::time::Duration;

use holdfast_types::{BookingId, Money, PaymentId};
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

/// Which of `captured` this schema doesn't know, or knows with another amount.
///
/// # Errors
/// [`Error::Database`].
pub async fn missing_payments(
    pool: &PgPool,
    captured: &[(PaymentId, Money)],
) -> Result<Vec<PaymentId>, Error> {
    let ids: Vec<Uuid> = captured.iter().map(|(id, _)| id.as_uuid()).collect();
    let amounts: Vec<i64> = captured.iter().map(|(_, money)| money.amount).collect();
    let currencies: Vec<String> = captured
        .iter()
        .map(|(_, money)| money.currency.to_string())
        .collect();
    let missing = sqlx::query_scalar!(
        r#"SELECT c.payment_id AS "payment_id!"
           FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS c (payment_id, amount, currency)
           LEFT JOIN booking.booking_payments p USING (payment_id)
           WHERE p.amount IS DISTINCT FROM c.amount OR p.currency IS DISTINCT FROM c.currency"#,
        &ids,
        &amounts,
        &currencies
    )
    .fetch_all(pool)
    .await?;
    Ok(missing.into_iter().map(PaymentId::from_uuid).collect())
}

/// Refunds that were asked for at least `age_min` ago, those after `after` in the order of their
/// ids, at most `limit`.
///
/// # Errors
/// [`Error::Database`]; [`Error::Corrupt`] for a currency that can't be one.
pub async fn refunds(
    pool: &PgPool,
    after: Uuid,
    age_min: Duration,
    limit: u32,
) -> Result<Vec<(Uuid, Money)>, Error> {
    let rows = sqlx::query!(
        "SELECT refund_id, amount, currency FROM booking.refunds
         WHERE refund_id > $1 AND asked_at <= now() - make_interval(secs => $2)
         ORDER BY refund_id LIMIT $3",
        after,
        age_min.as_secs_f64(),
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let currency = row.currency.parse();
            let currency = currency.map_err(|error| corrupt("refunds", error))?;
            let amount = row.amount;
            Ok((row.refund_id, Money { amount, currency }))
        })
        .collect()
}
