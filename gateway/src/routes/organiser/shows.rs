//! An organiser's shows: making and changing them, and moving their state.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use holdfast_proto::catalog::v1 as pb;
use holdfast_types::{ErrorCode, EventId, PlanId, ShowId, ShowState, limits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{given, made, refunds, refused, refused_to_make, tagged};
use crate::{
    call::Caller,
    conditional,
    extract::{IdempotencyKey, LargeBody, Params, PathId, body_id, body_time_ms},
    failure::ApiError,
    routes::catalog::shapes::{FeePer, LateMoney, Show, show},
    server::{App, Shared},
    wire::{self, Money, Page, required},
};

/// Largest body that makes or changes a show, in bytes: ten thousand prices of seats with long labels.
pub(crate) const SHOW_BYTES_MAX: usize = 1024 * 1024;

/// What seats cost, in minor units of the show's currency: those of a category; or, whatever their category
/// costs, those of a section, or one seat. Each is of one of the three. Of the prices that are of a seat the
/// most exact counts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPrice {
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 120, example = "Stalls")]
    category: Option<String>,
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 128)]
    section: Option<String>,
    /// As the seat map has it.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 128)]
    seat: Option<String>,
    /// 0 is free.
    #[schema(minimum = 0, maximum = 1_000_000_000, example = 5500)]
    amount: i64,
}

/// A fee of a fixed amount, in minor units of the show's currency. Fees per ticket go back with tickets that are
/// given back; those per booking do when all of it is refunded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFee {
    /// As it is shown to customers.
    #[schema(min_length = 1, max_length = 60, example = "Service fee")]
    name: String,
    #[schema(minimum = 1, maximum = 1_000_000_000, example = 250)]
    amount: i64,
    per: FeePer,
}

/// What holds are bound by; what isn't named has its default.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRules {
    /// How long a hold lasts, in seconds.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3_600, example = 600)]
    hold_ttl_s: Option<u64>,
    /// How long one may last with its extensions, in seconds: not less than `hold_ttl_s`.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 7_200, example = 1_800)]
    hold_total_s_max: Option<u64>,
    /// Seats one customer may hold and buy, altogether.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100_000, example = 10)]
    seats_per_customer_max: Option<u32>,
    /// `rebook` unless said.
    #[serde(default)]
    #[schema(value_type = LateMoney, required = false)]
    late_money: Option<LateMoney>,
    /// Refuse holds that leave a single seat free between taken ones, an aisle or its row's end (`LEAVES_LONE_SEAT`), unless the
    /// row offers no other way.
    #[serde(default)]
    no_lone_seat: bool,
}

impl NewRules {
    /// 0 is the default on the wire.
    fn into_message(self) -> Result<pb::ShowRules, ApiError> {
        let ms = |name: &str, seconds: Option<u64>, most: holdfast_types::DurationMs| {
            let Some(seconds) = seconds else { return Ok(0) };
            let most_s = most.0 / 1_000;
            if !(1..=most_s).contains(&seconds) {
                let why = format!("must be from 1 to {most_s} seconds");
                return Err(ApiError::invalid(&format!("rules.{name}"), why));
            }
            Ok(seconds * 1_000)
        };
        let hold_ttl_ms = ms("hold_ttl_s", self.hold_ttl_s, limits::HOLD_TTL_MAX)?;
        let total = self.hold_total_s_max;
        let hold_total_ms_max = ms("hold_total_s_max", total, limits::HOLD_TOTAL_MAX)?;
        let least = match hold_ttl_ms {
            0 => limits::HOLD_TTL_DEFAULT.0,
            ms => ms,
        };
        if hold_total_ms_max != 0 && hold_total_ms_max < least {
            let why = format!(
                "must not be less than a hold lasts, {} seconds",
                least / 1_000
            );
            return Err(ApiError::invalid("rules.hold_total_s_max", why));
        }
        if self.seats_per_customer_max == Some(0) {
            let why = format!("must be from 1 to {}", limits::SEATS_PER_SHOW_MAX);
            return Err(ApiError::invalid("rules.seats_per_customer_max", why));
        }
        Ok(pb::ShowRules {
            hold_ttl_ms,
            hold_total_ms_max,
            seats_per_customer_max: self.seats_per_customer_max.unwrap_or_default(),
            // What isn't said isn't sent: by these bytes a request is known when it is sent again.
            late_money: match self.late_money {
                None => pb::LateMoney::Unspecified,
                Some(LateMoney::Rebook) => pb::LateMoney::Rebook,
                Some(LateMoney::Refund) => pb::LateMoney::Refund,
            }
            .into(),
            no_lone_seat: self.no_lone_seat,
        })
    }
}

