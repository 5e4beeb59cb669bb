//! The OpenAPI 3.1 document, made from the handlers.
//!
//! Always holds: each operation lists every error it can answer with, because a handler names its
//! codes in `x-error-codes` and this file adds those that come with a token, a body, or any call.

use std::collections::BTreeMap;

use holdfast_types::ErrorCode;
use serde_json::{Value, json};
use utoipa::{
    OpenApi as _,
    openapi::{
        ContentBuilder, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response,
        ResponseBuilder,
        example::ExampleBuilder,
        path::{Operation, ParameterBuilder, ParameterIn, PathItem},
        schema::{KnownFormat, SchemaFormat, Type},
        security::{
            ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
        },
    },
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    call::ORGANISATION_HEADER,
    failure::{self, ErrorBody, ErrorDetails, FieldProblem, SeatProblem},
    routes,
    server::Shared,
    session,
};

/// Where version 1 lives.
pub(crate) const PREFIX: &str = "/api/v1";

/// Where a handler's attribute names its own error codes. Taken out of the finished document.
const CODES: &str = "x-error-codes";

/// What any call can meet.
const CODES_ALWAYS: [ErrorCode; 3] = [
    ErrorCode::RateLimited,
    ErrorCode::Unavailable,
    ErrorCode::InternalError,
];

/// Of draft-ietf-httpapi-ratelimit-headers.
const RATE_LIMIT_HEADERS: [(&str, &str); 2] = [
    (
        "RateLimit",
        "For each limit what is left (`r`), and seconds until there is more (`t`).",
    ),
    (
        "RateLimit-Policy",
        "For each limit how many requests (`q`) a window of so many seconds (`w`) has.",
    ),
];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Holdfast",
        version = "1",
        description = "Find a show, see its seats, hold some, pay, get tickets.\n\n\
            Money is integer minor units with a currency. Revisions are numbers written as text. \
            Times are RFC 3339: a show's with its venue's offset, all others in UTC. Lists come in \
            pages: send `next_cursor` as `cursor`. Unknown fields are refused, and so are \
            unknown query parameters where a route has some. \
            Every answer carries `x-request-id`; send one to have it used. How often one address and \
            one account may ask is limited: `RateLimit` says what is left, except in answers that \
            caches may keep.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "This server.")),
    components(schemas(ErrorBody)),
    tags(
        (name = "accounts", description = "Signing in, and the signed-in account."),
        (name = "catalogue", description = "What is on. Public; may be some seconds old."),
        (name = "organising", description = "An organiser's own venues, plans, events and shows, and what was sold. Needs an account with the role `organiser`."),
        (name = "buying", description = "Free seats, holds, bookings, tickets."),
        (name = "payments", description = "What payment providers call."),
    ),
)]
struct Base;

/// The document that `/api/v1/openapi.json` serves.
pub fn openapi() -> OpenApi {
    router().1
}

/// The routes of version 1 and their document.
pub(crate) fn router() -> (axum::Router<Shared>, OpenApi) {
    let (router, mut api) = OpenApiRouter::with_openapi(Base::openapi())
        .nest(PREFIX, routes::all())
        .split_for_parts();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "The `access_token` of `auth/login`; for organising also a key of `me/api-keys`.",
        ))
        .build();
    let components = api.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let cookie = ApiKeyValue::with_description(
        session::ACCESS_COOKIE,
        "Of `auth/session`, for pages: a browser sends it by itself.",
    );
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let operations = api.paths.paths.values_mut().flat_map(operations);
    operations.for_each(|(safe, operation)| {
        allow_sessions(operation);
        allow_organisations(operation);
        add_errors(operation, safe);
    });
    drop_unused(&mut api);
    (router, api)
}

/// Drops schemas that nothing refers to: those of a page's items, which stand within it.
fn drop_unused(api: &mut OpenApi) {
    loop {
        let text = serde_json::to_string(api).expect("a document always serialises");
        let Some(components) = &mut api.components else {
            return;
        };
        let before = components.schemas.len();
        components
            .schemas
            .retain(|name, _| text.contains(&format!("\"#/components/schemas/{name}\"")));
        // Those of one that was dropped may be unused now.
        if components.schemas.len() == before {
            return;
        }
    }
}

