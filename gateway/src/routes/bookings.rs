//! Purchases: booking a hold, where to pay, tickets, calling it off.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use holdfast_proto::booking::v1 as pb;
use holdfast_types::BookingId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    call::Caller,
    conditional,
    extract::{AnyIdempotencyKey, Body, IdempotencyKey, Params, PathId},
    failure::ApiError,
    server::Shared,
    wire::{self, ChargedFee, Money, Page, optional, required},
};

/// Longest wait for a change: shorter than a request may take, and than what stands in between waits.
const WAIT_MAX: Duration = Duration::from_secs(8);

/// How much sooner than asked a wait may end and count as waited out.
const WAIT_SLACK: Duration = Duration::from_secs(1);

/// When to ask again where nothing could be waited for: seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What to book.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBooking {
    /// A live hold of yours.
    #[schema(example = "h_01...")]
    hold_id: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Booking {
    booking_id: Uuid,
    /// PENDING_PAYMENT, CONFIRMED, EXPIRED, FAILED, CANCELLED.
    #[schema(example = "PENDING_PAYMENT")]
    status: String,
    show_id: Uuid,
    #[schema(example = json!(["GROUND-3-A-7", "GROUND-3-A-8"]))]
    seat_ids: Vec<String>,
    /// What is to be paid: the seats and the fees.
    total: Money,
    seats_total: Money,
    /// In the order in which they are to be shown.
    fees: Vec<ChargedFee>,
    /// Where to pay; there once the payment provider has answered, gone after payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uri", example = "http://127.0.0.1:8081/pay/...")]
    payment_url: Option<String>,
    created_at: DateTime<Utc>,
    /// Until when an unpaid booking keeps its seats.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    /// Why it is FAILED, EXPIRED or CANCELLED: a short code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "SEATS_GONE")]
    reason: Option<String>,
    /// NONE, PENDING, PARTLY_REFUNDED, REFUNDED.
    #[schema(example = "NONE")]
    refund_status: String,
    /// Of `seat_ids`, those whose tickets were given back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["GROUND-3-A-8"]))]
    returned_seat_ids: Vec<String>,
}

/// A booking of yours that can't be shown right now, because what is stored of it can't be read. It is there, and
/// staff are told.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnreadableBooking {
    booking_id: Uuid,
    show_id: Uuid,
}

/// A page of your bookings.
#[derive(Serialize, ToSchema)]
pub(crate) struct BookingPage {
    items: Vec<Booking>,
    /// Those of the page that can't be shown. They count in `limit`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableBooking>,
    /// Send it as `cursor` for the next page; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Ticket {
    ticket_id: Uuid,
    show_id: Uuid,
    #[schema(example = "GROUND-3-A-7")]
    seat_id: String,
    /// VALID, USED, VOID.
    #[schema(example = "VALID")]
    state: String,
    /// What the QR code says.
    qr_payload: String,
}

/// A booking's tickets, one a seat.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tickets {
    items: Vec<Ticket>,
}

pub(super) fn booking(booking: pb::Booking) -> Result<Booking, ApiError> {
    let (total, seats_total, fees) = wire::cost(booking.total, booking.seats_total, booking.fees)?;
    let expires_at = match booking.expires_at_ms {
        0 => None,
        ms => Some(wire::utc(ms)?),
    };
    Ok(Booking {
        booking_id: wire::id(&booking.booking_id, "booking_id")?,
        status: booking.status,
        show_id: wire::id(&booking.show_id, "show_id")?,
        seat_ids: booking.seat_ids,
        total,
        seats_total,
        fees,
        payment_url: optional(booking.payment_url),
        created_at: wire::utc(booking.created_at_ms)?,
        expires_at,
        reason: optional(booking.reason),
        refund_status: booking.refund_status,
        returned_seat_ids: booking.returned_seat_ids,
    })
}

pub(super) fn unreadable(booking: pb::UnreadableBooking) -> Result<UnreadableBooking, ApiError> {
    Ok(UnreadableBooking {
        booking_id: wire::id(&booking.booking_id, "booking_id")?,
        show_id: wire::id(&booking.show_id, "show_id")?,
    })
}

fn ticket(ticket: pb::Ticket) -> Result<Ticket, ApiError> {
    Ok(Ticket {
        ticket_id: wire::id(&ticket.ticket_id, "ticket_id")?,
        show_id: wire::id(&ticket.show_id, "show_id")?,
        seat_id: ticket.seat_id,
        state: ticket.state,
        qr_payload: ticket.qr_payload,
    })
}

