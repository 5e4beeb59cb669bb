//! Other questions to the lock store: shows, availability, time, and a booking's first extension.

use std::time::Duration;

use booking_core::Booking;
use chrono::{DateTime, Utc};
use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_types::{
    ClusterTime, DurationMs, ErrorCode, HoldId, HoldToken, Lineage, Revision, SeatNo, ShowId,
    ShowState, UserId, limits::LAYOUT_CHUNK_SEATS_MAX,
};
use lockstore_client::{
    ChangeOutcome, ChangeShow, Hold, HoldOutcome, HoldSeats, OpenOutcome, OpenShow, Selection,
    ShowRules, ShowState as StoreShowState,
};

use super::{
    App, book,
    drive::refuse_while_rebuilding,
    inventory::{Inventory, show_not_found},
    open_inventory::OpenInventory,
    read::Availability,
    refusal,
    rights::Actor,
    store_numbers, wall_clock,
};
use crate::{error::Error, store::shows};

/// How long a background task waits for the time.
const TIME_MAX: Duration = Duration::from_secs(2);

/// A hold that was lengthened to be paid for.
#[derive(Debug, Clone)]
pub(crate) struct Extended {
    pub(crate) booking: Booking,
    /// As quoted when it was held.
    pub(crate) price_version: u32,
    /// When the hold ends, by the wall clock.
    pub(crate) pay_until: DateTime<Utc>,
    /// Of the answer that this builds on.
    pub(crate) lineage: Lineage,
    pub(crate) revision: Revision,
}

impl App {
    /// Cluster time, by a linearizable read.
    pub(crate) async fn cluster_time(&self) -> Result<ClusterTime, Error> {
        Ok(self.lock_store.time(TIME_MAX).await?.cluster_time)
    }

    /// Holds seats under an id; the flag: it was held under it before, and that is the answer.
    /// Last comes cluster time.
    pub(super) async fn hold_at_store(
        &self,
        inventory: &Inventory,
        hold_id: HoldId,
        holder: UserId,
        selection: Selection,
        deadline: Deadline,
    ) -> Result<(Hold, bool, ClusterTime), Error> {
        let hold = HoldSeats {
            show_id: inventory.show_id,
            hold_id,
            holder,
            selection,
            ttl: DurationMs(0),
            price_version: inventory.price_version,
            late_money: false,
        };
        let answer = self.lock_store.hold(hold, deadline.remaining()).await?;
        match answer.outcome {
            HoldOutcome::Held { hold, replayed } => Ok((hold, replayed, answer.cluster_time)),
            HoldOutcome::Refused(refused) => {
                Err(refusal::to_error("HoldSeats", &refused, inventory))
            }
        }
    }

