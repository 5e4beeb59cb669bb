//! BK-1, BK-2, BK-3 as far as Postgres shows them, and the provider's word beside the books.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use holdfast_types::{PaymentId, ShowId};
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    Pools,
    looks::Looks,
    report::{Check, Finding},
};
use crate::{data_dir::DataDir, settings::Config, up::ALL_SERVICES};

/// Sums compared in one step.
const PAGE: u32 = 1_000;

/// Sums that differ, looked at again at most; the first tell enough.
const SUSPECTED_MAX: usize = 1_000;

/// How often it says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);

type Done = anyhow::Result<((), Vec<Check>, Vec<Finding>)>;

const fn check(
    invariant: &'static str,
    what: &'static str,
    counted: &'static str,
    compared: u64,
) -> Check {
    Check {
        invariant,
        what,
        counted,
        compared,
    }
}

/// Bookings, tickets and payments within schema `booking`.
///
/// # Errors
/// The database can't be read.
pub(super) async fn bookings(looks: &Looks, pool: &PgPool) -> Done {
    let rows = booking_svc::audited_rows(pool)
        .await
        .context("can't count the bookings")?;
    let findings = looks.lasting(async |_| {
        let found = booking_svc::audit(pool).await;
        let found = found.context("can't check the bookings")?;
        Ok(found.into_iter().map(of_booking).collect())
    });
    let findings = findings.await?;
    let checks = vec![
        check(
            "BK-1",
            "a seat has one ticket that isn't void",
            "tickets_compared",
            rows.tickets,
        ),
        check(
            "BK-2",
            "money stands for confirmed bookings",
            "booking_payments_compared",
            rows.payments,
        ),
        check(
            "BK-3",
            "confirmed bookings have their seats",
            "bookings_compared",
            rows.bookings,
        ),
    ];
    Ok(((), checks, findings))
}

fn of_booking(finding: booking_svc::Finding) -> Finding {
    Finding {
        booking_id: finding.booking_id,
        // Several may be of one booking, and some are of none.
        about: finding.what.clone(),
        ..Finding::new(finding.invariant, "BOOKINGS", finding.what)
    }
}

/// The ledger within schema `payment`.
///
/// # Errors
/// The database can't be read.
pub(super) async fn ledger(looks: &Looks, pool: &PgPool) -> Done {
    let rows = payment_svc::ledger_rows(pool)
        .await
        .context("can't count the ledger")?;
    let findings = looks.lasting(async |_| {
        let found = payment_svc::check_ledger(pool).await;
        let found = found.context("can't check the ledger")?;
        let found = found.into_iter().map(|finding| Finding {
            id: Some(finding.id),
            ..Finding::new(
                "BK-2",
                finding.kind,
                "the ledger differs from what it is of",
            )
        });
        Ok(found.collect())
    });
    let findings = findings.await?;
    let checks = vec![
        check(
            "BK-2",
            "each payment is in the ledger",
            "payments_compared",
            rows.payments,
        ),
        check(
            "BK-2",
            "each refund is in the ledger",
            "refunds_compared",
            rows.refunds,
        ),
        check(
            "BK-2",
            "each journal balances",
            "journals_compared",
            rows.journals,
        ),
    ];
    Ok(((), checks, findings))
}

/// What booking-svc knows of payment-svc's money, and the other way round.
///
/// # Errors
/// The database can't be read.
pub(super) async fn between(looks: &Looks, pools: Pools<'_>, grace: Duration) -> Done {
    let (bookings, payments) = (pools.bookings, pools.payments);
    let mut counted = (0, 0);
    let findings = looks.lasting(async |_| {
        let (captured, mut findings) = captured_unknown(bookings, payments, grace).await?;
        let (refunds, unknown) = refunds_unknown(bookings, payments, grace).await?;
        counted = (captured, refunds);
        findings.extend(unknown);
        Ok(findings)
    });
    let findings = findings.await?;
    let checks = vec![
        check(
            "BK-2",
            "a booking knows of each captured payment",
            "captured_compared",
            counted.0,
        ),
        check(
            "BK-2",
            "each refund that a booking asked for is recorded",
            "refunds_asked_compared",
            counted.1,
        ),
    ];
    Ok(((), checks, findings))
}

async fn captured_unknown(
    bookings: &PgPool,
    payments: &PgPool,
    grace: Duration,
) -> anyhow::Result<(u64, Vec<Finding>)> {
    let (mut compared, mut findings) = (0, Vec::new());
    let mut after = PaymentId::from_uuid(Uuid::nil());
    while findings.len() < SUSPECTED_MAX {
        let page = payment_svc::captured(payments, after, grace, PAGE).await;
        let page = page.context("can't read the payments")?;
        let Some((last, ..)) = page.last() else { break };
        after = *last;
        compared += page.len() as u64;
        let unknown = booking_svc::missing_payments(bookings, &page).await;
        let unknown = unknown.context("can't compare the payments")?;
        findings.extend(unknown.into_iter().map(|payment_id| Finding {
            payment_id: Some(payment_id),
            ..Finding::new(
                "BK-2",
                "CAPTURED_UNKNOWN",
                "its money was captured and no booking knows of it",
            )
        }));
    }
    Ok((compared, findings))
}

