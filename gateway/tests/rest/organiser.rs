//! What organisers do: bodies, ids by key, versions, files, tables; and what is wrong, by name.

use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast_mesh::Failure;
use holdfast_proto::{booking::v1 as booking, catalog::v1 as pb};
use holdfast_types::{ErrorCode, PlanId, ShowId, VenueId};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    catalogue::show,
    setup::{Gateway, send, user},
};

const SHOW: &str = "/api/v1/shows/07070707-0707-0707-0707-070707070707";
const EVENT: &str = "/api/v1/events/01010101-0101-0101-0101-010101010101";
const VENUE: &str = "/api/v1/venues/02020202-0202-0202-0202-020202020202";

impl Gateway {
    fn make(&self, path: &str, body: &Value) -> RequestBuilder {
        self.as_organiser(Method::POST, path)
            .header("idempotency-key", "k-1")
            .json(body)
    }

    fn change(&self, path: &str, body: &Value) -> RequestBuilder {
        self.as_organiser(Method::PATCH, path).json(body)
    }
}

/// What a catalogue may choose for a key.
fn id_for(key: &str) -> Vec<u8> {
    assert!(!key.is_empty());
    let mut id = key.as_bytes().to_vec();
    id.resize(16, 0);
    id
}

fn new_venue() -> Value {
    json!({
        "name": "Stadium", "city": "Berlin", "country": "DE",
        "latitude": 52.5, "longitude": 13.25, "time_zone": "Europe/Berlin",
    })
}

fn new_show() -> Value {
    json!({
        "plan_id": PlanId::from_bytes([3; 16]).to_string(),
        "starts_at": "2026-07-15T20:00:00+02:00",
        "currency": "EUR",
        "prices": [{"category": "Stalls", "amount": 5_500}],
    })
}

pub(crate) fn refusal(code: ErrorCode, fields: &[(&str, &str)]) -> tonic::Status {
    let failure = Failure::new(code, "no");
    let failure = fields.iter().fold(failure, |failure, (field, why)| {
        failure.and_field(field, *why)
    });
    failure.into()
}