/// Book a hold
///
/// Makes a booking of a hold and asks for payment: poll the booking for its `payment_url`. The
/// same `Idempotency-Key` and body again get the same answer for 24 hours, whatever became of the
/// booking; another call or body under that key is `IDEMPOTENCY_KEY_REUSED`. A copy of a request that is
/// under way waits for it, and is `IN_PROGRESS` if that takes long. After any other error the same
/// request is judged anew.
#[utoipa::path(
    post, path = "/bookings", tag = "buying",
    params(("Idempotency-Key" = String, Header, description = "Names this request.", min_length = 1, max_length = 255, pattern = r"^[!-~]+$")),
    request_body = NewBooking,
    responses(
        (status = 201, description = "The booking, to be paid.", body = Booking, headers(("Location" = String), ("ETag" = String))),
        (status = 200, description = "The key was known: the answer given then. A first request may get it, too, where its work was done twice on the way.", body = Booking),
    ),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN",
        "HOLD_NOT_FOUND", "HOLD_EXPIRED", "SHOW_NOT_ON_SALE", "INVALID_STATE", "IN_PROGRESS"
    ]))),
)]
pub(crate) async fn create_booking(
    State(app): State<Shared>,
    caller: Caller,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(body): Body<NewBooking>,
) -> Result<Response, ApiError> {
    let request = pb::CreateBookingRequest {
        hold_id: body.hold_id,
        idempotency_key,
    };
    let answer = app
        .booking
        .clone()
        .create_booking(caller.request(request))
        .await?
        .into_inner();
    let made = required(answer.booking, "booking")?;
    let tag = etag(&made)?;
    let booking = booking(made)?;
    if answer.replayed {
        return Ok((tag, Json(booking)).into_response());
    }
    let location = format!("/api/v1/bookings/{}", booking.booking_id);
    Ok((
        StatusCode::CREATED,
        tag,
        [(header::LOCATION, location)],
        Json(booking),
    )
        .into_response())
}

/// Your bookings
///
/// Newest first. One that can't be shown right now is in `unreadable`, in the page that it would be in.
#[utoipa::path(
    get, path = "/bookings", tag = "buying",
    params(
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of your bookings.", body = BookingPage)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn list_bookings(
    State(app): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<BookingPage>, ApiError> {
    let request = pb::ListBookingsRequest {
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    let answer = app
        .booking
        .clone()
        .list_bookings(caller.request(request))
        .await?
        .into_inner();
    let items = answer
        .bookings
        .into_iter()
        .map(booking)
        .collect::<Result<_, _>>()?;
    let lost = answer.unreadable.into_iter().map(unreadable);
    let Page { items, next_cursor } = Page::new(items, answer.next_cursor);
    Ok(Json(BookingPage {
        items,
        unreadable: lost.collect::<Result<_, _>>()?,
        next_cursor,
    }))
}

/// Your bookings, by another name
///
/// As `bookings`.
#[utoipa::path(
    get, path = "/me/bookings", tag = "accounts",
    params(
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of your bookings.", body = BookingPage)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN"]))),
)]
pub(crate) async fn list_my_bookings(
    app: State<Shared>,
    caller: Caller,
    params: Params,
) -> Result<Json<BookingPage>, ApiError> {
    list_bookings(app, caller, params).await
}

