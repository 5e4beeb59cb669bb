//! What the gateway calls for a show's organiser.

use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_proto::booking::v1::{self as pb, sales_service_server::SalesService};
use holdfast_types::{Money, UserId};
use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{Service, show_id};
use crate::{
    app::{
        answer::money_message,
        check_in::Doorkeeper,
        rights::Actor,
        sales::{Attendee, Sale},
    },
    store::sales::Takings,
};

/// Works at doors.
const STAFF: &str = "staff";

impl Service {
    /// The organiser or admin behind the call, and the account.
    async fn organiser_account(&self, metadata: &MetadataMap) -> Result<(Actor, UserId), Failure> {
        let claims = self.writer(metadata).await?;
        Ok((Actor::of(&claims, metadata)?, claims.user_id))
    }

    /// Staff, or who may change a show, and then only for their own.
    async fn doorkeeper(&self, metadata: &MetadataMap) -> Result<Doorkeeper, Failure> {
        let claims = self.writer(metadata).await?;
        let is_staff = claims.has_role(STAFF) && claims.grants.scopes.is_none();
        let of = match is_staff {
            true => None,
            false => Some(Actor::of(&claims, metadata)?),
        };
        Ok(Doorkeeper {
            user_id: claims.user_id,
            of,
        })
    }
}

#[tonic::async_trait]
impl SalesService for Service {
    async fn block_seats(
        &self,
        request: Request<pb::BlockSeatsRequest>,
    ) -> Result<Response<pb::BlockSeatsResponse>, Status> {
        let (actor, by) = self.organiser_account(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let pb::BlockSeatsRequest {
            show_id: id,
            seat_ids,
        } = request.get_ref();
        let changed = self
            .app
            .block_seats(actor, by, show_id(id)?, seat_ids, deadline)
            .await
            .map_err(Failure::from)?;
        Ok(Response::new(pb::BlockSeatsResponse {
            revision: changed.revision.as_u64(),
            changed: changed.seats,
        }))
    }

    async fn unblock_seats(
        &self,
        request: Request<pb::UnblockSeatsRequest>,
    ) -> Result<Response<pb::UnblockSeatsResponse>, Status> {
        let (actor, by) = self.organiser_account(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let pb::UnblockSeatsRequest {
            show_id: id,
            seat_ids,
        } = request.get_ref();
        let changed = self
            .app
            .unblock_seats(actor, by, show_id(id)?, seat_ids, deadline)
            .await
            .map_err(Failure::from)?;
        Ok(Response::new(pb::UnblockSeatsResponse {
            revision: changed.revision.as_u64(),
            changed: changed.seats,
        }))
    }

    async fn list_sales(
        &self,
        request: Request<pb::ListSalesRequest>,
    ) -> Result<Response<pb::ListSalesResponse>, Status> {
        let actor = self.sales_reader(request.metadata()).await?;
        let pb::ListSalesRequest {
            show_id: id,
            limit,
            cursor,
        } = request.get_ref();
        let (sales, next_cursor) = self
            .app
            .list_sales(actor, show_id(id)?, *limit, cursor)
            .await
            .map_err(Failure::from)?;
        Ok(Response::new(pb::ListSalesResponse {
            sales: sales.into_iter().map(sale).collect(),
            next_cursor,
        }))
    }

    async fn get_takings(
        &self,
        request: Request<pb::GetTakingsRequest>,
    ) -> Result<Response<pb::GetTakingsResponse>, Status> {
        let actor = self.sales_reader(request.metadata()).await?;
        let show = show_id(&request.get_ref().show_id)?;
        let sums = self.app.takings(actor, show).await;
        let sums = sums.map_err(Failure::from)?;
        let categories = sums.takings.categories.into_iter();
        Ok(Response::new(pb::GetTakingsResponse {
            currency: sums.currency.to_string(),
            total: Some(takings(sums.takings.total)),
            categories: categories
                .map(|(category, of)| pb::CategoryTakings {
                    category,
                    takings: Some(takings(of)),
                })
                .collect(),
            per_booking: Some(takings(sums.per_booking)),
        }))
    }

    async fn list_attendees(
        &self,
        request: Request<pb::ListAttendeesRequest>,
    ) -> Result<Response<pb::ListAttendeesResponse>, Status> {
        let actor = self.sales_reader(request.metadata()).await?;
        let pb::ListAttendeesRequest {
            show_id: id,
            limit,
            cursor,
        } = request.get_ref();
        let (attendees, next_cursor) = self
            .app
            .list_attendees(actor, show_id(id)?, *limit, cursor)
            .await
            .map_err(Failure::from)?;
        Ok(Response::new(pb::ListAttendeesResponse {
            attendees: attendees.into_iter().map(attendee).collect(),
            next_cursor,
        }))
    }

    async fn check_in(
        &self,
        request: Request<pb::CheckInRequest>,
    ) -> Result<Response<pb::CheckInResponse>, Status> {
        let by = self.doorkeeper(request.metadata()).await?;
        let pb::CheckInRequest {
            code,
            show_id: at,
            idempotency_key,
        } = request.get_ref();
        let at = match at.as_slice() {
            [] => None,
            at => Some(show_id(at)?),
        };
        let checked = self
            .app
            .check_in(by, code, at, idempotency_key)
            .await
            .map_err(Failure::from)?;
        Ok(Response::new(pb::CheckInResponse {
            ticket_id: checked.code.ticket_id.to_bytes().to_vec(),
            show_id: checked.code.show_id.to_bytes().to_vec(),
            seat_id: checked.code.seat_id,
            section: checked.section,
            result: checked.result.as_str().to_owned(),
            used_at_ms: checked.used_at.map(|at| at.timestamp_millis()),
        }))
    }
}

const fn takings(of: Takings) -> pb::Takings {
    pb::Takings {
        gross: of.gross,
        fees: of.fees,
        refunded: of.refunded,
        net: of.gross - of.refunded,
    }
}

fn sale(sale: Sale) -> pb::Sale {
    let refunded = Money {
        amount: sale.row.refunded,
        ..sale.row.total
    };
    pb::Sale {
        booking_id: sale.row.booking_id.to_bytes().to_vec(),
        status: sale.row.state.to_string(),
        user_id: sale.row.user_id.to_bytes().to_vec(),
        seat_ids: sale.seat_ids,
        returned_seat_ids: sale.returned_seat_ids,
        total: Some(money_message(sale.row.total)),
        created_at_ms: sale.row.created_at.timestamp_millis(),
        reason: sale.row.reason.unwrap_or_default(),
        fees: Some(money_message(sale.fees)),
        refunded: Some(money_message(refunded)),
    }
}

fn attendee(attendee: Attendee) -> pb::Attendee {
    pb::Attendee {
        ticket_id: attendee.row.ticket_id.to_bytes().to_vec(),
        booking_id: attendee.row.booking_id.to_bytes().to_vec(),
        user_id: attendee.row.user_id.to_bytes().to_vec(),
        seat_id: attendee.seat_id,
        section: attendee.section,
        state: attendee.row.state.to_string(),
        issued_at_ms: attendee.row.issued_at.timestamp_millis(),
    }
}
