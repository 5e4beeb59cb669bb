//! A customer makes a booking of a hold.
//!
//! Always holds: the store extends the hold first, and its answer is the check of holder, fence and
//! seats; then one transaction writes booking, seats and event, or nothing. A failure after the
//! extension undoes nothing: the same key tries again, or the hold runs out. The key and the answer
//! are written with the booking. Copies of a request may be under way at once: none is refused for
//! what another of them did.

use std::time::Duration;

use booking_core::{Booking, HeldAs, Step};
use chrono::Utc;
use holdfast_eventlog::Row;
use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_types::{BookingId, BookingState, DurationMs, ErrorCode, HoldToken, UserId};
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    App, announce,
    answer::{Answer, booking_message},
    closing_accounts::closing,
    drive::require_current,
    hold_seats::check_key,
    inventory::{Inventory, show_has_begun},
    read::BookingView,
    refusal::hold_not_found,
    requests::{in_progress, replay, wait_until},
};
use crate::{
    error::Error,
    metrics,
    store::{
        bookings::{self, NewBooking},
        closing_accounts, lineage,
        requests::{self, Named, Route},
        seats::{self, Claim},
    },
};

/// Long enough to be sent to a provider and pay there.
const TIME_TO_PAY_MIN: DurationMs = DurationMs::from_secs(60);

/// How often it is looked whether a copy that another process is writing is there: a transaction takes
/// milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// What a customer asks for.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    pub(crate) user_id: UserId,
    pub(crate) hold_id: String,
    pub(crate) idempotency_key: String,
}

impl Book {
    /// By its name.
    pub(crate) fn named(&self) -> Named {
        Named {
            user_id: self.user_id,
            idempotency_key: self.idempotency_key.clone(),
            route: Route::CreateBooking,
            body_hash: Sha256::digest(self.hold_id.as_bytes()).into(),
        }
    }
}

impl App {
    /// Makes the booking, or says what was said when its key was new.
    pub(crate) async fn book(&self, request: Book, deadline: Deadline) -> Result<Answer, Error> {
        check_key(&request.idempotency_key)?;
        let (named, token) = (request.named(), request.hold_id.parse().ok());
        let _turn = self.under_way.turn(&named, deadline).await?;
        if let Some(answer) = self.answered(&named, token).await? {
            return Ok(answer);
        }
        self.book_unseen(&named, token, deadline).await
    }

