//! `holdfast cluster audit`: nothing is found while people buy, and each planted defect is.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Customer, Expected, Look, Rest, ShowRules, System, until, with_system};
use serde_json::Value;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::options;

/// What is under way for so long, in seconds, is a finding.
const GRACE_S: u32 = 2;
/// Audits while people buy, and purchases that must have gone on meanwhile.
const AUDITS: u32 = 4;
const BUYERS: u32 = 3;
/// What booking-svc says itself of one of the planted defects.
const STUCK: Expected = Expected {
    process: "all",
    words: &["a payment is stuck"],
    reason: "the test made it so",
};
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_busy_system_is_clean_and_each_planted_defect_is_found() {
    let options = options().expecting(&[STUCK]);
    with_system(options, async |system| {
        let rules = ShowRules {
            seats_per_customer_max: 100,
            ..ShowRules::default()
        };
        let show = system.organiser().await?.open_show(3, 100, rules).await?;
        busy_and_clean(system, show).await?;
        planted(system, show).await?;
        of_another_lineage(system).await?;
        let elsewhere = tempfile::tempdir()?;
        let output = system
            .command()
            .args(["cluster", "audit", "--data-dir"])
            .arg(elsewhere.path())
            .output()?;
        ensure!(output.status.code() == Some(3), "{output:?}");
        Ok(())
    })
    .await;
}

/// People buy, change their minds and go away while it is audited; nothing is found, and something
/// was compared.
async fn busy_and_clean(system: &System, show: Uuid) -> Result<()> {
    let rest = system.rest()?;
    let enough = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU32::new(0));
    let mut buyers = JoinSet::new();
    let free = rest.free_seats(show).await?;
    for row in free.chunks(100).take(BUYERS as usize) {
        let (enough, done) = (Arc::clone(&enough), Arc::clone(&done));
        buyers.spawn_local(keep_busy(rest.clone(), show, row.to_vec(), enough, done));
    }
    for nth in 0..AUDITS {
        if nth == AUDITS / 2 {
            divide(system).await?;
        }
        let before = done.load(Ordering::Relaxed);
        let (code, said) = system.audit(GRACE_S).await?;
        ensure!(
            code == Some(0) && said["clean"] == true,
            "{code:?} {said:#}"
        );
        ensure!(said["findings"] == Value::Array(Vec::new()), "{said:#}");
        until("purchases to go on", LIMIT, async || {
            if let Some(ended) = buyers.try_join_next() {
                ended??;
            }
            let now = done.load(Ordering::Relaxed);
            Ok(if now >= before + BUYERS {
                Look::Found(())
            } else {
                Look::NotYet(now.to_string())
            })
        })
        .await?;
    }
    enough.store(true, Ordering::Relaxed);
    for ended in buyers.join_all().await {
        ended?;
    }
    let least = [
        ("seats_compared", 300 + 738),
        ("claims_compared", 1),
        ("nodes_compared", 3),
        ("tickets_compared", 1),
        ("journals_compared", 1),
        ("captured_compared", 1),
        ("sessions_paid_compared", 1),
        ("sessions_refunded_compared", 1),
        ("refunds_asked_compared", 1),
    ];
    // What was done just now isn't compared yet.
    until(
        "something of everything to be compared",
        LIMIT,
        async || {
            let (code, said) = system.audit(GRACE_S).await?;
            ensure!(code == Some(0), "{said:#}");
            let count = |name: &str| said["counts"][name].as_u64();
            Ok(if least.iter().all(|(name, n)| count(name) >= Some(*n)) {
                Look::Found(())
            } else {
                Look::NotYet(said["counts"].to_string())
            })
        },
    )
    .await
}

/// As in docs/scale-out.md, while they buy.
async fn divide(system: &System) -> Result<()> {
    let database = system.database().await?;
    let divide = "SELECT booking.divide_by_month(); SELECT booking.add_months(12)";
    database.execute(divide).await?;
    let undivided = "SELECT show_id::text FROM booking.seats
        WHERE $1 IS NOT NULL AND tableoid <> 'booking.seats_undated'::regclass LIMIT 1";
    let undivided = database.texts(undivided, Uuid::nil()).await?;
    ensure!(undivided.is_empty(), "{undivided:?}");
    Ok(())
}

