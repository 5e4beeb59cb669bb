//! Runs the workflow: read the booking, decide, commit state and records in one transaction, unless the
//! booking has changed since it was read, then ask the store, and feed its answer back.
//!
//! Always holds: no lock of the database is held while the store is asked; a transaction that
//! builds on a store answer requires that answer's lineage to be the current one. A crash at any
//! point leaves an open step, which [`crate::tasks`] takes over by [`Input::Resume`]: the same
//! code. Leaves to others: every decision (`booking-core`).

use std::sync::Arc;

use booking_core::{
    Alarm, Booking, Call, Decision, Fate, Input, Reason, Record, decide, timeline, unasked,
};
use holdfast_types::{BookingState, ClusterTime, Lineage, Revision, TicketId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    App,
    again::ASK_AGAIN_AFTER,
    announce::{self, OUTBOX},
    inventory::Inventory,
    refusal::key_reused,
};
use crate::{
    error::Error,
    metrics,
    store::{
        bookings::{self, AtOnce, Change, Key, Version, Which},
        lineage,
        refunds::{self, RefundOrder},
        requests::{self, Named},
        seats,
        seats::Claim,
        tickets::{self, NewTicket},
    },
};

/// Decisions in one run; the longest chain is every late hold and an ending. What is left then
/// is taken over like after a crash.
const DECISIONS_MAX: usize = 24;

/// How long an open step is left to who opened it: longer than a call to the store may take.
const STEP_LEASE_S: f64 = 8.0;

/// Namespace of ticket ids; any fixed value, never changed.
const TICKETS: Uuid = Uuid::from_u128(0x51c0_8e5d_37f6_4d2b_b1a4_9ad7_0c62_ee13);

/// What a store answer is worth: whose it is, and the show that it speaks of.
#[derive(Debug, Clone)]
pub(crate) struct Grounds {
    pub(crate) lineage: Lineage,
    /// As of when it was given.
    pub(crate) revision: Revision,
    pub(crate) inventory: Arc<Inventory>,
}

