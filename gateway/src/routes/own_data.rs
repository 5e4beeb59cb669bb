//! What is kept about the signed-in account, and its end.
//!
//! Always holds: an account is closed first, so that it gets no new token, then no bookings are made for it any more,
//! by tokens from before either, unless one is under way, and only then it is deleted, if it is closed still; else it
//! is opened again and bookings are made again, also where who asked is gone, and by itself where this process ends
//! in between. Leaves to others: what stays of it (identity-svc), and what a booking under way is (booking-svc).

use std::time::Duration;

use axum::{Extension, Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use holdfast_mesh::{
    request_id,
    trace::{Context, FutureExt as _},
};
use holdfast_proto::{booking::v1 as booking_pb, catalog::v1 as catalog_pb, identity::v1 as pb};
use holdfast_types::ErrorCode;
use serde::{Deserialize, Serialize};
use tracing::Instrument;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    accounts::{SignIn, sign_in},
    bookings::{Booking, UnreadableBooking, booking, unreadable},
    keys::{Key, key},
    organisations::{Organisation, organisation},
};
use crate::{
    call::{Caller, Roles},
    extract::{Body, Params},
    failure::ApiError,
    server::Shared,
    wire::{self, Page, optional},
};

/// Entries of one page that a service is asked for.
const PAGE: u32 = 100;

/// Pages that an export reads of one list: 10,000 entries.
const PAGES_MAX: usize = 100;

/// What stopping bookings leaves of a request's time to delete the account.
const DELETE_TIME: Duration = Duration::from_secs(3);

/// States of shows that people may have tickets for.
const SOLD: [&str; 3] = ["ON_SALE", "PAUSED", "CLOSED"];

/// How long it is tried to open an account that isn't deleted, and to make bookings for it again; who asked may be
/// gone.
const REOPEN_TIME: Duration = Duration::from_secs(5);

/// After them nobody knows whether something was done: a call that was lost is made again, and what is too much
/// then wasn't before.
const NOT_KNOWN: [ErrorCode; 3] = [
    ErrorCode::Unavailable,
    ErrorCode::InternalError,
    ErrorCode::RateLimited,
];

#[derive(Serialize, ToSchema)]
pub(crate) struct Activity {
    at: DateTime<Utc>,
    #[schema(example = "signed_in")]
    action: String,
    /// Who did it: you (or who said to be, of `password_wrong`), another, or nil for an operator.
    actor_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "192.0.2.1")]
    client_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation_id: Option<Uuid>,
}

