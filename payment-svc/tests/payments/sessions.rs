//! From a booking to a session to pay in.

use holdfast_proto::events::v1;
use sqlx::PgPool;
use uuid::Uuid;

use crate::system::{System, created, until};

#[sqlx::test(migrations = false)]
async fn a_booking_is_paid_on_the_hosted_page(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    let page = system
        .http
        .get(&url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("EUR 25.00"), "{page}");
    assert!(
        page.contains("2 seats: &lt;b&gt;Derby&lt;/b&gt; &amp; more"),
        "{page}"
    );
    let before = system.payments(booking_id).await;
    assert_eq!(
        (before.len(), before[0].state.as_str()),
        (1, "SESSION_CREATED")
    );
    assert_eq!(before[0].payment_url, url);

    system.press(&url, &[("action", "pay")]).await;
    let told: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(
        told.amount,
        Some(v1::Money {
            amount: 2_500,
            currency: "EUR".into()
        })
    );
    assert_eq!(told.payment_id, before[0].payment_id);
    assert_eq!(system.payments(booking_id).await[0].state, "SUCCEEDED");
    let page = system
        .http
        .get(&url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        page.contains("<h1>Paid</h1>") && !page.contains("<button"),
        "{page}"
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn the_same_event_twice_makes_one_session(pool: PgPool) {
    let system = System::start(&pool).await;
    let booking_id = Uuid::new_v4();
    let event = created(booking_id);
    system.tell(booking_id, "BookingCreated", &event).await;
    system.tell(booking_id, "BookingCreated", &event).await;
    system.caught_up().await;
    assert_eq!(
        system.count("SELECT count(*) FROM sandbox.sessions").await,
        1
    );
    assert_eq!(system.payments(booking_id).await.len(), 1);
    let _: v1::PaymentSessionCreated = system.told(booking_id, "PaymentSessionCreated").await;
    assert_eq!(system.all_told(booking_id).await.len(), 1);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_crash_between_the_provider_and_the_record_heals(pool: PgPool) {
    let mut system = System::start(&pool).await;
    system
        .execute(
            "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;
             CREATE TRIGGER fail BEFORE UPDATE ON payment.payments
             FOR EACH ROW EXECUTE FUNCTION public.fail()",
        )
        .await;
    let booking_id = system.book().await;
    until("the provider to have the session", async || {
        system.count("SELECT count(*) FROM sandbox.sessions").await == 1
    })
    .await;
    system.stop_payment().await;
    assert_eq!(
        system
            .count("SELECT count(*) FROM payment.payments WHERE state = 'CREATING_SESSION'")
            .await,
        1
    );
    system
        .execute("DROP TRIGGER fail ON payment.payments")
        .await;
    system.start_payment().await;
    let _: v1::PaymentSessionCreated = system.told(booking_id, "PaymentSessionCreated").await;
    assert_eq!(
        system.count("SELECT count(*) FROM sandbox.sessions").await,
        1
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_session_is_made_when_the_provider_comes_back(pool: PgPool) {
    let mut system = System::start(&pool).await;
    system.stop_sandbox().await;
    let booking_id = system.book().await;
    until("the failed try", async || {
        system
            .count("SELECT count(*) FROM eventlog.troubled_keys")
            .await
            == 1
    })
    .await;
    system.start_sandbox().await;
    let _: v1::PaymentSessionCreated = system.told(booking_id, "PaymentSessionCreated").await;
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_booking_that_is_already_too_late_fails_its_payment(pool: PgPool) {
    let system = System::start(&pool).await;
    let booking_id = Uuid::new_v4();
    let late = v1::BookingCreated {
        pay_until_ms: 1,
        ..created(booking_id)
    };
    system.tell(booking_id, "BookingCreated", &late).await;
    let _: v1::PaymentFailed = system.told(booking_id, "PaymentFailed").await;
    assert_eq!(system.payments(booking_id).await[0].state, "FAILED");
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_second_attempt_waits_until_the_first_is_over(pool: PgPool) {
    let system = System::start(&pool).await;
    let (booking_id, url) = system.book_to_pay().await;
    let second = v1::BookingCreated {
        attempt: 2,
        ..created(booking_id)
    };
    system.tell(booking_id, "BookingCreated", &second).await;
    until("the second attempt to be put off", async || {
        system
            .count("SELECT count(*) FROM eventlog.troubled_keys")
            .await
            == 1
    })
    .await;
    assert_eq!(system.payments(booking_id).await.len(), 1);
    system.press(&url, &[("action", "cancel")]).await;
    until("the second session", async || {
        system.tally(booking_id).await.get("PaymentSessionCreated") == Some(&2)
    })
    .await;
    let payments = system.payments(booking_id).await;
    let states: Vec<_> = payments
        .iter()
        .map(|payment| payment.state.as_str())
        .collect();
    assert_eq!(states, ["CANCELLED", "SESSION_CREATED"]);
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_free_booking_needs_no_provider(pool: PgPool) {
    let system = System::start(&pool).await;
    let booking_id = Uuid::new_v4();
    let total = Some(v1::Money {
        amount: 0,
        currency: "EUR".into(),
    });
    let free = v1::BookingCreated {
        total,
        ..created(booking_id)
    };
    system.tell(booking_id, "BookingCreated", &free).await;
    system.tell(booking_id, "BookingCreated", &free).await;
    system.caught_up().await;
    let _: v1::PaymentSucceeded = system.told(booking_id, "PaymentSucceeded").await;
    assert_eq!(system.all_told(booking_id).await.len(), 1);
    assert_eq!(
        system.count("SELECT count(*) FROM sandbox.sessions").await,
        0
    );
    system.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_unreadable_event_parks_its_key_and_no_other(pool: PgPool) {
    let system = System::start(&pool).await;
    let broken = Uuid::new_v4();
    let message = v1::BookingCreated {
        total: None,
        ..created(broken)
    };
    system.tell(broken, "BookingCreated", &message).await;
    let (booking_id, _) = system.book_to_pay().await;
    system.caught_up().await;
    let parked = holdfast_eventlog::parked(&pool).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(
        (parked[0].consumer.as_str(), &parked[0].key),
        ("payment", &broken.to_string())
    );
    assert_ne!(booking_id, broken);
    system.stop().await;
}
