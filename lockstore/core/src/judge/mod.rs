//! What a command does to its show: one file a command, each a list of refusals in the order of
//! [`RefusalReason`], then the one effect.
//!
//! Always holds: a refused command changes nothing. What is common to all (deadline, memory of
//! requests) is here; time has passed and the sweep was done before.

mod advance_queue;
mod block_seats;
mod change_show;
mod commit_hold;
mod extend_hold;
mod hold_seats;
mod load_seats;
mod open_show;
mod release_hold;
mod return_seats;

use std::sync::Arc;

use holdfast_types::{
    ClusterTime, Fence, HoldId, Revision, SeatNo, SeatState, UserId,
    limits::{NOT_AFTER_AHEAD_MAX, SEATS_PER_HOLD_MAX},
};

use crate::{
    BodyHash, Command, Effect, Event, Outcome, Refusal, RefusalReason, Request, SeatRefusal,
    allowance::Allowance,
    body::ascending,
    limits::{REFUSAL_SEATS_MAX, REQUESTS_PER_SHOW_HARD_MAX},
    request::{self, Done},
    show::Show,
};

pub(crate) use open_show::new_show;

/// One command being judged.
pub(crate) struct Case<'a> {
    pub(crate) now: ClusterTime,
    pub(crate) revision: Revision,
    pub(crate) request: Request,
    pub(crate) body: BodyHash,
    pub(crate) events: &'a mut Vec<Event>,
    /// What commands have to do: see [`State::follow`](crate::State::follow).
    pub(crate) behaviour: u32,
    /// What time may still do.
    pub(crate) allowance: &'a mut Allowance,
}

impl Case<'_> {
    /// The request finished now, with an effect.
    fn done(&self) -> Done {
        let not_after = self.request.not_after;
        Done {
            body: self.body,
            not_after,
            keep_until: request::keep_until(self.now, not_after),
            first_no: 0,
        }
    }
}

