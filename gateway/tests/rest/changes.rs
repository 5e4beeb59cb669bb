//! Venues and performers change by `PATCH`: for the version that was read, in the words of the body.

use holdfast_proto::catalog::v1 as pb;
use holdfast_types::{ErrorCode, PerformerId, VenueId};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    catalogue::show,
    organiser::refusal,
    setup::{Gateway, send, send_unchecked},
};

const VENUE: &str = "/api/v1/venues/02020202-0202-0202-0202-020202020202";
const EVENT: &str = "/api/v1/events/01010101-0101-0101-0101-010101010101";
const SHOW: &str = "/api/v1/shows/07070707-0707-0707-0707-070707070707";
const PLAN: &str = "/api/v1/plans/03030303-0303-0303-0303-030303030303";
const PERFORMER: &str = "/api/v1/performers/04040404-0404-0404-0404-040404040404";

fn change(gateway: &Gateway, path: &str, body: &Value) -> RequestBuilder {
    let request = gateway.as_organiser(Method::PATCH, path);
    request.header("if-match", "W/\"v-1\"").json(body)
}

#[tokio::test]
async fn a_venue_changes_by_the_fields_of_the_body_for_the_tag_that_was_read() {
    let gateway = Gateway::start().await;
    let venue = || show().venue.unwrap();
    gateway
        .backend
        .on("get_venue", move |asked: pb::GetVenueRequest| {
            assert_eq!(asked.venue_id, VenueId::from_bytes([2; 16]).to_bytes());
            Ok(pb::GetVenueResponse {
                venue: Some(venue()),
            })
        });
    gateway
        .backend
        .on("update_venue", move |asked: pb::UpdateVenueRequest| {
            let venue = pb::Venue {
                name: asked.venue.unwrap().name,
                version: "v-2".to_owned(),
                ..venue()
            };
            Ok(pb::UpdateVenueResponse { venue: Some(venue) })
        });
    let read = send(gateway.as_organiser(Method::GET, VENUE)).await;
    assert_eq!((read.status, read.header("etag")), (200, Some("W/\"v-1\"")));
    assert!(read.json().get("version").is_none());
    let body = json!({
        "name": "Arena", "address": "", "city": "Potsdam", "postal_code": null, "region": "BB",
        "country": "DE", "latitude": 52.4, "longitude": 13, "time_zone": "Europe/Berlin",
    });
    let changed = send(change(&gateway, VENUE, &body)).await;
    assert_eq!(
        (changed.status, changed.header("etag")),
        (200, Some("W/\"v-2\""))
    );
    assert_eq!(changed.json()["name"], "Arena");
    let seen = gateway.backend.take_seen();
    let asked = seen[1].message::<pb::UpdateVenueRequest>();
    let expected = pb::Venue {
        venue_id: [2; 16].to_vec(),
        name: "Arena".to_owned(),
        city: "Potsdam".to_owned(),
        region: "BB".to_owned(),
        country: "DE".to_owned(),
        latitude: 52.4,
        longitude: 13.0,
        time_zone: "Europe/Berlin".to_owned(),
        ..pb::Venue::default()
    };
    assert_eq!(asked.venue.as_ref(), Some(&expected));
    assert_eq!((asked.fields.len(), asked.if_version.as_str()), (9, "v-1"));

    // Without a tag it is made to whatever there is, of what is named alone.
    let door = gateway
        .as_organiser(Method::PATCH, VENUE)
        .json(&json!({"address": "Gate 7"}));
    assert_eq!(send(door).await.status, 200);
    let seen = gateway.backend.take_seen();
    let asked = seen[0].message::<pb::UpdateVenueRequest>();
    assert_eq!(
        (&asked.fields[..], asked.if_version.as_str()),
        (&["address".to_owned()][..], "")
    );
}