async fn keep_busy(
    rest: Rest,
    show: Uuid,
    seats: Vec<String>,
    enough: Arc<AtomicBool>,
    done: Arc<AtomicU32>,
) -> Result<()> {
    let customer = Customer::register(&rest).await?;
    for (nth, seat) in seats.iter().enumerate() {
        if enough.load(Ordering::Relaxed) && nth > 5 {
            return Ok(());
        }
        if nth % 3 == 1 {
            let hold = customer.hold(show, &[seat]).await?.ok()?;
            let booking = customer.book(&hold.text("hold_id")?).await?.ok()?;
            customer.cancel(&booking.text("booking_id")?).await?.ok()?;
        } else {
            let booking = customer.buy(show, &[seat]).await?;
            if nth % 3 == 2 {
                customer.cancel(&booking).await?.ok()?;
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    anyhow::bail!("all seats are used up, and the test isn't done")
}

/// What is planted, `{n}` being the nth free seat of the show, and the kind that it is found as.
const PLANTED: [(&str, &str, &str); 16] = [
    (
        "BK-3",
        "SOLD_IN_DATABASE_ONLY",
        "UPDATE booking.seats SET state = 'SOLD', booking_id = (SELECT booking_id FROM confirmed LIMIT 1) WHERE seat_no = {0}",
    ),
    (
        "BK-3",
        "SOLD_IN_STORE_ONLY",
        "UPDATE booking.seats SET state = 'AVAILABLE', booking_id = NULL WHERE seat_no = (SELECT min(seat_no) FROM sold)",
    ),
    (
        "BK-3",
        "BOOKINGS",
        "UPDATE booking.tickets SET state = 'VOID' WHERE booking_id = (SELECT booking_id FROM confirmed OFFSET 1 LIMIT 1)",
    ),
    (
        "BK-2",
        "BOOKINGS",
        "UPDATE booking.booking_payments SET fate = 'PENDING' WHERE booking_id = (SELECT booking_id FROM confirmed OFFSET 2 LIMIT 1)",
    ),
    (
        "BK-1",
        "BOOKINGS",
        "DROP INDEX booking.tickets_one_per_seat; INSERT INTO booking.tickets (ticket_id, booking_id, show_id, seat_no, qr_payload) SELECT gen_random_uuid(), gen_random_uuid(), show_id, seat_no, 'q' FROM booking.tickets WHERE state = 'VALID' LIMIT 1",
    ),
    (
        "HS-1",
        "HELD_FOR_NONE",
        "UPDATE booking.seats SET state = 'HELD', booking_id = (SELECT booking_id FROM cancelled LIMIT 1) WHERE seat_no = {1}",
    ),
    (
        "HS-1",
        "HELD_IN_DATABASE_ONLY",
        "UPDATE booking.seats SET state = 'HELD', booking_id = (SELECT booking_id FROM pending LIMIT 1) WHERE seat_no = {2}",
    ),
    (
        "HS-1",
        "OTHER_HOLD",
        "UPDATE booking.bookings SET hold_id = gen_random_uuid() WHERE booking_id = (SELECT booking_id FROM confirmed OFFSET 3 LIMIT 1)",
    ),
    (
        "HS-1",
        "BLOCKED_IN_DATABASE_ONLY",
        "INSERT INTO booking.house_seats (show_id, seat_no, is_blocked, revision, blocked_at) SELECT show_id, seat_no, true, 1, now() FROM booking.seats WHERE seat_no = {3}",
    ),
    (
        "HS-3",
        "FENCE_AHEAD",
        "UPDATE booking.seats SET fence = 9223372036854775807 WHERE seat_no = {4}",
    ),
    (
        "HS-8",
        "CAP_EXCEEDED",
        "UPDATE booking.seats SET state = 'SOLD', booking_id = (SELECT booking_id FROM confirmed LIMIT 1) WHERE seat_no IN (SELECT seat_no FROM booking.seats s WHERE s.show_id = {show} AND state = 'AVAILABLE' AND fence = 0 ORDER BY seat_no DESC LIMIT 101)",
    ),
    (
        "SHOW",
        "SHOW_NOT_IN_STORE",
        "INSERT INTO booking.shows SELECT (jsonb_populate_record(s, jsonb_build_object('show_id', gen_random_uuid()))).* FROM booking.shows s WHERE s.show_id = {show}",
    ),
    (
        "SHOW",
        "SHOW_STATE_DIFFERS",
        "UPDATE booking.shows SET state = 'PAUSED', seats_per_customer_max = 99 WHERE show_id <> {show} AND seat_count = 738",
    ),
    (
        "BK-2",
        "CAPTURE_NOT_POSTED",
        "UPDATE payment.payments SET captured_amount = captured_amount + 1, updated_at = now() - make_interval(hours => 1) WHERE payment_id = (SELECT payment_id FROM booking.booking_payments WHERE fate = 'KEPT' LIMIT 1)",
    ),
    (
        "BK-2",
        "PAID_UNKNOWN",
        "INSERT INTO sandbox.sessions (session_id, idempotency_key, amount, currency, description, reference, status, expires_at) VALUES ('cs_planted', 'planted', 5, 'EUR', 'd', 'nobody', 'PAID', now()); INSERT INTO sandbox.charges (session_id, charge_id, amount, captured_at) VALUES ('cs_planted', 'ch_planted', 5, now() - make_interval(hours => 1))",
    ),
    (
        "BK-4",
        "PARKED",
        "INSERT INTO eventlog.troubled_keys (consumer, key, state, tries, failures, error, next_try_at) SELECT min(name), 'planted', 'PARKED', 9, 9, 'made by a test', now() FROM eventlog.consumers",
    ),
];

/// Kinds that come along with what is planted.
const ALONG: [(&str, &str); 3] = [
    ("SHOW", "SHOW_RULES_DIFFER"),
    ("BK-2", "PAID_NOT_CAPTURED"),
    ("BK-2", "CAPTURED_UNKNOWN"),
];

async fn planted(system: &System, show: Uuid) -> Result<()> {
    let rest = system.rest()?;
    let customer = Customer::register(&rest).await?;
    let free = rest.free_seats(show).await?;
    // One that goes on being paid for.
    let last = free.last().context("no free seat")?;
    let hold = customer.hold(show, &[last]).await?.ok()?;
    customer.book(&hold.text("hold_id")?).await?.ok()?;
    let database = system.database().await?;
    let of_show = "SELECT seat_no::text FROM booking.seats
        WHERE show_id = $1 AND state = 'AVAILABLE' AND fence = 0 ORDER BY seats.seat_no LIMIT 5";
    let seats = database.texts(of_show, show).await?;
    let views = [
        ("confirmed", "CONFIRMED"),
        ("cancelled", "CANCELLED"),
        ("pending", "PENDING_PAYMENT"),
    ];
    for (name, state) in views {
        let sql = format!(
            "CREATE VIEW {name} AS SELECT * FROM booking.bookings
             WHERE show_id = '{show}' AND state = '{state}' ORDER BY booking_id"
        );
        database.execute(&sql).await?;
    }
    let sold = format!(
        "CREATE VIEW sold AS SELECT * FROM booking.seats WHERE show_id = '{show}' AND state = 'SOLD'"
    );
    database.execute(&sold).await?;
    for (_, kind, sql) in PLANTED {
        let mut sql = sql.replace("{show}", &format!("'{show}'"));
        for (nth, seat) in seats.iter().enumerate() {
            sql = sql.replace(
                &format!("{{{nth}}}"),
                &format!("{seat} AND show_id = '{show}'"),
            );
        }
        database
            .execute(&sql)
            .await
            .with_context(|| format!("{kind}: {sql}"))?;
    }
    let (code, said) = system.audit(GRACE_S).await?;
    ensure!(
        code == Some(1) && said["clean"] == false,
        "{code:?} {said:#}"
    );
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = said["findings"].as_array().context("no findings")?.iter();
    let found: BTreeSet<_> = found
        .map(|finding| (text(&finding["invariant"]), text(&finding["kind"])))
        .collect();
    let pair = |(invariant, kind): (&str, &str)| (invariant.to_owned(), kind.to_owned());
    let expected = PLANTED.map(|(invariant, kind, _)| (invariant, kind));
    let expected: BTreeSet<_> = expected.into_iter().chain(ALONG).map(pair).collect();
    ensure!(
        found == expected,
        "found {found:?}, expected {expected:?}: {said:#}"
    );
    Ok(())
}

/// The database builds on another life of the cluster than the one that answers.
async fn of_another_lineage(system: &System) -> Result<()> {
    let database = system.database().await?;
    database
        .execute("UPDATE booking.lineage SET lineage = lineage + 1")
        .await?;
    let (code, said) = system.audit(GRACE_S).await?;
    database
        .execute("UPDATE booking.lineage SET lineage = lineage - 1")
        .await?;
    let found = said["findings"].to_string();
    ensure!(
        code == Some(1) && found.contains("OTHER_LINEAGE"),
        "{said:#}"
    );
    Ok(())
}