/// One of your bookings
///
/// With `If-None-Match` and `Prefer: wait=8` the answer comes as soon as the booking has changed, so that
/// nobody has to ask again and again for where to pay or whether it is confirmed.
#[utoipa::path(
    get, path = "/bookings/{booking_id}", tag = "buying",
    params(
        ("booking_id" = Uuid, Path),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer kept."),
        ("Prefer" = Option<String>, Header, description = "`wait=` seconds (RFC 7240): how long a change is waited for before 304, at most 8; sooner while too many wait."),
    ),
    responses(
        (status = 200, description = "The booking.", body = Booking, headers(("ETag" = String))),
        (status = 304, description = "It is as in the answer kept. With `Retry-After`, too many wait: ask again then.", headers(("Retry-After" = Option<String>))),
    ),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "BOOKING_NOT_FOUND"]))),
)]
pub(crate) async fn get_booking(
    State(app): State<Shared>,
    caller: Caller,
    PathId(booking_id): PathId<BookingId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let seen = conditional::kept_tag(&headers);
    let wanted = match seen {
        Some(_) => conditional::wait(&headers).min(WAIT_MAX),
        None => Duration::ZERO,
    };
    // Whoever waits has the slot of a request: some are for those who don't.
    let place = (!wanted.is_zero()).then(|| app.waits.try_acquire());
    let wait = match place {
        Some(Ok(_)) => wanted,
        _ => Duration::ZERO,
    };
    let request = pb::GetBookingRequest {
        booking_id: booking_id.to_bytes().to_vec(),
        seen: seen.unwrap_or_default(),
        wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
    };
    let began = Instant::now();
    let answer = app
        .booking
        .clone()
        .get_booking(caller.request(request))
        .await?
        .into_inner();
    let found = required(answer.booking, "booking")?;
    let tags = etag(&found)?;
    if tags
        .get(header::ETAG)
        .is_some_and(|tag| conditional::known(&headers, tag))
    {
        // Where nothing was waited for, nobody is to ask again at once.
        let mut headers = tags;
        if began.elapsed() + WAIT_SLACK < wanted {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((tags, Json(booking(found)?)).into_response())
}

/// Its version. Weak, because the same body may go out compressed. None of a booking-svc that tells none.
fn etag(booking: &pb::Booking) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    if !booking.version.is_empty() {
        let tag = HeaderValue::from_str(&format!("W/\"{}\"", booking.version));
        let tag = tag.map_err(|error| ApiError::defect(&error.to_string()))?;
        headers.insert(header::ETAG, tag);
    }
    Ok(headers)
}

/// One thing that happened to a booking.
#[derive(Serialize, ToSchema)]
pub(crate) struct TimelineEntry {
    /// From 1, without gaps.
    position: u32,
    at: DateTime<Utc>,
    /// HOLD_EXTENDED, CREATED, SESSION_CREATED, PAID, PAYMENT_FAILED, PAYMENT_DISPUTED, TIME_RAN_OUT,
    /// HOLD_ENDED, CANCEL_REQUESTED, SHOW_CANCELLED, COMMITTED, HOLD_GONE, COMMIT_REFUSED,
    /// HOLD_RELEASED, HOLD_SOLD, HELD_AGAIN, NOT_HELD_AGAIN, SEATS_RETURNED, TICKETS_ISSUED,
    /// TICKETS_GIVEN_BACK, TICKETS_VOIDED, REFUND_REQUESTED, REFUNDED, CONFIRMED, EXPIRED, FAILED,
    /// CANCELLED, INCONSISTENT, STORE_REBUILT; more may come.
    #[schema(example = "CANCELLED")]
    happened: String,
    /// Why: a short code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "CANCELLED_BY_CUSTOMER")]
    reason: Option<String>,
    /// The seats' revision that this follows from, where it follows from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "36028797018963968")]
    revision: Option<String>,
    /// Under which the booking had its seats then.
    #[schema(example = "36028797018963968")]
    fence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Money>,
    /// Where it isn't about all of the booking's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["GROUND-3-A-8"]))]
    seat_ids: Vec<String>,
}

fn timeline_entry(entry: pb::TimelineEntry) -> Result<TimelineEntry, ApiError> {
    let some_id = |bytes: &[u8], what| match bytes {
        [] => Ok(None),
        bytes => wire::id(bytes, what).map(Some),
    };
    Ok(TimelineEntry {
        position: entry.position,
        at: wire::utc(entry.at_ms)?,
        happened: entry.happened,
        reason: optional(entry.reason),
        revision: (entry.revision > 0).then(|| entry.revision.to_string()),
        fence: entry.fence.to_string(),
        payment_id: some_id(&entry.payment_id, "payment_id")?,
        refund_id: some_id(&entry.refund_id, "refund_id")?,
        amount: entry.amount.map(|money| Money {
            amount: money.amount,
            currency: money.currency,
        }),
        seat_ids: entry.seat_ids,
    })
}

/// What happened to a booking
///
/// Each thing and why, oldest first; an entry never changes.
#[utoipa::path(
    get, path = "/bookings/{booking_id}/timeline", tag = "buying",
    params(
        ("booking_id" = Uuid, Path),
        ("limit" = Option<u32>, Query, description = "Items in a page; 20 unless said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of the timeline.", body = Page<TimelineEntry>)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "BOOKING_NOT_FOUND"]))),
)]
pub(crate) async fn get_booking_timeline(
    State(app): State<Shared>,
    caller: Caller,
    PathId(booking_id): PathId<BookingId>,
    mut params: Params,
) -> Result<Json<Page<TimelineEntry>>, ApiError> {
    let request = pb::GetBookingTimelineRequest {
        booking_id: booking_id.to_bytes().to_vec(),
        limit: params.limit()?,
        cursor: params.text("cursor")?,
    };
    params.finish()?;
    let answer = app
        .booking
        .clone()
        .get_booking_timeline(caller.request(request))
        .await?
        .into_inner();
    let items = answer
        .entries
        .into_iter()
        .map(timeline_entry)
        .collect::<Result<_, _>>()?;
    Ok(Json(Page::new(items, answer.next_cursor)))
}

