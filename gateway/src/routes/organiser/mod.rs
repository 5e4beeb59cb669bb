//! What organisers do: venues, plans, performers, events, shows, and what became of their seats.
//!
//! Always holds: whose a thing is, is checked by the service that has it; a request that makes something
//! goes on with its `Idempotency-Key`, so that it makes it once however often it is sent; what is wrong is named as the client wrote it.

mod csv;
pub(crate) mod events;
mod exports;
mod loans;
mod performers;
mod plans;
mod refunds;
mod sales;
pub(crate) mod shows;
mod venues;

use axum::{
    Json,
    extract::DefaultBodyLimit,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use holdfast_types::{ErrorCode, UserId};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::{Builder, Uuid};

use crate::{conditional, failure::ApiError, server::Shared};

/// Every route of organisers whose path no other has.
pub(super) fn all() -> OpenApiRouter<Shared> {
    let files = OpenApiRouter::default()
        .routes(routes!(plans::list_plans, plans::import_plan))
        .layer(DefaultBodyLimit::max(plans::PLAN_BYTES_MAX));
    let shows = OpenApiRouter::default()
        .routes(routes!(shows::create_show))
        .layer(DefaultBodyLimit::max(shows::SHOW_BYTES_MAX));
    OpenApiRouter::default()
        .routes(routes!(venues::list_venues, venues::create_venue))
        .routes(routes!(venues::get_venue, venues::update_venue))
        .merge(files)
        .routes(routes!(plans::export_plan))
        .routes(routes!(plans::list_my_plans))
        .routes(routes!(loans::list_loans))
        .routes(routes!(loans::lend_plan, loans::take_plan_back))
        .routes(routes!(
            performers::list_performers,
            performers::create_performer
        ))
        .routes(routes!(
            performers::get_performer,
            performers::update_performer
        ))
        .routes(routes!(events::list_my_events))
        .routes(routes!(events::get_my_event))
        .merge(shows)
        .routes(routes!(shows::list_my_shows))
        .routes(routes!(shows::get_my_show))
        .routes(routes!(shows::publish_show))
        .routes(routes!(shows::pause_show))
        .routes(routes!(shows::resume_show))
        .routes(routes!(shows::close_show))
        .routes(routes!(shows::cancel_show))
        .routes(routes!(refunds::refund_show, refunds::get_show_refunds))
        .routes(routes!(sales::get_show_sales))
        .routes(routes!(exports::export_sales))
        .routes(routes!(exports::export_attendees))
        .routes(routes!(sales::block_seats))
        .routes(routes!(sales::unblock_seats))
}

/// The id of what an account makes with a key: the same each time, and nobody else's.
pub(super) fn id_of(kind: &str, user_id: UserId, key: &str) -> Uuid {
    let mut hash = Sha256::new();
    // Neither of fixed length: what goes first says how long it is.
    hash.update([u8::try_from(kind.len()).expect("kinds are words")]);
    hash.update(kind);
    hash.update(user_id.to_bytes());
    hash.update(key);
    let hash = hash.finalize();
    let (bytes, _) = hash.split_first_chunk().expect("a hash is longer");
    Builder::from_custom_bytes(*bytes).into_uuid()
}

/// What a service refuses, with the fields as bodies name them.
pub(super) fn refused(status: &tonic::Status) -> ApiError {
    ApiError::from(status.clone()).in_words(rest_name)
}

/// The same where something was to be made, which is there only where the key made something else.
pub(super) fn refused_to_make(status: &tonic::Status) -> ApiError {
    let error = ApiError::from(status.clone());
    if error.code() == ErrorCode::AlreadyExists {
        let message = "this Idempotency-Key made something else already";
        return ApiError::new(ErrorCode::IdempotencyKeyReused, message);
    }
    error.in_words(rest_name)
}

/// A contract's field as a body has it.
fn rest_name(field: &str) -> String {
    if field.starts_with('/') {
        // A place in a plan's file.
        return field.to_owned();
    }
    let mut name = field;
    for of in ["venue.", "event.", "show.", "performer.", "category."] {
        name = name.strip_prefix(of).unwrap_or(name);
    }
    match name {
        "plan_json" => "body".to_owned(),
        "rules.hold_ttl_ms" => "rules.hold_ttl_s".to_owned(),
        "rules.hold_total_ms_max" => "rules.hold_total_s_max".to_owned(),
        name => match name.strip_prefix("performers") {
            Some(place) => format!("performer_ids{place}"),
            None => name.strip_suffix("_ms").unwrap_or(name).to_owned(),
        },
    }
}

/// What a request made, or made when it came first.
fn made<T: Serialize>(
    replayed: bool,
    location: &str,
    version: &str,
    body: T,
) -> Result<Response, ApiError> {
    let tag = conditional::version_tag(version)?;
    if replayed {
        return Ok((tag, Json(body)).into_response());
    }
    let location = [(header::LOCATION, format!("/api/v1/{location}"))];
    Ok((StatusCode::CREATED, tag, location, Json(body)).into_response())
}

/// A thing with the tag of its version.
fn tagged<T: Serialize>(version: &str, body: T) -> Result<Response, ApiError> {
    Ok((conditional::version_tag(version)?, Json(body)).into_response())
}

/// A field that is there; `null` is no way to leave it out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_bodies_have_them() {
        for (contract, body) in [
            ("venue.time_zone", "time_zone"),
            ("event.performers[2]", "performer_ids[2]"),
            ("starts_at_ms", "starts_at"),
            ("show.sale_ends_at_ms", "sale_ends_at"),
            ("rules.hold_ttl_ms", "rules.hold_ttl_s"),
            ("prices[1].amount", "prices[1].amount"),
            ("plan_json", "body"),
            ("/zones/0/rows/3", "/zones/0/rows/3"),
        ] {
            assert_eq!(rest_name(contract), body);
        }
    }
}
