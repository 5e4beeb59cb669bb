//! Availability, holds, bookings, tickets, webhooks: what goes to the services and what comes back.

use holdfast_mesh::Failure;
use holdfast_proto::{
    booking::v1 as pb,
    catalog::v1::{GetShowRequest, GetShowResponse},
    payment::v1 as payment,
};
use holdfast_types::{BookingId, ErrorCode, ShowId, TicketId};
use reqwest::Method;
use serde_json::{Value, json};

use crate::setup::{Gateway, cursor, send};

/// 2026-07-15T18:00:00Z.
const AT_MS: i64 = 1_784_138_400_000;

fn show() -> ShowId {
    ShowId::from_bytes([7; 16])
}

fn booking_id() -> BookingId {
    BookingId::from_bytes([5; 16])
}

fn hold() -> pb::Hold {
    pb::Hold {
        hold_id: "h_1".to_owned(),
        show_id: show().to_bytes().to_vec(),
        seat_ids: vec!["A-1".to_owned(), "A-2".to_owned()],
        total: Some(pb::Money {
            amount: 11_000,
            currency: "EUR".to_owned(),
        }),
        expires_at_ms: AT_MS,
        expires_in_s: 600,
        revision: (1 << 63) - 1,
        seats_total: Some(pb::Money {
            amount: 10_000,
            currency: "EUR".to_owned(),
        }),
        fees: vec![pb::ChargedFee {
            name: "Service fee".to_owned(),
            amount: 1_000,
        }],
    }
}

fn hold_json() -> Value {
    json!({
        "hold_id": "h_1",
        "show_id": show().to_string(),
        "seat_ids": ["A-1", "A-2"],
        "total": {"amount": 11_000, "currency": "EUR"},
        "seats_total": {"amount": 10_000, "currency": "EUR"},
        "fees": [{"name": "Service fee", "amount": 1_000, "currency": "EUR"}],
        "expires_at": "2026-07-15T18:00:00Z",
        "expires_in_s": 600,
        "revision": "9223372036854775807",
    })
}

fn pending() -> pb::Booking {
    pb::Booking {
        booking_id: booking_id().to_bytes().to_vec(),
        status: "PENDING_PAYMENT".to_owned(),
        show_id: show().to_bytes().to_vec(),
        seat_ids: vec!["A-1".to_owned()],
        total: Some(pb::Money {
            amount: 5_500,
            currency: "EUR".to_owned(),
        }),
        created_at_ms: AT_MS,
        expires_at_ms: AT_MS + 600_000,
        refund_status: "NONE".to_owned(),
        returned_seat_ids: Vec::new(),
        ..pb::Booking::default()
    }
}

fn pending_json() -> Value {
    json!({
        "booking_id": booking_id().to_string(),
        "status": "PENDING_PAYMENT",
        "show_id": show().to_string(),
        "seat_ids": ["A-1"],
        "total": {"amount": 5_500, "currency": "EUR"},
        "seats_total": {"amount": 5_500, "currency": "EUR"},
        "fees": [],
        "created_at": "2026-07-15T18:00:00Z",
        "expires_at": "2026-07-15T18:10:00Z",
        "refund_status": "NONE",
    })
}

