//! What is counted of sales and money is what the tables and the ledger have.

use std::time::Duration;

use anyhow::{Context as _, Result};
use holdfast_harness::{Database, Look, System, until};
use uuid::Uuid;

/// For what was committed this moment to be counted.
const LIMIT: Duration = Duration::from_secs(10);

/// Series of a counter, those that say a label; and what their sum must be, `$1` being a show.
const COUNTED: [(&str, &str, &str); 9] = [
    (
        "holdfast_payment_captured_minor_units_total",
        "currency=\"EUR\"",
        "SELECT coalesce(sum(amount), 0)::text FROM payment.entries JOIN payment.journal USING (journal_id)
         WHERE $1 IS NOT NULL AND kind = 'CAPTURE' AND account LIKE 'provider:%'",
    ),
    (
        "holdfast_payment_refunded_minor_units_total",
        "currency=\"EUR\"",
        "SELECT coalesce(-sum(amount), 0)::text FROM payment.entries JOIN payment.journal USING (journal_id)
         WHERE $1 IS NOT NULL AND kind = 'REFUND' AND account LIKE 'provider:%'",
    ),
    (
        "holdfast_booking_tickets_issued_total",
        "",
        "SELECT count(*)::text FROM booking.tickets WHERE show_id = $1",
    ),
    (
        "holdfast_booking_seats_sold_total",
        "",
        "SELECT count(*)::text FROM booking.tickets WHERE show_id = $1",
    ),
    (
        "holdfast_booking_seats_returned_total",
        "",
        "SELECT count(*)::text FROM booking.tickets WHERE show_id = $1 AND state = 'VOID'",
    ),
    (
        "holdfast_booking_created_total",
        "",
        "SELECT count(*)::text FROM booking.bookings WHERE show_id = $1",
    ),
    (
        "holdfast_booking_state_total",
        "state=\"CONFIRMED\"",
        "SELECT count(DISTINCT booking_id)::text FROM booking.tickets WHERE show_id = $1",
    ),
    (
        "holdfast_booking_state_total",
        "reason=\"LATE_MONEY\"",
        "SELECT count(*)::text FROM booking.bookings
         WHERE show_id = $1 AND state = 'CONFIRMED' AND hold_attempt > 0",
    ),
    (
        "holdfast_booking_state_total",
        "state=\"FAILED\"",
        "SELECT count(*)::text FROM booking.bookings WHERE show_id = $1 AND state = 'FAILED'",
    ),
];

/// Asserts it of a system that has sold seats of this show only, and whose services were not
/// restarted.
pub(crate) async fn are_counted(system: &System, show: Uuid) -> Result<()> {
    let database = system.database().await?;
    for (name, label, sql) in COUNTED {
        let what = format!("{name}{{{label}}} to be what the database has");
        until(&what, LIMIT, async || {
            let (shown, stored) = (
                shown(system, name, label).await?,
                one(&database, sql, show).await?,
            );
            Ok(if shown == stored {
                Look::Found(())
            } else {
                Look::NotYet(format!("{shown}, not {stored}"))
            })
        })
        .await?;
    }
    Ok(())
}

async fn one(database: &Database, sql: &'static str, show: Uuid) -> Result<i64> {
    let rows = database.texts(sql, show).await?;
    Ok(rows.first().context("no row")?.parse()?)
}

/// The sum over all processes of the series that say `label`.
async fn shown(system: &System, name: &str, label: &str) -> Result<i64> {
    let mut sum = 0;
    for run in system.run()?.processes.into_values() {
        let Some(url) = run.ops_url else { continue };
        let text = reqwest::get(format!("{url}/metrics")).await?.text().await?;
        for line in text.lines() {
            let rest = line.strip_prefix(name).unwrap_or_default();
            if rest.starts_with([' ', '{']) && rest.contains(label) {
                let number = line.rsplit(' ').next().context("no number")?;
                sum += number.parse::<i64>()?;
            }
        }
    }
    Ok(sum)
}
