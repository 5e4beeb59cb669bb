//! What the gateway calls.

use std::time::Duration;

use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_proto::booking::v1::{self as pb, booking_service_server::BookingService};
use holdfast_types::Revision;
use tonic::{Request, Response, Status};

use super::{Service, booking_id, show_id};
use crate::{
    app::{
        answer::{booking_message, fee_messages, money_message},
        book::Book,
        hold_seats::{Area, Best, HoldSeats, Wanted},
        holds::HoldView,
        read::BookingView,
        requests::named,
    },
    error::Error,
    store::{requests::Route, timeline::Written},
};

type Answer<T> = Result<Response<T>, Status>;

fn refuse(error: Error) -> Status {
    Failure::from(error).into()
}

/// Seats are either named or chosen, or places of an area.
fn wanted(
    seat_ids: Vec<String>,
    best: Option<pb::BestAvailable>,
    area: Option<pb::AreaPlaces>,
) -> Result<Wanted, Failure> {
    match (best, area) {
        (None, None) => Ok(Wanted::Seats(seat_ids)),
        _ if !seat_ids.is_empty() => Err(Failure::invalid(
            "seat_ids",
            "not with best_available or area",
        )),
        (Some(_), Some(_)) => Err(Failure::invalid("area", "not with best_available")),
        (None, Some(area)) => Ok(Wanted::Area(Area {
            name: area.name,
            count: area.count,
        })),
        (Some(best), None) => Ok(Wanted::Best(Best {
            count: best.count,
            sections: best.sections,
            max_price: best.max_price,
            adjacent: best.adjacent,
            accessible: best.accessible,
        })),
    }
}

#[tonic::async_trait]
impl BookingService for Service {
    async fn get_availability(
        &self,
        request: Request<pb::GetAvailabilityRequest>,
    ) -> Answer<pb::GetAvailabilityResponse> {
        let deadline = Deadline::of(&request);
        let request = request.into_inner();
        let show = show_id(&request.show_id)?;
        let found = self
            .app
            .availability(show, &request.section, deadline)
            .await
            .map_err(refuse)?;
        Ok(Response::new(pb::GetAvailabilityResponse {
            show_id: request.show_id,
            revision: found.revision.as_u64(),
            show_state: found.show_state.to_owned(),
            seats: found
                .seats
                .into_iter()
                .map(|(seat_id, state)| pb::SeatAvailability {
                    seat_id,
                    state: state.to_string(),
                })
                .collect(),
        }))
    }