#[tokio::test]
async fn a_hold_is_201_and_its_replay_200_with_the_same_body() {
    let gateway = Gateway::start().await;
    let body = json!({"show_id": show().to_string(), "seat_ids": ["A-1", "A-2"]});
    for (replayed, status) in [(false, 201), (true, 200)] {
        gateway
            .backend
            .on("create_hold", move |_: pb::CreateHoldRequest| {
                Ok(pb::CreateHoldResponse {
                    hold: Some(hold()),
                    replayed,
                })
            });
        let answer = send(gateway.post_hold().json(&body)).await;
        assert_eq!((answer.status, answer.json()), (status, hold_json()));
        assert_eq!(
            answer.header("location"),
            (!replayed).then_some("/api/v1/holds/h_1")
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let seen = gateway.backend.take_seen();
    let request = seen[0].message::<pb::CreateHoldRequest>();
    assert_eq!(request.show_id, show().to_bytes());
    assert_eq!(request.seat_ids, ["A-1", "A-2"]);
    assert_eq!(request.idempotency_key, "k-1");
}

#[tokio::test]
async fn the_best_available_are_asked_for_as_the_customer_put_it() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("create_hold", |_: pb::CreateHoldRequest| {
            Ok(pb::CreateHoldResponse {
                hold: Some(hold()),
                replayed: false,
            })
        });
    let bodies = [
        json!({"count": 4}),
        json!({"count": 2, "sections": ["A"], "max_price": 5_000, "adjacent": false, "accessible": true}),
    ];
    for best in bodies {
        let body = json!({"show_id": show().to_string(), "best_available": best});
        assert_eq!(send(gateway.post_hold().json(&body)).await.status, 201);
    }
    let seen = gateway.backend.take_seen();
    let asked = [0, 1].map(|n: usize| {
        let request = seen[n].message::<pb::CreateHoldRequest>();
        assert!(request.seat_ids.is_empty());
        request.best_available.clone().expect("it is passed on")
    });
    let [together, cheap] = &asked;
    assert_eq!((together.count, together.adjacent), (4, true));
    assert!(!together.accessible && cheap.accessible);
    assert_eq!(together.max_price, None);
    assert_eq!((cheap.count, cheap.adjacent), (2, false));
    assert_eq!((cheap.sections.len(), cheap.max_price), (1, Some(5_000)));

    let body = json!({"show_id": show().to_string(), "area": {"name": "FLOOR", "count": 3}});
    assert_eq!(send(gateway.post_hold().json(&body)).await.status, 201);
    let seen = gateway.backend.take_seen();
    let area = seen[0].message::<pb::CreateHoldRequest>().area.clone();
    let expected = pb::AreaPlaces {
        name: "FLOOR".to_owned(),
        count: 3,
    };
    assert_eq!(area, Some(expected));
}

#[tokio::test]
async fn a_hold_is_read_lengthened_and_given_back() {
    let gateway = Gateway::start().await;
    gateway.backend.on("get_hold", |_: pb::GetHoldRequest| {
        Ok(pb::GetHoldResponse { hold: Some(hold()) })
    });
    gateway
        .backend
        .on("extend_hold", |_: pb::ExtendHoldRequest| {
            Ok(pb::ExtendHoldResponse { hold: Some(hold()) })
        });
    gateway
        .backend
        .on("release_hold", |_: pb::ReleaseHoldRequest| {
            Ok(pb::ReleaseHoldResponse {})
        });

    let answer = send(gateway.as_customer(Method::GET, "/api/v1/holds/h_1")).await;
    assert_eq!((answer.status, answer.json()), (200, hold_json()));
    let answer = send(gateway.as_customer(Method::POST, "/api/v1/holds/h_1/extend")).await;
    assert_eq!((answer.status, answer.json()), (200, hold_json()));
    let answer = send(gateway.as_customer(Method::DELETE, "/api/v1/holds/h_1")).await;
    assert_eq!((answer.status, answer.bytes.len()), (204, 0));

    let seen = gateway.backend.take_seen();
    assert_eq!(seen[1].message::<pb::ExtendHoldRequest>().hold_id, "h_1");
    assert_eq!(seen[2].message::<pb::ReleaseHoldRequest>().hold_id, "h_1");
}

#[tokio::test]
async fn a_booking_is_201_and_its_replay_200_with_the_same_body() {
    let gateway = Gateway::start().await;
    for (replayed, status) in [(false, 201), (true, 200)] {
        gateway
            .backend
            .on("create_booking", move |_: pb::CreateBookingRequest| {
                Ok(pb::CreateBookingResponse {
                    booking: Some(pending()),
                    replayed,
                })
            });
        let request = gateway
            .as_customer(Method::POST, "/api/v1/bookings")
            .header("idempotency-key", "k-2");
        let answer = send(request.json(&json!({"hold_id": "h_1"}))).await;
        assert_eq!((answer.status, answer.json()), (status, pending_json()));
    }
    let seen = gateway.backend.take_seen();
    let request = seen[0].message::<pb::CreateBookingRequest>();
    assert_eq!(
        (request.hold_id.as_str(), request.idempotency_key.as_str()),
        ("h_1", "k-2")
    );
}

#[tokio::test]
async fn a_booking_tells_where_to_pay_and_why_it_ended() {
    let gateway = Gateway::start().await;
    let path = format!("/api/v1/bookings/{}", booking_id());
    let url = "http://127.0.0.1:8081/pay/1";
    gateway
        .backend
        .on("get_booking", move |_: pb::GetBookingRequest| {
            Ok(pb::GetBookingResponse {
                booking: Some(pb::Booking {
                    payment_url: url.to_owned(),
                    ..pending()
                }),
            })
        });
    let answer = send(gateway.as_customer(Method::GET, &path)).await;
    let mut expected = pending_json();
    expected["payment_url"] = json!(url);
    assert_eq!((answer.status, answer.json()), (200, expected));

    gateway
        .backend
        .on("cancel_booking", |_: pb::CancelBookingRequest| {
            let booking = pb::Booking {
                status: "CANCELLED".to_owned(),
                reason: "BY_CUSTOMER".to_owned(),
                refund_status: "PENDING".to_owned(),
                expires_at_ms: 0,
                ..pending()
            };
            Ok(pb::CancelBookingResponse {
                booking: Some(booking),
            })
        });
    let answer = send(gateway.as_customer(Method::POST, &format!("{path}/cancel"))).await;
    let body = answer.json();
    assert_eq!(
        (&body["status"], &body["reason"], &body["refund_status"]),
        (
            &json!("CANCELLED"),
            &json!("BY_CUSTOMER"),
            &json!("PENDING")
        )
    );
    assert!(body.get("expires_at").is_none(), "{body}");
    let seen = gateway.backend.take_seen();
    assert_eq!(
        seen[1].message::<pb::CancelBookingRequest>().booking_id,
        booking_id().to_bytes()
    );
}

#[tokio::test]
async fn a_change_of_a_booking_is_waited_for_by_who_has_its_tag() {
    let gateway = Gateway::start().await;
    let path = format!("/api/v1/bookings/{}", booking_id());
    gateway
        .backend
        .on("get_booking", |_: pb::GetBookingRequest| {
            Ok(pb::GetBookingResponse {
                booking: Some(pb::Booking {
                    version: "v2".to_owned(),
                    ..pending()
                }),
            })
        });
    let ask = |tag: Option<&'static str>, prefer: &'static str| {
        let request = gateway.as_customer(Method::GET, &path);
        let request = request.header("prefer", prefer);
        match tag {
            Some(tag) => request.header("if-none-match", tag),
            None => request,
        }
    };
    let unseen = send(ask(None, "wait=8")).await;
    assert_eq!((unseen.status, unseen.json()), (200, pending_json()));
    let tag = unseen.header("etag").expect("a tag").to_owned();
    assert_eq!(tag, "W/\"v2\"");
    let other = send(ask(Some("\"v1\""), "wait=60")).await;
    assert_eq!((other.status, other.json()), (200, pending_json()));
    let same = send(ask(Some("W/\"v2\""), "wait=3")).await;
    assert_eq!((same.status, same.text().as_str()), (304, ""));
    assert_eq!(same.header("etag"), Some(tag.as_str()));
    // This backend doesn't wait: to come again at once would be of no use.
    assert_eq!(same.header("retry-after"), Some("1"));
    let unwaited = send(ask(Some("W/\"v2\""), "respond-async")).await;
    assert_eq!(
        (unwaited.status, unwaited.header("retry-after")),
        (304, None)
    );

    let asked: Vec<_> = gateway.backend.take_seen();
    let asked: Vec<_> = asked
        .iter()
        .map(|seen| seen.message::<pb::GetBookingRequest>())
        .map(|request| (request.seen.clone(), request.wait_ms))
        .collect();
    let expected = [("", 0), ("v1", 8_000), ("v2", 3_000), ("v2", 0)];
    assert_eq!(asked, expected.map(|(seen, ms)| (seen.to_owned(), ms)));

    // Of the release before, which has no versions.
    gateway
        .backend
        .on("get_booking", |_: pb::GetBookingRequest| {
            let booking = Some(pending());
            Ok(pb::GetBookingResponse { booking })
        });
    let versionless = send(ask(Some("W/\"\""), "wait=3")).await;
    assert_eq!(
        (versionless.status, versionless.header("etag")),
        (200, None)
    );
}

#[tokio::test]
async fn tickets_that_are_given_back_are_named() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("return_tickets", |request: pb::ReturnTicketsRequest| {
            let booking = pb::Booking {
                status: "CONFIRMED".to_owned(),
                refund_status: "PENDING".to_owned(),
                returned_seat_ids: request.seat_ids,
                ..pending()
            };
            Ok(pb::ReturnTicketsResponse {
                booking: Some(booking),
            })
        });
    let path = format!("/api/v1/bookings/{}/return", booking_id());
    let request = gateway.as_customer(Method::POST, &path);
    let answer = send(request.json(&json!({"seat_ids": ["A-1"]}))).await;
    let body = answer.json();
    assert_eq!((answer.status, &body["status"]), (200, &json!("CONFIRMED")));
    assert_eq!(body["returned_seat_ids"], json!(["A-1"]));
    let seen = gateway.backend.take_seen();
    let request = seen[0].message::<pb::ReturnTicketsRequest>();
    assert_eq!(request.booking_id, booking_id().to_bytes());

    let request = gateway.as_customer(Method::POST, &path);
    let answer = send(request.json(&json!({"seats": ["A-1"]}))).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn cancelling_and_giving_back_take_a_key_and_do_without() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("cancel_booking", |_: pb::CancelBookingRequest| {
            Ok(pb::CancelBookingResponse {
                booking: Some(pending()),
            })
        });
    gateway
        .backend
        .on("return_tickets", |_: pb::ReturnTicketsRequest| {
            Ok(pb::ReturnTicketsResponse {
                booking: Some(pending()),
            })
        });
    let cancel = || {
        let path = format!("/api/v1/bookings/{}/cancel", booking_id());
        gateway.as_customer(Method::POST, &path)
    };
    let give_back = || {
        let path = format!("/api/v1/bookings/{}/return", booking_id());
        let request = gateway.as_customer(Method::POST, &path);
        request.json(&json!({"seat_ids": ["A-1"]}))
    };
    for request in [cancel(), give_back()] {
        let keyed = request.try_clone().expect("has a body in memory");
        assert_eq!(send(request).await.status, 200);
        let keyed = send(keyed.header("idempotency-key", "k-3")).await;
        assert_eq!((keyed.status, keyed.json()), (200, pending_json()));
    }
    let seen = gateway.backend.take_seen();
    let cancelled = |n: usize| {
        &seen[n]
            .message::<pb::CancelBookingRequest>()
            .idempotency_key
    };
    let returned = |n: usize| {
        &seen[n]
            .message::<pb::ReturnTicketsRequest>()
            .idempotency_key
    };
    assert_eq!([cancelled(0), cancelled(1)], ["", "k-3"]);
    assert_eq!([returned(2), returned(3)], ["", "k-3"]);

    let long = "k".repeat(256);
    for key in ["", "two words", &long] {
        for request in [cancel(), give_back()] {
            let answer = send(request.header("idempotency-key", key)).await;
            assert_eq!(answer.status, 400, "{key}");
            let field = &answer.json()["details"]["fields"][0]["field"];
            assert_eq!(field, "Idempotency-Key");
        }
    }
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn a_copy_of_a_booking_under_way_says_when_to_come_again() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("create_booking", |_: pb::CreateBookingRequest| {
            let failure = Failure::new(ErrorCode::InProgress, "is being worked on")
                .with_retry_after(std::time::Duration::from_secs(3));
            Err::<pb::CreateBookingResponse, _>(failure.into())
        });
    let request = gateway
        .as_customer(Method::POST, "/api/v1/bookings")
        .header("idempotency-key", "k-2");
    let answer = send(request.json(&json!({"hold_id": "h_1"}))).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (409, Some("3"))
    );
    assert_eq!(answer.json()["error_code"], "IN_PROGRESS");
    // It is an answer: the gateway doesn't ask again by itself.
    assert_eq!(gateway.backend.take_seen().len(), 1);
}

