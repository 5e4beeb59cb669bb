//! What comes to the webhook's address and isn't Stripe's word, or isn't for us.

use holdfast_mesh::Failure;
use holdfast_proto::payment::v1::{ReceiveWebhookRequest, ReceiveWebhookResponse};
use holdfast_types::ErrorCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{sign, signature};
use crate::system::{System, WEBHOOK_SECRET};

impl System {
    pub(super) async fn receive(
        &self,
        signature: String,
        body: &[u8],
    ) -> Result<ReceiveWebhookResponse, ErrorCode> {
        let request = ReceiveWebhookRequest {
            provider: "stripe".to_owned(),
            signature,
            body: body.to_vec(),
        };
        let answer = self.client().await.receive_webhook(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| Failure::from_status(&status).code())
    }

    async fn recorded(&self) -> i64 {
        let recorded = "SELECT count(*) FROM payment.webhook_events";
        self.count(recorded).await
    }
}

fn paid(payment_id: &str, livemode: bool) -> Value {
    json!({
        "id": "evt_1", "object": "event", "api_version": "2020-08-27", "created": 1, "livemode": livemode,
        "pending_webhooks": 1, "request": null, "type": "checkout.session.completed",
        "data": {"object": {
            "id": "cs_1", "object": "checkout.session", "amount_total": 2_500,
            "client_reference_id": payment_id, "currency": "eur", "payment_intent": "pi_1",
            "payment_status": "paid", "status": "complete", "url": null,
            "something_new": {"of": ["later"]},
        }},
    })
}