#[tokio::test]
async fn a_performer_is_read_and_changed_for_the_tag_that_was_read() {
    let gateway = Gateway::start().await;
    let performer = |name: &str, version: &str| pb::Performer {
        performer_id: PerformerId::from_bytes([4; 16]).to_bytes().to_vec(),
        name: name.to_owned(),
        version: version.to_owned(),
    };
    gateway
        .backend
        .on("get_performer", move |asked: pb::GetPerformerRequest| {
            assert_eq!(asked.performer_id, [4; 16]);
            Ok(pb::GetPerformerResponse {
                performer: Some(performer("The Band", "v-1")),
            })
        });
    gateway.backend.on(
        "update_performer",
        move |asked: pb::UpdatePerformerRequest| {
            assert_eq!(asked.fields, ["name"]);
            assert_eq!(asked.if_version, "v-1");
            let asked = asked.performer.unwrap();
            assert_eq!(asked.performer_id, [4; 16]);
            Ok(pb::UpdatePerformerResponse {
                performer: Some(performer(&asked.name, "v-2")),
            })
        },
    );
    gateway
        .backend
        .on("create_performer", move |_: pb::CreatePerformerRequest| {
            Ok(pb::CreatePerformerResponse {
                performer: Some(performer("The Band", "v-1")),
                replayed: false,
            })
        });
    let new = gateway
        .as_organiser(Method::POST, "/api/v1/performers")
        .header("idempotency-key", "k-1")
        .json(&json!({"name": "The Band"}));
    let made = send(new).await;
    let found = (made.status, made.header("location"), made.header("etag"));
    assert_eq!(found, (201, Some(PERFORMER), Some("W/\"v-1\"")));
    let read = send(gateway.as_organiser(Method::GET, PERFORMER)).await;
    assert_eq!(
        (read.json(), read.header("etag")),
        (made.json(), Some("W/\"v-1\""))
    );
    let changed = send(change(&gateway, PERFORMER, &json!({"name": "The Lights"}))).await;
    let expected = json!({
        "performer_id": "04040404-0404-0404-0404-040404040404", "name": "The Lights",
    });
    assert_eq!((changed.status, changed.json()), (200, expected));
    assert_eq!(changed.header("etag"), Some("W/\"v-2\""));
}

#[tokio::test]
async fn what_can_not_be_changed_is_told_with_the_reason() {
    let gateway = Gateway::start().await;
    for body in [json!({}), json!({"name": null}), json!({"owner": "me"})] {
        for path in [VENUE, PERFORMER] {
            let answer = send(change(&gateway, path, &body)).await;
            answer.error(400, "INVALID_REQUEST");
        }
    }
    for body in [json!({"latitude": "52"}), json!({"time_zone": null})] {
        let answer = send(change(&gateway, VENUE, &body)).await;
        answer.error(400, "INVALID_REQUEST");
    }
    assert!(gateway.backend.take_seen().is_empty());

    for (code, status) in [
        (ErrorCode::VenueNotFound, 404),
        (ErrorCode::Forbidden, 403),
        (ErrorCode::InvalidState, 409),
        (ErrorCode::PreconditionFailed, 412),
    ] {
        gateway
            .backend
            .on("update_venue", move |_: pb::UpdateVenueRequest| {
                Err::<pb::UpdateVenueResponse, _>(refusal(code, &[]))
            });
        let refused = send(change(&gateway, VENUE, &json!({"time_zone": "Asia/Tokyo"}))).await;
        refused.error(status, code.as_str());
    }
    for (code, status) in [
        (ErrorCode::PerformerNotFound, 404),
        (ErrorCode::Forbidden, 403),
        (ErrorCode::PreconditionFailed, 412),
    ] {
        gateway
            .backend
            .on("update_performer", move |_: pb::UpdatePerformerRequest| {
                Err::<pb::UpdatePerformerResponse, _>(refusal(code, &[]))
            });
        let refused = send(change(&gateway, PERFORMER, &json!({"name": "A"}))).await;
        refused.error(status, code.as_str());
    }
    gateway
        .backend
        .on("update_venue", |_: pb::UpdateVenueRequest| {
            let fields = [
                ("venue.city", "is empty"),
                ("venue.latitude", "is too large"),
            ];
            Err::<pb::UpdateVenueResponse, _>(refusal(ErrorCode::InvalidRequest, &fields))
        });
    let refused = send(change(
        &gateway,
        VENUE,
        &json!({"city": " ", "latitude": 99}),
    ))
    .await;
    let body = refused.error(400, "INVALID_REQUEST");
    let named = body["details"]["fields"].as_array().unwrap().iter();
    let named: Vec<&str> = named.map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!(named, ["city", "latitude"]);
}

/// What tickets were sold of is neither deleted nor made another.
#[tokio::test]
async fn nothing_is_deleted_and_what_a_show_is_of_is_no_field_of_a_change() {
    let gateway = Gateway::start().await;
    for path in [VENUE, PERFORMER, EVENT, SHOW] {
        let answer = send_unchecked(gateway.as_organiser(Method::DELETE, path)).await;
        answer.error(405, "METHOD_NOT_ALLOWED");
    }
    for method in [Method::DELETE, Method::PUT, Method::PATCH] {
        let answer = send_unchecked(gateway.as_organiser(method, PLAN)).await;
        answer.error(404, "NOT_FOUND");
    }
    for (path, field) in [
        (SHOW, "currency"),
        (SHOW, "plan_id"),
        (SHOW, "event_id"),
        (SHOW, "state"),
        (EVENT, "event_id"),
        (VENUE, "venue_id"),
        (PERFORMER, "performer_id"),
    ] {
        let answer = send(change(&gateway, path, &json!({field: "x"}))).await;
        answer.invalid(field);
    }
    assert!(gateway.backend.take_seen().is_empty());
}