/// Each with whether it changes nothing.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let safe = item.get.as_mut().map(|operation| (true, operation));
    let others = [
        &mut item.post,
        &mut item.put,
        &mut item.patch,
        &mut item.delete,
    ];
    let others = others.into_iter().flatten();
    safe.into_iter()
        .chain(others.map(|operation| (false, operation)))
}

/// What an organiser does may be done in an organisation's name.
fn allow_organisations(operation: &mut Operation) {
    let tags = operation.tags.as_ref();
    if !tags.is_some_and(|tags| tags.iter().any(|tag| tag == "organising")) {
        return;
    }
    let description = "The organisation in whose name you do it, of which you are a member; your own unless said.";
    let id = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    let header = ParameterBuilder::new()
        .name(ORGANISATION_HEADER)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(id));
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(RefOr::T(header.build()));
}

/// Where a token is taken, a session's cookie is; of the others it is said that they take none.
fn allow_sessions(operation: &mut Operation) {
    let allowed = operation.security.get_or_insert_default();
    if !allowed.is_empty() {
        allowed.push(SecurityRequirement::new("session", [] as [String; 0]));
    }
}

/// Whether it takes a token.
pub(crate) fn is_personal(operation: &Operation) -> bool {
    let allowed = operation.security.as_ref();
    allowed.is_some_and(|allowed| !allowed.is_empty())
}

fn add_errors(operation: &mut Operation, safe: bool) {
    let own = operation
        .extensions
        .as_mut()
        .and_then(|extensions| extensions.remove(CODES));
    operation.extensions = operation.extensions.take().filter(|rest| !rest.is_empty());
    let mut codes: Vec<ErrorCode> =
        serde_json::from_value::<Vec<String>>(own.unwrap_or(Value::Null))
            .expect("each operation lists its codes")
            .iter()
            .map(|text| text.parse().expect("codes are of the error table"))
            .collect();
    let personal = is_personal(operation);
    codes.extend(personal.then_some(ErrorCode::Unauthorized));
    // With a cookie and from elsewhere.
    let guarded = personal && !safe;
    codes.extend(guarded.then_some(ErrorCode::Forbidden));
    if let Some(RefOr::T(body)) = &operation.request_body {
        codes.extend([ErrorCode::RequestTimeout, ErrorCode::PayloadTooLarge]);
        codes.extend(
            body.content
                .contains_key("application/json")
                .then_some(ErrorCode::UnsupportedMediaType),
        );
    }
    codes.extend(CODES_ALWAYS);

    let mut by_status = BTreeMap::<u16, Vec<ErrorCode>>::new();
    for code in codes {
        let of_status = by_status.entry(code.http()).or_default();
        if !of_status.contains(&code) {
            of_status.push(code);
        }
    }
    for (status, codes) in by_status {
        operation
            .responses
            .responses
            .insert(status.to_string(), RefOr::T(response(&codes)));
    }
}

fn response(codes: &[ErrorCode]) -> Response {
    let names: Vec<String> = codes
        .iter()
        .map(|code| format!("`{}`: {}.", code.as_str(), meaning(*code)))
        .collect();
    let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error")));
    for code in codes {
        let example = ExampleBuilder::new()
            .value(Some(json!(example(*code))))
            .build();
        content = content.examples_from_iter([(code.as_str(), example)]);
    }
    let mut response = ResponseBuilder::new()
        .description(names.join(" "))
        .content("application/json", content.build());
    if codes.iter().any(|code| failure::retry_helps(*code)) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
        let header = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds."))
            .build();
        response = response.header("Retry-After", header);
    }
    if codes.contains(&ErrorCode::RateLimited) {
        for (name, meaning) in RATE_LIMIT_HEADERS {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            let header = HeaderBuilder::new()
                .schema(Some(text))
                .description(Some(meaning))
                .build();
            response = response.header(name, header);
        }
    }
    response.build()
}

