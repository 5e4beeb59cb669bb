//! A customer makes a booking of a hold.
//!
//! Always holds: the store extends the hold first, and its answer is the check of holder, fence and
//! seats; then one transaction writes booking, seats and event, or nothing. A failure after the
//! extension undoes nothing: the same key tries again, or the hold runs out. Copies of a request
//! may be under way at once: none is refused for what another of them did.

use std::time::Duration;

use booking_core::{Booking, HeldAs, Step};
use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_types::{BookingId, BookingState, DurationMs, ErrorCode, HoldToken, Lineage, UserId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    App, announce,
    drive::require_current,
    hold_seats::check_key,
    inventory::{Inventory, show_has_begun},
    read::BookingView,
    refusal::hold_not_found,
};
use crate::{
    error::Error,
    metrics,
    store::{
        bookings::{self, NewBooking, Stored, Which},
        seats::{self, Claim},
    },
};

/// Long enough to be sent to a provider and pay there.
const TIME_TO_PAY_MIN: DurationMs = DurationMs::from_secs(60);

/// What a customer asks for.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    pub(crate) user_id: UserId,
    pub(crate) hold_id: String,
    pub(crate) idempotency_key: String,
}

impl App {
    /// Makes the booking. The flag: the key was known, and this is the answer given then.
    pub(crate) async fn book(
        &self,
        request: Book,
        deadline: Deadline,
    ) -> Result<(BookingView, bool), Error> {
        check_key(&request.idempotency_key)?;
        let body_hash: [u8; 32] = Sha256::digest(request.hold_id.as_bytes()).into();
        if let Some(known) = self.known(&request, body_hash).await? {
            return Ok((known, true));
        }
        self.book_unseen(&request, body_hash, deadline).await
    }

    /// Goes on with a request that had no booking when it was looked for. If it can't be made
    /// now, that may be the doing of another copy, so it is looked for again.
    pub(crate) async fn book_unseen(
        &self,
        request: &Book,
        body_hash: [u8; 32],
        deadline: Deadline,
    ) -> Result<(BookingView, bool), Error> {
        match self.make_booking(request, body_hash, deadline).await {
            Ok(stored) => {
                metrics::counter(metrics::BOOKINGS, &[]);
                Ok((self.view(stored).await?, false))
            }
            Err(error) if error.is_outage() => Err(error),
            Err(error) => match self.known(request, body_hash).await? {
                Some(known) => Ok((known, true)),
                None => Err(error),
            },
        }
    }

    async fn make_booking(
        &self,
        request: &Book,
        body_hash: [u8; 32],
        deadline: Deadline,
    ) -> Result<Stored, Error> {
        let token: HoldToken = request.hold_id.parse().map_err(|_| hold_not_found())?;
        let inventory = self
            .inventories
            .get(token.show_id)
            .await
            .map_err(super::holds::hide_show)?;
        self.refuse_taken(request, token).await?;
        if inventory.has_begun() {
            return Err(show_has_begun().into());
        }
        let extended = self
            .extend_for_payment(request.user_id, token, &inventory, deadline)
            .await?;
        let new = NewBooking {
            booking: &extended.booking,
            idempotency_key: &request.idempotency_key,
            body_hash,
            price_version: extended.price_version,
            pay_until: extended.pay_until,
        };
        match self.write_booking(new, &inventory, extended.lineage).await {
            Err(Error::Database(error)) if is_unique_violation(&error) => {
                // Another copy of this request, or another key for this hold, was faster.
                self.refuse_taken(request, token).await?;
                Err(Error::Database(error))
            }
            written => written,
        }
    }

    /// The booking made under this key, as it was told then.
    async fn known(
        &self,
        request: &Book,
        body_hash: [u8; 32],
    ) -> Result<Option<BookingView>, Error> {
        let which = Which::Key {
            user_id: request.user_id,
            idempotency_key: &request.idempotency_key,
        };
        let Some(stored) = bookings::find(&self.pool, which).await? else {
            return Ok(None);
        };
        if stored.body_hash != body_hash {
            return Err(Failure::new(
                ErrorCode::IdempotencyKeyReused,
                "this idempotency key was used with another hold",
            )
            .into());
        }
        Ok(Some(self.view(stored).await?.first_told()))
    }

    /// Refuses a hold that has a booking already.
    async fn refuse_taken(&self, request: &Book, token: HoldToken) -> Result<(), Error> {
        let which = Which::Hold {
            hold_id: token.hold_id,
            fence: token.fence,
        };
        match bookings::find(&self.pool, which).await? {
            None => Ok(()),
            Some(other) if other.booking.user_id == request.user_id => Err(Failure::new(
                ErrorCode::InvalidState,
                "this hold was booked already",
            )
            .with_metadata("booking_id", other.booking.id.to_string())
            .into()),
            Some(_) => Err(hold_not_found().into()),
        }
    }

    pub(crate) async fn write_booking(
        &self,
        new: NewBooking<'_>,
        inventory: &Inventory,
        lineage: Lineage,
    ) -> Result<Stored, Error> {
        let booking = new.booking;
        let mut transaction = self.pool.begin().await?;
        require_current(&mut transaction, lineage).await?;
        let created_at = bookings::insert(&mut transaction, new).await?;
        let claim = Claim {
            show_id: booking.show_id,
            seats: &booking.seats,
            booking_id: booking.id,
            fence: booking.hold.fence,
        };
        let marked = seats::mark(&mut transaction, claim, booking.expires_at).await?;
        if marked != booking.seats.len() as u64 {
            return Err(if seats::has_newer_fence(&mut transaction, claim).await? {
                Failure::new(ErrorCode::HoldExpired, "the hold has ended").into()
            } else {
                // Sold here under an older fence, free there: the sale is being returned, or is a
                // defect that the audit shows.
                tracing::error!(booking.id = %booking.id, "seats that the store held are sold in the database");
                Failure::new(
                    ErrorCode::InvalidState,
                    "these seats can't be booked right now",
                )
                .into()
            });
        }
        announce::created(&mut transaction, booking, new.pay_until, inventory).await?;
        transaction.commit().await?;
        let body_hash = new.body_hash.to_vec();
        Ok(Stored {
            booking: booking.clone(),
            body_hash,
            created_at,
            pay_until: new.pay_until,
        })
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
        total: inventory.total(&hold.seat_nos),
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

fn is_unique_violation(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