/// What a decision builds on, besides its input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Basis<'a> {
    /// Others' word, or a step that is open.
    Word,
    /// A customer's request with a name, to which the name is bound with the decision.
    Request(&'a Named),
    /// What the store answered.
    Answer(&'a Grounds),
}

/// What one transaction came to.
pub(crate) enum Outcome {
    /// The booking as it is now, and what to ask.
    Decided(Box<Booking>, Option<Call>),
    /// The database refused a record; nothing was written. This is what it means.
    Refused(Input),
}

enum Recorded {
    Done,
    TooFewRows(Input),
    /// A ticket was used: the cancellation is refused and the booking left.
    TicketUsed,
}

impl App {
    /// Feeds `input` to a booking and follows what comes of it until nothing is open or the store
    /// can't be asked now. Returns the booking then; `None` if there is none.
    pub(crate) async fn drive(
        &self,
        which: impl Into<Which>,
        input: Input,
        now: ClusterTime,
    ) -> Result<Option<Booking>, Error> {
        self.drive_on(which.into(), input, now, Basis::Word).await
    }

    /// As [`App::drive`], on `first`.
    pub(super) async fn drive_on(
        &self,
        which: Which,
        input: Input,
        now: ClusterTime,
        first: Basis<'_>,
    ) -> Result<Option<Booking>, Error> {
        let (mut which, mut input) = (which, input);
        let mut first = Some(first);
        let mut grounds: Option<Grounds> = None;
        let mut known = None;
        let mut last = None;
        for _ in 0..DECISIONS_MAX {
            let basis = match (first.take(), &grounds) {
                (Some(first), _) => first,
                (None, Some(grounds)) => Basis::Answer(grounds),
                (None, None) => Basis::Word,
            };
            let decided = self.decide(which, input, now, basis, known.take()).await?;
            let Some((outcome, version)) = decided else {
                return Ok(None);
            };
            match outcome {
                Outcome::Refused(refusal) => input = refusal,
                Outcome::Decided(booking, None) => return Ok(Some(*booking)),
                Outcome::Decided(booking, Some(call)) => {
                    which = Key::from(&*booking).into();
                    known = version.map(|version| ((*booking).clone(), version));
                    let inventory = self.inventories.get(booking.show_id).await?;
                    let terms = self.terms(&booking, call, &inventory).await?;
                    if let Some(refusal) = unasked(call, terms) {
                        // Ours, not the store's: there is no answer whose lineage could be old.
                        input = refusal;
                        grounds = None;
                        last = Some(*booking);
                        continue;
                    }
                    let Some(answered) = self.ask(&booking, call).await else {
                        return Ok(Some(*booking));
                    };
                    input = answered.input;
                    grounds = Some(Grounds {
                        lineage: answered.lineage,
                        revision: answered.revision,
                        inventory,
                    });
                    last = Some(*booking);
                }
            }
        }
        tracing::error!(booking.id = %which.booking_id, "a booking takes more decisions than it may");
        Ok(last)
    }

    /// One decision in one transaction.
    #[cfg(test)]
    pub(crate) async fn decide_once(
        &self,
        which: impl Into<Which>,
        input: Input,
        now: ClusterTime,
        basis: Basis<'_>,
    ) -> Result<Option<Outcome>, Error> {
        let decided = self.decide(which.into(), input, now, basis, None).await?;
        Ok(decided.map(|(outcome, _)| outcome))
    }

    /// One decision in one transaction: of the common kinds in one statement, which writes nothing if the
    /// booking isn't any more as it was read (`known` is what this process wrote last), and of any kind with
    /// the booking locked. And the version that was written, where it is known.
    async fn decide(
        &self,
        which: Which,
        input: Input,
        now: ClusterTime,
        basis: Basis<'_>,
        known: Option<(Booking, Version)>,
    ) -> Result<Option<(Outcome, Option<Version>)>, Error> {
        if !matches!(basis, Basis::Request(_)) {
            let is_ours = known.is_some();
            let read = match known {
                Some(known) => Some(known),
                None => bookings::read(&self.pool, which).await?,
            };
            let Some((before, version)) = read else {
                return Ok(None);
            };
            let decision = decide(&before, input.clone(), now);
            if decision.next == before && decision.records.is_empty() {
                if !is_ours {
                    let outcome = Outcome::Decided(Box::new(before), decision.call);
                    return Ok(Some((outcome, None)));
                }
            } else if let Some(written) = self
                .write_at_once((&before, &version), &input, &decision, basis)
                .await?
            {
                let outcome = Outcome::Decided(Box::new(decision.next), decision.call);
                return Ok(Some((outcome, Some(written))));
            }
        }
        let decided = self.decide_locked(which, input, now, basis).await?;
        Ok(decided.map(|outcome| (outcome, None)))
    }

    /// Writes a decision in one statement, if it is of a kind that can be. None: nothing was written.
    async fn write_at_once(
        &self,
        (before, version): (&Booking, &Version),
        input: &Input,
        decision: &Decision,
        basis: Basis<'_>,
    ) -> Result<Option<Version>, Error> {
        let after = &decision.next;
        let Some(payment) = one_payment(before, after) else {
            return Ok(None);
        };
        let (mut sold, mut tickets, mut news) = (None, Vec::new(), None);
        for record in &decision.records {
            match record {
                Record::SellSeats { fence } => sold = Some(*fence),
                Record::IssueTickets => tickets = self.tickets(after, inventory_of(basis)),
                Record::AnnounceConfirmed => {
                    news = Some(announce::confirmed(after, inventory_of(basis))?);
                }
                Record::MarkSeats { .. }
                | Record::FreeSeats { .. }
                | Record::VoidTickets
                | Record::GiveBackSeats { .. }
                | Record::Refund { .. }
                | Record::AnnounceEnded { .. }
                | Record::RaiseAlarm(_) => return Ok(None),
            }
        }
        let (lineage, revision) = match basis {
            Basis::Answer(grounds) => (Some(grounds.lineage), Some(grounds.revision)),
            Basis::Word | Basis::Request(_) => (None, None),
        };
        let all = AtOnce {
            change: Change {
                before,
                after,
                entries: &timeline(before, input, decision),
                revision,
            },
            version,
            lineage,
            sold,
            tickets: &tickets,
            payment,
            news,
        };
        let written = bookings::save_at_once(&self.pool, all, STEP_LEASE_S).await?;
        if written.is_some() {
            self.written(before, decision);
        }
        Ok(written)
    }

    /// A decision was committed. Who waits for the booking is told when nothing is open any more: what
    /// follows comes within milliseconds, or they look by themselves.
    fn written(&self, before: &Booking, decision: &Decision) {
        OUTBOX.wake();
        if decision.call.is_none() {
            self.changes.tell(&decision.next);
        }
        count(before, decision);
    }

    async fn decide_locked(
        &self,
        which: Which,
        input: Input,
        now: ClusterTime,
        basis: Basis<'_>,
    ) -> Result<Option<Outcome>, Error> {
        let mut transaction = match basis {
            Basis::Answer(grounds) => {
                let mut transaction = lineage::begin(&self.pool).await?;
                require_current(&mut transaction, grounds.lineage).await?;
                transaction
            }
            Basis::Word | Basis::Request(_) => holdfast_eventlog::begin(&self.pool).await?,
        };
        let Some(before) = bookings::lock(&mut transaction, which).await? else {
            return Ok(None);
        };
        let decision = decide(&before, input.clone(), now);
        if decision.next == before && decision.records.is_empty() {
            return Ok(Some(Outcome::Decided(Box::new(before), decision.call)));
        }
        for record in &decision.records {
            match self
                .record(&mut transaction, &decision.next, record, basis)
                .await?
            {
                Recorded::Done => {}
                Recorded::TooFewRows(refusal) => {
                    transaction.rollback().await?;
                    return Ok(Some(Outcome::Refused(refusal)));
                }
                Recorded::TicketUsed => {
                    transaction.rollback().await?;
                    return Ok(Some(Outcome::Decided(Box::new(before), None)));
                }
            }
        }
        if let Basis::Request(named) = basis
            && !requests::bind(&mut transaction, named).await?
        {
            return Err(key_reused().into());
        }
        let change = Change {
            before: &before,
            after: &decision.next,
            entries: &timeline(&before, &input, &decision),
            revision: match basis {
                Basis::Answer(grounds) => Some(grounds.revision),
                Basis::Word | Basis::Request(_) => None,
            },
        };
        bookings::save(&mut transaction, change, STEP_LEASE_S).await?;
        transaction.commit().await?;
        self.written(&before, &decision);
        Ok(Some(Outcome::Decided(
            Box::new(decision.next),
            decision.call,
        )))
    }

    async fn record(
        &self,
        connection: &mut PgConnection,
        booking: &Booking,
        record: &Record,
        basis: Basis<'_>,
    ) -> Result<Recorded, Error> {
        let claim = |fence| Claim {
            show_id: booking.show_id,
            seats: &booking.seats,
            booking_id: booking.id,
            fence,
        };
        let wanted = booking.seats.len() as u64;
        match *record {
            Record::MarkSeats { fence, expires_at } => {
                if seats::mark(connection, claim(fence), expires_at).await? != wanted {
                    let (hold_id, attempt) = (booking.hold.hold_id, booking.hold.attempt);
                    let refusal = Input::SeatsNotMarked {
                        attempt,
                        hold_id,
                        fence,
                    };
                    return Ok(Recorded::TooFewRows(refusal));
                }
            }
            Record::SellSeats { fence } => {
                if seats::sell(connection, claim(fence)).await? != wanted {
                    return Ok(Recorded::TooFewRows(Input::SeatsNotSold { fence }));
                }
            }
            Record::IssueTickets => {
                let issued = self.tickets(booking, inventory_of(basis));
                if tickets::insert(connection, booking.into(), &issued).await? != wanted {
                    let fence = booking.hold.fence;
                    return Ok(Recorded::TooFewRows(Input::SeatsNotSold { fence }));
                }
            }
            Record::FreeSeats { fence } => {
                seats::free(connection, claim(fence)).await?;
            }
            Record::VoidTickets => {
                let wanted = booking.seats_left().len() as u64;
                if tickets::void(connection, booking.into()).await? != wanted {
                    return Ok(Recorded::TicketUsed);
                }
            }
            Record::GiveBackSeats { fence, ref seats } => {
                let voided = tickets::void_seats(connection, booking.into(), seats).await?;
                if voided != seats.len() as u64 {
                    return Ok(Recorded::TicketUsed);
                }
                seats::free(
                    connection,
                    Claim {
                        seats,
                        ..claim(fence)
                    },
                )
                .await?;
            }
            Record::Refund {
                refund_id,
                payment_id,
                amount,
                reason,
            } => {
                let order = RefundOrder {
                    refund_id,
                    show_id: booking.show_id,
                    booking_id: booking.id,
                    payment_id,
                    amount,
                    reason: reason.as_str().to_owned(),
                };
                refunds::insert(connection, &order, ASK_AGAIN_AFTER).await?;
                announce::refund_requested(connection, &order).await?;
            }
            Record::AnnounceConfirmed => {
                let news = announce::confirmed(booking, inventory_of(basis))?;
                OUTBOX.append_row(connection, news).await?;
            }
            Record::AnnounceEnded { state, reason } => {
                let news = announce::ended(booking, state, reason)?;
                OUTBOX.append_row(connection, news).await?;
            }
            Record::RaiseAlarm(_) => {}
        }
        Ok(Recorded::Done)
    }

    /// A ticket for each seat.
    fn tickets(&self, booking: &Booking, inventory: &Inventory) -> Vec<NewTicket> {
        let seats = booking.seats.iter();
        seats
            .map(|seat| {
                let mut name = booking.id.to_bytes().to_vec();
                name.extend(seat.0.to_be_bytes());
                let ticket_id = TicketId::from_uuid(Uuid::new_v5(&TICKETS, &name));
                let label = inventory.label(*seat);
                let qr_payload = self.ticket_key.seal(ticket_id, booking.show_id, label);
                NewTicket {
                    ticket_id,
                    seat_no: *seat,
                    qr_payload,
                }
            })
            .collect()
    }
}

/// The one payment that a change adds or gives another fate, and its place; none at all if there are more,
/// or more of it is to be written.
fn one_payment<'a>(
    before: &Booking,
    after: &'a Booking,
) -> Option<Option<(usize, &'a booking_core::Payment)>> {
    let payments = after.payments.iter().enumerate();
    let mut changed = payments.filter(|(nth, payment)| before.payments.get(*nth) != Some(payment));
    let first = changed.next();
    let is_plain = first.is_none_or(|(_, payment)| {
        payment.parts.is_empty() && matches!(payment.fate, Fate::Pending | Fate::Kept)
    });
    (is_plain && changed.next().is_none()).then_some(first)
}

