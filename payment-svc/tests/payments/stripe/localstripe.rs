//! Against `localstripe`, a Stripe that others wrote (PyPI, pinned in `scripts/localstripe.txt`): its
//! PaymentIntents, charges and refunds over the wire, its errors, and the webhooks that it signs. It has no
//! Checkout Sessions, so the double keeps those and leaves the money to it.

use std::{
    net::{Ipv6Addr, TcpListener},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use holdfast_proto::events::v1;
use serde_json::Value;
use sqlx::PgPool;
use tokio::process::{Child, Command};

use super::SECRET_KEY;
use crate::{
    refunds::wanted,
    system::{Kind, LIMIT, System, WEBHOOK_SECRET, until},
};

struct Localstripe {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Localstripe {
    /// Installs it where it is missing, and starts it on a free port.
    async fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let tools = Command::new(root.join("scripts/tools"))
            .arg("scripts/localstripe.txt")
            .stderr(Stdio::inherit())
            .output()
            .await
            .unwrap();
        assert!(tools.status.success(), "localstripe can't be had");
        let bin = String::from_utf8(tools.stdout).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for _ in 0..5 {
            // Free a moment ago; where another process was faster, the next is tried.
            let port = {
                let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
                listener.local_addr().unwrap().port()
            };
            let mut child = Command::new(Path::new(bin.trim()).join("localstripe"))
                .args(["--from-scratch", "--port", &port.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let url = format!("http://127.0.0.1:{port}");
            let begun = Instant::now();
            let ended = loop {
                if child.try_wait().unwrap().is_some() {
                    break true;
                }
                if http.get(&url).send().await.is_ok() {
                    break false;
                }
                assert!(begun.elapsed() < LIMIT, "localstripe gives no answer");
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            if !ended {
                return Self { child, url, http };
            }
        }
        panic!("localstripe doesn't start");
    }

    async fn stop(mut self) {
        self.child.kill().await.unwrap();
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.url));
        let answer = request.bearer_auth(SECRET_KEY).send().await.unwrap();
        answer.json().await.unwrap()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) {
        let request = self.http.post(format!("{}{path}", self.url)).form(form);
        let answer = request.bearer_auth(SECRET_KEY).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

#[sqlx::test(migrations = false)]
async fn money_comes_and_goes_at_localstripe(pool: PgPool) {
    let there = Localstripe::start().await;
    let system = System::start_with(&pool, Kind::Stripe, 3_600_000, Some(there.url.clone())).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    // Its fee is 0, which is a fee that is known.
    let known = "SELECT count(*) FROM payment.payments WHERE fee_amount = 0";
    system
        .execute("UPDATE payment.payments SET fee_at = now()")
        .await;
    until("the fee", async || system.count(known).await == 1).await;

    // It remembers no idempotency keys: what is sent once was looked for.
    let parts = [1_000, 1_500].map(|amount| wanted(booking_id, &payment_id, amount));
    for part in parts.iter().chain(&parts) {
        system.tell(booking_id, "RefundRequested", part).await;
    }
    system.caught_up().await;
    let refunds = there.get("/v1/refunds").await;
    let amounts = refunds["data"].as_array().unwrap().iter();
    let amounts: Vec<_> = amounts
        .map(|refund| refund["amount"].as_i64().unwrap())
        .collect();
    assert_eq!((amounts.len(), amounts.iter().sum::<i64>()), (2, 2_500));
    until("both to be told", async || {
        system.tally(booking_id).await.get("RefundSucceeded") == Some(&2)
    })
    .await;
    assert_eq!(system.balance("provider:stripe").await, 0);
    system.stop().await;
    there.stop().await;
}

#[sqlx::test(migrations = false)]
async fn refund_whose_answer_was_lost_is_found_at_localstripe(pool: PgPool) {
    let there = Localstripe::start().await;
    let mut system =
        System::start_with(&pool, Kind::Stripe, 3_600_000, Some(there.url.clone())).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    system
        .execute(
            "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;
             CREATE TRIGGER fail BEFORE UPDATE ON payment.refunds
             FOR EACH ROW EXECUTE FUNCTION public.fail()",
        )
        .await;
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("it to be sent", async || {
        there.get("/v1/refunds").await["data"][0]["amount"] == 2_500
    })
    .await;
    system.stop_payment().await;
    system.execute("DROP TRIGGER fail ON payment.refunds").await;
    system.start_payment().await;
    let _: v1::RefundSucceeded = system.told(booking_id, "RefundSucceeded").await;
    let refunds = there.get("/v1/refunds").await;
    assert_eq!(refunds["data"].as_array().unwrap().len(), 1);
    system.stop().await;
    there.stop().await;
}

#[sqlx::test(migrations = false)]
async fn charge_that_localstripe_does_not_know_parks_the_refund(pool: PgPool) {
    let there = Localstripe::start().await;
    let system = System::start_with(&pool, Kind::Stripe, 3_600_000, Some(there.url.clone())).await;
    let (booking_id, payment_id) = system.book_and_pay().await;
    let flush = format!("{}/_config/data", there.url);
    there.http.delete(flush).send().await.unwrap();
    let refund = wanted(booking_id, &payment_id, 2_500);
    system.tell(booking_id, "RefundRequested", &refund).await;
    until("it to be parked", async || {
        let parked = holdfast_eventlog::parked(&pool).await.unwrap();
        parked.len() == 1 && parked[0].error.contains("elsewhere")
    })
    .await;
    assert_eq!(system.balance("refunds").await, -2_500);
    system.stop().await;
    there.stop().await;
}

#[sqlx::test(migrations = false)]
async fn webhook_that_localstripe_signed_is_taken_over_its_raw_body(pool: PgPool) {
    let there = Localstripe::start().await;
    let system = System::start_on_stripe(&pool).await;
    let hook = system.hook();
    for (name, secret) in [("ours", WEBHOOK_SECRET), ("another", "whsec_other")] {
        let form = [("url", hook.as_str()), ("secret", secret)];
        there
            .post(&format!("/_config/webhooks/{name}"), &form)
            .await;
    }
    let form = [("name", "Ticket"), ("type", "service")];
    there.post("/v1/products", &form).await;
    let webhooks = "holdfast_payment_webhooks_total";
    until("both to come", async || {
        system.shown(webhooks, "recorded") == 1 && system.shown(webhooks, "refused") == 1
    })
    .await;
    let kind: String = sqlx::query_scalar("SELECT event_type FROM payment.webhook_events")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(kind, "product.created");
    system.stop().await;
    there.stop().await;
}