/// What is kept about you.
#[derive(Serialize, ToSchema)]
pub(crate) struct Export {
    user_id: Uuid,
    email: String,
    email_verified: bool,
    created_at: DateTime<Utc>,
    roles: Vec<String>,
    organisations: Vec<Organisation>,
    api_keys: Vec<Key>,
    /// Sign-ins that can be renewed, newest first, at most 100.
    sessions: Vec<SignIn>,
    /// Sign-ins and changes, newest first.
    activity: Vec<Activity>,
    /// Newest first.
    bookings: Vec<Booking>,
    /// Those that can't be shown right now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable_bookings: Vec<UnreadableBooking>,
    /// False where there is more than an export takes, 10,000 of each, or a booking can't be shown.
    complete: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Farewell {
    /// The account's.
    #[schema(format = "password")]
    password: String,
}

fn activity(entry: pb::Activity) -> Result<Activity, ApiError> {
    Ok(Activity {
        at: wire::utc(entry.at_ms)?,
        action: entry.action,
        actor_id: wire::id(&entry.actor_id, "actor_id")?,
        client_address: optional(entry.client_address),
        role: optional(entry.role),
        organisation_id: match entry.organisation_id.as_slice() {
            [] => None,
            bytes => Some(wire::id(bytes, "organisation_id")?),
        },
    })
}

/// What happened to your account
///
/// Sign-ins and where from, wrong passwords (twenty a day at most), and changes of passwords, roles, keys and
/// organisations; newest first. Sign-ins and wrong passwords are kept for 180 days.
#[utoipa::path(
    get, path = "/me/activity", tag = "accounts",
    params(
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of it.", body = Page<Activity>)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn list_activity(
    State(app): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Page<Activity>>, ApiError> {
    let request = pb::ListActivityRequest {
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    let request = caller.request(request);
    let answer = app.identity.clone().list_activity(request).await?;
    let answer = answer.into_inner();
    let items = answer.activity.into_iter().map(activity);
    let items = items.collect::<Result<_, _>>()?;
    Ok(Json(Page::new(items, answer.next_cursor)))
}

/// What is kept about you
///
/// Your account, organisations, keys, sign-ins and bookings in one document, to take along. What you organise is
/// where you see it as an organiser.
#[utoipa::path(
    get, path = "/me/export", tag = "accounts",
    responses((status = 200, description = "It.", body = Export)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn export_me(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<Json<Export>, ApiError> {
    let mut identity = app.identity.clone();
    let me = identity.get_me(caller.request(pb::GetMeRequest {})).await?;
    let me = me.into_inner();
    let request = caller.request(pb::ListOrganisationsRequest {});
    let organisations = identity.list_organisations(request).await?.into_inner();
    let request = caller.request(pb::ListApiKeysRequest {});
    let keys = identity.list_api_keys(request).await?.into_inner();
    let request = caller.request(pb::ListSessionsRequest {});
    let sessions = identity.list_sessions(request).await?.into_inner();
    let sessions = sessions.sessions.into_iter().map(sign_in);
    let (entries, all_entries) = all_activity(&app, &caller).await?;
    let (listed, all_bookings) = all_bookings(&app, &caller).await?;
    let lost = listed.unreadable.into_iter().map(unreadable);
    let lost = lost.collect::<Result<Vec<_>, _>>()?;
    let organisations = organisations.organisations.into_iter().map(organisation);
    Ok(Json(Export {
        user_id: wire::id(&me.user_id, "user_id")?,
        email: me.email,
        email_verified: me.email_verified,
        created_at: wire::utc(me.created_at_ms)?,
        roles: me.roles,
        organisations: organisations.collect::<Result<_, _>>()?,
        sessions: sessions.collect::<Result<_, _>>()?,
        api_keys: keys.keys.into_iter().map(key).collect::<Result<_, _>>()?,
        activity: entries
            .into_iter()
            .map(activity)
            .collect::<Result<_, _>>()?,
        bookings: listed
            .bookings
            .into_iter()
            .map(booking)
            .collect::<Result<_, _>>()?,
        complete: all_entries && all_bookings && lost.is_empty(),
        unreadable_bookings: lost,
    }))
}

/// Delete your account
///
/// Your address, password, roles, sign-ins, keys and memberships are deleted. Bookings and tickets are kept, as
/// the law has it, and name nobody. While a booking waits for its payment, while a show
/// of your own is still to come, or as the last owner of an organisation, you can't. While it is looked whether you can, nobody signs in and nothing is booked. Money that
/// comes too late for a booking that has expired goes back. There is no way back.
#[utoipa::path(
    delete, path = "/me", tag = "accounts",
    request_body = Farewell,
    responses((status = 204, description = "It is gone.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "RATE_LIMITED", "INVALID_STATE"]))),
)]
pub(crate) async fn delete_me(
    State(app): State<Shared>,
    caller: Caller,
    Extension(roles): Extension<Roles>,
    Body(body): Body<Farewell>,
) -> Result<StatusCode, ApiError> {
    if roles.may_have_plans() {
        check_no_show_is_to_come(&app, &caller.in_own_name()).await?;
    }
    let span = tracing::Span::current();
    let work = leave(app, caller, body.password).with_context(Context::current());
    let work = work.instrument(span);
    // A task of its own: whoever hangs up, or waits no longer, leaves no account closed.
    let left = match request_id::current() {
        Some(id) => tokio::spawn(request_id::scope(id, work)),
        None => tokio::spawn(work),
    };
    let left = left.await;
    left.map_err(|_| ApiError::defect("the task that deletes an account ended early"))??;
    Ok(StatusCode::NO_CONTENT)
}

/// Nobody but an operator could call a show off, or give money back for it, when the account is gone.
async fn check_no_show_is_to_come(app: &Shared, caller: &Caller) -> Result<(), ApiError> {
    let now_ms = Utc::now().timestamp_millis();
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let request = caller.request(catalog_pb::ListOwnShowsRequest {
            event_id: Vec::new(),
            limit: PAGE,
            cursor,
        });
        let page = match app.catalog.clone().list_own_shows(request).await {
            Ok(page) => page.into_inner(),
            Err(status) => match ApiError::from(status) {
                // Who has halls only organises nothing.
                error if error.code() == ErrorCode::Forbidden => return Ok(()),
                error => return Err(error),
            },
        };
        let is_to_come = |show: &catalog_pb::Show| {
            SOLD.contains(&show.state.as_str()) && show.starts_at_ms > now_ms
        };
        if page.shows.iter().any(is_to_come) {
            return Err(ApiError::new(
                ErrorCode::InvalidState,
                "a show of yours is still to come: cancel it, or delete the account when it is over",
            ));
        }
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Closes the account, and deletes it or opens it again.
async fn leave(app: Shared, caller: Caller, password: String) -> Result<(), ApiError> {
    let mut identity = app.identity.clone();
    let closing_id = Uuid::new_v4().into_bytes().to_vec();
    let request = caller.with_client(pb::CloseAccountRequest {
        password,
        closing_id: closing_id.clone(),
    });
    let deleted = match identity
        .close_account(request)
        .await
        .map_err(ApiError::from)
    {
        Ok(_) => delete_closed(&app, &caller, closing_id.clone()).await,
        // Perhaps it is closed.
        Err(error) if NOT_KNOWN.contains(&error.code()) => Err(error),
        Err(refused) => return Err(refused),
    };
    if deleted.is_err() {
        // Not deleted, or nobody knows: one that is gone stays gone. The request's own time may be over.
        let caller = caller.with_time(REOPEN_TIME);
        let request = caller.request(pb::ReopenAccountRequest { closing_id });
        if let Err(status) = identity.reopen_account(request).await {
            // It opens by itself.
            tracing::debug!(%status, "an account that isn't deleted stays closed for two minutes");
        }
        // After it is open, which booking-svc looks at.
        let request = caller.request(booking_pb::ResumeBookingsRequest {});
        if let Err(status) = app.booking.clone().resume_bookings(request).await {
            tracing::debug!(%status, "an account that isn't deleted books nothing for some minutes");
        }
    }
    deleted
}

async fn delete_closed(app: &Shared, caller: &Caller, closing_id: Vec<u8>) -> Result<(), ApiError> {
    let stop = caller.leaving(DELETE_TIME);
    let stop = stop.request(booking_pb::StopBookingsRequest {});
    app.booking.clone().stop_bookings(stop).await?;
    let request = caller.with_client(pb::DeleteAccountRequest {
        password: String::new(),
        closing_id,
    });
    app.identity.clone().delete_account(request).await?;
    Ok(())
}

/// Every booking, as if on one page, and whether that is all.
async fn all_bookings(
    app: &Shared,
    caller: &Caller,
) -> Result<(booking_pb::ListBookingsResponse, bool), ApiError> {
    let mut all = booking_pb::ListBookingsResponse::default();
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let limit = PAGE;
        let request = caller.request(booking_pb::ListBookingsRequest { limit, cursor });
        let page = app.booking.clone().list_bookings(request).await?;
        let page = page.into_inner();
        all.bookings.extend(page.bookings);
        all.unreadable.extend(page.unreadable);
        cursor = page.next_cursor;
        if cursor.is_empty() {
            return Ok((all, true));
        }
    }
    Ok((all, false))
}

/// The same of what happened to the account.
async fn all_activity(
    app: &Shared,
    caller: &Caller,
) -> Result<(Vec<pb::Activity>, bool), ApiError> {
    let mut entries = Vec::new();
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let limit = PAGE;
        let request = caller.request(pb::ListActivityRequest { limit, cursor });
        let page = app.identity.clone().list_activity(request).await?;
        let page = page.into_inner();
        entries.extend(page.activity);
        cursor = page.next_cursor;
        if cursor.is_empty() {
            return Ok((entries, true));
        }
    }
    Ok((entries, false))
}