    /// Goes on with a request that had no booking when it was looked for. If it can't be made
    /// now, that may be the doing of another copy, so it is looked for again.
    pub(crate) async fn book_unseen(
        &self,
        named: &Named,
        token: Option<HoldToken>,
        deadline: Deadline,
    ) -> Result<Answer, Error> {
        let error = match self.make_booking(named, token, deadline).await {
            Ok(answer) => {
                metrics::counter(metrics::BOOKINGS, &[]);
                return Ok(answer);
            }
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => error,
        };
        let is_being_written = error.code() == ErrorCode::InProgress;
        let until = wait_until(deadline);
        loop {
            if let Some(answer) = self.answered(named, token).await? {
                return Ok(answer);
            }
            if !is_being_written || Instant::now() >= until {
                return Err(error);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn make_booking(
        &self,
        named: &Named,
        token: Option<HoldToken>,
        deadline: Deadline,
    ) -> Result<Answer, Error> {
        let token = token.ok_or_else(hold_not_found)?;
        let inventory = self
            .inventories
            .get(token.show_id)
            .await
            .map_err(super::holds::hide_show)?;
        if inventory.has_begun() {
            return Err(show_has_begun().into());
        }
        let extended = self
            .extend_for_payment(named.user_id, token, &inventory, deadline)
            .await?;
        let view = BookingView {
            seat_ids: inventory.labels(&extended.booking.seats),
            cost: inventory.cost(&extended.booking.seats),
            booking: extended.booking.clone(),
            returned_seat_ids: Vec::new(),
            created_at: Utc::now(),
            pay_until: extended.pay_until,
        };
        let created_at = view.created_at;
        let booking = booking_message(view);
        let new = NewBooking {
            booking: &extended.booking,
            named,
            answer: &booking.encode_to_vec(),
            price_version: extended.price_version,
            created_at,
            pay_until: extended.pay_until,
            revision: extended.revision,
            lineage: extended.lineage,
        };
        self.write_booking(new, &inventory).await?;
        Ok(Answer {
            booking,
            replayed: false,
        })
    }

    /// What was answered under this name. A hold that has another booking is refused.
    async fn answered(
        &self,
        named: &Named,
        token: Option<HoldToken>,
    ) -> Result<Option<Answer>, Error> {
        let seen = requests::look(&self.pool, named, token).await?;
        if let Some(answer) = replay(&seen)? {
            return Ok(Some(answer));
        }
        match seen.booked {
            None => Ok(None),
            Some((_, owner)) if owner != named.user_id => Err(hold_not_found().into()),
            // By the release before, which kept no answers, or so long ago that it is forgotten: it is told as
            // it stands.
            Some((booking_id, owner)) if seen.request.is_some() => {
                let view = self.get_booking(owner, booking_id).await?;
                let answer = self.keep(named, view).await?;
                Ok(Some(Answer {
                    replayed: true,
                    ..answer
                }))
            }
            Some((booking_id, _)) => Err(Failure::new(
                ErrorCode::InvalidState,
                "this hold was booked already",
            )
            .with_metadata("booking_id", booking_id.to_string())
            .into()),
        }
    }

    pub(crate) async fn write_booking(
        &self,
        new: NewBooking<'_>,
        inventory: &Inventory,
    ) -> Result<(), Error> {
        let news = announce::created(new.booking, new.pay_until, inventory)?;
        let mut connection = self.pool.acquire().await?;
        if !bookings::insert(&mut connection, new, &news).await? {
            drop(connection);
            self.write_or_refuse(new, &news).await?;
        }
        announce::OUTBOX.wake();
        Ok(())
    }

    /// Why a booking wasn't written costs questions only then; the first of all adopts the lineage.
    async fn write_or_refuse(&self, new: NewBooking<'_>, news: &Row) -> Result<(), Error> {
        let booking = new.booking;
        let mut transaction = lineage::begin(&self.pool).await?;
        require_current(&mut transaction, new.lineage).await?;
        if bookings::insert(&mut transaction, new, news).await? {
            transaction.commit().await?;
            return Ok(());
        }
        if closing_accounts::is_marked(&mut transaction, booking.user_id).await? {
            return Err(closing().into());
        }
        let claim = Claim {
            show_id: booking.show_id,
            seats: &booking.seats,
            booking_id: booking.id,
            fence: booking.hold.fence,
        };
        let look = seats::look(&mut transaction, claim).await?;
        if look.newer > 0 {
            return Err(Failure::new(ErrorCode::HoldExpired, "the hold has ended").into());
        }
        if look.free == booking.seats.len() as u64 {
            return Err(in_progress().into());
        }
        // Sold here under an older fence, free there: the sale is being returned, or is a defect that the
        // audit shows.
        tracing::error!(booking.id = %booking.id, "seats that the store held are sold in the database");
        Err(Failure::new(
            ErrorCode::InvalidState,
            "these seats can't be booked right now",
        )
        .into())
    }
}

/// The booking that a held token becomes.
pub(super) fn new_booking(
    user_id: UserId,
    token: HoldToken,
    hold: &lockstore_client::Hold,
    inventory: &Inventory,
) -> Booking {
    Booking {
        id: BookingId::from_uuid(Uuid::now_v7()),
        user_id,
        show_id: token.show_id,
        seats: hold.seat_nos.clone(),
        returned: Vec::new(),
        total: inventory.cost(&hold.seat_nos).total(),
        state: BookingState::PendingPayment,
        reason: None,
        step: Step::Idle,
        hold: HeldAs {
            hold_id: token.hold_id,
            fence: token.fence,
            attempt: 0,
        },
        expires_at: hold.expires_at,
        session: None,
        payments: Vec::new(),
    }
}

/// How long a customer may take to pay for this show.
pub(super) fn payment_window(configured: Duration, inventory: &Inventory) -> Duration {
    configured.min(Duration::from_millis(inventory.hold_total_ms_max))
}

/// The shortest time to pay that a booking is made with: a minute, or a tenth of `window`.
pub(super) fn least_time_to_pay(window: DurationMs) -> DurationMs {
    TIME_TO_PAY_MIN.min(DurationMs(window.0 / 10))
}
