//! The books: every capture and refund moves money between two accounts.
//!
//! Always holds: a journal's entries add up to nothing (the database refuses others at commit); a
//! payment's capture and each refund are posted once.

use holdfast_types::{Money, PaymentId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Error;

/// What customers paid for bookings and did not get back.
const BOOKINGS: &str = "bookings";

/// Findings of one check at most; the first tells enough.
const FINDINGS_MAX: i64 = 1_000;

/// Something in the books that can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong: `UNBALANCED_JOURNAL`, `CAPTURE_NOT_POSTED`, `REFUND_NOT_POSTED`,
    /// `CAPTURE_WITHOUT_PAYMENT`, `REFUNDED_TOO_MUCH`.
    pub kind: String,
    /// The journal's, payment's or refund's id.
    pub id: String,
}

/// Compares the ledger with itself and with payments and refunds; empty when all is well. Reads
/// one snapshot, at most 1,000 findings.
///
/// # Errors
/// What the database says.
pub async fn check(pool: &PgPool) -> Result<Vec<Finding>, sqlx::Error> {
    sqlx::query_file_as!(Finding, "src/store/check_ledger.sql", FINDINGS_MAX)
        .fetch_all(pool)
        .await
}

/// Money came in: the provider has it, the bookings are owed it. Nothing is posted of nothing.
pub(crate) async fn post_capture(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    provider: &str,
    money: Money,
) -> Result<(), Error> {
    if money.amount == 0 {
        return Ok(());
    }
    let journal_id = sqlx::query_scalar!(
        "INSERT INTO payment.journal (kind, payment_id) VALUES ('CAPTURE', $1)
         RETURNING journal_id",
        payment_id.as_uuid()
    )
    .fetch_one(&mut *connection)
    .await?;
    post(connection, journal_id, provider, money).await
}

/// Money went back: the same entries the other way round.
pub(crate) async fn post_refund(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    refund_id: Uuid,
    provider: &str,
    money: Money,
) -> Result<(), Error> {
    let journal_id = sqlx::query_scalar!(
        "INSERT INTO payment.journal (kind, payment_id, refund_id) VALUES ('REFUND', $1, $2)
         RETURNING journal_id",
        payment_id.as_uuid(),
        refund_id
    )
    .fetch_one(&mut *connection)
    .await?;
    post(
        connection,
        journal_id,
        provider,
        Money {
            amount: -money.amount,
            ..money
        },
    )
    .await
}

async fn post(
    connection: &mut PgConnection,
    journal_id: i64,
    provider: &str,
    money: Money,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO payment.entries (journal_id, account, amount, currency)
         VALUES ($1, 'provider:' || $2, $3, $4), ($1, $5, -$3, $4)",
        journal_id,
        provider,
        money.amount,
        money.currency.as_str(),
        BOOKINGS
    )
    .execute(connection)
    .await?;
    Ok(())
}
