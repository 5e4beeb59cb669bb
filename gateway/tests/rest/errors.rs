//! What services answer, as clients see it.

use std::time::Duration;

use holdfast_mesh::Failure;
use holdfast_proto::{
    booking::v1 as pb,
    catalog::v1::{GetShowRequest, GetShowResponse},
};
use holdfast_types::ErrorCode;
use reqwest::Method;
use serde_json::json;
use tonic::Status;

use crate::setup::{Answer, Gateway, send, send_unchecked};

const HOLD: &str = "/api/v1/holds/h_1";

/// The answer to `GET holds/{id}` when the service refuses with `status`.
async fn refused(gateway: &Gateway, status: Status) -> Answer {
    gateway
        .backend
        .on("get_hold", move |_: pb::GetHoldRequest| {
            Err::<pb::GetHoldResponse, _>(status.clone())
        });
    send_unchecked(gateway.as_customer(Method::GET, HOLD)).await
}

#[tokio::test]
async fn every_code_of_a_service_arrives_with_its_status() {
    let gateway = Gateway::start().await;
    for code in ErrorCode::ALL {
        let answer = refused(&gateway, Failure::new(*code, "words for people").into()).await;
        let body = answer.error(code.http(), code.as_str());
        let shown = if *code == ErrorCode::InternalError {
            "something went wrong on our side"
        } else {
            "words for people"
        };
        assert_eq!(body["message"], shown);
        assert_eq!(body["details"], json!({}));
        let waits = [
            ErrorCode::Unavailable,
            ErrorCode::RateLimited,
            ErrorCode::InProgress,
        ]
        .contains(code);
        assert_eq!(
            answer.header("retry-after"),
            waits.then_some("1"),
            "{code:?}"
        );
    }
}

#[tokio::test]
async fn seats_fields_and_waits_of_a_service_arrive() {
    let gateway = Gateway::start().await;
    let seats = r#"[{"seat_id":"A-1","state":"HELD"},{"seat_id":"A-2","state":"SOLD"}]"#;
    let failure = Failure::new(ErrorCode::SeatLocked, "taken")
        .with_metadata("seats", seats)
        .with_metadata("node", "10.0.0.1");
    let answer = refused(&gateway, failure.into()).await;
    let body = answer.error(409, "SEAT_LOCKED");
    assert_eq!(
        body["details"],
        json!({"seats": [{"seat_id": "A-1", "state": "HELD"}, {"seat_id": "A-2", "state": "SOLD"}]})
    );

    let unknown = Failure::new(ErrorCode::SeatNotFound, "no such seat").with_metadata(
        "seats",
        r#"[{"seat_id":"Z-8","state":""},{"seat_id":"Z-9"}]"#,
    );
    let body = refused(&gateway, unknown.into())
        .await
        .error(404, "SEAT_NOT_FOUND");
    assert_eq!(
        body["details"],
        json!({"seats": [{"seat_id": "Z-8"}, {"seat_id": "Z-9"}]})
    );

    let failure = Failure::invalid("email", "is no address").and_field("password", "is too short");
    let body = refused(&gateway, failure.into())
        .await
        .error(400, "INVALID_REQUEST");
    assert_eq!(
        body["details"],
        json!({"fields": [
            {"field": "email", "message": "is no address"},
            {"field": "password", "message": "is too short"},
        ]})
    );

    let busy =
        Failure::new(ErrorCode::RateLimited, "busy").with_retry_after(Duration::from_millis(2500));
    let answer = refused(&gateway, busy.into()).await;
    answer.error(429, "RATE_LIMITED");
    assert_eq!(answer.header("retry-after"), Some("3"));
}

#[tokio::test]
async fn a_show_that_is_not_sold_yet_says_when_it_is() {
    let gateway = Gateway::start().await;
    let begins = "2026-03-01T09:00:00Z";
    let early = Failure::new(
        ErrorCode::ShowNotOnSale,
        "the sale of this show begins later",
    )
    .with_metadata("sale_starts_at", begins);
    let body = refused(&gateway, early.into())
        .await
        .error(409, "SHOW_NOT_ON_SALE");
    assert_eq!(body["details"], json!({"sale_starts_at": begins}));
}