/// One event at one time, with what its seats cost.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewShow {
    /// A plan of yours; says where it is, too.
    #[schema(value_type = Uuid)]
    plan_id: String,
    #[schema(format = DateTime, example = "2026-07-15T20:00:00+02:00")]
    starts_at: String,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
    /// One for each category that the plan's seats use; and of sections (at most 1,000) and of single seats
    /// (at most 10,000) that cost something else.
    #[schema(max_items = 11_100)]
    prices: Vec<NewPrice>,
    /// What customers pay besides what seats cost, in the order in which it is shown to them. No two have the
    /// same name.
    #[serde(default)]
    #[schema(max_items = 5)]
    fees: Vec<NewFee>,
    #[serde(default)]
    rules: Option<NewRules>,
    /// Before it no seats can be held, though the show be published.
    #[serde(default)]
    #[schema(format = DateTime, example = "2026-03-01T10:00:00+01:00")]
    sale_starts_at: Option<String>,
    /// From then on no seats can be held; whoever holds some may still buy them. Later than it begins.
    #[serde(default)]
    #[schema(format = DateTime, example = "2026-07-15T18:00:00+02:00")]
    sale_ends_at: Option<String>,
    /// Let everybody see the draft, with nothing of it for sale.
    #[serde(default)]
    announced: bool,
}

/// What is to change; what isn't named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, format = DateTime, example = "2026-07-15T20:30:00+02:00")]
    starts_at: Option<String>,
    /// All of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<NewPrice>, required = false, max_items = 11_100)]
    prices: Option<Vec<NewPrice>>,
    /// All of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<NewFee>, required = false, max_items = 5)]
    fees: Option<Vec<NewFee>>,
    /// All of them: what isn't named here has its default.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = NewRules, required = false)]
    rules: Option<NewRules>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, required = false, format = DateTime)]
    sale_starts_at: Option<Option<String>>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, required = false, format = DateTime)]
    sale_ends_at: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false)]
    announced: Option<bool>,
}

/// A show as its organiser has it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnShow {
    #[serde(flatten)]
    show: Show,
    plan_id: Uuid,
    /// Whether everybody may see the draft.
    announced: bool,
    /// Of sections and of single seats that cost something else than their category; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<ExactPrice>, required = false)]
    exact_prices: Option<Vec<ExactPrice>>,
    /// Of a show that is CANCELLED, where whoever has tickets is refunded (`POST`); else null.
    #[schema(
        required = true,
        format = "uri-reference",
        example = "/api/v1/shows/019a0000-0000-7000-8000-000000000000/refunds"
    )]
    refunds_url: Option<String>,
}

/// What the seats of a section cost, or one seat, whatever their category costs.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExactPrice {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "GROUND-3")]
    section: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "GROUND-3-A-7")]
    seat: Option<String>,
    price: Money,
}

/// The show, and the version that its tag is made of.
fn own_show(message: Option<pb::Show>) -> Result<(OwnShow, String), ApiError> {
    let mut message = required(message, "show")?;
    let version = std::mem::take(&mut message.version);
    let exact = std::mem::take(&mut message.exact_prices);
    let price = |price: pb::Price| ExactPrice {
        section: wire::optional(price.section),
        seat: wire::optional(price.seat),
        price: Money {
            amount: price.amount,
            currency: message.currency.clone(),
        },
    };
    let refunds_url = match message.state == ShowState::Cancelled.as_str() {
        true => Some(refunds::path(wire::id(&message.show_id, "show_id")?.into())),
        false => None,
    };
    let own = OwnShow {
        exact_prices: Some(exact.into_iter().map(price).collect()),
        plan_id: wire::id(&message.plan_id, "plan_id")?,
        announced: message.announced,
        refunds_url,
        show: show(message)?,
    };
    Ok((own, version))
}

