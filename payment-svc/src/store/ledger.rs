//! The books: money that is captured is `undecided` until it pays for a confirmed booking
//! (`bookings`) or is to go back (`refunds`); what went back has left the provider's account, and is in
//! it again when the provider couldn't pay it out. What the provider keeps for itself is in `fees:` and
//! its name, what banks took back in `disputes`.
//!
//! Always holds: a journal's entries add up to nothing (the database refuses others); a
//! payment's capture, sale, fee and lost dispute, and each refund's being due and each attempt's going and
//! failing, are posted once. What has no
//! ending is the balance of `undecided`, and each payment in it is told again
//! ([`payments::take_undecided`](super::payments::take_undecided)) until it has left.

use holdfast_types::{Currency, Money, PaymentId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Error;

/// What customers paid that is neither a confirmed booking's nor to go back.
pub(super) const UNDECIDED: &str = "undecided";
/// What customers paid for bookings that are confirmed.
const BOOKINGS: &str = "bookings";
/// What is to go back and hasn't gone.
const REFUNDS: &str = "refunds";
/// What banks took back.
const DISPUTES: &str = "disputes";
/// What reached customers past the provider.
const OUTSIDE: &str = "outside";

/// Findings of one check at most; the first tells enough.
const FINDINGS_MAX: i64 = 1_000;

/// Something in the books that can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong: `UNBALANCED_JOURNAL`, `CAPTURE_NOT_POSTED`, `REFUND_NOT_POSTED`,
    /// `CAPTURE_WITHOUT_PAYMENT`, `REFUNDED_TOO_MUCH`, `REFUND_DUE_WRONG`, `ENDED_TWICE`,
    /// `UNDECIDED_UNWATCHED`, `FEE_NOT_POSTED`, `DISPUTE_NOT_POSTED`.
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

/// The account of what a provider has of ours.
pub(super) fn account_of(provider: &str) -> String {
    format!("provider:{provider}")
}

/// A booking was confirmed: what is undecided of its payment, if anything, pays for it, and nobody need be
/// told of it again. The caller has the payment locked.
pub(crate) async fn post_sale(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    currency: Currency,
) -> Result<(), Error> {
    sqlx::query_file!(
        "src/store/post_sale.sql",
        payment_id.as_uuid(),
        currency.as_str(),
        UNDECIDED,
        BOOKINGS
    )
    .execute(connection)
    .await?;
    Ok(())
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
        refund: Some((refund_id, 1)),
    };
    let entries = [
        (UNDECIDED, undecided),
        (BOOKINGS, money.amount - undecided),
        (REFUNDS, -money.amount),
    ];
    post(connection, journal, money.currency, &entries).await?;
    Ok(before - undecided)
}

/// One attempt to send a refund.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) payment_id: PaymentId,
    pub(crate) refund_id: Uuid,
    pub(crate) attempt: u32,
    pub(crate) money: Money,
}

/// Money went back.
pub(crate) async fn post_refund(
    connection: &mut PgConnection,
    provider: &str,
    sent: Attempt,
) -> Result<(), Error> {
    post_attempt(connection, provider, "REFUND", 1, sent).await
}

/// Money that went back came again: it is still to go.
pub(crate) async fn post_refund_failed(
    connection: &mut PgConnection,
    provider: &str,
    failed: Attempt,
) -> Result<(), Error> {
    post_attempt(connection, provider, "REFUND_FAILED", -1, failed).await
}

async fn post_attempt(
    connection: &mut PgConnection,
    provider: &str,
    kind: &'static str,
    sign: i64,
    attempt: Attempt,
) -> Result<(), Error> {
    let Attempt {
        payment_id, money, ..
    } = attempt;
    let journal = Journal {
        kind,
        payment_id,
        refund: Some((attempt.refund_id, attempt.attempt)),
    };
    let provider = account_of(provider);
    let amount = sign * money.amount;
    let entries = [(REFUNDS, amount), (&*provider, -amount)];
    post(connection, journal, money.currency, &entries).await
}

/// The provider kept something of what it captured.
pub(crate) async fn post_fee(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    provider: &str,
    fee: Money,
) -> Result<(), Error> {
    if fee.amount == 0 {
        return Ok(());
    }
    let journal = Journal {
        kind: "FEE",
        payment_id,
        refund: None,
    };
    let (fees, provider) = (format!("fees:{provider}"), account_of(provider));
    let entries = [(&*fees, fee.amount), (&*provider, -fee.amount)];
    post(connection, journal, fee.currency, &entries).await
}

/// Whether what the bank took of a payment is posted; the caller has the payment locked.
pub(crate) async fn is_dispute_posted(
    connection: &mut PgConnection,
    payment_id: PaymentId,
) -> Result<bool, Error> {
    let posted = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM payment.journal
                          WHERE payment_id = $1 AND kind = 'DISPUTE_LOST') AS "posted!""#,
        payment_id.as_uuid()
    );
    Ok(posted.fetch_one(connection).await?)
}

/// The payer's bank took back so much of a payment, which may be nothing. What is still owed of it stays so
/// until people decide.
pub(crate) async fn post_dispute_lost(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    provider: &str,
    taken: Money,
) -> Result<(), Error> {
    let journal = Journal {
        kind: "DISPUTE_LOST",
        payment_id,
        refund: None,
    };
    let provider = account_of(provider);
    let entries = [(DISPUTES, taken.amount), (&*provider, -taken.amount)];
    post(connection, journal, taken.currency, &entries).await
}

/// What was owed reached its customer past the provider: by the bank, as far as it took the payment back,
/// and from outside.
pub(crate) async fn post_settled(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    refund_id: Uuid,
    money: Money,
) -> Result<(), Error> {
    let taken = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(e.amount), 0)::bigint AS "taken!"
           FROM payment.journal j JOIN payment.entries e USING (journal_id)
           WHERE j.payment_id = $1 AND e.account = $2"#,
        payment_id.as_uuid(),
        DISPUTES
    );
    let taken = taken
        .fetch_one(&mut *connection)
        .await?
        .clamp(0, money.amount);
    let journal = Journal {
        kind: "SETTLED",
        payment_id,
        refund: Some((refund_id, 1)),
    };
    let entries = [
        (REFUNDS, money.amount),
        (DISPUTES, -taken),
        (OUTSIDE, taken - money.amount),
    ];
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
    /// And which attempt of it.
    refund: Option<(Uuid, u32)>,
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
    let (refund_id, attempt) = journal.refund.unzip();
    let attempt = i32::try_from(attempt.unwrap_or(1)).unwrap_or(i32::MAX);
    sqlx::query!(
        "WITH journal AS (
             INSERT INTO payment.journal (kind, payment_id, refund_id, attempt)
             VALUES ($1, $2, $3, $7)
             RETURNING journal_id)
         INSERT INTO payment.entries (journal_id, account, amount, currency)
         SELECT journal_id, account, amount, $6
         FROM journal, unnest($4::text[], $5::bigint[]) AS e (account, amount)",
        journal.kind,
        journal.payment_id.as_uuid(),
        refund_id,
        &accounts,
        &amounts,
        currency.as_str(),
        attempt
    )
    .execute(connection)
    .await?;
    Ok(())
}