/// Judges a command of a known show. What names no show is none of this module.
pub(crate) fn command(show: &mut Show, command: &Command, case: &mut Case<'_>) -> Outcome {
    let known = match known_request(show, case) {
        Ok(known) => known,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    if known.is_some() {
        show.remember_longer(case.request.id, case.request.not_after);
    }
    let outcome = match (command, known) {
        (Command::HoldSeats(_), Some(Effect::Held { hold, .. })) => {
            return Outcome::Held {
                hold,
                replayed: true,
            };
        }
        (Command::ChangeShow(_), Some(_)) => {
            return Outcome::ShowChanged {
                state: show.phase().as_state(),
            };
        }
        (Command::OpenShow(c), _) => open_show::judge(show, c, case),
        (Command::ChangeShow(c), None) => change_show::judge(show, c, case),
        (Command::HoldSeats(c), _) => hold_seats::judge(show, c, case),
        (Command::ExtendHold(c), known) => extend_hold::judge(show, c, known.is_some(), case),
        (Command::ReleaseHold(c), _) => release_hold::judge(show, c, case),
        (Command::CommitHold(c), _) => commit_hold::judge(show, c, case),
        (Command::ReturnSeats(c), _) => return_seats::judge(show, c, case),
        (Command::BlockSeats(c), known) => block_seats::block(show, c, known.is_some(), case),
        (Command::UnblockSeats(c), known) => block_seats::unblock(show, c, known.is_some(), case),
        (Command::LoadSeats(c), known) => load_seats::judge(show, c, known.is_some(), case),
        (Command::AdvanceQueue(c), known) => advance_queue::judge(show, c, known.as_ref(), case),
        (Command::SetConfig(_) | Command::AdminRecord(_) | Command::Tick, _) => {
            unreachable!("it names no show")
        }
    };
    outcome.unwrap_or_else(Outcome::Refused)
}

/// What is remembered of a request, or why it is refused before anything else is looked at.
fn known_request(show: &Show, case: &Case<'_>) -> Result<Option<Effect>, Refusal> {
    let known = show.request(case.request.id);
    deadline(&case.request, case.now, known.is_some())?;
    match known {
        Some(known) if known.body != case.body => Err(RefusalReason::RequestReused.into()),
        Some(known) => Ok(Some(known.effect)),
        None => Ok(None),
    }
}

/// The checks of a request's deadline, which may have passed if the request is `known`.
pub(crate) fn deadline(request: &Request, now: ClusterTime, known: bool) -> Result<(), Refusal> {
    if !known {
        deadline_has_not_passed(request, now)?;
    }
    deadline_is_near(request, now)
}

fn deadline_has_not_passed(request: &Request, now: ClusterTime) -> Result<(), Refusal> {
    if request.not_after < now || request.not_after == ClusterTime(0) {
        return Err(Refusal::with_time(RefusalReason::DeadlinePassed, now));
    }
    Ok(())
}

fn deadline_is_near(request: &Request, now: ClusterTime) -> Result<(), Refusal> {
    let latest = now.plus(NOT_AFTER_AHEAD_MAX);
    if request.not_after > latest {
        return Err(Refusal::with_time(RefusalReason::DeadlineTooFar, latest));
    }
    Ok(())
}

/// A selection in ascending order.
///
/// # Errors
/// `Invalid` if it is empty, too large or names a seat twice; `SeatUnknown` if the show has no
/// such seat.
fn selection(show: &Show, seat_nos: &[SeatNo]) -> Result<Arc<[SeatNo]>, Refusal> {
    named_seats(show, seat_nos, SEATS_PER_HOLD_MAX)
}

/// [`selection`] of at most `seats_max`.
fn named_seats(
    show: &Show,
    seat_nos: &[SeatNo],
    seats_max: usize,
) -> Result<Arc<[SeatNo]>, Refusal> {
    if seat_nos.is_empty() || seat_nos.len() > seats_max {
        return Err(Refusal::with_limit(
            RefusalReason::Invalid,
            seats_max as u64,
        ));
    }
    let sorted = ascending(seat_nos);
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(RefusalReason::Invalid.into());
    }
    let unknown: Vec<_> = sorted
        .iter()
        .filter(|seat_no| seat_no.0 >= show.seat_count())
        .map(|seat_no| SeatRefusal {
            seat_no: *seat_no,
            state: None,
        })
        .take(REFUSAL_SEATS_MAX)
        .collect();
    if !unknown.is_empty() {
        let limit = u64::from(show.seat_count());
        return Err(Refusal {
            reason: RefusalReason::SeatUnknown,
            seats: unknown,
            limit,
        });
    }
    Ok(Arc::from(&*sorted))
}

/// The refusal that names the seats whose state is in the way; `None` if none is.
fn conflict(
    show: &Show,
    seat_nos: &[SeatNo],
    is_in_the_way: impl Fn(SeatState) -> bool,
) -> Option<Refusal> {
    let seats: Vec<_> = seat_nos
        .iter()
        .map(|seat_no| (*seat_no, show.seat(*seat_no).state))
        .filter(|(_, state)| is_in_the_way(*state))
        .map(|(seat_no, state)| SeatRefusal {
            seat_no,
            state: Some(state),
        })
        .take(REFUSAL_SEATS_MAX)
        .collect();
    (!seats.is_empty()).then_some(Refusal {
        reason: RefusalReason::Conflict,
        seats,
        limit: 0,
    })
}

/// Room for a request that a customer could repeat without end.
fn room_to_remember(show: &Show, limit: usize) -> Result<(), Refusal> {
    debug_assert!(limit <= REQUESTS_PER_SHOW_HARD_MAX);
    if show.request_count() >= limit {
        return Err(Refusal::with_limit(
            RefusalReason::TooManyRequests,
            limit as u64,
        ));
    }
    Ok(())
}

