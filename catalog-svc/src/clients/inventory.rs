//! What booking-svc is asked to sell.
//!
//! Always holds: calls carry the organiser's own token and the deadline of the call they serve;
//! all are idempotent, so a caller may repeat them. Leaves to others: retries.

use holdfast_mesh::{Failure, auth, client::Channel, deadline::Deadline};
use holdfast_proto::booking::v1::{
    self as booking, ChangeInventoryStateRequest, GetAvailabilityRequest, GetAvailabilityResponse,
    InventorySeat, OpenInventoryRequest, booking_service_client::BookingServiceClient,
    inventory_service_client::InventoryServiceClient,
};
use holdfast_types::{ErrorCode, LateMoney, ShowId, ShowState};
use tonic::{Request, Status, metadata::AsciiMetadataValue};

use crate::{
    model::Show,
    prices::{Fee, PriceList},
    store::seat_map::Seat,
};

/// For whom a call is made, and until when.
#[derive(Debug, Clone)]
pub(crate) struct OnBehalf {
    /// The `authorization` metadata of the call being served.
    pub(crate) authorization: Option<AsciiMetadataValue>,
    /// The organisation in whose name.
    pub(crate) organisation: Option<AsciiMetadataValue>,
    pub(crate) deadline: Deadline,
}

/// booking-svc's inventory.
#[derive(Debug, Clone)]
pub(crate) struct Inventory {
    client: InventoryServiceClient<Channel>,
    states: BookingServiceClient<Channel>,
}

/// Largest answer that is read: the states of 100,000 seats by label take up to 14 MiB.
const STATES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A seat's category has no price, which no show of ours is stored with.
#[derive(Debug, thiserror::Error)]
#[error("show {show_id} has no price for category {category:?}")]
struct Unpriced {
    show_id: ShowId,
    category: String,
}

/// booking-svc refused what should always be fine.
#[derive(Debug, thiserror::Error)]
#[error("booking-svc refused the inventory of show {show_id}: {failure}")]
struct Disagreement {
    show_id: ShowId,
    failure: Failure,
}

impl Inventory {
    pub(crate) fn new(booking: Channel) -> Self {
        Self {
            client: InventoryServiceClient::new(booking.clone()),
            states: BookingServiceClient::new(booking).max_decoding_message_size(STATES_BYTES_MAX),
        }
    }

    /// Makes the show's seats (in seat order) sellable.
    pub(crate) async fn open(
        &self,
        on_behalf: &OnBehalf,
        show: &Show,
        seats: Vec<Seat>,
    ) -> Result<(), Failure> {
        let prices = PriceList::new(&show.prices, &show.exact_prices);
        let seats = seats.into_iter().map(|seat| {
            let price = prices.of(&seat).ok_or_else(|| {
                let category = seat.category.clone();
                Failure::internal(&Unpriced {
                    show_id: show.show_id,
                    category,
                })
            })?;
            Ok(InventorySeat {
                label: seat.label,
                section: seat.section,
                row_no: seat.row_no,
                gap_after: seat.gap_after,
                category: seat.category,
                price,
                kind: seat.kind.as_str().to_owned(),
            })
        });
        let message = OpenInventoryRequest {
            show_id: show.show_id.to_bytes().to_vec(),
            title: show.event.title.clone(),
            starts_at_ms: show.starts_at.timestamp_millis(),
            currency: show.currency.to_string(),
            price_version: show.price_version,
            hold_ttl_ms: show.rules.hold_ttl.0,
            hold_total_ms_max: show.rules.hold_total_max.0,
            seats_per_customer_max: show.rules.seats_per_customer_max,
            seats: seats.collect::<Result<_, Failure>>()?,
            owner_id: Some(show.owner_id.to_bytes().to_vec()),
            sale_starts_at_ms: show.sale.starts_at.map(|at| at.timestamp_millis()),
            sale_ends_at_ms: show.sale.ends_at.map(|at| at.timestamp_millis()),
            sale_version: show.sale_version,
            fees: show.fees.iter().map(fee).collect(),
            late_money: match show.rules.late_money {
                LateMoney::Rebook => booking::LateMoney::Rebook,
                LateMoney::Refund => booking::LateMoney::Refund,
            }
            .into(),
            no_lone_seat: show.rules.no_lone_seat,
        };
        let answer = self
            .client
            .clone()
            .open_inventory(request(on_behalf, message))
            .await;
        answer
            .map(drop)
            .map_err(|status| refused(show.show_id, &status))
    }

