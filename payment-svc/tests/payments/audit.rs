//! The provider's word beside the books: each difference is found, and nothing else.

use std::time::Duration;

use payment_svc::{AuditError, Config, ProviderName, ProviderReport, audit_provider};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    stripe::SECRET_KEY,
    system::{API_KEY, Kind, System, WEBHOOK_SECRET},
};

const GRACE: Duration = Duration::from_secs(60);

fn config(system: &System) -> Config {
    if system.kind == Kind::Stripe {
        return Config {
            provider: ProviderName::Stripe,
            stripe_url: format!("http://{}", system.double().address()),
            stripe_secret_key: SECRET_KEY.into(),
            webhook_secret: WEBHOOK_SECRET.into(),
            ..Config::default()
        };
    }
    Config {
        sandbox_url: format!("http://{}", system.sandbox_address),
        sandbox_api_key: API_KEY.into(),
        webhook_secret: WEBHOOK_SECRET.into(),
        ..Config::default()
    }
}

async fn audit(system: &System) -> ProviderReport {
    let config = config(system);
    let report = audit_provider(&config, &system.pool, GRACE, |_| {});
    report.await.unwrap()
}

async fn kinds(system: &System) -> Vec<&'static str> {
    let found = audit(system).await.findings.into_iter();
    let mut kinds: Vec<_> = found.map(|finding| finding.kind).collect();
    kinds.sort_unstable();
    kinds
}

/// All that happened so far was long ago.
async fn age(system: &System) {
    let sql = "UPDATE payment.payments SET updated_at = updated_at - make_interval(hours => 1);
         UPDATE payment.refunds SET updated_at = updated_at - make_interval(hours => 1)";
    system.execute(sql).await;
    if system.kind == Kind::Stripe {
        system.double().age();
        return;
    }
    let sql = "UPDATE sandbox.charges SET captured_at = captured_at - make_interval(hours => 1)";
    system.execute(sql).await;
}

