//! A customer's live hold: look, lengthen, give back.

use chrono::{DateTime, Utc};
use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_types::{BookingState, ClusterTime, DurationMs, ErrorCode, HoldToken, UserId};
use lockstore_client::{
    Answer, ExtendHold, ExtendOutcome, GetHoldOutcome, Hold, RefusalReason, ReleaseHold,
    ReleaseOutcome, Until,
};

use super::{
    App,
    inventory::{Cost, Inventory},
    refusal::{self, hold_not_found},
    wall_clock,
};
use crate::{error::Error, store::bookings};

/// A hold with labels and prices.
#[derive(Debug, Clone)]
pub(crate) struct HoldView {
    pub(crate) token: HoldToken,
    pub(crate) seat_ids: Vec<String>,
    pub(crate) cost: Cost,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) expires_in: DurationMs,
}

impl HoldView {
    /// As it is at `now`.
    pub(super) fn new(inventory: &Inventory, hold: &Hold, now: ClusterTime) -> Self {
        let show_id = inventory.show_id;
        Self {
            token: HoldToken {
                show_id,
                hold_id: hold.hold_id,
                fence: hold.fence,
            },
            seat_ids: inventory.labels(&hold.seat_nos),
            cost: inventory.cost(&hold.seat_nos),
            expires_at: wall_clock::moment(hold.expires_at, now, Utc::now()),
            expires_in: now.until(hold.expires_at),
        }
    }

    /// As it was told when it was granted, so that a replay tells the same.
    pub(super) fn when_granted(mut self, hold: &Hold) -> Self {
        self.expires_in = hold.granted_at.until(hold.expires_at);
        self
    }
}

/// A hold names its show; to whoever made the name up, neither is there.
pub(super) fn hide_show(error: Error) -> Error {
    match error {
        Error::Refused(failure) if failure.code() == ErrorCode::ShowNotFound => {
            hold_not_found().into()
        }
        error => error,
    }
}

pub(super) fn parse(hold_id: &str) -> Result<HoldToken, Failure> {
    hold_id.parse().map_err(|_| hold_not_found())
}

impl App {
    pub(crate) async fn get_hold(
        &self,
        user_id: UserId,
        hold_id: &str,
        deadline: Deadline,
    ) -> Result<HoldView, Error> {
        let token = parse(hold_id)?;
        let inventory = self
            .inventories
            .get(token.show_id)
            .await
            .map_err(hide_show)?;
        let answer = self
            .lock_store
            .get_hold(token.show_id, token.hold_id, user_id, deadline.remaining())
            .await?;
        match answer.outcome {
            GetHoldOutcome::Live(hold) if hold.fence == token.fence => {
                Ok(HoldView::new(&inventory, &hold, answer.cluster_time))
            }
            GetHoldOutcome::Live(_) => Err(hold_not_found().into()),
            GetHoldOutcome::Refused(refused) => {
                Err(refusal::to_error("GetHold", &refused, &inventory))
            }
        }
    }

    /// Lengthens a hold to its first length from now, within the show's longest total.
    pub(crate) async fn extend_hold(
        &self,
        user_id: UserId,
        hold_id: &str,
        deadline: Deadline,
    ) -> Result<HoldView, Error> {
        let token = parse(hold_id)?;
        let inventory = self
            .inventories
            .get(token.show_id)
            .await
            .map_err(hide_show)?;
        self.refuse_booked(user_id, token).await?;
        let span = DurationMs(inventory.hold_ttl_ms);
        let answer = self
            .extend(user_id, token, span, &inventory, deadline)
            .await?;
        Ok(HoldView::new(
            &inventory,
            &answer.outcome,
            answer.cluster_time,
        ))
    }

    /// Moves a hold's end to `span` from now, or as far as the show allows. The answer is the check
    /// of holder and fence.
    pub(super) async fn extend(
        &self,
        user_id: UserId,
        token: HoldToken,
        span: DurationMs,
        inventory: &Inventory,
        deadline: Deadline,
    ) -> Result<Answer<Hold>, Error> {
        let mut request = ExtendHold {
            show_id: token.show_id,
            holder: user_id,
            hold_id: token.hold_id,
            fence: token.fence,
            until: Until::FromNow(span),
        };
        let mut answer = self
            .lock_store
            .extend(request.clone(), deadline.remaining())
            .await?;
        if let ExtendOutcome::Refused(refused) = &answer.outcome
            && refused.reason == RefusalReason::UntilTooLate
        {
            request.until = Until::At(ClusterTime(refused.limit));
            answer = self
                .lock_store
                .extend(request, deadline.remaining())
                .await?;
        }
        let Answer {
            lineage,
            revision,
            cluster_time,
            outcome,
        } = answer;
        match outcome {
            ExtendOutcome::Extended(outcome) => Ok(Answer {
                lineage,
                revision,
                cluster_time,
                outcome,
            }),
            ExtendOutcome::Refused(refused) => {
                Err(refusal::to_error("ExtendHold", &refused, inventory))
            }
        }
    }

    /// Gives seats back; a hold that is over already is given back.
    pub(crate) async fn release_hold(
        &self,
        user_id: UserId,
        hold_id: &str,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let token = parse(hold_id)?;
        let inventory = self
            .inventories
            .get(token.show_id)
            .await
            .map_err(hide_show)?;
        self.refuse_booked(user_id, token).await?;
        let hold = ReleaseHold {
            show_id: token.show_id,
            holder: user_id,
            hold_id: token.hold_id,
            fence: token.fence,
        };
        let answer = self.lock_store.release(hold, deadline.remaining()).await?;
        match answer.outcome {
            ReleaseOutcome::Released { .. } => Ok(()),
            ReleaseOutcome::Refused(refused) => match refused.reason {
                RefusalReason::Expired | RefusalReason::Released => Ok(()),
                _ => Err(refusal::to_error("ReleaseHold", &refused, &inventory)),
            },
        }
    }

    /// A hold with a live booking is the booking's.
    async fn refuse_booked(&self, user_id: UserId, token: HoldToken) -> Result<(), Error> {
        let Some(stored) = bookings::of_hold(&self.pool, token).await? else {
            return Ok(());
        };
        let booking = stored.booking;
        if booking.user_id != user_id {
            return Err(hold_not_found().into());
        }
        if matches!(
            booking.state,
            BookingState::PendingPayment | BookingState::Confirmed
        ) {
            return Err(Failure::new(
                ErrorCode::InvalidState,
                "this hold was booked; cancel the booking instead",
            )
            .with_metadata("booking_id", booking.id.to_string())
            .into());
        }
        Ok(())
    }
}