#[tokio::test]
async fn a_key_makes_one_venue_and_its_mistakes_are_named_as_written() {
    let gateway = Gateway::start().await;
    let made = AtomicUsize::new(0);
    gateway
        .backend
        .on("create_venue", move |asked: pb::CreateVenueRequest| {
            let mut venue = asked.venue.unwrap();
            assert!(venue.venue_id.is_empty());
            venue.venue_id = id_for(&asked.idempotency_key);
            Ok(pb::CreateVenueResponse {
                venue: Some(venue),
                replayed: made.fetch_add(1, Ordering::Relaxed) > 0,
            })
        });
    let first = send(gateway.make("/api/v1/venues", &new_venue())).await;
    assert_eq!(first.status, 201, "{first:?}");
    let id = first.json()["venue_id"].as_str().unwrap().to_owned();
    let location = format!("/api/v1/venues/{id}");
    assert_eq!(first.header("location"), Some(location.as_str()));
    let again = send(gateway.make("/api/v1/venues", &new_venue())).await;
    assert_eq!((again.status, again.json()), (200, first.json()));
    let other = gateway
        .as_customer(Method::POST, "/api/v1/venues")
        .header("idempotency-key", "k-2")
        .json(&new_venue());
    assert_ne!(send(other).await.json()["venue_id"], id);
    let unkeyed = gateway
        .as_customer(Method::POST, "/api/v1/venues")
        .json(&new_venue());
    send(unkeyed).await.error(400, "IDEMPOTENCY_KEY_REQUIRED");
    let seen = gateway.backend.take_seen();
    let message = seen[0].message::<pb::CreateVenueRequest>();
    assert_eq!(message.venue.as_ref().unwrap().name, "Stadium");
    assert!(seen[0].header("authorization").is_some());

    gateway
        .backend
        .on("create_venue", |_: pb::CreateVenueRequest| {
            let fields = [("venue.name", "is empty"), ("venue.time_zone", "is none")];
            Err::<pb::CreateVenueResponse, _>(refusal(ErrorCode::InvalidRequest, &fields))
        });
    let refused = send(gateway.make("/api/v1/venues", &new_venue())).await;
    let body = refused.error(400, "INVALID_REQUEST");
    let named: Vec<&str> = body["details"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["field"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["name", "time_zone"]);

    gateway
        .backend
        .on("create_venue", |_: pb::CreateVenueRequest| {
            Err::<pb::CreateVenueResponse, _>(refusal(ErrorCode::AlreadyExists, &[]))
        });
    let reused = send(gateway.make("/api/v1/venues", &new_venue())).await;
    reused.error(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn bodies_of_organisers_name_what_is_wrong_before_any_service_is_asked() {
    let gateway = Gateway::start().await;
    let with = |mut body: Value, field: &str, value: Value| {
        body[field] = value;
        body
    };
    let shows = format!("{EVENT}/shows");
    for (field, value, named) in [
        ("plan_id", json!("x"), "plan_id"),
        ("starts_at", json!("tomorrow"), "starts_at"),
        ("starts_at", json!("2026-07-15T20:00:00"), "starts_at"),
        ("starts_at", json!("2500-07-15T20:00:00Z"), "starts_at"),
        (
            "prices",
            json!([{"category": "A", "amount": 1.5}]),
            "prices[0].amount",
        ),
        (
            "prices",
            json!([{"category": "A", "amount": 1e300}]),
            "prices[0].amount",
        ),
        ("rules", json!({"hold_ttl_s": 3_601}), "rules.hold_ttl_s"),
        (
            "rules",
            json!({"hold_total_s_max": 599}),
            "rules.hold_total_s_max",
        ),
        (
            "rules",
            json!({"seats_per_customer_max": 0}),
            "rules.seats_per_customer_max",
        ),
        ("sale_ends_at", json!(""), "sale_ends_at"),
        ("rules", json!({"late_money": "keep"}), "rules.late_money"),
        ("rules", json!({"no_lone_seat": 1}), "rules.no_lone_seat"),
        (
            "fees",
            json!([{"name": "A", "amount": 1, "per": "seat"}]),
            "fees[0].per",
        ),
        ("colour", json!(1), "colour"),
    ] {
        let body = with(new_show(), field, value);
        send(gateway.make(&shows, &body)).await.invalid(named);
    }
    let event = json!({"title": "Concert", "category": "music"});
    for (field, value, named) in [
        ("performer_ids", json!(["x"]), "performer_ids[0]"),
        ("title", json!(7), "title"),
        (
            "classification",
            json!({"genre": "Rock"}),
            "classification.segment",
        ),
    ] {
        let body = with(event.clone(), field, value);
        let answer = send(gateway.make("/api/v1/events", &body)).await;
        let found = answer.error(400, "INVALID_REQUEST");
        let found = found["details"]["fields"][0]["field"].as_str().unwrap();
        assert!(named.ends_with(found), "{found}, not {named}");
    }
    for body in [json!({}), json!({"title": null})] {
        let answer = send(gateway.change(EVENT, &body)).await;
        answer.error(400, "INVALID_REQUEST");
    }
    send(gateway.change(SHOW, &json!({}))).await.invalid("body");
    let tagged = gateway
        .change(EVENT, &json!({"title": "B"}))
        .header("if-match", "nonsense");
    send(tagged).await.invalid("If-Match");
    for path in ["/block", "/unblock"] {
        let path = format!("{SHOW}{path}");
        let none = gateway
            .as_customer(Method::POST, &path)
            .json(&json!({"seat_ids": []}));
        send(none).await.invalid("seat_ids");
    }
    for path in [
        "/api/v1/me/events?limit=0",
        "/api/v1/me/shows?event_id=1",
        "/api/v1/venues?page=2",
    ] {
        let answer = send(gateway.as_customer(Method::GET, path)).await;
        answer.error(400, "INVALID_REQUEST");
    }
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn a_change_names_its_fields_and_the_version_that_it_is_for() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("update_event", |asked: pb::UpdateEventRequest| {
            let event = pb::Event {
                version: "v2".to_owned(),
                ..asked.event.unwrap()
            };
            Ok(pb::UpdateEventResponse { event: Some(event) })
        });
    let body = json!({"title": "B", "classification": null, "image_url": null});
    let change = gateway.change(EVENT, &body).header("if-match", "W/\"v1\"");
    let answer = send(change).await;
    assert_eq!(
        (answer.status, answer.header("etag")),
        (200, Some("W/\"v2\""))
    );
    let seen = gateway.backend.take_seen();
    let asked = seen[0].message::<pb::UpdateEventRequest>();
    assert_eq!(asked.fields, ["title", "classification", "image_url"]);
    assert_eq!(asked.if_version, "v1");

    gateway
        .backend
        .on("update_show", |_: pb::UpdateShowRequest| {
            Err::<pb::UpdateShowResponse, _>(refusal(ErrorCode::PreconditionFailed, &[]))
        });
    let body = json!({"announced": true, "sale_starts_at": "2026-03-01T10:00:00+01:00"});
    let change = gateway.change(SHOW, &body).header("if-match", "W/\"v1\"");
    send(change).await.error(412, "PRECONDITION_FAILED");
    let seen = gateway.backend.take_seen();
    let asked = seen[0].message::<pb::UpdateShowRequest>();
    assert_eq!(asked.fields, ["sale_starts_at_ms", "announced"]);
    let show = asked.show.as_ref().unwrap();
    assert_eq!(show.sale_starts_at_ms, Some(1_772_355_600_000));
}

#[tokio::test]
async fn a_show_is_made_and_moved_and_told_with_what_its_organiser_needs() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("create_show", |_: pb::CreateShowRequest| {
            let show = pb::Show {
                state: "DRAFT".to_owned(),
                version: "s1".to_owned(),
                ..show()
            };
            Ok(pb::CreateShowResponse {
                show: Some(show),
                replayed: false,
            })
        });
    let mut body = new_show();
    body["rules"] = json!({
        "hold_ttl_s": 60, "hold_total_s_max": 120, "seats_per_customer_max": 4,
        "late_money": "refund", "no_lone_seat": true,
    });
    body["fees"] = json!([
        {"name": "Service fee", "amount": 150, "per": "ticket"},
        {"name": "Order fee", "amount": 99, "per": "booking"},
    ]);
    let made = send(gateway.make(&format!("{EVENT}/shows"), &body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.header("etag"), Some("W/\"s1\""));
    let json = made.json();
    assert_eq!(json["plan_id"], PlanId::from_bytes([3; 16]).to_string());
    assert_eq!(
        (&json["announced"], &json["state"]),
        (&json!(false), &json!("DRAFT"))
    );
    let seen = gateway.backend.take_seen();
    let asked = seen[0].message::<pb::CreateShowRequest>();
    assert_eq!(asked.starts_at_ms, 1_784_138_400_000);
    let fees = asked.fees.iter().map(|fee| (fee.amount, fee.per_ticket));
    assert_eq!(fees.collect::<Vec<_>>(), [(150, true), (99, false)]);
    let rules = asked.rules.unwrap();
    assert_eq!(
        (rules.hold_ttl_ms, rules.hold_total_ms_max),
        (60_000, 120_000)
    );
    assert_eq!(rules.late_money(), pb::LateMoney::Refund);
    assert!(rules.no_lone_seat);

    gateway
        .backend
        .on("publish_show", |_: pb::PublishShowRequest| {
            Ok(pb::PublishShowResponse { show: Some(show()) })
        });
    gateway
        .backend
        .on("change_show_state", |asked: pb::ChangeShowStateRequest| {
            let show = pb::Show {
                state: asked.state,
                ..show()
            };
            Ok(pb::ChangeShowStateResponse { show: Some(show) })
        });
    let own = |state: &'static str| {
        gateway
            .backend
            .on("get_own_show", move |_: pb::GetOwnShowRequest| {
                let show = pb::Show {
                    state: state.to_owned(),
                    ..show()
                };
                Ok(pb::GetOwnShowResponse { show: Some(show) })
            });
    };
    own("DRAFT");
    let draft = send(gateway.as_customer(Method::POST, &format!("{SHOW}/resume"))).await;
    draft.error(409, "INVALID_STATE");
    own("PAUSED");
    for (path, state) in [
        ("publish", "ON_SALE"),
        ("pause", "PAUSED"),
        ("resume", "ON_SALE"),
        ("close", "CLOSED"),
        ("cancel", "CANCELLED"),
    ] {
        let path = format!("{SHOW}/{path}");
        let moved = send(gateway.as_customer(Method::POST, &path)).await;
        assert_eq!((moved.status, &moved.json()["state"]), (200, &json!(state)));
    }
    for (code, status) in [
        (ErrorCode::Forbidden, 403),
        (ErrorCode::ShowNotFound, 404),
        (ErrorCode::InvalidState, 409),
    ] {
        gateway
            .backend
            .on("publish_show", move |_: pb::PublishShowRequest| {
                Err::<pb::PublishShowResponse, _>(refusal(code, &[]))
            });
        let path = format!("{SHOW}/publish");
        let refused = send(gateway.as_customer(Method::POST, &path)).await;
        refused.error(status, code.as_str());
    }
}

#[tokio::test]
async fn prices_of_sections_and_seats_go_through_in_a_larger_body() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("create_show", |asked: pb::CreateShowRequest| {
            let exact = asked.prices.into_iter().skip(1).take(2);
            let show = pb::Show {
                exact_prices: exact.collect(),
                ..show()
            };
            Ok(pb::CreateShowResponse {
                show: Some(show),
                replayed: false,
            })
        });
    let mut prices = vec![
        json!({"category": "Stalls", "amount": 5_500}),
        json!({"section": "GROUND-3", "amount": 7_000}),
    ];
    let seats = (0..10_000).map(|n| json!({"seat": format!("GROUND-3-A-{n}"), "amount": n}));
    prices.extend(seats);
    let mut body = new_show();
    body["prices"] = json!(prices);
    let made = send(gateway.make(&format!("{EVENT}/shows"), &body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(
        made.json()["exact_prices"],
        json!([
            {"section": "GROUND-3", "price": {"amount": 7_000, "currency": "EUR"}},
            {"seat": "GROUND-3-A-0", "price": {"amount": 0, "currency": "EUR"}},
        ])
    );
    let seen = gateway.backend.take_seen();
    let asked = seen[0].message::<pb::CreateShowRequest>();
    assert_eq!(asked.prices.len(), 10_002);
    assert_eq!(asked.prices[10_001].seat, "GROUND-3-A-9999");

    body["prices"] = json!([{"category": "x".repeat(1024 * 1024), "amount": 1}]);
    let large = send(gateway.make(&format!("{EVENT}/shows"), &body)).await;
    large.error(413, "PAYLOAD_TOO_LARGE");
    gateway
        .backend
        .on("list_own_shows", |_: pb::ListOwnShowsRequest| {
            Ok(pb::ListOwnShowsResponse {
                shows: vec![show()],
                ..pb::ListOwnShowsResponse::default()
            })
        });
    let listed = send(gateway.as_customer(Method::GET, "/api/v1/me/shows")).await;
    assert!(listed.json()["items"][0].get("exact_prices").is_none());
}

#[tokio::test]
async fn a_plans_file_goes_through_as_it_is_and_mistakes_come_back_by_their_place() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("import_plan", |asked: pb::ImportPlanRequest| {
            Ok(pb::ImportPlanResponse {
                plan_id: id_for(&asked.idempotency_key),
                seat_count: 2,
                categories: vec![pb::CategoryCount {
                    category: "Stalls".to_owned(),
                    seats: 2,
                }],
                warnings: Vec::new(),
                replayed: false,
                name: "Hall".to_owned(),
            })
        });
    let plans = format!("{VENUE}/plans");
    // Larger than other bodies may be, and none of the gateway's business.
    let file = format!("{{\"name\": {:?}}}", "x".repeat(100_000));
    let import = |query: &str, file: String| {
        gateway
            .as_organiser(Method::POST, &format!("{plans}{query}"))
            .header("idempotency-key", "k-1")
            .header("content-type", "application/json")
            .body(file)
    };
    let made = send(import("?name=Hall", file.clone())).await;
    assert_eq!(made.status, 201, "{made:?}");
    let plan_id = made.json()["plan_id"].as_str().unwrap().to_owned();
    let location = format!("/api/v1/plans/{plan_id}/file");
    assert_eq!(made.header("location"), Some(location.as_str()));
    let checked = send(import("?dry_run=true", file.clone())).await;
    assert_eq!(
        (checked.status, &checked.json()["plan_id"]),
        (200, &Value::Null)
    );
    let seen = gateway.backend.take_seen();
    let asked: Vec<&pb::ImportPlanRequest> = seen.iter().map(|seen| seen.message()).collect();
    assert_eq!(asked[0].plan_json, file.as_bytes());
    assert_eq!((asked[0].name.as_str(), asked[0].dry_run), ("Hall", false));
    assert!(asked[1].dry_run);
    assert_eq!(asked[0].venue_id, VenueId::from_bytes([2; 16]).to_bytes());

    gateway
        .backend
        .on("import_plan", |_: pb::ImportPlanRequest| {
            let fields = [
                ("/zones/0/rows/1/seats/2/uuid", "is there twice"),
                ("plan_json", "has 3 more mistakes"),
            ];
            Err::<pb::ImportPlanResponse, _>(refusal(ErrorCode::InvalidRequest, &fields))
        });
    let refused = send(import("", file)).await;
    let body = refused.error(400, "INVALID_REQUEST");
    let fields = &body["details"]["fields"];
    assert_eq!(fields[0]["field"], "/zones/0/rows/1/seats/2/uuid");
    assert_eq!(fields[1]["field"], "body");

    let huge = " ".repeat(8 * 1024 * 1024 + 1);
    send(import("", huge)).await.error(413, "PAYLOAD_TOO_LARGE");
    // Who can have no halls takes no place among those that upload.
    let customer = gateway
        .as_customer(Method::POST, &plans)
        .header("idempotency-key", "k-1")
        .header("content-type", "application/json")
        .body("{}");
    send(customer).await.error(403, "FORBIDDEN");
    let untyped = gateway
        .as_organiser(Method::POST, &plans)
        .header("idempotency-key", "k-1")
        .body("{}");
    send(untyped).await.error(415, "UNSUPPORTED_MEDIA_TYPE");
    send(import("?dry_run=yes", "{}".to_owned()))
        .await
        .invalid("dry_run");

    gateway
        .backend
        .on("export_plan", |_: pb::ExportPlanRequest| {
            Ok(pb::ExportPlanResponse {
                plan_json: b"{\"as\": \"it came\"}".to_vec(),
            })
        });
    let path = format!("/api/v1/plans/{plan_id}/file");
    let file = send(gateway.as_customer(Method::GET, &path)).await;
    assert_eq!(file.text(), "{\"as\": \"it came\"}");
    assert_eq!(file.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn sales_are_told_by_category_and_together() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("get_show_sales", |asked: pb::GetShowSalesRequest| {
            let category = |name: &str, price, sold| pb::CategorySales {
                category: name.to_owned(),
                price,
                available: 5,
                held: 1,
                sold,
                blocked: 2,
                revenue: price * i64::from(sold),
            };
            Ok(pb::GetShowSalesResponse {
                show_id: asked.show_id,
                revision: 36_028_797_018_963_968,
                state: "ON_SALE".to_owned(),
                currency: "EUR".to_owned(),
                categories: vec![category("Stalls", 5_500, 2), category("Box", 9_000, 1)],
            })
        });
    gateway
        .backend
        .on("get_takings", |_: booking::GetTakingsRequest| {
            let takings = |gross, fees, refunded| booking::Takings {
                gross,
                fees,
                refunded,
                net: gross - refunded,
            };
            Ok(booking::GetTakingsResponse {
                currency: "EUR".to_owned(),
                total: Some(takings(17_499, 999, 5_650)),
                categories: vec![booking::CategoryTakings {
                    category: "Stalls".to_owned(),
                    takings: Some(takings(17_400, 900, 5_650)),
                }],
                per_booking: Some(takings(99, 99, 0)),
            })
        });
    let sales = send(gateway.as_customer(Method::GET, &format!("{SHOW}/sales"))).await;
    assert_eq!(sales.header("cache-control"), Some("no-store"));
    let eur = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    let taken = |gross: i64, fees: i64, refunded: i64| json!({"gross": eur(gross), "fees": eur(fees), "refunded": eur(refunded), "net": eur(gross - refunded)});
    assert_eq!(
        sales.json(),
        json!({
            "show_id": ShowId::from_bytes([7; 16]).to_string(),
            "revision": "36028797018963968",
            "state": "ON_SALE",
            "total": {"available": 10, "held": 2, "sold": 3, "blocked": 4, "revenue": eur(20_000),
                      "takings": taken(17_499, 999, 5_650)},
            "categories": [
                {"category": "Stalls", "price": eur(5_500), "available": 5, "held": 1, "sold": 2, "blocked": 2, "revenue": eur(11_000),
                 "takings": taken(17_400, 900, 5_650)},
                {"category": "Box", "price": eur(9_000), "available": 5, "held": 1, "sold": 1, "blocked": 2, "revenue": eur(9_000),
                 "takings": taken(0, 0, 0)},
            ],
            "per_booking": taken(99, 99, 0),
        })
    );
    gateway
        .backend
        .on("block_seats", |asked: booking::BlockSeatsRequest| {
            Ok(booking::BlockSeatsResponse {
                revision: 9,
                changed: u32::try_from(asked.seat_ids.len()).unwrap(),
            })
        });
    let block = gateway
        .as_customer(Method::POST, &format!("{SHOW}/block"))
        .json(&json!({"seat_ids": ["A-1", "A-2"]}));
    let blocked = send(block).await;
    assert_eq!(blocked.json(), json!({"changed": 2, "revision": "9"}));
}

fn sale(number: u8, reason: &str) -> booking::Sale {
    booking::Sale {
        booking_id: vec![number; 16],
        status: "CONFIRMED".to_owned(),
        user_id: user().to_bytes().to_vec(),
        seat_ids: vec!["A-1".to_owned(), "A-2".to_owned()],
        returned_seat_ids: vec!["A-2".to_owned()],
        total: Some(booking::Money {
            amount: 11_005,
            currency: "EUR".to_owned(),
        }),
        created_at_ms: 1_768_500_000_000,
        reason: reason.to_owned(),
        fees: Some(booking::Money {
            amount: 405,
            currency: "EUR".to_owned(),
        }),
        refunded: Some(booking::Money {
            amount: 5_450,
            currency: "EUR".to_owned(),
        }),
    }
}

#[tokio::test]
async fn tables_come_page_by_page_and_a_refusal_is_no_table() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("list_sales", |asked: booking::ListSalesRequest| {
            let (sales, next) = match asked.cursor.as_str() {
                "" => (vec![sale(1, ""), sale(2, "")], "c2"),
                _ => (vec![sale(3, "=1+1")], ""),
            };
            Ok(booking::ListSalesResponse {
                sales,
                next_cursor: next.to_owned(),
            })
        });
    let path = format!("{SHOW}/sales.csv");
    let table = send(gateway.as_customer(Method::GET, &path)).await;
    let kind = "text/csv; charset=utf-8; header=present";
    assert_eq!(
        (table.status, table.header("content-type")),
        (200, Some(kind))
    );
    let name = "attachment; filename=\"sales-07070707-0707-0707-0707-070707070707.csv\"";
    assert_eq!(table.header("content-disposition"), Some(name));
    let text = table.text();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "booking_id,booked_at,status,reason,customer_id,seats,seat_ids,returned_seat_ids,total,currency,fees,refunded,net"
    );
    assert_eq!(
        lines[1],
        format!(
            "01010101-0101-0101-0101-010101010101,2026-01-15T18:00:00.000Z,CONFIRMED,,{},2,A-1 A-2,A-2,110.05,EUR,4.05,54.50,55.55",
            user()
        )
    );
    assert!(lines[3].contains(",\"'=1+1\","), "{}", lines[3]);
    assert_eq!((lines.len(), lines[4]), (5, ""));

    // What breaks off has no end of its last line.
    gateway
        .backend
        .on("list_sales", |asked: booking::ListSalesRequest| {
            if !asked.cursor.is_empty() {
                return Err(refusal(ErrorCode::Unavailable, &[]));
            }
            Ok(booking::ListSalesResponse {
                sales: vec![sale(1, "")],
                next_cursor: "c2".to_owned(),
            })
        });
    let mut broken = gateway
        .as_customer(Method::GET, &path)
        .send()
        .await
        .expect("answers");
    let mut came = Vec::new();
    while let Ok(Some(chunk)) = broken.chunk().await {
        came.extend(chunk);
    }
    let came = String::from_utf8(came).expect("text");
    assert!(came.ends_with(",55.55"), "{came}");

    gateway
        .backend
        .on("list_attendees", |_: booking::ListAttendeesRequest| {
            Err::<booking::ListAttendeesResponse, _>(refusal(ErrorCode::Forbidden, &[]))
        });
    let path = format!("{SHOW}/attendees.csv");
    let refused = send(gateway.as_customer(Method::GET, &path)).await;
    refused.error(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_plan_is_lent_by_its_path_and_taken_back() {
    let gateway = Gateway::start().await;
    gateway.backend.on("lend_plan", |_: pb::LendPlanRequest| {
        Ok(pb::LendPlanResponse {})
    });
    gateway
        .backend
        .on("take_plan_back", |_: pb::TakePlanBackRequest| {
            Ok(pb::TakePlanBackResponse {})
        });
    gateway
        .backend
        .on("list_plan_loans", |_: pb::ListPlanLoansRequest| {
            let loan = pb::PlanLoan {
                user_id: user().to_bytes().to_vec(),
                lent_at_ms: 1_768_500_000_000,
            };
            Ok(pb::ListPlanLoansResponse { loans: vec![loan] })
        });
    let loans = format!("/api/v1/plans/{}/loans", PlanId::from_bytes([3; 16]));
    let one = format!("{loans}/{}", user());
    for method in [Method::PUT, Method::DELETE] {
        let answer = send(gateway.as_customer(method, &one)).await;
        assert_eq!((answer.status, answer.bytes.len()), (204, 0));
    }
    let seen = gateway.backend.take_seen();
    let lent = seen[0].message::<pb::LendPlanRequest>();
    assert_eq!(lent.plan_id, PlanId::from_bytes([3; 16]).to_bytes());
    assert_eq!(lent.user_id, user().to_bytes());
    let listed = send(gateway.as_customer(Method::GET, &loans)).await;
    let expected =
        json!({"items": [{"user_id": user().to_string(), "lent_at": "2026-01-15T18:00:00Z"}]});
    assert_eq!(listed.json(), expected);
    let wrong = gateway.as_customer(Method::PUT, &format!("{loans}/x"));
    send(wrong).await.invalid("user_id");
}

#[tokio::test]
async fn a_scan_is_forwarded_with_its_key_and_told_what_it_found() {
    let gateway = Gateway::start().await;
    let used_at_ms = Some(1_768_500_000_000);
    let answer = move |request: booking::CheckInRequest| {
        assert_eq!(
            (request.code.as_str(), request.idempotency_key.as_str()),
            ("AQ", "scan-1")
        );
        assert_eq!(request.show_id, [7; 16]);
        Ok(booking::CheckInResponse {
            ticket_id: vec![1; 16],
            show_id: vec![7; 16],
            seat_id: "A-1".to_owned(),
            section: "A".to_owned(),
            result: "ADMITTED".to_owned(),
            used_at_ms,
        })
    };
    gateway.backend.on("check_in", answer);
    let scan = || gateway.as_customer(Method::POST, "/api/v1/checkin");
    let body = json!({"code": "AQ", "show_id": "07070707-0707-0707-0707-070707070707"});
    let keyed = scan().header("idempotency-key", "scan-1").json(&body);
    let told = send(keyed).await;
    let wanted = json!({
        "result": "ADMITTED",
        "ticket_id": "01010101-0101-0101-0101-010101010101",
        "show_id": "07070707-0707-0707-0707-070707070707",
        "seat_id": "A-1",
        "section": "A",
        "used_at": "2026-01-15T18:00:00Z",
    });
    assert_eq!(told.json(), wanted);
    let unkeyed = send(scan().json(&body)).await;
    unkeyed.error(400, "IDEMPOTENCY_KEY_REQUIRED");
    let body = json!({"code": "AQ", "show_id": "x"});
    let wrong = send(scan().header("idempotency-key", "k").json(&body)).await;
    wrong.invalid("show_id");
}

#[tokio::test]
async fn a_category_is_put_and_deleted_by_its_slug() {
    let gateway = Gateway::start().await;
    let made = AtomicUsize::new(0);
    gateway
        .backend
        .on("put_category", move |asked: pb::PutCategoryRequest| {
            let category = asked.category.unwrap();
            if category.parent == "nowhere" {
                let fields = [("category.parent", "is none")];
                return Err(refusal(ErrorCode::InvalidRequest, &fields));
            }
            Ok(pb::PutCategoryResponse {
                category: Some(category),
                made: made.fetch_add(1, Ordering::Relaxed) == 0,
            })
        });
    gateway
        .backend
        .on("delete_category", |asked: pb::DeleteCategoryRequest| {
            assert_eq!(asked.slug, "music-rock");
            Ok(pb::DeleteCategoryResponse {})
        });
    const PATH: &str = "/api/v1/categories/music-rock";
    let put = |body: Value| gateway.as_customer(Method::PUT, PATH).json(&body);
    let rock = json!({"name": "Rock", "parent": "music"});
    for status in [201, 200] {
        let answer = send(put(rock.clone())).await;
        let expected = json!({"slug": "music-rock", "name": "Rock", "parent": "music"});
        assert_eq!((answer.status, answer.json()), (status, expected));
    }
    let refused = send(put(json!({"name": "Rock", "parent": "nowhere"}))).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json()["details"]["fields"][0]["field"],
        "parent",
        "{refused:?}"
    );
    let deleted = send(gateway.as_customer(Method::DELETE, PATH)).await;
    assert_eq!(deleted.status, 204);
}

#[tokio::test]
async fn a_cancelled_show_says_where_to_refund_and_how_far_that_is() {
    let gateway = Gateway::start().await;
    gateway
        .backend
        .on("change_show_state", |asked: pb::ChangeShowStateRequest| {
            let state = asked.state;
            let show = pb::Show { state, ..show() };
            Ok(pb::ChangeShowStateResponse { show: Some(show) })
        });
    let refunds = format!("{SHOW}/refunds");
    for (state, url) in [("close", Value::Null), ("cancel", json!(refunds))] {
        let path = format!("{SHOW}/{state}");
        let answer = send(gateway.as_organiser(Method::POST, &path)).await;
        assert_eq!(answer.json()["refunds_url"], url, "{answer:?}");
    }
    gateway
        .backend
        .on("refund_show", |asked: booking::RefundShowRequest| {
            let state = if asked.dry_run {
                "NOT_ASKED"
            } else {
                "RUNNING"
            };
            Ok(booking::RefundShowResponse {
                state: state.to_owned(),
                bookings: 3,
                bookings_left: 2,
                seats_left: 5,
                amount_left: Some(booking::Money {
                    amount: 27_500,
                    currency: "EUR".to_owned(),
                }),
                refunds_under_way: 1,
            })
        });
    let expected = |state: &str| {
        json!({
            "show_id": ShowId::from_bytes([7; 16]).to_string(), "state": state, "bookings": 3,
            "bookings_left": 2, "seats_left": 5, "refunds_under_way": 1,
            "amount_left": {"amount": 27_500, "currency": "EUR"},
        })
    };
    let asked = send(gateway.as_organiser(Method::GET, &refunds)).await;
    assert_eq!((asked.status, asked.json()), (200, expected("NOT_ASKED")));
    let begun = send(gateway.as_organiser(Method::POST, &refunds)).await;
    assert_eq!((begun.status, begun.json()), (202, expected("RUNNING")));
    assert_eq!(begun.header("location"), Some(refunds.as_str()));

    gateway
        .backend
        .on("refund_show", |_: booking::RefundShowRequest| {
            Err::<booking::RefundShowResponse, _>(refusal(ErrorCode::InvalidState, &[]))
        });
    let refused = send(gateway.as_organiser(Method::POST, &refunds)).await;
    refused.error(409, "INVALID_STATE");
}