    /// Lengthens a hold so that there is time to pay, and makes of it the booking to be written.
    pub(crate) async fn extend_for_payment(
        &self,
        user_id: UserId,
        token: HoldToken,
        inventory: &Inventory,
        deadline: Deadline,
    ) -> Result<Extended, Error> {
        let window = book::payment_window(self.payment_window, inventory);
        let window = DurationMs(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        let answer = self
            .extend(user_id, token, window, inventory, deadline)
            .await?;
        let left = answer.cluster_time.until(answer.outcome.expires_at);
        if left < book::least_time_to_pay(window) {
            let message = "this hold ends too soon to pay; hold the seats again";
            return Err(Failure::new(ErrorCode::HoldExpired, message).into());
        }
        let pay_until =
            wall_clock::moment(answer.outcome.expires_at, answer.cluster_time, Utc::now());
        Ok(Extended {
            booking: book::new_booking(user_id, token, &answer.outcome, inventory),
            price_version: answer.outcome.price_version,
            pay_until,
            lineage: answer.lineage,
            revision: answer.revision,
        })
    }

    /// Sends a show's layout, chunk by chunk; chunks that are there already change nothing.
    pub(super) async fn open_at_store(
        &self,
        request: &OpenInventory,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let seat_count = u32::try_from(request.seats.len()).expect("checked against the limit");
        let layout = store_numbers::layout(&request.seats);
        for (chunk_no, seats) in layout.chunks(LAYOUT_CHUNK_SEATS_MAX).enumerate() {
            let first = u32::try_from(chunk_no * LAYOUT_CHUNK_SEATS_MAX).expect("checked");
            let open = OpenShow {
                show_id: request.show_id,
                seat_count,
                rules: ShowRules {
                    hold_ttl: request.hold_ttl,
                    hold_total_max: request.hold_total_max,
                    seats_per_customer_max: request.seats_per_customer_max,
                    no_lone_seat: request.no_lone_seat,
                },
                first_seat_no: SeatNo(first),
                seats: seats.to_vec(),
                on_sale: true,
            };
            let answer = self
                .lock_store
                .open_show(open, deadline.remaining())
                .await?;
            if let OpenOutcome::Refused(refused) = answer.outcome {
                return Err(Error::LockStoreRefused {
                    what: "OpenShow",
                    reason: format!("{:?}", refused.reason),
                });
            }
        }
        Ok(())
    }

    /// Moves a show's state: the store first, which alone decides; then what is shown.
    /// `actor` must be the show's opener or an admin.
    pub(crate) async fn change_show(
        &self,
        actor: Actor,
        show_id: ShowId,
        state: ShowState,
        deadline: Deadline,
    ) -> Result<ShowState, Error> {
        let inventory = self.inventories.get(show_id).await?;
        actor.check(inventory.owner)?;
        refuse_while_rebuilding(&mut *self.pool.acquire().await?).await?;
        let wanted = match state {
            ShowState::OnSale => StoreShowState::OnSale,
            ShowState::Paused => StoreShowState::Paused,
            ShowState::Closed => StoreShowState::Closed,
            ShowState::Cancelled => StoreShowState::Cancelled,
            ShowState::Draft => {
                return Err(Failure::invalid("state", "a show can't be a draft again").into());
            }
        };
        let change = ChangeShow {
            show_id,
            state: Some(wanted),
            rules: None,
        };
        let answer = self
            .lock_store
            .change_show(change, deadline.remaining())
            .await?;
        match answer.outcome {
            ChangeOutcome::Changed { state } => {
                // Another call's, if that came between.
                let state = show_state(state).ok_or_else(show_not_found)?;
                shows::set_state(&self.pool, show_id, state).await?;
                Ok(state)
            }
            ChangeOutcome::Refused(refused) => {
                let error = refusal::to_error("ChangeShow", &refused, &inventory);
                Err(match error {
                    Error::Refused(failure) if failure.code() == ErrorCode::ShowNotOnSale => {
                        let what = format!("this show can't become {state} any more");
                        Failure::new(ErrorCode::InvalidState, what).into()
                    }
                    error => error,
                })
            }
        }
    }

    /// Every seat's state, or one section's, by a linearizable read.
    pub(crate) async fn availability(
        &self,
        show_id: ShowId,
        section: &str,
        deadline: Deadline,
    ) -> Result<Availability, Error> {
        let inventory = self.inventories.get(show_id).await?;
        let answer = self.lock_store.show(show_id, deadline.remaining()).await?;
        let show = answer.outcome.ok_or_else(show_not_found)?;
        let show_state = show_state(show.state).ok_or_else(show_not_found)?;
        let seats = inventory
            .seats()
            .zip(&show.seat_states)
            .filter(|((_, of), _)| section.is_empty() || *of == section)
            .map(|((label, _), state)| (label.to_owned(), *state))
            .collect();
        Ok(Availability {
            revision: answer.revision,
            show_state: show_state.as_str(),
            seats,
        })
    }
}

/// The state that customers know; none while the layout is still arriving.
fn show_state(at_store: StoreShowState) -> Option<ShowState> {
    match at_store {
        StoreShowState::Opening => None,
        StoreShowState::OnSale => Some(ShowState::OnSale),
        StoreShowState::Paused => Some(ShowState::Paused),
        StoreShowState::Closed => Some(ShowState::Closed),
        StoreShowState::Cancelled => Some(ShowState::Cancelled),
    }
}