fn example(code: ErrorCode) -> ErrorBody {
    let seat = |state: Option<&str>| SeatProblem {
        seat_id: "GROUND-3-A-7".to_owned(),
        state: state.map(str::to_owned),
    };
    let seats = match code {
        ErrorCode::SeatLocked => vec![seat(Some("HELD"))],
        ErrorCode::SeatNotAvailable => vec![seat(Some("SOLD"))],
        ErrorCode::LeavesLoneSeat => vec![seat(Some("AVAILABLE"))],
        ErrorCode::SeatNotFound => vec![seat(None)],
        _ => Vec::new(),
    };
    let fields = match code {
        ErrorCode::InvalidRequest => {
            vec![FieldProblem {
                field: "colour".to_owned(),
                message: "unknown field `colour`".to_owned(),
            }]
        }
        _ => Vec::new(),
    };
    ErrorBody {
        error_code: code.as_str().to_owned(),
        message: meaning(code).to_owned(),
        details: ErrorDetails {
            fields,
            seats,
            ..ErrorDetails::default()
        },
        request_id: "0191c2a4-77f0-7000-8000-000000000001".to_owned(),
    }
}

fn meaning(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidRequest => {
            "a field, parameter or header is wrong; `details.fields` names it"
        }
        ErrorCode::IdempotencyKeyRequired => "the `Idempotency-Key` header is missing",
        ErrorCode::Unauthorized => "no token, or one that is expired or not ours",
        ErrorCode::Forbidden => {
            "this account may not do that (it lacks the role, or it is another organiser's; an operator has \
             no purchases), or a page of another site asked with a session's cookies"
        }
        ErrorCode::NotFound => "there is no such thing",
        ErrorCode::VenueNotFound => "there is no such venue, or it is somebody else's",
        ErrorCode::PlanNotFound => "there is no such plan, or it is somebody else's",
        ErrorCode::PerformerNotFound => "there is no such performer, or it is somebody else's",
        ErrorCode::EventNotFound => "there is no such event, or it isn't public",
        ErrorCode::ShowNotFound => "there is no such show, or it isn't public",
        ErrorCode::SeatNotFound => "the show has no such seat; `details.seats` names it",
        ErrorCode::HoldNotFound => "there is no such hold, or it is somebody else's",
        ErrorCode::BookingNotFound => "there is no such booking, or it is somebody else's",
        ErrorCode::SeatLocked => "another customer holds a seat; `details.seats` names it",
        ErrorCode::SeatNotAvailable => "a seat is sold or blocked; `details.seats` names it",
        ErrorCode::ShowNotOnSale => {
            "the show doesn't sell now; `details` say when its sale begins and ends, where that is why"
        }
        ErrorCode::SeatLimitExceeded => "more seats than the show allows one customer",
        ErrorCode::LeavesLoneSeat => {
            "it would leave a single seat free in its row; `details.seats` names it"
        }
        ErrorCode::InProgress => "something else is being done to it; repeat after `Retry-After`",
        ErrorCode::InvalidState => "its state doesn't allow it",
        ErrorCode::AlreadyExists => "it is there already",
        ErrorCode::HoldExpired => "the hold ran out",
        ErrorCode::PreconditionFailed => {
            "it has another version than `If-Match` names: somebody changed it meanwhile"
        }
        ErrorCode::RequestTimeout => "the body came too slowly; nothing was done",
        ErrorCode::PayloadTooLarge => {
            "the body is larger than the route reads, 64 KiB unless it says otherwise"
        }
        ErrorCode::UnsupportedMediaType => "the body isn't declared as JSON",
        ErrorCode::IdempotencyKeyReused => "the key was used with another call or body",
        ErrorCode::RateLimited => "too many requests; wait as long as `Retry-After` says",
        ErrorCode::Unavailable => {
            "a part is down or too slow; the same request may be repeated after `Retry-After`"
        }
        ErrorCode::InternalError => "something went wrong on our side",
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_code_is_explained() {
        let text = serde_json::to_string(&openapi()).expect("serialises");
        for code in ErrorCode::ALL {
            let documented = text.contains(&format!("`{}`:", code.as_str()));
            assert!(!documented || meaning(*code) != code.as_str(), "{code:?}");
        }
    }

    #[test]
    fn the_document_is_openapi_3_1_and_keeps_our_notes_out() {
        let text = serde_json::to_string(&openapi()).expect("serialises");
        assert!(text.contains(r#""openapi":"3.1.0""#));
        assert!(!text.contains(CODES));
    }
}
