//! Every ending of a purchase, with a crash after each step: of each commit before the store was asked,
//! and of each answer before it was fed back. Every event comes twice, and once more, in reverse, when
//! all is over. The timeline is the same each time.

use booking_core::{Input, Reason, part_refund_id};
use holdfast_types::{BookingId, BookingState, Money};
use sqlx::PgPool;

use super::{
    given_back::{part_refunded, second_seat},
    world::{CANCEL, PRICE, World, failed, paid, payment, refunded, user},
};
use crate::app::{
    cancel::wall_time,
    drive::{Basis, Grounds, Outcome},
};

/// Crash points of one ending; more than any has.
const CRASHES_MAX: usize = 40;

/// Seats of the booking: the first two.
const SEATS: usize = 2;

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// The `n`th payment brought the price of so many seats.
    Paid(u8, usize),
    Failed(u8),
    Refunded(u8),
    /// The booking's time is up, and the sweep finds it.
    Expires,
    Cancels,
    /// The second seat is given back.
    GivesBack,
    /// What it cost went back.
    PartRefunded,
    /// Another customer buys the second seat.
    OtherBuys,
    /// The show is cancelled.
    CalledOff,
    /// Its bookings are refunded.
    ShowCancelled,
}

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    state: BookingState,
    reason: Option<Reason>,
    refund_status: &'static str,
    refunds: usize,
    confirmations: usize,
}

const CONFIRMED: End = End {
    state: BookingState::Confirmed,
    reason: None,
    refund_status: "NONE",
    refunds: 0,
    confirmations: 1,
};

/// Dies after so many steps.
struct Life {
    steps_left: usize,
    died: bool,
}

impl Life {
    /// A step was done; true if it was the last.
    fn ends(&mut self) -> bool {
        if self.steps_left == 0 && !self.died {
            self.died = true;
            return true;
        }
        self.steps_left = self.steps_left.saturating_sub(1);
        false
    }
}

fn euros(seats: usize) -> Money {
    Money {
        amount: PRICE * i64::try_from(seats).expect("few"),
        currency: "EUR".parse().expect("valid"),
    }
}

impl Told {
    fn event(self, id: BookingId) -> Option<(&'static str, Vec<u8>)> {
        match self {
            Self::Paid(n, seats) => Some(paid(id, n, seats)),
            Self::Failed(n) => Some(failed(id, n)),
            Self::Refunded(n) => Some(refunded(id, n, SEATS)),
            Self::PartRefunded => Some(part_refunded(id)),
            _ => None,
        }
    }

    fn input(self, id: BookingId) -> Option<Input> {
        Some(match self {
            Self::Paid(n, seats) => Input::PaymentSucceeded {
                payment_id: payment(id, n),
                amount: euros(seats),
            },
            Self::Failed(n) => Input::PaymentFailed {
                payment_id: payment(id, n),
            },
            Self::Refunded(n) => Input::RefundSucceeded {
                refund_id: booking_core::refund_id(payment(id, n)),
            },
            Self::PartRefunded => Input::RefundSucceeded {
                refund_id: part_refund_id(payment(id, 1), 0),
            },
            Self::GivesBack => second_seat(),
            Self::Expires => Input::ExpiryDue,
            Self::Cancels => CANCEL,
            Self::ShowCancelled => Input::ShowCancelled,
            Self::OtherBuys | Self::CalledOff => return None,
        })
    }
}

impl World {
    /// As the driver does, as far as `life` goes.
    async fn play(&self, id: BookingId, input: Input, life: &mut Life) {
        let (mut input, mut grounds) = (input, None::<Grounds>);
        loop {
            let decided = self.app.decide_once(
                id,
                input,
                wall_time(),
                grounds.as_ref().map_or(Basis::Word, Basis::Answer),
            );
            match decided.await.expect("decides").expect("is there") {
                Outcome::Refused(refusal) => input = refusal,
                Outcome::Decided(_, None) => return,
                Outcome::Decided(booking, Some(call)) => {
                    if life.ends() {
                        return;
                    }
                    let asked = self.app.ask(&booking, call).await;
                    let answered = asked.expect("the store answers");
                    if life.ends() {
                        return;
                    }
                    let inventory = self.app.inventories.get(self.show_id).await;
                    let inventory = inventory.expect("is there");
                    grounds = Some(Grounds {
                        lineage: answered.lineage,
                        revision: answered.revision,
                        inventory,
                    });
                    input = answered.input;
                }
            }
        }
    }