/// Call a booking off
///
/// An unpaid booking frees its seats; a confirmed one is refunded and its seats go back on sale.
#[utoipa::path(
    post, path = "/bookings/{booking_id}/cancel", tag = "buying",
    params(
        ("booking_id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this request: the same again gets the same answer. Without one it is told as the booking stands then.", min_length = 1, max_length = 255, pattern = r"^[!-~]+$"),
    ),
    responses((status = 200, description = "The booking as it stands now; of a repeated request as it stood then.", body = Booking)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN", "BOOKING_NOT_FOUND", "INVALID_STATE",
        "IN_PROGRESS"
    ]))),
)]
pub(crate) async fn cancel_booking(
    State(app): State<Shared>,
    caller: Caller,
    PathId(booking_id): PathId<BookingId>,
    AnyIdempotencyKey(idempotency_key): AnyIdempotencyKey,
) -> Result<Json<Booking>, ApiError> {
    let request = pb::CancelBookingRequest {
        booking_id: booking_id.to_bytes().to_vec(),
        idempotency_key,
    };
    let answer = app
        .booking
        .clone()
        .cancel_booking(caller.request(request))
        .await?
        .into_inner();
    Ok(Json(booking(required(answer.booking, "booking")?)?))
}

/// Which tickets to give back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenBack {
    /// Seats of the booking, none twice.
    #[schema(min_items = 1, max_items = 64, example = json!(["GROUND-3-A-8"]))]
    seat_ids: Vec<String>,
}

/// Give tickets back
///
/// Some of a confirmed booking's: they are void, what they cost is refunded, and their seats go back on
/// sale; the booking goes on with the others. All that are left are a cancellation. The same again
/// changes nothing.
#[utoipa::path(
    post, path = "/bookings/{booking_id}/return", tag = "buying",
    params(
        ("booking_id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this request: the same again gets the same answer. Without one it is told as the booking stands then.", min_length = 1, max_length = 255, pattern = r"^[!-~]+$"),
    ),
    request_body = GivenBack,
    responses((status = 200, description = "The booking as it stands now; of a repeated request as it stood then.", body = Booking)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!([
        "INVALID_REQUEST", "IDEMPOTENCY_KEY_REUSED", "FORBIDDEN", "BOOKING_NOT_FOUND", "SEAT_NOT_FOUND",
        "INVALID_STATE", "IN_PROGRESS"
    ]))),
)]
pub(crate) async fn return_tickets(
    State(app): State<Shared>,
    caller: Caller,
    PathId(booking_id): PathId<BookingId>,
    AnyIdempotencyKey(idempotency_key): AnyIdempotencyKey,
    Body(body): Body<GivenBack>,
) -> Result<Json<Booking>, ApiError> {
    let request = pb::ReturnTicketsRequest {
        booking_id: booking_id.to_bytes().to_vec(),
        seat_ids: body.seat_ids,
        idempotency_key,
    };
    let answer = app
        .booking
        .clone()
        .return_tickets(caller.request(request))
        .await?
        .into_inner();
    Ok(Json(booking(required(answer.booking, "booking")?)?))
}

/// A booking's tickets
///
/// One a seat, once the booking is confirmed.
#[utoipa::path(
    get, path = "/bookings/{booking_id}/tickets", tag = "buying",
    params(("booking_id" = Uuid, Path)),
    responses((status = 200, description = "The tickets.", body = Tickets)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "BOOKING_NOT_FOUND", "INVALID_STATE"]))),
)]
pub(crate) async fn list_tickets(
    State(app): State<Shared>,
    caller: Caller,
    PathId(booking_id): PathId<BookingId>,
) -> Result<Json<Tickets>, ApiError> {
    let request = pb::ListTicketsRequest {
        booking_id: booking_id.to_bytes().to_vec(),
    };
    let answer = app
        .booking
        .clone()
        .list_tickets(caller.request(request))
        .await?
        .into_inner();
    let items = answer
        .tickets
        .into_iter()
        .map(ticket)
        .collect::<Result<_, _>>()?;
    Ok(Json(Tickets { items }))
}
