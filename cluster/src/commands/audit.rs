//! `holdfast audit`: the promises that Postgres can show, checked on the running database.
//!
//! Leaves to others: what a service can tell of its own schema (booking-svc, payment-svc). Here
//! they are compared with each other, because money that one of them was never told of shows in
//! neither alone.

use std::time::Duration;

use anyhow::Context as _;
use holdfast_types::PaymentId;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{data_dir::DataDir, database::connect_as, error::Error, supervisor::say};

/// How long money may be on its way from one service to the other (BK-2).
const GRACE: Duration = Duration::from_secs(15 * 60);

/// Sums compared in one step.
const PAGE: u32 = 1_000;

/// Prints what is wrong with bookings, tickets, payments and the ledger.
///
/// # Errors
/// Anything is wrong; no database answers.
pub(crate) async fn audit(dir: DataDir) -> Result<(), Error> {
    let bookings = connect_as(&dir, "booking").await?;
    let payments = connect_as(&dir, "payment").await?;
    let found = findings(&bookings, &payments, GRACE).await?;
    bookings.close().await;
    payments.close().await;
    for finding in &found {
        say(finding);
    }
    match found.len() {
        0 => {
            say("bookings, tickets, payments and ledger are consistent");
            Ok(())
        }
        found => Err(Error::Refused(format!("the audit found {found} problems"))),
    }
}

/// What is wrong, one line each.
async fn findings(
    bookings: &PgPool,
    payments: &PgPool,
    grace: Duration,
) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let own = booking_svc::audit(bookings)
        .await
        .context("can't check the bookings")?;
    for finding in own {
        let booking = finding
            .booking_id
            .map_or_else(String::new, |id| format!("booking {id}: "));
        found.push(format!("{}: {booking}{}", finding.invariant, finding.what));
    }
    let ledger = payment_svc::check_ledger(payments)
        .await
        .context("can't check the ledger")?;
    for finding in ledger {
        found.push(format!("ledger: {}: {}", finding.kind, finding.id));
    }
    let captured = captured_unknown(bookings, payments, grace).await;
    for payment in captured.context("can't compare the payments")? {
        found.push(format!(
            "BK-2: payment {payment}: its money was captured and no booking knows of it"
        ));
    }
    let refunds = refunds_unknown(bookings, payments, grace).await;
    for refund in refunds.context("can't compare the refunds")? {
        found.push(format!(
            "BK-2: refund {refund}: a booking asked for it and it was never recorded"
        ));
    }
    Ok(found)
}

async fn captured_unknown(
    bookings: &PgPool,
    payments: &PgPool,
    grace: Duration,
) -> anyhow::Result<Vec<PaymentId>> {
    let mut unknown = Vec::new();
    let mut after = PaymentId::from_uuid(Uuid::nil());
    loop {
        let page = payment_svc::captured(payments, after, grace, PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(unknown);
        };
        after = *last;
        unknown.extend(booking_svc::missing_payments(bookings, &page).await?);
    }
}

async fn refunds_unknown(
    bookings: &PgPool,
    payments: &PgPool,
    grace: Duration,
) -> anyhow::Result<Vec<Uuid>> {
    let mut unknown = Vec::new();
    let mut after = Uuid::nil();
    loop {
        let page = booking_svc::refunds(bookings, after, grace, PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(unknown);
        };
        after = *last;
        unknown.extend(payment_svc::missing_refunds(payments, &page).await?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[sqlx::test(migrations = false)]
    async fn money_that_one_service_was_never_told_of_is_found(pool: PgPool) {
        booking_svc::migrate(&pool).await.expect("migrates");
        payment_svc::migrate(&pool).await.expect("migrates");
        let found = async || findings(&pool, &pool, GRACE).await.expect("checks");
        assert_eq!(found().await, Vec::<String>::new());
        // A payment with its books in order, whose event never got to booking-svc; and a refund of
        // an old one, whose event never got to payment-svc.
        sqlx::raw_sql(
            "INSERT INTO payment.payments (payment_id, booking_id, attempt, user_id, show_id, state,
                 amount, currency, description, pay_until, provider, captured_amount,
                 captured_currency)
             SELECT gen_random_uuid(), gen_random_uuid(), 1, gen_random_uuid(), gen_random_uuid(),
                 'SUCCEEDED', 2500, 'EUR', 'd', now(), 'sandbox', 2500, 'EUR';
             BEGIN;
             INSERT INTO payment.journal (kind, payment_id)
                 SELECT 'CAPTURE', payment_id FROM payment.payments;
             INSERT INTO payment.entries (journal_id, account, amount, currency)
                 SELECT journal_id, account, amount, 'EUR' FROM payment.journal,
                     (VALUES ('provider:sandbox', 2500), ('bookings', -2500)) AS e (account, amount);
             COMMIT;
             INSERT INTO booking.shows (show_id, title, starts_at, currency, price_version,
                 hold_ttl_ms, hold_total_ms_max, seats_per_customer_max, seat_count, layout_hash,
                 state)
             SELECT gen_random_uuid(), 't', now(), 'EUR', 1, 1, 1, 1, 1, '', 'ON_SALE';
             INSERT INTO booking.bookings (booking_id, user_id, idempotency_key, body_hash, show_id,
                 seat_nos, amount, currency, price_version, state, hold_id, fence, expires_at,
                 pay_until)
             SELECT gen_random_uuid(), gen_random_uuid(), 'k', '', show_id, '{0}', 2500, 'EUR', 1,
                 'CANCELLED', gen_random_uuid(), 1, now(), now() FROM booking.shows;
             INSERT INTO booking.booking_payments (payment_id, booking_id, position, amount,
                 currency, fate, refund_id)
             SELECT gen_random_uuid(), booking_id, 0, 2500, 'EUR', 'REFUNDED', gen_random_uuid()
             FROM booking.bookings;
             INSERT INTO booking.refunds (refund_id, booking_id, payment_id, amount, currency,
                 reason, ask_at)
             SELECT refund_id, booking_id, payment_id, amount, currency, 'r', NULL
             FROM booking.booking_payments",
        )
        .execute(&pool)
        .await
        .expect("writes");
        assert_eq!(found().await, Vec::<String>::new(), "it may be under way");
        sqlx::raw_sql(
            "UPDATE payment.payments SET updated_at = now() - make_interval(mins => 16);
             UPDATE booking.refunds SET asked_at = now() - make_interval(mins => 16)",
        )
        .execute(&pool)
        .await
        .expect("writes");
        let found = found().await;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("BK-2: payment "), "{found:?}");
        assert!(found[1].starts_with("BK-2: refund "), "{found:?}");
    }
}
