//! How Stripe's words are read.

use super::*;

fn session(status: &str, payment_status: &str) -> wire::Session {
    wire::Session {
        id: "cs_1".to_owned(),
        url: None,
        status: Some(status.to_owned()),
        payment_status: payment_status.to_owned(),
        amount_total: Some(2_500),
        currency: Some("eur".to_owned()),
        client_reference_id: None,
        payment_intent: None,
    }
}

#[test]
fn session_is_paid_only_when_its_money_is_there() {
    let paid = Status::Paid(money(2_500, "eur").expect("money"));
    let declined = Status::Failed("the payment was declined".to_owned());
    let over = Status::Failed("the payment session ended".to_owned());
    for (stand, intent, meant) in [
        (("open", "unpaid"), None, Status::Open),
        (("complete", "paid"), None, paid.clone()),
        (("complete", "unpaid"), None, Status::Open),
        (("complete", "unpaid"), Some("processing"), Status::Open),
        (
            ("complete", "unpaid"),
            Some("requires_action"),
            Status::Open,
        ),
        (("complete", "unpaid"), Some("succeeded"), paid),
        (
            ("complete", "unpaid"),
            Some("requires_payment_method"),
            declined.clone(),
        ),
        (("complete", "unpaid"), Some("canceled"), declined),
        (("expired", "unpaid"), None, over),
    ] {
        let read = status(&session(stand.0, stand.1), intent);
        assert_eq!(read.expect("a status"), meant, "{stand:?} {intent:?}");
    }
    // What isn't known is asked again, and ends nothing.
    for stand in [
        ("archived", "unpaid"),
        ("complete", "no_payment_required"),
        ("", ""),
    ] {
        assert!(
            status(&session(stand.0, stand.1), None).is_err(),
            "{stand:?}"
        );
    }
    let mut without = session("complete", "paid");
    without.amount_total = None;
    assert!(status(&without, None).is_err());
    without.amount_total = Some(-1);
    assert!(status(&without, None).is_err());
}

#[test]
fn dispute_counts_as_open_until_it_is_said_to_be_over() {
    for (word, meant) in [
        ("needs_response", Some(Dispute::Open)),
        ("under_review", Some(Dispute::Open)),
        ("warning_needs_response", None),
        ("warning_under_review", None),
        ("a_word_to_come", Some(Dispute::Open)),
        ("warning_closed", Some(Dispute::Won)),
        ("won", Some(Dispute::Won)),
        ("prevented", Some(Dispute::Lost)),
        ("lost", Some(Dispute::Lost)),
    ] {
        assert_eq!(dispute(word), meant, "{word}");
    }
}

#[test]
fn refund_has_gone_only_when_stripe_says_so() {
    let read = |status: Option<&str>| {
        let sent = wire::Refund {
            id: "re_1".to_owned(),
            status: status.map(str::to_owned),
            failure_reason: None,
            metadata: None,
        };
        refund(sent).outcome
    };
    assert_eq!(read(Some("succeeded")), Outcome::Gone);
    for word in [
        None,
        Some("pending"),
        Some("requires_action"),
        Some("a_word_to_come"),
    ] {
        assert_eq!(read(word), Outcome::Pending, "{word:?}");
    }
    for word in ["failed", "canceled"] {
        assert!(matches!(read(Some(word)), Outcome::Failed(why) if why.contains(word)));
    }
}

#[test]
fn ids_go_into_paths_and_nothing_else_does() {
    assert!(id("cs_test_a1B2").is_ok());
    for wrong in ["", "../v1/refunds", "cs_1?x", "cs 1", "cs_1%2f", "é"] {
        assert!(matches!(id(wrong), Err(Error::NoSession(_))), "{wrong}");
    }
}

#[test]
fn lost_disputes_take_what_they_say_and_all_where_they_say_nothing() {
    let lost = |status: &str, amount, currency: &str| wire::Dispute {
        status: status.to_owned(),
        amount,
        currency: Some(currency.to_owned()),
        charge: Ref::Id("ch_1".to_owned()),
        payment_intent: None,
    };
    let paid = Status::Paid(money(2_500, "eur").expect("money"));
    let part = [
        lost("lost", Some(700), "eur"),
        lost("won", Some(900), "eur"),
        lost("prevented", Some(100), "eur"),
    ];
    assert_eq!(taken_back(&part, &paid), Some(800));
    assert_eq!(taken_back(&[lost("lost", Some(700), "usd")], &paid), None);
    assert_eq!(taken_back(&[lost("lost", None, "eur")], &paid), None);
}

#[tokio::test]
async fn sessions_of_the_other_mode_are_not_asked_about() {
    for (key, others) in [("sk_live_x", "cs_test_a"), ("rk_test_x", "cs_live_a")] {
        let stripe = Stripe::new(&Config {
            stripe_url: "http://127.0.0.1:9".to_owned(),
            stripe_secret_key: key.into(),
            ..Config::default()
        });
        let asked = stripe.session(others).await;
        assert!(matches!(asked, Err(Error::Elsewhere(_))), "{asked:?}");
        let ended = stripe.cancel_session(others).await;
        assert!(matches!(ended, Err(Error::Elsewhere(_))), "{ended:?}");
    }
}

#[test]
fn sessions_of_other_products_are_nothing_whatever_they_look_like() {
    let read = |reference: Value| {
        let event = serde_json::json!({
            "id": "evt_1", "type": "checkout.session.completed", "livemode": false,
            "data": {"object": {"id": "cs_1", "status": "complete", "client_reference_id": reference,
                                "payment_status": "no_payment_required"}},
        });
        read_event(serde_json::from_value(event).expect("an event"))
    };
    for reference in [Value::Null, "order 7".into()] {
        let about = read(reference).map(|webhook| webhook.about);
        assert_eq!(about, Ok(About::Nothing));
    }
    assert_eq!(
        read(Uuid::nil().to_string().into()),
        Err(WebhookError::Body)
    );
}
