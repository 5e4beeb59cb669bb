//! In whose name a request is made, keys of systems, and the end of an account.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use holdfast_mesh::Failure;
use holdfast_proto::{booking::v1 as booking, catalog::v1 as catalog, identity::v1 as pb};
use holdfast_types::ErrorCode;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::setup::{Gateway, PATIENCE, send, token, user};

const KEY: &str = "hfk_of_a_system";

async fn gateway(organisation_id: Vec<u8>) -> Gateway {
    let gateway = Gateway::start().await;
    let backend = &gateway.backend;
    backend.on("list_own_venues", |_: catalog::ListOwnVenuesRequest| {
        Ok(catalog::ListOwnVenuesResponse::default())
    });
    backend.on(
        "exchange_api_key",
        move |request: pb::ExchangeApiKeyRequest| {
            if request.secret != KEY {
                return Err(Failure::new(ErrorCode::Unauthorized, "no").into());
            }
            Ok(pb::ExchangeApiKeyResponse {
                access_token: token(),
                expires_in_s: 60,
                organisation_id: organisation_id.clone(),
            })
        },
    );
    gateway
}

#[tokio::test]
async fn a_service_is_told_in_whose_name_a_request_is_made() {
    let gateway = gateway(vec![]).await;
    let id = user().to_string();
    let request = |named: &[&str]| {
        let request = gateway.as_customer(Method::GET, "/api/v1/venues");
        let with = |request: reqwest::RequestBuilder, name: &&str| {
            request.header("Holdfast-Organisation", *name)
        };
        named.iter().fold(request, with)
    };
    for named in [&[][..], &[id.as_str()]] {
        assert_eq!(send(request(named)).await.status, 200);
        let seen = gateway.backend.take_seen();
        let told = seen[0].header("holdfast-organisation");
        assert_eq!(told, named.first().copied());
    }
    for bad in [&["x"][..], &[""], &[id.as_str(), id.as_str()]] {
        send(request(bad)).await.error(400, "INVALID_REQUEST");
    }
    assert!(gateway.backend.take_seen().is_empty());
}