    async fn happens(&self, id: BookingId, told: Told, life: &mut Life) {
        match told {
            Told::OtherBuys => drop(self.buy(user(2), &[1]).await),
            Told::CalledOff => self.call_off().await,
            Told::Expires => self.run_out(id).await,
            _ => {}
        }
        if let Some(input) = told.input(id) {
            let died = life.died;
            self.play(id, input, life).await;
            if life.died != died {
                self.recover().await;
            }
        }
        if let Some(event) = told.event(id) {
            self.tell(id, event).await;
        }
    }

    /// What the timeline says, in order.
    pub(super) async fn timeline(&self, id: BookingId) -> Vec<String> {
        let happened =
            "SELECT happened FROM booking.timeline WHERE booking_id = $1 ORDER BY position";
        let happened = sqlx::query_scalar(happened).bind(id.as_uuid());
        happened.fetch_all(&self.pool).await.expect("reads")
    }

    async fn end_of(&self, id: BookingId) -> End {
        let view = self.view(id).await;
        let told = self.told(id).await;
        let count = |event: &str| told.iter().filter(|told| *told == event).count();
        End {
            state: view.booking.state,
            reason: view.booking.reason,
            refund_status: view.refund_status(),
            refunds: count("RefundRequested"),
            confirmations: count("BookingConfirmed"),
        }
    }
}

/// Plays the story once for each step that may be the last.
async fn ends(pool: PgPool, story: &[Told], end: End) {
    let mut world = World::new(pool).await;
    let mut timeline = None;
    for steps_left in 0..CRASHES_MAX {
        world.open_another().await;
        let id = world.book(user(1), &[0, 1]).await;
        let mut life = Life {
            steps_left,
            died: false,
        };
        for told in story {
            world.happens(id, *told, &mut life).await;
        }
        let found = world.end_of(id).await;
        assert_eq!(found, end, "after a crash at step {steps_left}");
        for event in story.iter().rev().filter_map(|told| told.event(id)) {
            world.tell(id, event).await;
        }
        world.recover().await;
        let found = world.end_of(id).await;
        assert_eq!(
            found, end,
            "told once more after a crash at step {steps_left}"
        );
        world.audit().await;
        let written = world.timeline(id).await;
        let timeline = timeline.get_or_insert_with(|| written.clone());
        assert_eq!(
            &written, timeline,
            "the same, after a crash at step {steps_left}"
        );
        if !life.died {
            assert!(steps_left > 1, "nothing was asked of the store");
            return;
        }
    }
    panic!("still dying after {CRASHES_MAX} steps");
}

#[sqlx::test(migrations = false)]
async fn paid_in_time(pool: PgPool) {
    ends(pool, &[Told::Paid(1, SEATS)], CONFIRMED).await;
}

#[sqlx::test(migrations = false)]
async fn declined(pool: PgPool) {
    let end = End {
        state: BookingState::Failed,
        reason: Some(Reason::PaymentFailed),
        confirmations: 0,
        ..CONFIRMED
    };
    // The wall clock is far from the end of a booking of ten minutes.
    ends(pool, &[Told::Failed(1)], end).await;
}

#[sqlx::test(migrations = false)]
async fn abandoned_and_expired(pool: PgPool) {
    let end = End {
        state: BookingState::Expired,
        reason: Some(Reason::PaymentTimeout),
        confirmations: 0,
        ..CONFIRMED
    };
    ends(pool, &[Told::Expires, Told::Failed(1)], end).await;
}

#[sqlx::test(migrations = false)]
async fn paid_late_with_the_seats_free(pool: PgPool) {
    ends(pool, &[Told::Expires, Told::Paid(1, SEATS)], CONFIRMED).await;
}

