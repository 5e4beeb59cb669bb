//! Money going back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use holdfast_types::{BookingId, Money, PaymentId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Error;

/// A refund as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refund {
    pub(crate) payment_id: Uuid,
    pub(crate) amount: i64,
    pub(crate) reason: String,
    /// Whether the provider said that the money went.
    pub(crate) succeeded: bool,
    /// Whether it did, by the provider or past it.
    pub(crate) ended: bool,
    /// Which one it is; of earlier ones the provider couldn't pay out.
    pub(crate) attempt: i32,
    /// What the provider calls this attempt, once it took it.
    pub(crate) provider_refund_id: Option<String>,
    /// Whether its last try was one that sent nothing, and none has begun since or may be under way.
    pub(crate) rests_unsent: bool,
}

/// How long after its beginning a try may be under way: longer than all the exchanges that it takes.
const TRY_MAX: Duration = Duration::from_secs(60);

/// Why a refund isn't sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// Its provider said no.
    Refused,
    /// Its provider isn't configured any more.
    OtherProvider,
}

impl Unsent {
    /// In the database, and in lists.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "REFUSED",
            Self::OtherProvider => "OTHER_PROVIDER",
        }
    }
}

/// The refund with that id, if there is one.
pub(crate) async fn get(
    connection: &mut PgConnection,
    refund_id: Uuid,
) -> Result<Option<Refund>, Error> {
    let row = sqlx::query_as!(
        Refund,
        r#"SELECT payment_id, amount, reason, state = 'SUCCEEDED' AS "succeeded!",
                  state <> 'REQUESTED' AS "ended!", attempt, provider_refund_id,
                  unsent IS NOT NULL AND coalesce(tried_at < now() - make_interval(secs => $2), true)
                      AS "rests_unsent!"
           FROM payment.refunds WHERE refund_id = $1"#,
        refund_id,
        TRY_MAX.as_secs_f64()
    );
    Ok(row.fetch_optional(connection).await?)
}

/// Minor units of a payment that are asked back or went back.
pub(crate) async fn total(
    connection: &mut PgConnection,
    payment_id: PaymentId,
) -> Result<i64, Error> {
    let total = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(amount), 0)::bigint AS "total!"
           FROM payment.refunds WHERE payment_id = $1"#,
        payment_id.as_uuid()
    );
    Ok(total.fetch_one(connection).await?)
}

/// Records that money is to go back, and that a first try begins; the caller has the payment locked and
/// knows it has it.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    refund_id: Uuid,
    payment_id: PaymentId,
    amount: i64,
    reason: &str,
    try_in: Duration,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO payment.refunds (refund_id, payment_id, amount, reason, state, try_at, tried_at)
         VALUES ($1, $2, $3, $4, 'REQUESTED', now() + make_interval(secs => $5), now())",
        refund_id,
        payment_id.as_uuid(),
        amount,
        reason,
        try_in.as_secs_f64()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records that a try to send it begins; the caller has the payment locked.
pub(crate) async fn trying(connection: &mut PgConnection, refund_id: Uuid) -> Result<(), Error> {
    let done = sqlx::query!(
        "UPDATE payment.refunds SET tried_at = now()
         WHERE refund_id = $1 AND tried_at IS DISTINCT FROM now()",
        refund_id
    );
    done.execute(connection).await?;
    Ok(())
}

/// Records why that attempt isn't sent, in the words of who says so.
pub(crate) async fn unsent(
    pool: &PgPool,
    refund_id: Uuid,
    attempt: i32,
    unsent: Unsent,
    refusal: &str,
) -> Result<(), Error> {
    let done = sqlx::query!(
        "UPDATE payment.refunds SET unsent = $3, refusal = $4, updated_at = now()
         WHERE refund_id = $1 AND state = 'REQUESTED' AND attempt = $2",
        refund_id,
        attempt,
        unsent.as_str(),
        refusal
    );
    done.execute(pool).await?;
    Ok(())
}

/// Records of up to `limit` refunds that aren't `provider`'s that it isn't configured.
pub(crate) async fn note_other_providers(
    pool: &PgPool,
    provider: &str,
    limit: i64,
    refusal: &str,
) -> Result<u64, Error> {
    let done = sqlx::query!(
        "UPDATE payment.refunds SET unsent = $3, refusal = $4 WHERE refund_id IN (
             SELECT r.refund_id FROM payment.refunds r JOIN payment.payments p USING (payment_id)
             WHERE r.state = 'REQUESTED' AND r.unsent IS DISTINCT FROM $3 AND p.provider <> $1
             LIMIT $2)",
        provider,
        limit,
        Unsent::OtherProvider.as_str(),
        refusal
    );
    Ok(done.execute(pool).await?.rows_affected())
}

/// Records that the money went with that attempt. False if that was known, or is out of date.
pub(crate) async fn succeeded(
    connection: &mut PgConnection,
    refund_id: Uuid,
    attempt: i32,
    provider_refund_id: &str,
) -> Result<bool, Error> {
    let done = sqlx::query!(
        "UPDATE payment.refunds
         SET state = 'SUCCEEDED', provider_refund_id = $3, unsent = NULL, refusal = NULL,
             updated_at = now()
         WHERE refund_id = $1 AND state = 'REQUESTED' AND attempt = $2",
        refund_id,
        attempt,
        provider_refund_id
    );
    Ok(done.execute(connection).await?.rows_affected() == 1)
}