#[tokio::test]
async fn a_key_is_traded_for_a_token_and_acts_for_what_it_is_for() {
    let gateway = gateway(user().to_bytes().to_vec()).await;
    let ask = |key: &str| gateway.get("/api/v1/venues").bearer_auth(key);
    for _ in 0..3 {
        assert_eq!(send(ask(KEY)).await.status, 200);
    }
    let seen = gateway.backend.take_seen();
    let methods: Vec<_> = seen.iter().map(|seen| seen.method).collect();
    let [trade, list] = ["exchange_api_key", "list_own_venues"];
    assert_eq!(methods, [trade, list, list, list], "once for a while");
    let authorization = seen[1].header("authorization").unwrap();
    assert!(authorization.starts_with("Bearer ") && !authorization.contains(KEY));
    let id = user().to_string();
    assert_eq!(seen[1].header("holdfast-organisation"), Some(id.as_str()));
    let other = "01890a5d-ac96-774b-bcce-b302099a8057";
    let other = ask(KEY).header("holdfast-organisation", other);
    send(other).await.error(403, "FORBIDDEN");
    let long = format!("hfk_{}", "a".repeat(10_000));
    for wrong in ["hfk_", "hfk_of_nobody", &long] {
        send(ask(wrong)).await.error(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn an_account_with_a_booking_under_way_is_not_deleted() {
    let gateway = gateway(vec![]).await;
    let backend = &gateway.backend;
    backend.on("close_account", |request: pb::CloseAccountRequest| {
        assert_eq!(request.password, "correct horse");
        Ok(pb::CloseAccountResponse {})
    });
    backend.on("reopen_account", |_: pb::ReopenAccountRequest| {
        Ok(pb::ReopenAccountResponse {})
    });
    backend.on("delete_account", |request: pb::DeleteAccountRequest| {
        assert_eq!(request.password, "", "it is closed");
        Ok(pb::DeleteAccountResponse {})
    });
    backend.on("resume_bookings", |_: booking::ResumeBookingsRequest| {
        Ok(booking::ResumeBookingsResponse {})
    });
    let delete = || {
        let request = gateway.as_customer(Method::DELETE, "/api/v1/me");
        request.json(&json!({"password": "correct horse"}))
    };
    backend.on("stop_bookings", |_: booking::StopBookingsRequest| {
        let refused = Failure::new(ErrorCode::InvalidState, "a booking of yours waits");
        Err::<booking::StopBookingsResponse, _>(refused.into())
    });
    let methods = || -> Vec<_> {
        let seen = gateway.backend.take_seen().into_iter();
        let mut methods: Vec<_> = seen.map(|seen| seen.method).collect();
        // What isn't answered is asked again.
        methods.dedup();
        methods
    };
    send(delete()).await.error(409, "INVALID_STATE");
    // Bookings are stopped while the account is closed, and made again once it is open.
    let [close, stop] = ["close_account", "stop_bookings"];
    let [open, resume] = ["reopen_account", "resume_bookings"];
    let seen = backend.take_seen();
    let seen_methods: Vec<_> = seen.iter().map(|seen| seen.method).collect();
    assert_eq!(seen_methods, [close, stop, open, resume]);
    let closing_id = &seen[0].message::<pb::CloseAccountRequest>().closing_id;
    let opened = &seen[2].message::<pb::ReopenAccountRequest>().closing_id;
    assert_eq!(closing_id, opened);
    backend.on("stop_bookings", |_: booking::StopBookingsRequest| {
        Err::<booking::StopBookingsResponse, _>(tonic::Status::unimplemented("of before"))
    });
    send(delete()).await.error(500, "INTERNAL_ERROR");
    assert_eq!(methods(), [close, stop, open, resume]);
    backend.on("stop_bookings", |_: booking::StopBookingsRequest| {
        Ok(booking::StopBookingsResponse {})
    });
    assert_eq!(send(delete()).await.status, 204);
    let seen = backend.take_seen();
    let seen_methods: Vec<_> = seen.iter().map(|seen| seen.method).collect();
    assert_eq!(seen_methods, [close, stop, "delete_account"]);
    let another = &seen[0].message::<pb::CloseAccountRequest>().closing_id;
    let deleted = &seen[2].message::<pb::DeleteAccountRequest>().closing_id;
    assert_eq!(another, deleted);
    assert_ne!(another, closing_id);
    // It may be closed, though nobody said so.
    backend.on("close_account", |_: pb::CloseAccountRequest| {
        Err::<pb::CloseAccountResponse, _>(tonic::Status::unavailable("lost"))
    });
    send(delete()).await.error(503, "UNAVAILABLE");
    assert_eq!(methods(), [close, open, resume]);
    // Who doesn't know the password isn't told of bookings.
    backend.on("close_account", |_: pb::CloseAccountRequest| {
        let refused = Failure::new(ErrorCode::Forbidden, "the password is wrong");
        Err::<pb::CloseAccountResponse, _>(refused.into())
    });
    send(delete()).await.error(403, "FORBIDDEN");
    assert_eq!(methods(), [close]);
}

#[tokio::test]
async fn an_account_with_shows_to_come_is_not_deleted() {
    let gateway = gateway(vec![]).await;
    let backend = &gateway.backend;
    let delete = || {
        let request = gateway.as_organiser(Method::DELETE, "/api/v1/me");
        request.json(&json!({"password": "correct horse"}))
    };
    let later_ms = chrono::Utc::now().timestamp_millis() + 3_600_000;
    for (state, starts_at_ms, refused) in [
        ("ON_SALE", later_ms, true),
        ("CLOSED", later_ms, true),
        ("CLOSED", 0, false),
        ("DRAFT", later_ms, false),
        ("CANCELLED", later_ms, false),
    ] {
        // On the second page.
        backend.on(
            "list_own_shows",
            move |request: catalog::ListOwnShowsRequest| {
                let show = catalog::Show {
                    state: state.to_owned(),
                    starts_at_ms,
                    ..Default::default()
                };
                let is_first = request.cursor.is_empty();
                Ok(catalog::ListOwnShowsResponse {
                    shows: vec![show; usize::from(!is_first)],
                    next_cursor: if is_first { "2" } else { "" }.to_owned(),
                })
            },
        );
        backend.on("close_account", |_: pb::CloseAccountRequest| {
            let refused = Failure::new(ErrorCode::Forbidden, "the password is wrong");
            Err::<pb::CloseAccountResponse, _>(refused.into())
        });
        let answer = send(delete()).await;
        match refused {
            true => answer.error(409, "INVALID_STATE"),
            false => answer.error(403, "FORBIDDEN"),
        };
    }
    // They are asked for in one's own name; who may not organise has none.
    backend.take_seen();
    backend.on("list_own_shows", |_: catalog::ListOwnShowsRequest| {
        let refused = Failure::new(ErrorCode::Forbidden, "this needs the role organiser");
        Err::<catalog::ListOwnShowsResponse, _>(refused.into())
    });
    let id = user().to_string();
    send(delete().header("holdfast-organisation", id)).await;
    let seen = backend.take_seen();
    let methods: Vec<_> = seen.iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["list_own_shows", "close_account"]);
    assert_eq!(seen[0].header("holdfast-organisation"), None);
}

#[tokio::test]
async fn an_account_that_is_not_deleted_is_opened_again_whatever_went_wrong() {
    let gateway = Gateway::start_with(|config| config.request_timeout_ms = 2_000).await;
    let backend = &gateway.backend;
    backend.on("close_account", |_: pb::CloseAccountRequest| {
        Ok(pb::CloseAccountResponse {})
    });
    backend.on("reopen_account", |_: pb::ReopenAccountRequest| {
        Ok(pb::ReopenAccountResponse {})
    });
    backend.on("resume_bookings", |_: booking::ResumeBookingsRequest| {
        Ok(booking::ResumeBookingsResponse {})
    });
    let delete = || {
        let request = gateway.as_customer(Method::DELETE, "/api/v1/me");
        request.json(&json!({"password": "correct horse"}))
    };
    let mut seen: Vec<&str> = Vec::new();
    let [close, stop] = ["close_account", "stop_bookings"];
    let [open, resume] = ["reopen_account", "resume_bookings"];

    backend.on("stop_bookings", |_: booking::StopBookingsRequest| {
        Ok(booking::StopBookingsResponse {})
    });
    backend.on("delete_account", |_: pb::DeleteAccountRequest| {
        let refused = Failure::new(ErrorCode::InvalidState, "the last owner");
        Err::<pb::DeleteAccountResponse, _>(refused.into())
    });
    send(delete()).await.error(409, "INVALID_STATE");
    seen.extend(backend.take_seen().iter().map(|seen| seen.method));
    assert_eq!(seen, [close, stop, "delete_account", open, resume]);

    // Stopping takes all the time there is, and somebody doesn't wait for it.
    backend.stall::<booking::StopBookingsRequest, booking::StopBookingsResponse>(stop);
    let wait_for = async |method: &str| {
        let mut seen: Vec<&str> = Vec::new();
        let found = async {
            while !seen.contains(&method) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                seen.extend(backend.take_seen().iter().map(|seen| seen.method));
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("in time");
        seen
    };
    send(delete()).await.error(503, "UNAVAILABLE");
    assert!(wait_for(resume).await.starts_with(&[close, stop]));
    let hung_up = tokio::spawn(delete().send());
    assert_eq!(wait_for(stop).await, [close, stop]);
    hung_up.abort();
    assert!(hung_up.await.expect_err("aborted").is_cancelled());
    assert_eq!(wait_for(resume).await, [open, resume]);
}

#[tokio::test]
async fn owners_see_invitations_and_keys_and_end_them() {
    let gateway = gateway(vec![]).await;
    let backend = &gateway.backend;
    let id = user().to_bytes().to_vec();
    let made_by = id.clone();
    backend.on(
        "list_invitations",
        move |request: pb::ListInvitationsRequest| {
            assert_eq!(request.organisation_id, user().to_bytes());
            let one = pb::Invitation {
                invitation_id: id.clone(),
                email: "ada@example.org".to_owned(),
                role: "viewer".to_owned(),
                invited_by: id.clone(),
                expires_at_ms: 1_784_138_400_250,
            };
            Ok(pb::ListInvitationsResponse {
                invitations: vec![one],
            })
        },
    );
    backend.on(
        "withdraw_invitation",
        |request: pb::WithdrawInvitationRequest| {
            assert_eq!(request.invitation_id, user().to_bytes());
            Ok(pb::WithdrawInvitationResponse {})
        },
    );
    backend.on(
        "list_organisation_api_keys",
        move |_: pb::ListOrganisationApiKeysRequest| {
            let key = pb::ApiKey {
                key_id: made_by.clone(),
                name: "box office".to_owned(),
                scopes: vec!["sales:read".to_owned()],
                organisation_id: made_by.clone(),
                created_at_ms: 1_784_138_400_250,
                last_used_at_ms: 0,
                user_id: made_by.clone(),
                email: "ada@example.org".to_owned(),
            };
            Ok(pb::ListOrganisationApiKeysResponse { keys: vec![key] })
        },
    );
    backend.on(
        "revoke_organisation_api_key",
        |request: pb::RevokeOrganisationApiKeyRequest| {
            assert_eq!(request.key_id, user().to_bytes());
            Ok(pb::RevokeOrganisationApiKeyResponse {})
        },
    );
    let id = user().to_string();
    let of = format!("/api/v1/organisations/{id}");
    let get = async |path: &str| {
        let request = gateway.as_customer(Method::GET, &format!("{of}/{path}"));
        send(request).await.json()
    };
    let at = "2026-07-15T18:00:00.250Z";
    let waiting = json!({
        "invitation_id": id, "email": "ada@example.org", "role": "viewer", "invited_by": id, "expires_at": at,
    });
    assert_eq!(get("invitations").await, json!({ "items": [waiting] }));
    let key = json!({
        "key_id": id, "name": "box office", "scopes": ["sales:read"], "organisation_id": id,
        "created_at": at, "user_id": id, "email": "ada@example.org",
    });
    assert_eq!(get("api-keys").await, json!({ "items": [key] }));
    for kind in ["invitations", "api-keys"] {
        let end = |one: &str| gateway.as_customer(Method::DELETE, &format!("{of}/{kind}/{one}"));
        assert_eq!(send(end(&id)).await.status, 204, "{kind}");
        send(end("x")).await.error(400, "INVALID_REQUEST");
    }
}

/// The booking of that number.
fn booked(number: u8) -> booking::Booking {
    booking::Booking {
        booking_id: vec![number; 16],
        status: "CONFIRMED".to_owned(),
        show_id: user().to_bytes().to_vec(),
        seat_ids: vec!["A-1".to_owned()],
        total: Some(booking::Money {
            amount: 5_500,
            currency: "EUR".to_owned(),
        }),
        refund_status: "NONE".to_owned(),
        ..booking::Booking::default()
    }
}

#[tokio::test]
async fn an_export_has_all_pages_of_everything() {
    let gateway = gateway(vec![]).await;
    let backend = &gateway.backend;
    backend.on("get_me", |_: pb::GetMeRequest| {
        Ok(pb::GetMeResponse {
            user_id: user().to_bytes().to_vec(),
            email: "ada@example.org".to_owned(),
            ..Default::default()
        })
    });
    backend.on("list_organisations", |_: pb::ListOrganisationsRequest| {
        let ours = pb::Organisation {
            organisation_id: user().to_bytes().to_vec(),
            name: "Ours".to_owned(),
            role: "owner".to_owned(),
        };
        Ok(pb::ListOrganisationsResponse {
            organisations: vec![ours],
        })
    });
    backend.on("list_api_keys", |_: pb::ListApiKeysRequest| {
        let key = pb::ApiKey {
            key_id: user().to_bytes().to_vec(),
            name: "box office".to_owned(),
            ..Default::default()
        };
        Ok(pb::ListApiKeysResponse { keys: vec![key] })
    });
    let lost = Arc::new(AtomicBool::new(false));
    let is_lost = lost.clone();
    backend.on(
        "list_bookings",
        move |request: booking::ListBookingsRequest| {
            let one = booking::UnreadableBooking {
                booking_id: user().to_bytes().to_vec(),
                show_id: user().to_bytes().to_vec(),
            };
            let is_first = request.cursor.is_empty();
            Ok(booking::ListBookingsResponse {
                unreadable: vec![one; usize::from(is_first && is_lost.load(Ordering::Relaxed))],
                next_cursor: if is_first { "2" } else { "" }.to_owned(),
                bookings: vec![booked(if is_first { 1 } else { 2 })],
            })
        },
    );
    backend.on("list_activity", |request: pb::ListActivityRequest| {
        Ok(pb::ListActivityResponse {
            activity: vec![pb::Activity {
                action: format!("page{}", request.cursor),
                actor_id: vec![0; 16],
                ..Default::default()
            }],
            next_cursor: if request.cursor.is_empty() {
                "2".to_owned()
            } else {
                String::new()
            },
        })
    });
    backend.on("list_sessions", |_: pb::ListSessionsRequest| {
        let session = pb::Session {
            session_id: user().to_bytes().to_vec(),
            client_address: "192.0.2.1".to_owned(),
            ..Default::default()
        };
        Ok(pb::ListSessionsResponse {
            sessions: vec![session],
        })
    });
    let export = send(gateway.as_customer(Method::GET, "/api/v1/me/export")).await;
    let export = export.json();
    assert_eq!(export["sessions"][0]["client_address"], "192.0.2.1");
    assert_eq!(
        (&export["email"], &export["complete"]),
        (&json!("ada@example.org"), &json!(true))
    );
    let actions: Vec<_> = export["activity"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&actions[0]["action"], &actions[1]["action"]),
        (&json!("page"), &json!("page2"))
    );
    assert_eq!(export.get("unreadable_bookings"), None);
    let id = user().to_string();
    assert_eq!(
        export["organisations"],
        json!([{"organisation_id": id, "name": "Ours", "role": "owner"}])
    );
    assert_eq!(export["api_keys"][0]["name"], "box office");
    for (nth, number) in [(0, 1), (1, 2)] {
        let id = Uuid::from_bytes([number; 16]);
        assert_eq!(export["bookings"][nth]["booking_id"], json!(id));
    }
    assert_eq!(export["bookings"].as_array().unwrap().len(), 2);
    // One that can't be shown is said to be there, and that this isn't all.
    lost.store(true, Ordering::Relaxed);
    let export = send(gateway.as_customer(Method::GET, "/api/v1/me/export")).await;
    let export = export.json();
    let one = json!([{"booking_id": user().to_string(), "show_id": user().to_string()}]);
    assert_eq!(
        (&export["unreadable_bookings"], &export["complete"]),
        (&one, &json!(false))
    );
}