#[sqlx::test(migrations = false)]
async fn paid_late_with_a_seat_gone(pool: PgPool) {
    let end = End {
        state: BookingState::Failed,
        reason: Some(Reason::SeatsGone),
        refund_status: "REFUNDED",
        refunds: 1,
        confirmations: 0,
    };
    let story = [
        Told::Expires,
        Told::OtherBuys,
        Told::Paid(1, SEATS),
        Told::Refunded(1),
    ];
    ends(pool, &story, end).await;
}

#[sqlx::test(migrations = false)]
async fn paid_twice(pool: PgPool) {
    let end = End {
        refund_status: "PENDING",
        refunds: 1,
        ..CONFIRMED
    };
    let story = [Told::Paid(1, SEATS), Told::Paid(2, SEATS)];
    ends(pool, &story, end).await;
}

#[sqlx::test(migrations = false)]
async fn paid_twice_after_it_expired(pool: PgPool) {
    let end = End {
        refund_status: "REFUNDED",
        refunds: 1,
        ..CONFIRMED
    };
    let story = [
        Told::Expires,
        Told::Paid(1, SEATS),
        Told::Paid(2, SEATS),
        Told::Refunded(2),
    ];
    ends(pool, &story, end).await;
}

#[sqlx::test(migrations = false)]
async fn paid_another_amount_first(pool: PgPool) {
    let end = End {
        refund_status: "PENDING",
        refunds: 1,
        ..CONFIRMED
    };
    let story = [Told::Paid(1, 1), Told::Paid(2, SEATS)];
    ends(pool, &story, end).await;
}

#[sqlx::test(migrations = false)]
async fn cancelled_unpaid_and_paid_after_it(pool: PgPool) {
    let end = End {
        state: BookingState::Cancelled,
        reason: Some(Reason::CancelledByCustomer),
        refund_status: "REFUNDED",
        refunds: 1,
        confirmations: 0,
    };
    let story = [Told::Cancels, Told::Paid(1, SEATS), Told::Refunded(1)];
    ends(pool, &story, end).await;
}

#[sqlx::test(migrations = false)]
async fn cancelled_by_the_customer(pool: PgPool) {
    let end = End {
        state: BookingState::Cancelled,
        reason: Some(Reason::CancelledByCustomer),
        refund_status: "REFUNDED",
        refunds: 1,
        confirmations: 1,
    };
    let story = [Told::Paid(1, SEATS), Told::Cancels, Told::Refunded(1)];
    ends(pool, &story, end).await;
}

#[sqlx::test(migrations = false)]
async fn a_ticket_is_given_back(pool: PgPool) {
    let end = End {
        refund_status: "PARTLY_REFUNDED",
        refunds: 1,
        ..CONFIRMED
    };
    let story = [Told::Paid(1, SEATS), Told::GivesBack, Told::PartRefunded];
    ends(pool, &story, end).await;
}

#[sqlx::test(migrations = false)]
async fn a_ticket_is_given_back_and_then_the_other(pool: PgPool) {
    let end = End {
        state: BookingState::Cancelled,
        reason: Some(Reason::CancelledByCustomer),
        refund_status: "REFUNDED",
        refunds: 2,
        confirmations: 1,
    };
    let story = [
        Told::Paid(1, SEATS),
        Told::GivesBack,
        Told::Cancels,
        Told::PartRefunded,
        Told::Refunded(1),
    ];
    ends(pool, &story, end).await;
}

#[sqlx::test(migrations = false)]
async fn show_called_off_after_it_was_paid(pool: PgPool) {
    let end = End {
        state: BookingState::Cancelled,
        reason: Some(Reason::ShowCancelled),
        refund_status: "REFUNDED",
        refunds: 1,
        confirmations: 1,
    };
    let story = [
        Told::Paid(1, SEATS),
        Told::CalledOff,
        Told::ShowCancelled,
        Told::Refunded(1),
    ];
    ends(pool, &story, end).await;
}

#[sqlx::test(migrations = false)]
async fn show_called_off_before_it_was_paid(pool: PgPool) {
    let end = End {
        state: BookingState::Failed,
        reason: Some(Reason::ShowOver),
        refund_status: "REFUNDED",
        refunds: 1,
        confirmations: 0,
    };
    let story = [Told::CalledOff, Told::Paid(1, SEATS), Told::Refunded(1)];
    ends(pool, &story, end).await;
}
