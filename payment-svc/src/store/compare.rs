//! What booking-svc's tables are compared with (BK-2): each captured sum must be known there, and
//! each refund that was asked for must be known here.

use std::time::Duration;

use holdfast_types::{Money, PaymentId};
use sqlx::PgPool;
use uuid::Uuid;

/// Payments that brought money at least `age_min` ago, those after `after` in the order of their
/// ids, at most `limit`.
///
/// # Errors
/// What the database says.
pub async fn captured(
    pool: &PgPool,
    after: PaymentId,
    age_min: Duration,
    limit: u32,
) -> Result<Vec<(PaymentId, Money)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT payment_id, captured_amount AS "amount!", captured_currency AS "currency!"
           FROM payment.payments
           WHERE payment_id > $1 AND state = 'SUCCEEDED' AND captured_amount > 0
               AND updated_at <= now() - make_interval(secs => $2)
           ORDER BY payment_id LIMIT $3"#,
        after.as_uuid(),
        age_min.as_secs_f64(),
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let currency = row.currency.parse();
            let currency = currency.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            let amount = row.amount;
            Ok((row.payment_id.into(), Money { amount, currency }))
        })
        .collect()
}

/// Which of `asked` this schema doesn't know, or knows with another amount.
///
/// # Errors
/// What the database says.
pub async fn missing_refunds(
    pool: &PgPool,
    asked: &[(Uuid, Money)],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = asked.iter().map(|(id, _)| *id).collect();
    let amounts: Vec<i64> = asked.iter().map(|(_, money)| money.amount).collect();
    let currencies: Vec<String> = asked
        .iter()
        .map(|(_, money)| money.currency.to_string())
        .collect();
    sqlx::query_scalar!(
        r#"SELECT a.refund_id AS "refund_id!"
           FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS a (refund_id, amount, currency)
           LEFT JOIN payment.refunds r USING (refund_id)
           LEFT JOIN payment.payments p ON p.payment_id = r.payment_id
           WHERE r.amount IS DISTINCT FROM a.amount
              OR p.captured_currency IS DISTINCT FROM a.currency"#,
        &ids,
        &amounts,
        &currencies
    )
    .fetch_all(pool)
    .await
}
