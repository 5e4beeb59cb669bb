//! The books: money that is captured is `undecided` until it pays for a confirmed booking
//! (`bookings`) or is to go back (`refunds`); what went back has left the provider's account.
//!
//! Always holds: a journal's entries add up to nothing (the database refuses others at commit); a
//! payment's capture and sale, and each refund's being due and going, are posted once. What has no
//! ending is the balance of `undecided`, and each payment in it is told again
//! ([`payments::take_undecided`](super::payments::take_undecided)) until it has left.

use holdfast_types::{Currency, Money, PaymentId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Error;

/// What customers paid that is neither a confirmed booking's nor to go back.
const UNDECIDED: &str = "undecided";
/// What customers paid for bookings that are confirmed.
const BOOKINGS: &str = "bookings";
/// What is to go back and hasn't gone.
const REFUNDS: &str = "refunds";

/// Findings of one check at most; the first tells enough.
const FINDINGS_MAX: i64 = 1_000;

/// Something in the books that can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong: `UNBALANCED_JOURNAL`, `CAPTURE_NOT_POSTED`, `REFUND_NOT_POSTED`,
    /// `CAPTURE_WITHOUT_PAYMENT`, `REFUNDED_TOO_MUCH`, `REFUND_DUE_WRONG`, `ENDED_TWICE`,
    /// `UNDECIDED_UNWATCHED`.
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

/// Money came in: the provider has it, and what it is for is undecided. Nothing is posted of nothing.
pub(crate) async fn post_capture(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    provider: &str,
    money: Money,
) -> Result<(), Error> {
    if money.amount == 0 {
        return Ok(());
    }
    let journal = Journal {
        kind: "CAPTURE",
        payment_id,
        refund_id: None,
    };
    let provider = format!("provider:{provider}");
    let entries = [(&*provider, money.amount), (UNDECIDED, -money.amount)];
    post(connection, journal, money.currency, &entries).await
}

/// A booking was confirmed: what is undecided of its payment pays for it. Returns how much that is.
pub(crate) async fn post_sale(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    currency: Currency,
) -> Result<i64, Error> {
    let amount = undecided(connection, payment_id).await?;
    if amount > 0 {
        let journal = Journal {
            kind: "SALE",
            payment_id,
            refund_id: None,
        };
        let entries = [(UNDECIDED, amount), (BOOKINGS, -amount)];
        post(connection, journal, currency, &entries).await?;
    }
    Ok(amount)
}

/// Money is to go back: first what is undecided, then what paid for a booking. Returns how much is
/// undecided still.
pub(crate) async fn post_refund_due(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    refund_id: Uuid,
    money: Money,
) -> Result<i64, Error> {
    let before = undecided(connection, payment_id).await?;
    let undecided = before.min(money.amount);
    let journal = Journal {
        kind: "REFUND_DUE",
        payment_id,
        refund_id: Some(refund_id),
    };
    let entries = [
        (UNDECIDED, undecided),
        (BOOKINGS, money.amount - undecided),
        (REFUNDS, -money.amount),
    ];
    post(connection, journal, money.currency, &entries).await?;
    Ok(before - undecided)
}

/// Money went back.
pub(crate) async fn post_refund(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    refund_id: Uuid,
    provider: &str,
    money: Money,
) -> Result<(), Error> {
    let journal = Journal {
        kind: "REFUND",
        payment_id,
        refund_id: Some(refund_id),
    };
    let provider = format!("provider:{provider}");
    let entries = [(REFUNDS, money.amount), (&*provider, -money.amount)];
    post(connection, journal, money.currency, &entries).await
}

/// Minor units of a payment that have no ending yet; the caller has the payment locked.
async fn undecided(connection: &mut PgConnection, payment_id: PaymentId) -> Result<i64, Error> {
    let undecided = sqlx::query_scalar!(
        r#"SELECT coalesce(-sum(e.amount), 0)::bigint AS "undecided!"
           FROM payment.journal j JOIN payment.entries e USING (journal_id)
           WHERE j.payment_id = $1 AND e.account = $2"#,
        payment_id.as_uuid(),
        UNDECIDED
    );
    Ok(undecided.fetch_one(connection).await?)
}

/// What entries belong to.
struct Journal {
    kind: &'static str,
    payment_id: PaymentId,
    refund_id: Option<Uuid>,
}

/// Posts the entries that aren't of nothing.
async fn post(
    connection: &mut PgConnection,
    journal: Journal,
    currency: Currency,
    entries: &[(&str, i64)],
) -> Result<(), Error> {
    let entries = entries.iter().filter(|(_, amount)| *amount != 0);
    let (accounts, amounts): (Vec<String>, Vec<i64>) = entries
        .map(|(account, amount)| ((*account).to_owned(), *amount))
        .unzip();
    sqlx::query!(
        "WITH journal AS (
             INSERT INTO payment.journal (kind, payment_id, refund_id) VALUES ($1, $2, $3)
             RETURNING journal_id)
         INSERT INTO payment.entries (journal_id, account, amount, currency)
         SELECT journal_id, account, amount, $6
         FROM journal, unnest($4::text[], $5::bigint[]) AS e (account, amount)",
        journal.kind,
        journal.payment_id.as_uuid(),
        journal.refund_id,
        &accounts,
        &amounts,
        currency.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}