/// As it is in lists.
fn listed(show: OwnShow) -> OwnShow {
    OwnShow {
        exact_prices: None,
        ..show
    }
}

fn prices(prices: Vec<NewPrice>) -> Vec<pb::Price> {
    let price = |price: NewPrice| pb::Price {
        category: price.category.unwrap_or_default(),
        amount: price.amount,
        section: price.section.unwrap_or_default(),
        seat: price.seat.unwrap_or_default(),
    };
    prices.into_iter().map(price).collect()
}

fn fees(fees: Vec<NewFee>) -> Vec<pb::Fee> {
    let fee = |fee: NewFee| pb::Fee {
        name: fee.name,
        amount: fee.amount,
        per_ticket: fee.per == FeePer::Ticket,
    };
    fees.into_iter().map(fee).collect()
}

fn some_time(field: &str, text: Option<String>) -> Result<Option<i64>, ApiError> {
    text.map(|text| body_time_ms(field, &text)).transpose()
}

/// Make a show
///
/// A draft, which nobody else sees unless it is `announced`, and of which nothing is for sale until it is
/// published. The same `Idempotency-Key` and body again change nothing, and are answered with the show as
/// it is by then. The body may have 1 MiB.
#[utoipa::path(
    post, path = "/events/{event_id}/shows", tag = "organising",
    params(
        ("event_id" = Uuid, Path),
        ("Idempotency-Key" = String, Header, description = "Names this request.", min_length = 1, max_length = 255),
    ),
    request_body = NewShow,
    responses(
        (status = 201, description = "The show.", body = OwnShow, headers(("Location" = String), ("ETag" = String))),
        (status = 200, description = "The key was known: the show that it made.", body = OwnShow, headers(("ETag" = String))),
    ),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN",
        "EVENT_NOT_FOUND", "PLAN_NOT_FOUND"
    ]))),
)]
pub(crate) async fn create_show(
    State(app): State<Shared>,
    caller: Caller,
    PathId(event_id): PathId<EventId>,
    IdempotencyKey(key): IdempotencyKey,
    LargeBody(body): LargeBody<NewShow, SHOW_BYTES_MAX>,
) -> Result<Response, ApiError> {
    let request = body.into_request(event_id, key)?;
    let answer = app
        .catalog
        .clone()
        .create_show(caller.request(request))
        .await;
    let answer = answer
        .map_err(|status| refused_to_make(&status))?
        .into_inner();
    let (own, version) = own_show(answer.show)?;
    let location = format!("me/shows/{}", own.show.show_id);
    made(answer.replayed, &location, &version, own)
}

impl NewShow {
    fn into_request(
        self,
        event_id: EventId,
        key: String,
    ) -> Result<pb::CreateShowRequest, ApiError> {
        let plan_id: PlanId = body_id("plan_id", &self.plan_id)?;
        Ok(pb::CreateShowRequest {
            show_id: Vec::new(),
            event_id: event_id.to_bytes().to_vec(),
            plan_id: plan_id.to_bytes().to_vec(),
            starts_at_ms: body_time_ms("starts_at", &self.starts_at)?,
            currency: self.currency,
            prices: prices(self.prices),
            fees: fees(self.fees),
            rules: self.rules.map(NewRules::into_message).transpose()?,
            sale_starts_at_ms: some_time("sale_starts_at", self.sale_starts_at)?,
            sale_ends_at_ms: some_time("sale_ends_at", self.sale_ends_at)?,
            announced: self.announced,
            idempotency_key: key,
        })
    }
}