#[sqlx::test(migrations = false)]
async fn only_what_stripe_signed_just_now_is_taken(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let (booking_id, _) = system.book_to_pay().await;
    let payment_id = system.payments(booking_id).await[0].payment_id.clone();
    let payment_id = Uuid::from_slice(&payment_id).unwrap().to_string();
    let body = paid(&payment_id, false).to_string().into_bytes();
    let good = sign(WEBHOOK_SECRET, &body, 0);
    let (time, v1) = good.split_once(",v1=").unwrap();
    let changed = body.to_ascii_uppercase();
    for (what, header, body) in [
        ("no header", String::new(), &body),
        ("no signature", time.to_owned(), &body),
        ("an old scheme only", format!("{time},v0={v1}"), &body),
        ("another secret", sign("whsec_other", &body, 0), &body),
        ("another body", good.clone(), &changed),
        ("ten minutes ago", sign(WEBHOOK_SECRET, &body, -600), &body),
        ("in ten minutes", sign(WEBHOOK_SECRET, &body, 600), &body),
        ("no time", format!("v1={v1}"), &body),
        ("a time that isn't one", format!("t=now,v1={v1}"), &body),
        (
            "a time too large",
            format!("t=99999999999999999999,v1={v1}"),
            &body,
        ),
        ("a signature that isn't one", format!("{time},v1=zz"), &body),
        (
            "a long header",
            format!("{time},{}", "v1=00,".repeat(10_000)),
            &body,
        ),
    ] {
        let answer = system.receive(header, body).await;
        assert_eq!(answer, Err(ErrorCode::Unauthorized), "{what}");
    }
    assert_eq!(system.recorded().await, 0);
    assert_eq!(
        system.payments(booking_id).await[0].state,
        "SESSION_CREATED"
    );

    // While a secret is rolled, Stripe signs with both.
    let seconds: i64 = time.strip_prefix("t=").unwrap().parse().unwrap();
    let old = signature("whsec_old", seconds, &body);
    let rolled = format!("{time},v1={old},v1={v1},v0=x");
    let answer = system.receive(rolled, &body).await;
    assert_eq!(answer, Ok(ReceiveWebhookResponse { duplicate: false }));
    assert_eq!(system.payments(booking_id).await[0].state, "SUCCEEDED");
    let again = system.receive(good, &body).await;
    assert_eq!(again, Ok(ReceiveWebhookResponse { duplicate: true }));
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn signed_nonsense_is_refused_and_what_is_not_ours_is_taken_and_left(pool: PgPool) {
    let system = System::start_on_stripe(&pool).await;
    let other = Uuid::new_v4().to_string();
    let whole = paid(&other, false).to_string();
    let mut huge = paid(&other, false);
    huge["data"]["object"]["amount_total"] = json!(1e300);
    let mut unpaid = paid(&other, false);
    unpaid["data"]["object"]["payment_status"] = json!("of_a_kind_to_come");
    for (what, body) in [
        ("nothing", String::new()),
        ("no JSON", "\0".repeat(1_000)),
        ("half of one", whole[..whole.len() / 2].to_owned()),
        ("another", "{}".to_owned()),
        ("deep", "[".repeat(100_000)),
        ("an amount that isn't one", huge.to_string()),
        ("a word of a later time", unpaid.to_string()),
        ("of real money", paid(&other, true).to_string()),
    ] {
        let signature = sign(WEBHOOK_SECRET, body.as_bytes(), 0);
        let answer = system.receive(signature, body.as_bytes()).await;
        assert_eq!(answer, Err(ErrorCode::InvalidRequest), "{what}");
    }
    assert_eq!(system.recorded().await, 0);

    let event = |id: &str, kind: &str, object: Value| {
        json!({"id": id, "object": "event", "livemode": false, "type": kind,
               "data": {"object": object}})
    };
    let mut nobodys = paid("somebody's own", false);
    nobodys["id"] = json!("evt_2");
    for (nth, body) in (1..).zip([
        paid(&other, false),
        nobodys,
        event("evt_3", "customer.created", json!({"id": "cus_1"})),
        event(
            "evt_4",
            "refund.failed",
            json!({"id": "re_1", "status": "failed", "metadata": null}),
        ),
        event(
            "evt_5",
            "refund.failed",
            json!({"id": "re_1", "status": "failed",
            "metadata": {"refund_id": other}}),
        ),
    ]) {
        let body = body.to_string();
        let signature = sign(WEBHOOK_SECRET, body.as_bytes(), 0);
        let answer = system.receive(signature, body.as_bytes()).await;
        assert_eq!(
            answer,
            Ok(ReceiveWebhookResponse { duplicate: false }),
            "{body}"
        );
        assert_eq!(system.recorded().await, nth);
    }
    // Of what can't be asked about by the key, nobody knows whether it is ours.
    let dispute = json!({"id": "dp_1", "charge": "ch_1", "payment_intent": null,
                         "status": "needs_response"});
    let body = event("evt_6", "charge.dispute.created", dispute).to_string();
    let signature = sign(WEBHOOK_SECRET, body.as_bytes(), 0);
    let answer = system.receive(signature, body.as_bytes()).await;
    assert_eq!(answer, Err(ErrorCode::Unavailable));
    assert_eq!(system.recorded().await, 5);
    let told = "SELECT count(*) FROM payment.outbox UNION ALL SELECT count(*) FROM eventlog.events";
    assert_eq!(system.count(told).await, 0);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn hint_that_can_not_be_followed_up_is_to_be_sent_again(pool: PgPool) {
    let mut system = System::start_on_stripe(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    system.press(&url, &[("action", "pay")]).await;
    let _: holdfast_proto::events::v1::PaymentSucceeded =
        system.told(booking_id, "PaymentSucceeded").await;
    system.double().hold_webhooks();
    system.press(&url, &[("action", "dispute")]).await;
    let shown = system.http.get(&url).send().await.unwrap();
    let session: Value = shown.json().await.unwrap();
    let hint = json!({"id": "evt_1", "object": "event", "livemode": false,
        "type": "charge.dispute.created", "data": {"object": {"id": "dp_1", "charge": "ch_1",
        "payment_intent": session["payment_intent"], "status": "needs_response"}}});
    let hint = hint.to_string();
    let before = system.recorded().await;
    system.cut_provider(true).await;
    let header = || sign(WEBHOOK_SECRET, hint.as_bytes(), 0);
    let answer = system.receive(header(), hint.as_bytes()).await;
    assert_eq!(answer, Err(ErrorCode::Unavailable));
    assert_eq!(system.recorded().await, before);
    system.cut_provider(false).await;
    let answer = system.receive(header(), hint.as_bytes()).await;
    assert_eq!(answer, Ok(ReceiveWebhookResponse { duplicate: false }));
    assert_eq!(system.payments(booking_id).await[0].dispute, "OPEN");
    system.stop().await;
}