#[sqlx::test(migrations = false)]
async fn each_difference_between_provider_and_books_is_found(pool: PgPool) {
    let system = System::start(&pool).await;
    system.book_and_pay().await;
    system.book_and_pay().await;
    system.book_to_pay().await;
    age(&system).await;
    let report = audit(&system).await;
    assert_eq!(report.findings, []);
    assert_eq!((report.sessions, report.paid, report.captured), (3, 2, 2));

    let first = "(SELECT min(session_id) FROM sandbox.charges)";
    let second = "(SELECT max(session_id) FROM sandbox.charges)";
    let open = "(SELECT session_id FROM sandbox.sessions WHERE status = 'OPEN')";
    let planted: [(&str, String, String); 6] = [
        (
            "PAID_UNKNOWN",
            format!("UPDATE sandbox.sessions SET reference = 'x' WHERE session_id = {open};
                 UPDATE sandbox.sessions SET status = 'PAID' WHERE session_id = {open};
                 INSERT INTO sandbox.charges (session_id, charge_id, amount, captured_at)
                 SELECT session_id, 'ch', amount, now() - make_interval(secs => 61)
                 FROM sandbox.sessions WHERE reference = 'x'"),
            "DELETE FROM sandbox.charges WHERE charge_id = 'ch';
             DELETE FROM sandbox.sessions WHERE reference = 'x'"
                .to_owned(),
        ),
        (
            "PAID_NOT_CAPTURED",
            format!("UPDATE sandbox.sessions SET amount = amount + 1 WHERE session_id = {first}"),
            format!("UPDATE sandbox.sessions SET amount = amount - 1 WHERE session_id = {first}"),
        ),
        (
            "CAPTURED_NOT_PAID",
            format!("UPDATE sandbox.sessions SET status = 'CANCELLED' WHERE session_id = {first}"),
            format!("UPDATE sandbox.sessions SET status = 'PAID' WHERE session_id = {first}"),
        ),
        (
            "CAPTURED_NOT_PAID",
            format!("UPDATE payment.payments SET session_id = session_id || '0' WHERE session_id = {second};
                     UPDATE sandbox.sessions SET reference = 'y', status = 'CANCELLED'
                     WHERE session_id = {second}"),
            format!("UPDATE payment.payments SET session_id = {second} WHERE session_id = {second} || '0';
                     UPDATE sandbox.sessions SET reference = idempotency_key, status = 'PAID'
                     WHERE session_id = {second}"),
        ),
        (
            "REFUND_UNKNOWN",
            format!("INSERT INTO sandbox.refunds (refund_id, idempotency_key, session_id, amount)
                     SELECT 're', 'k', {first}, 10"),
            "DELETE FROM sandbox.refunds".to_owned(),
        ),
        (
            "REFUND_NOT_SENT",
            format!("INSERT INTO payment.refunds (refund_id, payment_id, amount, reason, state, updated_at)
                     SELECT gen_random_uuid(), payment_id, 10, 'r', 'SUCCEEDED',
                         now() - make_interval(hours => 1)
                     FROM payment.payments WHERE session_id = {first}"),
            "DELETE FROM payment.refunds".to_owned(),
        ),
    ];
    for (kind, plant, mend) in planted {
        let run = async |sql: &str| {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
                .execute(&pool)
                .await
                .unwrap_or_else(|error| panic!("{kind}: {error}"));
        };
        run(&plant).await;
        assert_eq!(kinds(&system).await, [kind], "{plant}");
        run(&mend).await;
        assert_eq!(kinds(&system).await, [""; 0], "{mend}");
    }
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn money_under_way_is_no_difference_until_it_is_late(pool: PgPool) {
    let system = System::start(&pool).await;
    system.lose_webhooks(true);
    let (_, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let report = audit(&system).await;
    assert_eq!((report.findings, report.paid), (vec![], 1));
    system
        .execute("UPDATE sandbox.charges SET captured_at = now() - make_interval(secs => 61)")
        .await;
    assert_eq!(kinds(&system).await, ["PAID_NOT_CAPTURED"]);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn every_page_is_read_and_a_provider_that_is_away_is_no_clean_audit(pool: PgPool) {
    let mut system = System::start(&pool).await;
    system.book_and_pay().await;
    age(&system).await;
    // Of one moment, so that their ids decide; and one more is paid than we know.
    system
        .execute(
            "INSERT INTO sandbox.sessions (session_id, idempotency_key, amount, currency,
                 description, reference, status, expires_at, created_at)
             SELECT 'cs_' || lpad(n::text, 32, '0'), n::text, 5, 'EUR', 'd', 'n' || n, 'EXPIRED',
                 now(), 'epoch' FROM generate_series(1, 149) AS n;
             UPDATE sandbox.sessions SET status = 'PAID' WHERE reference = 'n1'",
        )
        .await;
    let report = audit(&system).await;
    assert_eq!((report.sessions, report.paid), (150, 2));
    let kinds: Vec<_> = report.findings.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, ["PAID_UNKNOWN"]);
    system.stop_sandbox().await;
    let away = audit_provider(&config(&system), &pool, GRACE, |_| {}).await;
    assert!(matches!(away, Err(AuditError::Provider(_))), "{away:?}");
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn stripes_sessions_are_compared_page_by_page_and_those_of_other_products_are_not(
    pool: PgPool,
) {
    let system = System::start_on_stripe(&pool).await;
    let (_, first) = system.book_to_pay().await;
    let first = first.rsplit('/').next().unwrap().to_owned();
    system.book_and_pay().await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let refund = crate::refunds::wanted(booking_id, &payment_id, 1_000);
    system.tell(booking_id, "RefundRequested", &refund).await;
    let _: holdfast_proto::events::v1::RefundSucceeded =
        system.told(booking_id, "RefundSucceeded").await;
    age(&system).await;
    // They are newer, so that ours are on the second page.
    let sold = system.sold_session(booking_id).await;
    for reference in [None, Some("order 7")].into_iter().cycle().take(120) {
        system.double().copy_session(&sold, reference);
    }
    let report = audit(&system).await;
    assert_eq!(report.findings, []);
    let counts = (report.sessions, report.paid, report.refunded);
    assert_eq!((counts, report.captured), ((3, 2, 1), 2));

    let stranger = Uuid::new_v4().to_string();
    system.double().copy_session(&sold, Some(&stranger));
    assert_eq!(kinds(&system).await, ["PAID_UNKNOWN"]);
    system.double().refund_by_hand();
    let both_went_back = ["PAID_UNKNOWN", "REFUND_UNKNOWN", "REFUND_UNKNOWN"];
    assert_eq!(kinds(&system).await, both_went_back);
    system.double().forget_session(&sold);
    let one_is_gone = ["CAPTURED_NOT_PAID", "PAID_UNKNOWN", "REFUND_UNKNOWN"];
    assert_eq!(kinds(&system).await, one_is_gone);
    system.double().forget_session(&first);
    assert_eq!(kinds(&system).await, one_is_gone);
    system.stop().await;
}

impl System {
    /// The provider's id of a booking's session.
    async fn sold_session(&self, booking_id: Uuid) -> String {
        let sql = "SELECT session_id FROM payment.payments WHERE booking_id = $1";
        let found = sqlx::query_scalar(sql).bind(booking_id);
        found.fetch_one(&self.pool).await.unwrap()
    }
}