impl ShowChange {
    fn into_request(
        self,
        show_id: ShowId,
        if_version: String,
    ) -> Result<pb::UpdateShowRequest, ApiError> {
        let mut fields = Vec::new();
        let mut changes = |name: &str, given: bool| {
            if given {
                fields.push(name.to_owned());
            }
        };
        changes("starts_at_ms", self.starts_at.is_some());
        changes("prices", self.prices.is_some());
        changes("fees", self.fees.is_some());
        changes("rules", self.rules.is_some());
        changes("sale_starts_at_ms", self.sale_starts_at.is_some());
        changes("sale_ends_at_ms", self.sale_ends_at.is_some());
        changes("announced", self.announced.is_some());
        if fields.is_empty() {
            return Err(ApiError::invalid("body", "names nothing to change"));
        }
        let show = pb::CreateShowRequest {
            show_id: show_id.to_bytes().to_vec(),
            starts_at_ms: some_time("starts_at", self.starts_at)?.unwrap_or_default(),
            prices: prices(self.prices.unwrap_or_default()),
            fees: fees(self.fees.unwrap_or_default()),
            rules: self.rules.map(NewRules::into_message).transpose()?,
            sale_starts_at_ms: some_time("sale_starts_at", self.sale_starts_at.flatten())?,
            sale_ends_at_ms: some_time("sale_ends_at", self.sale_ends_at.flatten())?,
            announced: self.announced.unwrap_or_default(),
            ..pb::CreateShowRequest::default()
        };
        Ok(pb::UpdateShowRequest {
            show: Some(show),
            fields,
            if_version,
        })
    }
}