#[tokio::test]
async fn nothing_internal_is_shown() {
    let gateway = Gateway::start().await;
    let secret = "relation booking.seats at 10.0.0.7 does not exist";
    let cases = [
        (Status::unknown(secret), 500, "INTERNAL_ERROR"),
        (Status::internal(secret), 500, "INTERNAL_ERROR"),
        (Status::invalid_argument(secret), 500, "INTERNAL_ERROR"),
        (Status::unauthenticated(secret), 500, "INTERNAL_ERROR"),
        (Status::unavailable(secret), 503, "UNAVAILABLE"),
        (Status::deadline_exceeded(secret), 503, "UNAVAILABLE"),
        (Status::resource_exhausted(secret), 429, "RATE_LIMITED"),
        (
            Failure::new(ErrorCode::InternalError, secret).into(),
            500,
            "INTERNAL_ERROR",
        ),
    ];
    for (status, http, code) in cases {
        let answer = refused(&gateway, status).await;
        answer.error(http, code);
        assert!(!answer.text().contains("10.0.0.7"), "{}", answer.text());
    }
    let garbled = Failure::new(ErrorCode::SeatLocked, "taken").with_metadata("seats", "not json");
    let body = refused(&gateway, garbled.into())
        .await
        .error(409, "SEAT_LOCKED");
    assert_eq!(body["details"], json!({}));
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_is_our_error() {
    let gateway = Gateway::start().await;
    gateway.backend.on("get_hold", |_: pb::GetHoldRequest| {
        Ok(pb::GetHoldResponse { hold: None })
    });
    send(gateway.as_customer(Method::GET, HOLD))
        .await
        .error(500, "INTERNAL_ERROR");
    let hold = pb::Hold {
        show_id: vec![1; 3],
        total: Some(pb::Money::default()),
        ..pb::Hold::default()
    };
    gateway
        .backend
        .on("get_hold", move |_: pb::GetHoldRequest| {
            Ok(pb::GetHoldResponse {
                hold: Some(hold.clone()),
            })
        });
    send(gateway.as_customer(Method::GET, HOLD))
        .await
        .error(500, "INTERNAL_ERROR");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable() {
    // Nobody listens on port 1.
    let nobody = "http://127.0.0.1:1".to_owned();
    let gateway = Gateway::start_with(|config| config.booking_uri = nobody).await;
    let answer = send(gateway.as_customer(Method::GET, HOLD)).await;
    answer.error(503, "UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
}

#[tokio::test]
async fn a_service_that_hangs_is_unavailable_at_the_deadline() {
    // Long enough for the service to be asked on a busy machine.
    let gateway = Gateway::start_with(|config| config.request_timeout_ms = 2_000).await;
    gateway
        .backend
        .stall::<pb::GetHoldRequest, pb::GetHoldResponse>("get_hold");
    let answer = send(gateway.as_customer(Method::GET, HOLD)).await;
    answer.error(503, "UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(gateway.backend.take_seen().len(), 1, "it was asked");
}

#[tokio::test]
async fn what_services_refuse_is_documented_where_they_refuse_it() {
    let gateway = Gateway::start().await;
    let backend = &gateway.backend;
    macro_rules! refuses {
        ($method:literal, $request:ident -> $answer:ident, $code:ident, $call:expr) => {{
            let failure = Failure::new(ErrorCode::$code, "no");
            backend.on($method, move |_: pb::$request| {
                Err::<pb::$answer, _>(failure.clone().into())
            });
            let code = ErrorCode::$code;
            send($call).await.error(code.http(), code.as_str());
        }};
    }
    let booking = "/api/v1/bookings/05050505-0505-0505-0505-050505050505";
    let get = |path: &str| gateway.as_customer(Method::GET, path);
    let post = |path: &str| {
        let request = gateway.as_customer(Method::POST, path);
        request.header("idempotency-key", "k-1")
    };
    let show = "07070707-0707-0707-0707-070707070707";
    let hold = || post("/api/v1/holds").json(&json!({"show_id": show, "seat_ids": ["A-1"]}));
    let book = || post("/api/v1/bookings").json(&json!({"hold_id": "h_1"}));
    let extend = || post("/api/v1/holds/h_1/extend");
    let cancel = || post(&format!("{booking}/cancel"));
    let give_back = || post(&format!("{booking}/return")).json(&json!({"seat_ids": ["A-1"]}));
    let release = || gateway.as_customer(Method::DELETE, HOLD);

    // An operator's token is good, and has no account.
    refuses!("create_hold", CreateHoldRequest -> CreateHoldResponse, Forbidden, hold());
    refuses!("get_hold", GetHoldRequest -> GetHoldResponse, Forbidden, get(HOLD));
    refuses!("extend_hold", ExtendHoldRequest -> ExtendHoldResponse, Forbidden, extend());
    refuses!("release_hold", ReleaseHoldRequest -> ReleaseHoldResponse, Forbidden, release());
    refuses!("create_booking", CreateBookingRequest -> CreateBookingResponse, Forbidden, book());
    refuses!("get_booking", GetBookingRequest -> GetBookingResponse, Forbidden, get(booking));
    refuses!("cancel_booking", CancelBookingRequest -> CancelBookingResponse, Forbidden, cancel());
    for path in ["/api/v1/bookings", "/api/v1/me/bookings"] {
        refuses!("list_bookings", ListBookingsRequest -> ListBookingsResponse, Forbidden, get(path));
    }
    let tickets = format!("{booking}/tickets");
    refuses!("list_tickets", ListTicketsRequest -> ListTicketsResponse, Forbidden, get(&tickets));
    let timeline = format!("{booking}/timeline");
    refuses!("get_booking_timeline", GetBookingTimelineRequest -> GetBookingTimelineResponse, Forbidden, get(&timeline));
    refuses!("get_booking_timeline", GetBookingTimelineRequest -> GetBookingTimelineResponse, BookingNotFound, get(&timeline));
    refuses!("get_booking_timeline", GetBookingTimelineRequest -> GetBookingTimelineResponse, InvalidRequest, get(&timeline));

    backend.on("get_show", |_: GetShowRequest| {
        Err::<GetShowResponse, _>(Failure::new(ErrorCode::ShowNotFound, "hidden").into())
    });
    refuses!("create_hold", CreateHoldRequest -> CreateHoldResponse, ShowNotFound, hold());
    refuses!("create_hold", CreateHoldRequest -> CreateHoldResponse, ShowNotOnSale, hold());
    refuses!("create_hold", CreateHoldRequest -> CreateHoldResponse, SeatNotFound, hold());
    refuses!("create_hold", CreateHoldRequest -> CreateHoldResponse, SeatLocked, hold());
    refuses!("create_hold", CreateHoldRequest -> CreateHoldResponse, SeatNotAvailable, hold());
    refuses!("create_hold", CreateHoldRequest -> CreateHoldResponse, SeatLimitExceeded, hold());
    refuses!("create_hold", CreateHoldRequest -> CreateHoldResponse, IdempotencyKeyReused, hold());
    refuses!("get_hold", GetHoldRequest -> GetHoldResponse, HoldExpired, get(HOLD));
    refuses!("get_hold", GetHoldRequest -> GetHoldResponse, InvalidState, get(HOLD));
    refuses!("extend_hold", ExtendHoldRequest -> ExtendHoldResponse, ShowNotOnSale, extend());
    refuses!("extend_hold", ExtendHoldRequest -> ExtendHoldResponse, HoldExpired, extend());
    refuses!("extend_hold", ExtendHoldRequest -> ExtendHoldResponse, InvalidState, extend());
    refuses!("release_hold", ReleaseHoldRequest -> ReleaseHoldResponse, InvalidState, release());
    refuses!("create_booking", CreateBookingRequest -> CreateBookingResponse, HoldNotFound, book());
    refuses!("create_booking", CreateBookingRequest -> CreateBookingResponse, HoldExpired, book());
    refuses!("create_booking", CreateBookingRequest -> CreateBookingResponse, ShowNotOnSale, book());
    refuses!("create_booking", CreateBookingRequest -> CreateBookingResponse, InvalidState, book());
    refuses!("create_booking", CreateBookingRequest -> CreateBookingResponse, IdempotencyKeyReused, book());
    refuses!("create_booking", CreateBookingRequest -> CreateBookingResponse, InProgress, book());
    refuses!("cancel_booking", CancelBookingRequest -> CancelBookingResponse, BookingNotFound, cancel());
    refuses!("cancel_booking", CancelBookingRequest -> CancelBookingResponse, IdempotencyKeyReused, cancel());
    refuses!("cancel_booking", CancelBookingRequest -> CancelBookingResponse, InvalidState, cancel());
    refuses!("cancel_booking", CancelBookingRequest -> CancelBookingResponse, InProgress, cancel());
    refuses!("return_tickets", ReturnTicketsRequest -> ReturnTicketsResponse, IdempotencyKeyReused, give_back());
    refuses!("return_tickets", ReturnTicketsRequest -> ReturnTicketsResponse, InProgress, give_back());
    refuses!("list_tickets", ListTicketsRequest -> ListTicketsResponse, InvalidState, get(&tickets));
}
