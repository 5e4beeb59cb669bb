//! Which seats are free: from the replica of a show that is followed, else from the store.
//!
//! Always holds: what is answered is the store's own state at the revision said with it, at most
//! two seconds old, and never older than `min_revision`.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use holdfast_proto::booking::v1 as pb;
use holdfast_types::{ErrorCode, Revision, SeatState, ShowId};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    call::Call,
    extract::{Params, PathId},
    failure::ApiError,
    layout::Layout,
    lists::ListVersion,
    live::{message::pack, show::LiveShow},
    metrics,
    server::{App, Shared},
    wire,
};

/// How long a replica that is behind `min_revision` may take to catch up before the store is read:
/// it is a fraction of a second behind.
const MIN_REVISION_WAIT: Duration = Duration::from_millis(500);

#[derive(Serialize, ToSchema)]
pub(crate) struct Availability {
    show_id: Uuid,
    /// The point in the store's history that this is the state at; a later one is larger.
    #[schema(example = "36028797019029504")]
    revision: String,
    /// ON_SALE, PAUSED, CLOSED, CANCELLED.
    #[schema(example = "ON_SALE")]
    show_state: String,
    /// In seat order. With `format=list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    seats: Option<Vec<SeatAvailability>>,
    /// How many seats the bitmap has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 738)]
    seat_count: Option<usize>,
    /// With `format=bitmap`: two bits a seat, base64 (RFC 4648 §4). The seats are those of the seat
    /// map and the places of its areas, or of the section asked for, by ascending `seat_no`; the first is in the lowest two
    /// bits of the first byte, the next in the two above, four to a byte. 0 is AVAILABLE, 1 HELD,
    /// 2 SOLD, 3 BLOCKED.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "AAFA")]
    bitmap: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SeatAvailability {
    #[schema(example = "GROUND-3-A-7")]
    seat_id: String,
    /// AVAILABLE, HELD, SOLD, BLOCKED.
    #[schema(example = "AVAILABLE")]
    state: String,
}

/// What is asked.
struct Asked {
    show_id: ShowId,
    /// Empty for the whole show.
    section: String,
    bitmap: bool,
    /// Zero for any.
    min: Revision,
}

/// Which seats are free
///
/// The state of every seat, or of one section's, at one moment, at most two seconds ago; never
/// cached. `min_revision` asks for a moment no earlier than that of an answer before. A show that is
/// announced and never was for sale has no seats to be free: SHOW_NOT_ON_SALE, as a hold there.
#[utoipa::path(
    get, path = "/shows/{show_id}/availability", tag = "buying",
    params(
        ("show_id" = Uuid, Path),
        ("section" = Option<String>, Query, description = "Only this section.", example = json!("GROUND-3")),
        ("format" = Option<String>, Query, description = "`list`, unless said, or `bitmap`, which is a hundredth of the size.", example = json!("bitmap")),
        ("min_revision" = Option<String>, Query, description = "A revision that was received: the answer is at that or a later one.", example = json!("36028797019029504")),
    ),
    responses((status = 200, description = "The seats' states.", body = Availability)),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "SHOW_NOT_FOUND", "SHOW_NOT_ON_SALE"]))),
)]
pub(crate) async fn get_availability(
    State(app): State<Shared>,
    call: Call,
    PathId(show_id): PathId<ShowId>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asked = Asked {
        show_id,
        section: params.text("section")?,
        bitmap: match params.text("format")?.as_str() {
            "" | "list" => false,
            "bitmap" => true,
            _ => return Err(ApiError::invalid("format", "must be list or bitmap")),
        },
        min: params.revision("min_revision")?.unwrap_or_default(),
    };
    params.finish()?;
    let followed = app.live.find(show_id, Instant::now());
    if let Some(show) = &followed
        && let Some(answer) = from_replica(&app, &call, &asked, show, &headers).await
    {
        metrics::availability_read("replica");
        return answer;
    }
    metrics::availability_read("store");
    let answer = from_store(&app, &call, &asked).await?;
    if followed.is_none() {
        // It is there: whoever looks next finds it here.
        app.live.follow(show_id, Instant::now());
    }
    Ok(Json(answer).into_response())
}