/// Change a show
///
/// What its seats are put on sale with (`starts_at`, `prices`, `fees`, `rules`) can be changed until that begins,
/// and is refused with `INVALID_STATE` from then on: whoever holds or bought a seat relied on it. When the sale
/// begins and ends can be changed at any time, and counts some seconds later. The body may
/// have 1 MiB.
#[utoipa::path(
    patch, path = "/shows/{show_id}", tag = "organising",
    params(
        ("show_id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what the change is made to: if it was changed meanwhile, the answer is 412. Without it the change is made to whatever there is."),
    ),
    request_body = ShowChange,
    responses((status = 200, description = "The show as it is now.", body = OwnShow, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND", "INVALID_STATE", "PRECONDITION_FAILED"
    ]))),
)]
pub(crate) async fn update_show(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
    headers: HeaderMap,
    LargeBody(body): LargeBody<ShowChange, SHOW_BYTES_MAX>,
) -> Result<Response, ApiError> {
    let if_version = conditional::if_match(&headers)?.unwrap_or_default();
    let request = body.into_request(show_id, if_version)?;
    let answer = app
        .catalog
        .clone()
        .update_show(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let (own, version) = own_show(answer.show)?;
    tagged(&version, own)
}

/// Your shows
///
/// Drafts too.
#[utoipa::path(
    get, path = "/me/shows", tag = "organising",
    params(
        ("event_id" = Option<Uuid>, Query, description = "Only those of this event."),
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of your shows.", body = Page<OwnShow>)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn list_my_shows(
    State(app): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Page<OwnShow>>, ApiError> {
    let event_id = params.id::<EventId>("event_id")?;
    let request = pb::ListOwnShowsRequest {
        event_id: event_id.map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    let answer = app
        .catalog
        .clone()
        .list_own_shows(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let items = answer
        .shows
        .into_iter()
        .map(|show| own_show(Some(show)).map(|(own, _)| listed(own)));
    Ok(Json(Page::new(
        items.collect::<Result<_, _>>()?,
        answer.next_cursor,
    )))
}

/// One of your shows
///
/// Its `ETag` is what `PATCH shows/{show_id}` takes as `If-Match`.
#[utoipa::path(
    get, path = "/me/shows/{show_id}", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 200, description = "The show.", body = OwnShow, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND"]))),
)]
pub(crate) async fn get_my_show(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Response, ApiError> {
    let request = pb::GetOwnShowRequest {
        show_id: show_id.to_bytes().to_vec(),
    };
    let answer = app
        .catalog
        .clone()
        .get_own_show(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let (own, version) = own_show(answer.show)?;
    tagged(&version, own)
}

/// Put a show on sale
///
/// Repeat it where it wasn't answered, or with `UNAVAILABLE`: it goes on where it was, and a show that is
/// on sale stays so.
#[utoipa::path(
    post, path = "/shows/{show_id}/publish", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 200, description = "The show, on sale.", body = OwnShow, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND", "INVALID_STATE", "IN_PROGRESS"
    ]))),
)]
pub(crate) async fn publish_show(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Response, ApiError> {
    publish(&app, &caller, show_id).await
}

/// Put a paused show back on sale
///
/// A draft isn't: it is published.
#[utoipa::path(
    post, path = "/shows/{show_id}/resume", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 200, description = "The show, on sale.", body = OwnShow, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND", "INVALID_STATE", "IN_PROGRESS"
    ]))),
)]
pub(crate) async fn resume_show(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Response, ApiError> {
    let request = pb::GetOwnShowRequest {
        show_id: show_id.to_bytes().to_vec(),
    };
    let mut catalog = app.catalog.clone();
    let answer = catalog.get_own_show(caller.request(request)).await;
    let show = answer.map_err(|status| refused(&status))?.into_inner().show;
    if show.is_some_and(|show| show.state == ShowState::Draft.to_string()) {
        let message = "this show is a DRAFT; it is put on sale by `publish`";
        return Err(ApiError::new(ErrorCode::InvalidState, message));
    }
    publish(&app, &caller, show_id).await
}

/// Pause a show
///
/// Nothing more can be held; whoever holds seats may still buy them.
#[utoipa::path(
    post, path = "/shows/{show_id}/pause", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 200, description = "The show, paused.", body = OwnShow, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND", "INVALID_STATE", "IN_PROGRESS"
    ]))),
)]
pub(crate) async fn pause_show(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Response, ApiError> {
    change_state(&app, &caller, show_id, ShowState::Paused).await
}

/// Close a show's sale
///
/// For good: nothing more can be held, and it is over when the last hold has ended.
#[utoipa::path(
    post, path = "/shows/{show_id}/close", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 200, description = "The show, closed.", body = OwnShow, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND", "INVALID_STATE", "IN_PROGRESS"
    ]))),
)]
pub(crate) async fn close_show(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Response, ApiError> {
    change_state(&app, &caller, show_id, ShowState::Closed).await
}

/// Call a show off
///
/// For good: holds end at once, and nothing of it is sold any more. Whoever has tickets is
/// refunded when you ask for it: `refunds_url` says where. A draft can be called off, too.
#[utoipa::path(
    post, path = "/shows/{show_id}/cancel", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 200, description = "The show, cancelled.", body = OwnShow, headers(("ETag" = String)))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND", "INVALID_STATE", "IN_PROGRESS"
    ]))),
)]
pub(crate) async fn cancel_show(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Response, ApiError> {
    change_state(&app, &caller, show_id, ShowState::Cancelled).await
}

async fn publish(app: &App, caller: &Caller, show_id: ShowId) -> Result<Response, ApiError> {
    let request = pb::PublishShowRequest {
        show_id: show_id.to_bytes().to_vec(),
    };
    let answer = app
        .catalog
        .clone()
        .publish_show(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let (own, version) = own_show(answer.show)?;
    tagged(&version, own)
}

async fn change_state(
    app: &App,
    caller: &Caller,
    show_id: ShowId,
    state: ShowState,
) -> Result<Response, ApiError> {
    let request = pb::ChangeShowStateRequest {
        show_id: show_id.to_bytes().to_vec(),
        state: state.to_string(),
    };
    let answer = app
        .catalog
        .clone()
        .change_show_state(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let (own, version) = own_show(answer.show)?;
    tagged(&version, own)
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn a_show_with_rules_is_asked_for_as_by_the_release_before() {
        let body = serde_json::json!({
            "plan_id": "03030303-0303-0303-0303-030303030303",
            "starts_at": "2099-07-15T20:00:00+02:00",
            "currency": "EUR",
            "prices": [{"category": "Any", "amount": 2_500}],
            "rules": {"hold_ttl_s": 600, "seats_per_customer_max": 4},
        });
        let body: NewShow = serde_json::from_value(body).expect("is a show");
        let event_id = EventId::from_bytes([2; 16]);
        let mut request = body
            .into_request(event_id, "k".to_owned())
            .expect("can be asked for");
        // The gateway of that release chose the id, and sent no key.
        assert_eq!(std::mem::take(&mut request.idempotency_key), "k");
        let id: Uuid = "5f38c00c-c9c4-8621-a39a-0097f9ba3c02"
            .parse()
            .expect("is an id");
        request.show_id = id.into_bytes().to_vec();
        let sha256: [u8; 32] = Sha256::digest(request.encode_to_vec()).into();
        let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        // As catalog-svc has it in `grpc/asked.rs`.
        assert_eq!(
            sha256,
            "b0733a5657de27f2fa56b3dc76b8420b287d419077ccc5ec0f20138e30a06ff3"
        );
    }
}