    async fn create_hold(
        &self,
        request: Request<pb::CreateHoldRequest>,
    ) -> Answer<pb::CreateHoldResponse> {
        let user_id = self.user(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let request = request.into_inner();
        let hold = HoldSeats {
            user_id,
            show_id: show_id(&request.show_id)?,
            wanted: wanted(request.seat_ids, request.best_available, request.area)?,
            idempotency_key: request.idempotency_key,
        };
        let (view, replayed) = self.app.hold_seats(hold, deadline).await.map_err(refuse)?;
        Ok(Response::new(pb::CreateHoldResponse {
            hold: Some(hold_message(view)),
            replayed,
        }))
    }

    async fn get_hold(&self, request: Request<pb::GetHoldRequest>) -> Answer<pb::GetHoldResponse> {
        let user_id = self.user(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let hold_id = request.into_inner().hold_id;
        let view = self
            .app
            .get_hold(user_id, &hold_id, deadline)
            .await
            .map_err(refuse)?;
        Ok(Response::new(pb::GetHoldResponse {
            hold: Some(hold_message(view)),
        }))
    }

    async fn extend_hold(
        &self,
        request: Request<pb::ExtendHoldRequest>,
    ) -> Answer<pb::ExtendHoldResponse> {
        let user_id = self.user(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let hold_id = request.into_inner().hold_id;
        let view = self
            .app
            .extend_hold(user_id, &hold_id, deadline)
            .await
            .map_err(refuse)?;
        Ok(Response::new(pb::ExtendHoldResponse {
            hold: Some(hold_message(view)),
        }))
    }

    async fn release_hold(
        &self,
        request: Request<pb::ReleaseHoldRequest>,
    ) -> Answer<pb::ReleaseHoldResponse> {
        let user_id = self.user(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let hold_id = request.into_inner().hold_id;
        self.app
            .release_hold(user_id, &hold_id, deadline)
            .await
            .map_err(refuse)?;
        Ok(Response::new(pb::ReleaseHoldResponse {}))
    }

    async fn create_booking(
        &self,
        request: Request<pb::CreateBookingRequest>,
    ) -> Answer<pb::CreateBookingResponse> {
        let user_id = self.user(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let pb::CreateBookingRequest {
            hold_id,
            idempotency_key,
        } = request.into_inner();
        let book = Book {
            user_id,
            hold_id,
            idempotency_key,
        };
        let answer = self.app.book(book, deadline).await.map_err(refuse)?;
        Ok(Response::new(pb::CreateBookingResponse {
            booking: Some(answer.booking),
            replayed: answer.replayed,
        }))
    }

    async fn stop_bookings(
        &self,
        request: Request<pb::StopBookingsRequest>,
    ) -> Answer<pb::StopBookingsResponse> {
        let user_id = self.user(request.metadata()).await?;
        self.app.stop_bookings(user_id).await.map_err(refuse)?;
        Ok(Response::new(pb::StopBookingsResponse {}))
    }

    async fn resume_bookings(
        &self,
        request: Request<pb::ResumeBookingsRequest>,
    ) -> Answer<pb::ResumeBookingsResponse> {
        let user_id = self.user(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let ask = |users| self.identity.standings(users, deadline);
        self.app
            .resume_bookings(user_id, ask)
            .await
            .map_err(refuse)?;
        Ok(Response::new(pb::ResumeBookingsResponse {}))
    }

    async fn get_booking(
        &self,
        request: Request<pb::GetBookingRequest>,
    ) -> Answer<pb::GetBookingResponse> {
        let user_id = self.user(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let pb::GetBookingRequest {
            booking_id: id,
            seen,
            wait_ms,
        } = request.into_inner();
        let longest = Duration::from_millis(wait_ms.into());
        let is_news = |view: &BookingView| booking_message(view.clone()).version != seen;
        let view = self
            .app
            .wait_booking(user_id, booking_id(&id)?, (longest, deadline), is_news)
            .await
            .map_err(refuse)?;
        Ok(Response::new(pb::GetBookingResponse {
            booking: Some(booking_message(view)),
        }))
    }

    async fn list_bookings(
        &self,
        request: Request<pb::ListBookingsRequest>,
    ) -> Answer<pb::ListBookingsResponse> {
        let user_id = self.user(request.metadata()).await?;
        let pb::ListBookingsRequest { limit, cursor } = request.into_inner();
        let listed = self
            .app
            .list_bookings(user_id, limit, &cursor)
            .await
            .map_err(refuse)?;
        let unreadable = listed.unreadable.iter().map(|key| pb::UnreadableBooking {
            booking_id: key.booking_id.to_bytes().to_vec(),
            show_id: key.show_id.to_bytes().to_vec(),
        });
        Ok(Response::new(pb::ListBookingsResponse {
            unreadable: unreadable.collect(),
            bookings: listed.bookings.into_iter().map(booking_message).collect(),
            next_cursor: listed.next_cursor,
        }))
    }

    async fn get_booking_timeline(
        &self,
        request: Request<pb::GetBookingTimelineRequest>,
    ) -> Answer<pb::GetBookingTimelineResponse> {
        let user_id = self.user(request.metadata()).await?;
        let pb::GetBookingTimelineRequest {
            booking_id: id,
            limit,
            cursor,
        } = request.into_inner();
        let (entries, next_cursor) = self
            .app
            .booking_timeline(user_id, booking_id(&id)?, limit, &cursor)
            .await
            .map_err(refuse)?;
        let entries = entries.into_iter().map(entry_message).collect();
        Ok(Response::new(pb::GetBookingTimelineResponse {
            entries,
            next_cursor,
        }))
    }

    async fn cancel_booking(
        &self,
        request: Request<pb::CancelBookingRequest>,
    ) -> Answer<pb::CancelBookingResponse> {
        let user_id = self.user(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let pb::CancelBookingRequest {
            booking_id: id,
            idempotency_key,
        } = request.into_inner();
        let booking_id = booking_id(&id)?;
        let named = named(user_id, idempotency_key, Route::CancelBooking, &[&id])?;
        let work = self.app.cancel_booking(user_id, booking_id, named.as_ref());
        let answer = self.app.once(named.as_ref(), deadline, work).await;
        Ok(Response::new(pb::CancelBookingResponse {
            booking: Some(answer.map_err(refuse)?.booking),
        }))
    }

    async fn return_tickets(
        &self,
        request: Request<pb::ReturnTicketsRequest>,
    ) -> Answer<pb::ReturnTicketsResponse> {
        let user_id = self.user(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let pb::ReturnTicketsRequest {
            booking_id: id,
            seat_ids,
            idempotency_key,
        } = request.into_inner();
        let booking_id = booking_id(&id)?;
        let mut body: Vec<&[u8]> = seat_ids.iter().map(String::as_bytes).collect();
        // In any order they are the same seats.
        body.sort_unstable();
        body.insert(0, &id);
        let named = named(user_id, idempotency_key, Route::ReturnTickets, &body)?;
        let work = self
            .app
            .return_tickets(user_id, booking_id, &seat_ids, named.as_ref());
        let answer = self.app.once(named.as_ref(), deadline, work).await;
        Ok(Response::new(pb::ReturnTicketsResponse {
            booking: Some(answer.map_err(refuse)?.booking),
        }))
    }

    async fn list_tickets(
        &self,
        request: Request<pb::ListTicketsRequest>,
    ) -> Answer<pb::ListTicketsResponse> {
        let user_id = self.user(request.metadata()).await?;
        let booking_id = booking_id(&request.into_inner().booking_id)?;
        let (show_id, tickets) = self
            .app
            .list_tickets(user_id, booking_id)
            .await
            .map_err(refuse)?;
        let tickets = tickets
            .into_iter()
            .map(|(ticket, seat_id)| pb::Ticket {
                ticket_id: ticket.ticket_id.to_bytes().to_vec(),
                show_id: show_id.to_bytes().to_vec(),
                seat_id,
                state: ticket.state.to_string(),
                qr_payload: ticket.qr_payload,
            })
            .collect();
        Ok(Response::new(pb::ListTicketsResponse { tickets }))
    }
}

fn entry_message((entry, seat_ids): (Written, Vec<String>)) -> pb::TimelineEntry {
    pb::TimelineEntry {
        position: entry.position,
        at_ms: entry.at.timestamp_millis(),
        happened: entry.happened,
        reason: entry.reason.unwrap_or_default(),
        revision: entry.revision.map_or(0, Revision::as_u64),
        fence: entry.fence.as_u64(),
        payment_id: entry
            .payment_id
            .map_or(Vec::new(), |id| id.to_bytes().to_vec()),
        refund_id: entry
            .refund_id
            .map_or(Vec::new(), |id| id.into_bytes().to_vec()),
        amount: entry.amount.map(money_message),
        seat_ids,
    }
}

fn hold_message(view: HoldView) -> pb::Hold {
    pb::Hold {
        hold_id: view.token.to_string(),
        show_id: view.token.show_id.to_bytes().to_vec(),
        seat_ids: view.seat_ids,
        total: Some(money_message(view.cost.total())),
        expires_at_ms: view.expires_at.timestamp_millis(),
        expires_in_s: u32::try_from(view.expires_in.as_secs()).unwrap_or(u32::MAX),
        revision: view.token.fence.as_u64(),
        seats_total: Some(money_message(view.cost.seats)),
        fees: fee_messages(view.cost.fees),
    }
}