#[tokio::test]
async fn a_timeline_comes_in_pages_with_what_each_entry_is_about() {
    let gateway = Gateway::start().await;
    gateway.backend.on(
        "get_booking_timeline",
        |_: pb::GetBookingTimelineRequest| {
            let sold = pb::TimelineEntry {
                position: 5,
                at_ms: AT_MS,
                happened: "COMMITTED".to_owned(),
                revision: (1 << 63) - 1,
                fence: (1 << 55) + 1,
                ..pb::TimelineEntry::default()
            };
            let back = pb::TimelineEntry {
                position: 6,
                at_ms: AT_MS,
                happened: "REFUND_REQUESTED".to_owned(),
                reason: "SEATS_GIVEN_BACK".to_owned(),
                fence: (1 << 55) + 1,
                payment_id: vec![1; 16],
                refund_id: vec![2; 16],
                amount: Some(pb::Money {
                    amount: 5_500,
                    currency: "EUR".to_owned(),
                }),
                seat_ids: vec!["A-1".to_owned()],
                ..pb::TimelineEntry::default()
            };
            Ok(pb::GetBookingTimelineResponse {
                entries: vec![sold, back],
                next_cursor: "6".to_owned(),
            })
        },
    );
    let route = "/api/v1/bookings/{booking_id}/timeline";
    let at = |at| cursor(route, at);
    let path = format!(
        "/api/v1/bookings/{}/timeline?limit=2&cursor={}",
        booking_id(),
        at("4")
    );
    let answer = send(gateway.as_customer(Method::GET, &path)).await;
    let expected = json!({
        "items": [
            {
                "position": 5,
                "at": "2026-07-15T18:00:00Z",
                "happened": "COMMITTED",
                "revision": "9223372036854775807",
                "fence": "36028797018963969",
            },
            {
                "position": 6,
                "at": "2026-07-15T18:00:00Z",
                "happened": "REFUND_REQUESTED",
                "reason": "SEATS_GIVEN_BACK",
                "fence": "36028797018963969",
                "payment_id": "01010101-0101-0101-0101-010101010101",
                "refund_id": "02020202-0202-0202-0202-020202020202",
                "amount": {"amount": 5_500, "currency": "EUR"},
                "seat_ids": ["A-1"],
            },
        ],
        "next_cursor": at("6"),
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    let seen = gateway.backend.take_seen();
    let request = seen[0].message::<pb::GetBookingTimelineRequest>();
    assert_eq!((request.limit, request.cursor.as_str()), (2, "4"));
    assert_eq!(request.booking_id, booking_id().to_bytes());
    let path = path.replace("cursor=", "page=");
    let answer = send(gateway.as_customer(Method::GET, &path)).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn own_bookings_come_in_pages_under_both_names() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("list_bookings", |request: pb::ListBookingsRequest| {
            let lost = pb::UnreadableBooking {
                booking_id: booking_id().to_bytes().to_vec(),
                show_id: show().to_bytes().to_vec(),
            };
            Ok(match request.cursor.as_str() {
                "" => pb::ListBookingsResponse {
                    bookings: vec![pending()],
                    unreadable: vec![],
                    next_cursor: "c2".to_owned(),
                },
                _ => pb::ListBookingsResponse {
                    bookings: vec![],
                    unreadable: vec![lost],
                    next_cursor: String::new(),
                },
            })
        });
    let lost = json!({"booking_id": booking_id().to_string(), "show_id": show().to_string()});
    for path in ["/api/v1/bookings", "/api/v1/me/bookings"] {
        let answer = send(gateway.as_customer(Method::GET, &format!("{path}?limit=1"))).await;
        assert_eq!(
            answer.json(),
            json!({"items": [pending_json()], "next_cursor": cursor(path, "c2")})
        );
        let next = format!("{path}?cursor={}", cursor(path, "c2"));
        let answer = send(gateway.as_customer(Method::GET, &next)).await;
        assert_eq!(
            answer.json(),
            json!({"items": [], "unreadable": [lost], "next_cursor": null})
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let seen = gateway.backend.take_seen();
        assert_eq!(seen[0].message::<pb::ListBookingsRequest>().limit, 1);
        let second = seen[1].message::<pb::ListBookingsRequest>();
        assert_eq!((second.limit, second.cursor.as_str()), (0, "c2"));
    }
}

#[tokio::test]
async fn tickets_carry_what_the_qr_code_says() {
    let gateway = Gateway::start().await;
    let ticket_id = TicketId::from_bytes([3; 16]);
    gateway
        .backend
        .on("list_tickets", move |_: pb::ListTicketsRequest| {
            let ticket = pb::Ticket {
                ticket_id: ticket_id.to_bytes().to_vec(),
                show_id: show().to_bytes().to_vec(),
                seat_id: "A-1".to_owned(),
                state: "VALID".to_owned(),
                qr_payload: "HF1:signed".to_owned(),
            };
            Ok(pb::ListTicketsResponse {
                tickets: vec![ticket],
            })
        });
    let path = format!("/api/v1/bookings/{}/tickets", booking_id());
    let answer = send(gateway.as_customer(Method::GET, &path)).await;
    let ticket = json!({
        "ticket_id": ticket_id.to_string(),
        "show_id": show().to_string(),
        "seat_id": "A-1",
        "state": "VALID",
        "qr_payload": "HF1:signed",
    });
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"items": [ticket]}))
    );
}