/// Records that the provider took that attempt and has it on its way; it is asked about again in
/// `ask_in`.
pub(crate) async fn taken(
    connection: &mut PgConnection,
    refund_id: Uuid,
    attempt: i32,
    provider_refund_id: &str,
    ask_in: Duration,
) -> Result<(), Error> {
    let done = sqlx::query!(
        "UPDATE payment.refunds
         SET provider_refund_id = $3, unsent = NULL, refusal = NULL, updated_at = now(),
             try_at = now() + make_interval(secs => $4)
         WHERE refund_id = $1 AND state = 'REQUESTED' AND attempt = $2",
        refund_id,
        attempt,
        provider_refund_id,
        ask_in.as_secs_f64()
    );
    done.execute(connection).await?;
    Ok(())
}

/// Records that the provider couldn't pay that attempt out, so that the next is due in `try_in`. False
/// if that was known.
pub(crate) async fn failed(
    connection: &mut PgConnection,
    refund_id: Uuid,
    attempt: i32,
    try_in: Duration,
) -> Result<bool, Error> {
    let done = sqlx::query!(
        "UPDATE payment.refunds
         SET state = 'REQUESTED', attempt = attempt + 1, provider_refund_id = NULL, tries = 0,
             unsent = NULL, refusal = NULL, updated_at = now(),
             try_at = now() + make_interval(secs => $3)
         WHERE refund_id = $1 AND attempt = $2 AND state <> 'SETTLED'",
        refund_id,
        attempt,
        try_in.as_secs_f64()
    );
    Ok(done.execute(connection).await?.rows_affected() == 1)
}

/// Records that people ended it. False if it had ended.
pub(crate) async fn settled(
    connection: &mut PgConnection,
    refund_id: Uuid,
    note: &str,
) -> Result<bool, Error> {
    let done = sqlx::query!(
        "UPDATE payment.refunds SET state = 'SETTLED', note = $2, updated_at = now()
         WHERE refund_id = $1 AND state = 'REQUESTED'",
        refund_id,
        note
    );
    Ok(done.execute(connection).await?.rows_affected() == 1)
}

/// A refund that nothing sends by itself, or that its provider refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its id.
    pub refund_id: Uuid,
    /// Whose money it is.
    pub booking_id: Uuid,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// `DISPUTE_OPEN` `DISPUTE_LOST` `NOT_PAID_OUT` `REFUSED` `OTHER_PROVIDER`
    pub why: String,
    /// Why it wasn't sent when it was last tried, in the provider's words.
    pub refusal: Option<String>,
    /// When it was asked for.
    pub since: DateTime<Utc>,
}

pub(crate) async fn waiting(pool: &PgPool, attempt_max: i32) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_file_as!(Waiting, "src/store/refunds_waiting.sql", attempt_max)
        .fetch_all(pool)
        .await
}

/// A refund that is asked for and hasn't gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub(crate) refund_id: Uuid,
    pub(crate) booking_id: BookingId,
    pub(crate) payment_id: PaymentId,
    pub(crate) amount: Money,
    pub(crate) reason: String,
    /// Since it was asked for.
    pub(crate) age: Duration,
}

/// Takes up to `limit` refunds of a provider that are due to be sent again, in an attempt of at most
/// `attempt_max`, the longest due first, and puts off the next time by twice as long as before (between
/// `after` and `after_max`).
pub(crate) async fn take_unfinished(
    pool: &PgPool,
    provider: &str,
    attempt_max: i32,
    limit: i64,
    after: Duration,
    after_max: Duration,
) -> Result<Vec<Unfinished>, Error> {
    let rows = sqlx::query_file!(
        "src/store/take_unfinished_refunds.sql",
        limit,
        after.as_secs_f64(),
        after_max.as_secs_f64(),
        provider,
        attempt_max
    );
    let rows = rows.fetch_all(pool).await?;
    rows.into_iter()
        .map(|row| {
            let currency = row.captured_currency.parse().map_err(|_| Error::Corrupt {
                table: "payments",
                what: row.captured_currency.clone(),
            })?;
            Ok(Unfinished {
                refund_id: row.refund_id,
                booking_id: row.booking_id.into(),
                payment_id: row.payment_id.into(),
                amount: Money {
                    amount: row.amount,
                    currency,
                },
                reason: row.reason,
                age: Duration::from_secs_f64(row.age_s),
            })
        })
        .collect()
}

/// Refunds that failed in so many attempts that none is made by itself any more.
pub(crate) async fn given_up(pool: &PgPool, attempt_max: i32) -> Result<i64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM payment.refunds
           WHERE state = 'REQUESTED' AND attempt > $1"#,
        attempt_max
    );
    Ok(count.fetch_one(pool).await?)
}

/// Seconds since the oldest refund was asked for that the provider hasn't taken, and since the oldest that
/// it has on its way; 0 with none.
pub(crate) async fn oldest_unfinished_s(pool: &PgPool) -> Result<(f64, f64), Error> {
    let ages = sqlx::query!(
        r#"SELECT coalesce(extract(epoch FROM now() - min(created_at)
                      FILTER (WHERE provider_refund_id IS NULL)), 0)::float8 AS "untaken!",
                  coalesce(extract(epoch FROM now() - min(created_at)
                      FILTER (WHERE provider_refund_id IS NOT NULL)), 0)::float8 AS "pending!"
           FROM payment.refunds WHERE state = 'REQUESTED'"#
    );
    let ages = ages.fetch_one(pool).await?;
    Ok((ages.untaken, ages.pending))
}