/// From memory, if what is known there is new enough.
async fn from_replica(
    app: &Shared,
    call: &Call,
    asked: &Asked,
    show: &LiveShow,
    headers: &HeaderMap,
) -> Option<Result<Response, ApiError>> {
    if asked.min > Revision::ZERO && !show.reach(asked.min, MIN_REVISION_WAIT).await {
        return None;
    }
    if asked.bitmap && asked.section.is_empty() {
        let packed = show.packed(asked.min, Instant::now())?;
        // Another life's revisions are larger, and none is met by them.
        if !is_of_life(packed.revision, asked.min) {
            return None;
        }
        let version = ListVersion {
            show_id: asked.show_id,
            revision: packed.revision,
            show_state: packed.show_state,
            is_bitmap: true,
        };
        let make = async {
            Availability {
                show_id: asked.show_id.as_uuid(),
                revision: packed.revision.to_string(),
                show_state: packed.show_state.to_owned(),
                seats: None,
                seat_count: Some(packed.seat_count),
                bitmap: Some(packed.bitmap.to_string()),
            }
        };
        return Some(app.lists.answer(version, headers, make).await);
    }
    let layout = app.layouts.get(app, call, asked.show_id).await?;
    let shown = show.shown(asked.min, Instant::now())?;
    let fits = layout.seat_count() == shown.seats.len() && is_of_life(shown.revision, asked.min);
    if !fits {
        return None;
    }
    let (revision, show_state) = (shown.revision, shown.show_state);
    let make = || {
        let seats = seats_of(&layout, &shown.seats, &asked.section);
        answer(asked, revision, show_state.to_owned(), seats)
    };
    if asked.bitmap || !asked.section.is_empty() {
        return Some(Ok(Json(make()).into_response()));
    }
    let version = ListVersion {
        show_id: asked.show_id,
        revision,
        show_state,
        is_bitmap: false,
    };
    let listed = app.lists.answer(version, headers, async { make() });
    Some(listed.await)
}

fn seats_of<'a>(
    layout: &'a Layout,
    states: &'a [SeatState],
    section: &'a str,
) -> impl Iterator<Item = (&'a str, SeatState)> {
    let seats = layout.seats().zip(states);
    seats
        .filter(move |((_, of), _)| section.is_empty() || *of == section)
        .map(|((label, _), state)| (label, *state))
}

/// A linearizable read.
async fn from_store(app: &Shared, call: &Call, asked: &Asked) -> Result<Availability, ApiError> {
    let request = pb::GetAvailabilityRequest {
        show_id: asked.show_id.to_bytes().to_vec(),
        section: asked.section.clone(),
    };
    let mut booking = app.booking.clone();
    let found = match booking.get_availability(call.request(request)).await {
        Ok(found) => found.into_inner(),
        Err(status) => return Err(not_on_sale(app, call, asked.show_id, status.into()).await),
    };
    let revision = Revision::from_u64(found.revision)
        .map_err(|_| ApiError::defect("an answer with a broken revision"))?;
    if wire::id(&found.show_id, "show_id")? != asked.show_id.as_uuid() {
        return Err(ApiError::defect("an answer about another show"));
    }
    if !is_of_life(revision, asked.min) {
        let why = "is of another life of the store; read without it";
        return Err(ApiError::invalid("min_revision", why));
    }
    if revision < asked.min {
        let why = "is later than anything that has happened";
        return Err(ApiError::invalid("min_revision", why));
    }
    let seats = found.seats.iter().map(|seat| {
        let state = seat.state.parse();
        let state = state.map_err(|_| ApiError::defect("an answer with a broken seat state"));
        Ok((seat.seat_id.as_str(), state?))
    });
    let seats = seats.collect::<Result<Vec<_>, ApiError>>()?.into_iter();
    Ok(answer(asked, revision, found.show_state, seats))
}

/// What `error` is to a customer: who sells knows no show that was never for sale, and the catalogue
/// may have announced it.
pub(super) async fn not_on_sale(
    app: &App,
    call: &Call,
    show_id: ShowId,
    error: ApiError,
) -> ApiError {
    if error.code() == ErrorCode::ShowNotFound && app.kept.show(app, call, show_id).await.is_ok() {
        return ApiError::new(ErrorCode::ShowNotOnSale, "this show isn't on sale");
    }
    error
}

/// Whether a state at `revision` can be as new as `min` by being later.
fn is_of_life(revision: Revision, min: Revision) -> bool {
    min == Revision::ZERO || revision.lineage() == min.lineage()
}

fn answer<'a>(
    asked: &Asked,
    revision: Revision,
    show_state: String,
    seats: impl Iterator<Item = (&'a str, SeatState)>,
) -> Availability {
    let mut answer = Availability {
        show_id: asked.show_id.as_uuid(),
        revision: revision.to_string(),
        show_state,
        seats: None,
        seat_count: None,
        bitmap: None,
    };
    if asked.bitmap {
        let states: Vec<SeatState> = seats.map(|(_, state)| state).collect();
        answer.seat_count = Some(states.len());
        answer.bitmap = Some(pack(states.into_iter()));
    } else {
        let seats = seats.map(|(label, state)| SeatAvailability {
            seat_id: label.to_owned(),
            state: state.as_str().to_owned(),
        });
        answer.seats = Some(seats.collect());
    }
    answer
}