async fn refunds_unknown(
    bookings: &PgPool,
    payments: &PgPool,
    grace: Duration,
) -> anyhow::Result<(u64, Vec<Finding>)> {
    let (mut compared, mut findings) = (0, Vec::new());
    let mut after = (ShowId::from_uuid(Uuid::nil()), Uuid::nil());
    while findings.len() < SUSPECTED_MAX {
        let page = booking_svc::refunds(bookings, after, grace, PAGE).await;
        let page = page.context("can't read the refunds")?;
        let Some((show_id, last, _)) = page.last() else {
            break;
        };
        after = (*show_id, *last);
        compared += page.len() as u64;
        let page: Vec<_> = page
            .into_iter()
            .map(|(_, refund_id, amount)| (refund_id, amount))
            .collect();
        let unknown = payment_svc::missing_refunds(payments, &page).await;
        let unknown = unknown.context("can't compare the refunds")?;
        findings.extend(unknown.into_iter().map(|refund_id| Finding {
            id: Some(refund_id.to_string()),
            ..Finding::new(
                "BK-2",
                "REFUND_NOT_RECORDED",
                "a booking asked for it and it was never recorded",
            )
        }));
    }
    Ok((compared, findings))
}

/// The books beside the provider's list of sessions, asked with payment-svc's own settings.
///
/// # Errors
/// The provider can't be asked, or the database read.
pub(super) async fn provider(dir: &DataDir, pool: &PgPool, grace: Duration) -> Done {
    let file = dir.config_file(ALL_SERVICES);
    let config: Config = holdfast_mesh::config::load(Some(&file))
        .with_context(|| format!("{} can't be used", file.display()))?;
    let mut said = Instant::now();
    let report = payment_svc::audit_provider(&config.payment, pool, grace, |sessions| {
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            // Nobody may read it.
            let _ = writeln!(std::io::stderr(), "{sessions} payment sessions compared");
        }
    });
    let report = report.await?;
    let findings = report.findings.into_iter().map(|finding| Finding {
        payment_id: finding.payment_id,
        ..Finding::new("BK-2", finding.kind, finding.what)
    });
    let checks = vec![
        check(
            "BK-2",
            "the provider says of each session what the books do",
            "sessions_compared",
            report.sessions,
        ),
        check(
            "BK-2",
            "what is paid at the provider is captured",
            "sessions_paid_compared",
            report.paid,
        ),
        check(
            "BK-2",
            "what the provider sent back is booked",
            "sessions_refunded_compared",
            report.refunded,
        ),
        check(
            "BK-2",
            "what is captured is paid at the provider",
            "captured_at_provider_compared",
            report.captured,
        ),
    ];
    Ok(((), checks, findings.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[sqlx::test(migrations = false)]
    async fn money_that_one_service_was_never_told_of_is_found(pool: PgPool) {
        booking_svc::migrate(&pool).await.expect("migrates");
        payment_svc::migrate(&pool).await.expect("migrates");
        let looks = Looks::new(Duration::ZERO);
        let grace = Duration::from_secs(15 * 60);
        let found = async || {
            let found = between(&looks, Pools::all(&pool), grace).await.unwrap();
            let kinds = found.2.into_iter().map(|found| found.kind);
            kinds.collect::<Vec<_>>()
        };
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
             INSERT INTO booking.bookings (booking_id, user_id, show_id, seat_nos, amount, currency,
                 price_version, state, hold_id, fence, expires_at, pay_until)
             SELECT gen_random_uuid(), gen_random_uuid(), show_id, '{0}', 2500, 'EUR', 1,
                 'CANCELLED', gen_random_uuid(), 1, now(), now() FROM booking.shows;
             INSERT INTO booking.booking_payments (show_id, payment_id, booking_id, position, amount,
                 currency, fate, refund_id)
             SELECT show_id, gen_random_uuid(), booking_id, 0, 2500, 'EUR', 'REFUNDED',
                 gen_random_uuid()
             FROM booking.bookings;
             INSERT INTO booking.refunds (show_id, refund_id, booking_id, payment_id, amount, currency,
                 reason, ask_at)
             SELECT show_id, refund_id, booking_id, payment_id, amount, currency, 'r', NULL
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
        assert_eq!(found().await, ["CAPTURED_UNKNOWN", "REFUND_NOT_RECORDED"]);
        let of_ledger = ledger(&looks, &pool).await.unwrap();
        assert_eq!(of_ledger.2, [], "its books are in order");
        sqlx::raw_sql("UPDATE payment.payments SET captured_amount = 2600")
            .execute(&pool)
            .await
            .expect("writes");
        let of_ledger = ledger(&looks, &pool).await.unwrap();
        let kinds = of_ledger.2.into_iter().map(|found| found.kind);
        assert!(kinds.eq(["CAPTURE_NOT_POSTED"]));
    }
}