/// Why a hold of which nothing is remembered (or whose holder is another) can't be used. Its sale,
/// if it became one, outlives the memory: whoever ends a pending booking relies on being told
/// "sold" however late it asks.
fn unknown_hold(show: &Show, hold_id: HoldId, fence: Fence, holder: Option<UserId>) -> Refusal {
    let sold = show.sales().get(&fence).is_some_and(|sale| {
        sale.hold_id == hold_id && holder.is_none_or(|holder| sale.holder == holder)
    });
    if sold {
        RefusalReason::AlreadySold.into()
    } else {
        RefusalReason::HoldNotFound.into()
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::{BookingId, DurationMs, Lineage, ShowId};

    use super::*;
    use crate::{
        BlockSeats, ChangeShow, CommitHold, ExtendHold, Hold, HoldSeats, LayoutSeat, Phase,
        ReleaseHold, RequestId, ReturnSeats, Selection, ShowRules, ShowState, State, UnblockSeats,
        limits::REQUESTS_PER_SHOW_MAX,
    };

    const NOW: ClusterTime = ClusterTime(1_000);
    const LINEAGE: Lineage = Lineage(1);
    const SHOW: ShowId = ShowId::from_bytes([1; 16]);
    const BOOKING: BookingId = BookingId::from_bytes([3; 16]);
    const HOLDER: UserId = UserId::from_bytes([2; 16]);

    fn request(id: u128) -> Request {
        Request {
            id: RequestId(id.to_be_bytes()),
            not_after: ClusterTime(2_000),
        }
    }

    /// Of two seats, on sale.
    fn small_show() -> Show {
        let rules = ShowRules {
            hold_ttl: DurationMs(10_000),
            hold_total_max: DurationMs(20_000),
            seats_per_customer_max: 4,
            no_lone_seat: false,
        };
        let mut show = Show::new(SHOW, Phase::OnSale, 2, rules, rules);
        let seats = [LayoutSeat::default(); 2];
        let places = show.places().with(&seats).expect("one row");
        show.append_layout(&seats, places);
        show
    }

    /// Makes it remember requests that nobody here sent, until there are `count`.
    fn fill(show: &mut Show, count: usize) {
        let done = Done {
            body: BodyHash(0),
            not_after: NOW,
            keep_until: ClusterTime(5_000),
            first_no: 0,
        };
        for id in 1..=(count - show.request_count()) as u128 {
            show.remember(RequestId((id << 64).to_be_bytes()), done);
        }
    }

    fn hold(id: u128, seat_no: u32) -> Command {
        Command::HoldSeats(HoldSeats {
            request: request(id),
            show_id: SHOW,
            holder: HOLDER,
            selection: Selection::Seats(vec![SeatNo(seat_no)]),
            ttl: DurationMs(0),
            price_version: 0,
            late_money: false,
        })
    }

    fn extend(id: u128, hold: &Hold, until: u64) -> Command {
        Command::ExtendHold(ExtendHold {
            request: request(id),
            show_id: SHOW,
            holder: HOLDER,
            hold_id: hold.id,
            fence: hold.fence,
            until: ClusterTime(until),
        })
    }

    fn commit(id: u128, hold: &Hold) -> Command {
        Command::CommitHold(CommitHold {
            request: request(id),
            show_id: SHOW,
            hold_id: hold.id,
            fence: hold.fence,
            seat_nos: hold.seat_nos.to_vec(),
            booking_id: BOOKING,
        })
    }

    #[test]
    fn show_full_of_requests_refuses_new_holds_and_still_sells() {
        let mut show = small_show();
        fill(&mut show, REQUESTS_PER_SHOW_MAX - 1);
        let mut state = State::new(LINEAGE);
        state.insert_show(show);
        let mut revisions = (1..).map(|index| Revision::new(LINEAGE, index, 0));
        let mut apply = |command, now| {
            state
                .apply(&command, now, revisions.next().expect("endless"))
                .0
        };
        let Outcome::Held { hold: held, .. } = apply(hold(1, 0), NOW) else {
            panic!("there is room for one")
        };
        let Outcome::Refused(refusal) = apply(hold(2, 1), NOW) else {
            panic!("it is full")
        };
        assert_eq!(refusal.reason, RefusalReason::TooManyRequests);
        let extended = apply(extend(3, &held, 15_000), NOW);
        assert!(matches!(extended, Outcome::Extended { .. }));
        assert!(matches!(apply(commit(4, &held), NOW), Outcome::Sold { .. }));
        // Forgetting, in bounded steps and not early, makes room again.
        let again = |now: u64| {
            let Command::HoldSeats(mut command) = hold(5, 1) else {
                panic!("a hold")
            };
            command.request.not_after = ClusterTime(now);
            Command::HoldSeats(command)
        };
        assert!(matches!(
            apply(again(5_000), ClusterTime(5_000)),
            Outcome::Refused(_)
        ));
        assert!(matches!(
            apply(again(5_001), ClusterTime(5_001)),
            Outcome::Held { .. }
        ));
    }

    #[test]
    fn show_fuller_still_refuses_all_but_what_ends_holds_and_sales() {
        let mut show = small_show();
        let mut index = 0;
        let mut ask = |show: &mut Show, asked: Command| {
            index += 1;
            let mut case = Case {
                now: NOW,
                revision: Revision::new(LINEAGE, index, 0),
                request: *asked.request().expect("it is one"),
                body: crate::body_hash(&asked).expect("it has one"),
                events: &mut Vec::new(),
                behaviour: 2,
                allowance: &mut Allowance::default(),
            };
            command(show, &asked, &mut case)
        };
        let mut held = |id, seat_no| match ask(&mut show, hold(id, seat_no)) {
            Outcome::Held { hold, .. } => hold,
            other => panic!("there is room: {other:?}"),
        };
        let (bought, given_up) = (held(1, 0), held(2, 1));
        fill(&mut show, REQUESTS_PER_SHOW_HARD_MAX - 1);
        let change = |id| {
            Command::ChangeShow(ChangeShow {
                request: request(id),
                show_id: SHOW,
                state: Some(ShowState::Paused),
                rules: None,
            })
        };
        let last = ask(&mut show, extend(3, &bought, 15_000));
        assert!(matches!(last, Outcome::Extended { .. }), "{last:?}");

        let full = Refusal::with_limit(
            RefusalReason::TooManyRequests,
            REQUESTS_PER_SHOW_HARD_MAX as u64,
        );
        let (seat_nos, actor) = (vec![SeatNo(1)], HOLDER);
        let unblock = Command::UnblockSeats(UnblockSeats {
            request: request(6),
            show_id: SHOW,
            seat_nos: seat_nos.clone(),
            actor,
        });
        let block = Command::BlockSeats(BlockSeats {
            request: request(7),
            show_id: SHOW,
            seat_nos: seat_nos.clone(),
            actor,
        });
        for asked in [extend(4, &bought, 16_000), change(5)] {
            assert_eq!(ask(&mut show, asked), Outcome::Refused(full.clone()));
        }
        let sold = ask(&mut show, commit(8, &bought));
        assert!(matches!(sold, Outcome::Sold { .. }), "{sold:?}");
        let release = Command::ReleaseHold(ReleaseHold {
            request: request(9),
            show_id: SHOW,
            holder: HOLDER,
            hold_id: given_up.id,
            fence: given_up.fence,
        });
        let released = ask(&mut show, release);
        assert!(matches!(released, Outcome::Released { .. }), "{released:?}");
        let give_back = Command::ReturnSeats(ReturnSeats {
            request: request(10),
            show_id: SHOW,
            fence: bought.fence,
            seat_nos: bought.seat_nos.to_vec(),
            booking_id: BOOKING,
        });
        let returned = ask(&mut show, give_back);
        assert!(matches!(returned, Outcome::Returned { .. }), "{returned:?}");
        assert_eq!(ask(&mut show, block), Outcome::Refused(full));
        // Nothing is blocked, so there is nothing to remember.
        let nothing = ask(&mut show, unblock);
        assert!(matches!(nothing, Outcome::Unblocked { already: true, .. }));
    }
}
