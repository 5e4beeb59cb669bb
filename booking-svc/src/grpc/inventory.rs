//! What catalog-svc calls, on behalf of an organiser.

use chrono::{DateTime, Utc};
use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_proto::booking::v1::{self as pb, inventory_service_server::InventoryService};
use holdfast_types::{DurationMs, LateMoney, ShowState, UserId};
use lockstore_client::SeatKind;
use tonic::{Request, Response, Status};

use super::{Service, show_id};
use crate::{
    app::open_inventory::OpenInventory,
    store::{
        show_refunds::Progress,
        shows::{Fee, NewSeat, SaleTimes, kind_named},
    },
};

#[tonic::async_trait]
impl InventoryService for Service {
    async fn open_inventory(
        &self,
        request: Request<pb::OpenInventoryRequest>,
    ) -> Result<Response<pb::OpenInventoryResponse>, Status> {
        let actor = self.organiser(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let open = decode(request.into_inner())?;
        let seat_count = self
            .app
            .open_inventory(actor, open, deadline)
            .await
            .map_err(Failure::from)?;
        Ok(Response::new(pb::OpenInventoryResponse { seat_count }))
    }

    async fn change_inventory_state(
        &self,
        request: Request<pb::ChangeInventoryStateRequest>,
    ) -> Result<Response<pb::ChangeInventoryStateResponse>, Status> {
        let actor = self.organiser(request.metadata()).await?;
        let deadline = Deadline::of(&request);
        let request = request.into_inner();
        let show_id = show_id(&request.show_id)?;
        let state = request
            .state
            .parse::<ShowState>()
            .ok()
            .filter(|state| *state != ShowState::Draft)
            .ok_or_else(|| Failure::invalid("state", "ON_SALE, PAUSED, CLOSED or CANCELLED"))?;
        let state = self
            .app
            .change_show(actor, show_id, state, deadline)
            .await
            .map_err(Failure::from)?;
        Ok(Response::new(pb::ChangeInventoryStateResponse {
            state: state.to_string(),
        }))
    }

    async fn refund_show(
        &self,
        request: Request<pb::RefundShowRequest>,
    ) -> Result<Response<pb::RefundShowResponse>, Status> {
        // How far it is, whoever sees what was sold sees, too.
        let actor = match request.get_ref().dry_run {
            true => self.sales_reader(request.metadata()).await?,
            false => self.organiser(request.metadata()).await?,
        };
        let pb::RefundShowRequest {
            show_id: id,
            dry_run,
        } = request.into_inner();
        let progress = self
            .app
            .refund_show(actor, show_id(&id)?, dry_run)
            .await
            .map_err(Failure::from)?;
        Ok(Response::new(progress_message(progress)))
    }
}

fn progress_message(progress: Progress) -> pb::RefundShowResponse {
    let state = match (progress.asked, progress.finished) {
        (false, _) => "NOT_ASKED",
        (true, false) => "RUNNING",
        (true, true) => "FINISHED",
    };
    pb::RefundShowResponse {
        state: state.to_owned(),
        bookings: progress.bookings,
        bookings_left: progress.bookings_left,
        seats_left: progress.seats_left,
        amount_left: Some(pb::Money {
            amount: progress.amount_left.amount,
            currency: progress.amount_left.currency.to_string(),
        }),
        refunds_under_way: progress.refunds_under_way,
    }
}

fn fee(fee: pb::Fee) -> Fee {
    Fee {
        name: fee.name,
        amount: fee.amount,
        per_ticket: fee.per_ticket,
    }
}

fn decode(request: pb::OpenInventoryRequest) -> Result<OpenInventory, Failure> {
    let starts_at: DateTime<Utc> = DateTime::from_timestamp_millis(request.starts_at_ms)
        .ok_or_else(|| Failure::invalid("starts_at_ms", "out of range"))?;
    let currency = request
        .currency
        .parse()
        .map_err(|error| Failure::invalid("currency", format!("{error}")))?;
    let seats = request
        .seats
        .into_iter()
        .enumerate()
        .map(|(i, seat)| {
            let row_no = i32::try_from(seat.row_no)
                .map_err(|_| Failure::invalid(&format!("seats[{i}].row_no"), "too large"))?;
            let kind = match seat.kind.as_str() {
                "" => Some(SeatKind::Plain),
                named => kind_named(named),
            };
            let kind = kind.ok_or_else(|| {
                let why = "STANDARD, ACCESSIBLE, COMPANION or STANDING";
                Failure::invalid(&format!("seats[{i}].kind"), why)
            })?;
            Ok(NewSeat {
                kind,
                label: seat.label,
                section: seat.section,
                row_no,
                gap_after: seat.gap_after,
                category: seat.category,
                price: seat.price,
            })
        })
        .collect::<Result<_, Failure>>()?;
    let time = |field: &str, ms: Option<i64>| match ms.map(DateTime::from_timestamp_millis) {
        Some(None) => Err(Failure::invalid(field, "out of range")),
        at => Ok(at.flatten()),
    };
    let sale = SaleTimes {
        starts_at: time("sale_starts_at_ms", request.sale_starts_at_ms)?,
        ends_at: time("sale_ends_at_ms", request.sale_ends_at_ms)?,
        version: i32::try_from(request.sale_version)
            .map_err(|_| Failure::invalid("sale_version", "too large"))?,
    };
    let late_money = match pb::LateMoney::try_from(request.late_money) {
        Ok(pb::LateMoney::Unspecified | pb::LateMoney::Rebook) => LateMoney::Rebook,
        Ok(pb::LateMoney::Refund) => LateMoney::Refund,
        Err(_) => return Err(Failure::invalid("late_money", "REBOOK or REFUND")),
    };
    let owner = request
        .owner_id
        .map(|bytes| UserId::from_slice(&bytes))
        .transpose()
        .map_err(|error| Failure::invalid("owner_id", error.to_string()))?;
    Ok(OpenInventory {
        show_id: show_id(&request.show_id)?,
        owner,
        title: request.title,
        starts_at,
        currency,
        price_version: request.price_version,
        hold_ttl: DurationMs(request.hold_ttl_ms),
        hold_total_max: DurationMs(request.hold_total_ms_max),
        seats_per_customer_max: request.seats_per_customer_max,
        sale,
        fees: request.fees.into_iter().map(fee).collect(),
        late_money,
        no_lone_seat: request.no_lone_seat,
        seats,
    })
}