/// Fails unless `answered` is the current lineage, and its store is loaded. In a transaction of
/// [`lineage::begin`] both then stay so.
pub(super) async fn require_current(
    connection: &mut PgConnection,
    answered: Lineage,
) -> Result<(), Error> {
    let (current, is_rebuilding) = match lineage::current(connection).await? {
        Some(current) => current,
        None => {
            let adopted = lineage::adopt(connection, answered).await?;
            (adopted.unwrap_or(answered), false)
        }
    };
    if current != answered {
        return Err(Error::ForeignLineage { answered, current });
    }
    if is_rebuilding {
        return Err(Error::Rebuilding);
    }
    Ok(())
}

/// Nothing is built on a lock store that isn't loaded yet, and nothing there is changed but by whoever
/// loads it.
///
/// # Errors
/// [`Error::Rebuilding`].
pub(super) async fn refuse_while_rebuilding(connection: &mut PgConnection) -> Result<(), Error> {
    if lineage::is_pending(connection).await? {
        return Err(Error::Rebuilding);
    }
    Ok(())
}

/// Tickets and confirmations follow from a store answer, which comes with its show.
fn inventory_of(basis: Basis<'_>) -> &Inventory {
    match basis {
        Basis::Answer(grounds) => &grounds.inventory,
        Basis::Word | Basis::Request(_) => {
            unreachable!("a booking is confirmed by an answer of the store only")
        }
    }
}