    /// Moves the state of a show that was opened.
    pub(crate) async fn change_state(
        &self,
        on_behalf: &OnBehalf,
        show_id: ShowId,
        state: ShowState,
    ) -> Result<(), Failure> {
        let answer = self.ask_state(on_behalf, show_id, state).await;
        answer.map_err(|status| refused(show_id, &status))
    }

    /// Calls off a show that may have been opened; false if booking-svc doesn't know it: nothing of it was ever for
    /// sale.
    pub(crate) async fn call_off_draft(
        &self,
        on_behalf: &OnBehalf,
        show_id: ShowId,
    ) -> Result<bool, Failure> {
        let asked = self.ask_state(on_behalf, show_id, ShowState::Cancelled);
        match asked.await {
            Err(status) if Failure::from_status(&status).code() == ErrorCode::ShowNotFound => {
                Ok(false)
            }
            Err(status) => Err(refused(show_id, &status)),
            Ok(()) => Ok(true),
        }
    }

    /// The state of every seat, in seat order.
    pub(crate) async fn availability(
        &self,
        on_behalf: &OnBehalf,
        show_id: ShowId,
    ) -> Result<GetAvailabilityResponse, Failure> {
        let message = GetAvailabilityRequest {
            show_id: show_id.to_bytes().to_vec(),
            section: String::new(),
        };
        let answer = self
            .states
            .clone()
            .get_availability(request(on_behalf, message))
            .await;
        answer.map(tonic::Response::into_inner).map_err(|status| {
            match Failure::from_status(&status) {
                failure if failure.code() == ErrorCode::ShowNotFound => failure,
                _ => refused(show_id, &status),
            }
        })
    }

    async fn ask_state(
        &self,
        on_behalf: &OnBehalf,
        show_id: ShowId,
        state: ShowState,
    ) -> Result<(), Status> {
        let message = ChangeInventoryStateRequest {
            show_id: show_id.to_bytes().to_vec(),
            state: state.to_string(),
        };
        let answer = self
            .client
            .clone()
            .change_inventory_state(request(on_behalf, message))
            .await;
        answer.map(drop)
    }
}

fn request<T>(on_behalf: &OnBehalf, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(authorization) = &on_behalf.authorization {
        request
            .metadata_mut()
            .insert(auth::HEADER, authorization.clone());
    }
    if let Some(organisation) = &on_behalf.organisation {
        let metadata = request.metadata_mut();
        metadata.insert(auth::ORGANISATION, organisation.clone());
    }
    on_behalf.deadline.apply(&mut request);
    request
}

fn fee(fee: &Fee) -> booking::Fee {
    booking::Fee {
        name: fee.name.clone(),
        amount: fee.amount,
        per_ticket: fee.per_ticket,
    }
}

/// What an organiser can act on is passed on; a refusal of what we checked is our defect.
fn refused(show_id: ShowId, status: &Status) -> Failure {
    let failure = Failure::from_status(status);
    match failure.code() {
        ErrorCode::Unauthorized
        | ErrorCode::Forbidden
        | ErrorCode::InvalidState
        | ErrorCode::InProgress
        | ErrorCode::RateLimited
        | ErrorCode::Unavailable => failure,
        _ => Failure::internal(&Disagreement { show_id, failure }),
    }
}
