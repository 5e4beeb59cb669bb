//! What others are compared with (BK-2). booking-svc: each captured sum must be known there, and
//! each refund that was asked for must be known here. The provider: what it captured and sent back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use holdfast_types::{Money, PaymentId, ShowId};
use sqlx::PgPool;
use uuid::Uuid;

/// Payments that brought money at least `age_min` ago, each with the show that it is for: those after
/// `after` in the order of their ids, at most `limit`.
///
/// # Errors
/// What the database says.
pub async fn captured(
    pool: &PgPool,
    after: PaymentId,
    age_min: Duration,
    limit: u32,
) -> Result<Vec<(PaymentId, ShowId, Money)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT payment_id, show_id, captured_amount AS "amount!", captured_currency AS "currency!"
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
            let (payment_id, show_id) = (row.payment_id.into(), row.show_id.into());
            Ok((payment_id, show_id, Money { amount, currency }))
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

/// What we have of a session of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) payment_id: PaymentId,
    pub(crate) session_id: Option<String>,
    pub(crate) captured: Option<Money>,
    /// It hasn't changed since then.
    pub(crate) is_settled: bool,
    /// Minor units of all refunds that are known, sent or not.
    pub(crate) refunds_known: i64,
    /// Of those that had gone by then.
    pub(crate) refunds_settled: i64,
}

/// The moment `ago`, by the database's clock.
pub(crate) async fn moment(pool: &PgPool, ago: Duration) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT now() - make_interval(secs => $1) AS "moment!""#,
        ago.as_secs_f64()
    )
    .fetch_one(pool)
    .await
}

/// Those of `payment_ids` that are known, beside how they were at `then`.
pub(crate) async fn standings(
    pool: &PgPool,
    payment_ids: &[Uuid],
    then: DateTime<Utc>,
) -> Result<Vec<Standing>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT p.payment_id, p.session_id, p.captured_amount, p.captured_currency,
             p.updated_at <= $2 AS "is_settled!",
             (SELECT coalesce(sum(r.amount), 0)::bigint FROM payment.refunds r
              WHERE r.payment_id = p.payment_id) AS "refunds_known!",
             (SELECT coalesce(sum(r.amount), 0)::bigint FROM payment.refunds r
              WHERE r.payment_id = p.payment_id AND r.state = 'SUCCEEDED'
                AND r.updated_at <= $2) AS "refunds_settled!"
           FROM payment.payments p WHERE p.payment_id = ANY ($1)"#,
        payment_ids,
        then
    )
    .fetch_all(pool)
    .await?;
    let standings = rows.into_iter().map(|row| {
        let currency = row.captured_currency.map(|currency| currency.parse());
        let currency = currency.transpose();
        let currency = currency.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let captured = row.captured_amount.zip(currency);
        Ok(Standing {
            payment_id: row.payment_id.into(),
            session_id: row.session_id,
            captured: captured.map(|(amount, currency)| Money { amount, currency }),
            is_settled: row.is_settled,
            refunds_known: row.refunds_known,
            refunds_settled: row.refunds_settled,
        })
    });
    standings.collect()
}

/// Payments at a provider that had brought money by `then`.
pub(crate) async fn captured_count(
    pool: &PgPool,
    provider: &str,
    then: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM payment.payments
           WHERE provider = $1 AND state = 'SUCCEEDED' AND captured_amount > 0
               AND updated_at <= $2"#,
        provider,
        then
    );
    Ok(count.fetch_one(pool).await?.unsigned_abs())
}

/// Those payments and their sessions, after `after` in the order of their ids, at most `limit`.
pub(crate) async fn captured_sessions(
    pool: &PgPool,
    provider: &str,
    after: PaymentId,
    then: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<(PaymentId, Option<String>)>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT payment_id, session_id FROM payment.payments
         WHERE payment_id > $2 AND provider = $1 AND state = 'SUCCEEDED' AND captured_amount > 0
             AND updated_at <= $3
         ORDER BY payment_id LIMIT $4",
        provider,
        after.as_uuid(),
        then,
        i64::from(limit)
    );
    let rows = rows.fetch_all(pool).await?;
    let pairs = rows.into_iter();
    Ok(pairs
        .map(|row| (row.payment_id.into(), row.session_id))
        .collect())
}

/// Rows that [`check`](super::ledger::check) compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerRows {
    /// Payments of all states.
    pub payments: u64,
    /// Refunds of all states.
    pub refunds: u64,
    /// Journals.
    pub journals: u64,
}

/// How many rows there are.
///
/// # Errors
/// What the database says.
pub async fn ledger_rows(pool: &PgPool) -> Result<LedgerRows, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM payment.payments) AS "payments!",
             (SELECT count(*) FROM payment.refunds) AS "refunds!",
             (SELECT count(*) FROM payment.journal) AS "journals!""#
    )
    .fetch_one(pool)
    .await?;
    Ok(LedgerRows {
        payments: row.payments.unsigned_abs(),
        refunds: row.refunds.unsigned_abs(),
        journals: row.journals.unsigned_abs(),
    })
}