#[tokio::test]
async fn availability_is_public_never_cached_and_has_its_revision_as_text() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("get_availability", |request: pb::GetAvailabilityRequest| {
            let seat = pb::SeatAvailability {
                seat_id: "A-1".to_owned(),
                state: "HELD".to_owned(),
            };
            Ok(pb::GetAvailabilityResponse {
                show_id: request.show_id,
                revision: (1 << 63) - 1,
                show_state: "ON_SALE".to_owned(),
                seats: vec![seat],
            })
        });
    let answer = send(gateway.get(&format!(
        "/api/v1/shows/{}/availability?section=GROUND%203",
        show()
    )))
    .await;
    assert_eq!(
        answer.json(),
        json!({
            "show_id": show().to_string(),
            "revision": "9223372036854775807",
            "show_state": "ON_SALE",
            "seats": [{"seat_id": "A-1", "state": "HELD"}],
        })
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("etag"), None);
    let seen = gateway.backend.take_seen();
    assert_eq!(
        seen[0].message::<pb::GetAvailabilityRequest>().section,
        "GROUND 3"
    );
}

#[tokio::test]
async fn a_webhook_goes_on_in_the_same_bytes() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("receive_webhook", |_: payment::ReceiveWebhookRequest| {
            Ok(payment::ReceiveWebhookResponse { duplicate: false })
        });
    let bytes = b"{ \"a\" : 1 }\r\n\xff\x00".to_vec();
    let request = gateway
        .post("/api/v1/payments/webhooks/sandbox")
        .header("x-sandbox-signature", "t=1,v1=ab");
    let answer = send(
        request
            .header("content-type", "application/json")
            .body(bytes.clone()),
    )
    .await;
    assert_eq!((answer.status, answer.bytes.len()), (204, 0));
    let answer = send(gateway.post("/api/v1/payments/webhooks/sandbox").body("x")).await;
    assert_eq!(answer.status, 204);
    let stripe = gateway
        .post("/api/v1/payments/webhooks/stripe")
        .header("Stripe-Signature", "t=2,v1=cd");
    assert_eq!(send(stripe.body("y")).await.status, 204);

    let seen = gateway.backend.take_seen();
    let stripe = seen[2].message::<payment::ReceiveWebhookRequest>();
    assert_eq!(
        (stripe.provider.as_str(), stripe.signature.as_str()),
        ("stripe", "t=2,v1=cd")
    );
    let request = seen[0].message::<payment::ReceiveWebhookRequest>();
    assert_eq!(
        (request.provider.as_str(), request.signature.as_str()),
        ("sandbox", "t=1,v1=ab")
    );
    assert_eq!(request.body, bytes);
    assert_eq!(
        seen[1]
            .message::<payment::ReceiveWebhookRequest>()
            .signature,
        ""
    );
}

#[tokio::test]
async fn a_show_that_is_only_announced_is_not_on_sale() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("create_hold", |_: pb::CreateHoldRequest| {
            Err::<pb::CreateHoldResponse, _>(
                Failure::new(ErrorCode::ShowNotFound, "no such show").into(),
            )
        });
    gateway.backend.on("get_show", |_: GetShowRequest| {
        Ok(GetShowResponse::default())
    });
    let hold = gateway
        .as_customer(Method::POST, "/api/v1/holds")
        .header("idempotency-key", "k-1")
        .json(&json!({"show_id": show().to_string(), "seat_ids": ["A-1"]}));
    send(hold).await.error(409, "SHOW_NOT_ON_SALE");
    let seen = gateway.backend.take_seen();
    assert_eq!(
        seen[1].message::<GetShowRequest>().show_id,
        show().to_bytes()
    );
}