/// How the money of a booking that has no reason to end came.
fn in_time(booking: &Booking) -> &'static str {
    if booking.hold.attempt == 0 {
        "IN_TIME"
    } else {
        "LATE_MONEY"
    }
}

pub(super) fn count(before: &Booking, decision: &Decision) {
    let booking = &decision.next;
    if booking.state != before.state {
        let reason = booking
            .reason
            .map_or_else(|| in_time(booking), Reason::as_str);
        metrics::counter(
            metrics::ENDINGS,
            &[("state", booking.state.as_str()), ("reason", reason)],
        );
        tracing::info!(booking.id = %booking.id, booking.state = %booking.state, reason, "a booking moved");
    }
    for record in &decision.records {
        match record {
            Record::SellSeats { .. } => metrics::seats_sold(booking.seats.len()),
            Record::IssueTickets => metrics::tickets_issued(booking.seats.len()),
            Record::VoidTickets => metrics::seats_returned(booking.seats_left().len()),
            Record::GiveBackSeats { seats, .. } => metrics::seats_returned(seats.len()),
            Record::Refund {
                reason, payment_id, ..
            } => {
                metrics::counter(metrics::REFUNDS, &[("reason", reason.as_str())]);
                tracing::info!(booking.id = %booking.id, payment.id = %payment_id, reason = reason.as_str(), "money goes back");
            }
            Record::RaiseAlarm(alarm) => {
                let kind = match alarm {
                    Alarm::SeatsNotMarked => "seats_not_marked",
                    Alarm::SeatsNotSold => "seats_not_sold",
                    Alarm::SoldUnpaid => "sold_unpaid",
                };
                metrics::counter(metrics::ALARMS, &[("kind", kind)]);
                tracing::error!(booking.id = %booking.id, alarm = kind, "store and database disagreed");
            }
            _ => {}
        }
    }
    debug_assert!(
        booking.state != BookingState::Confirmed || booking.pending_payment().is_none(),
        "BK-2"
    );
}
