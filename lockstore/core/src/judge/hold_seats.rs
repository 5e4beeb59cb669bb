//! `HoldSeats`: all the seats that are named or chosen, or none (HS-2).
//!
//! The precedence of refusals is that of [`RefusalReason`]: what is wrong with the request itself,
//! then the show, then the seats that were named, then the customer's cap, then what taking the
//! seats would leave, then that there is nothing to choose.

use std::sync::Arc;

use holdfast_types::{
    DurationMs, HoldId, SeatNo, SeatState,
    limits::{HOLD_TTL_MIN, SEATS_PER_HOLD_MAX},
};

use super::{Case, conflict, room_to_remember, selection};
use crate::{
    BestAvailable, Event, Hold, HoldSeats, Outcome, Phase, Refusal, RefusalReason, SeatRefusal,
    Selection,
    limits::{FILTER_ENTRIES_MAX, REFUSAL_SEATS_MAX, REQUESTS_PER_SHOW_MAX, SEATS_WALKED_MAX},
    show::{Show, Wanted},
};

/// From this behaviour on a choice looks at so many seats at most.
const WALK_BOUNDED: u32 = 2;

/// A selection that is well formed; what is to be chosen isn't yet.
enum Checked<'a> {
    Named(Arc<[SeatNo]>),
    Area(u16, u32),
    Best(&'a BestAvailable),
}

impl Checked<'_> {
    fn count(&self) -> usize {
        match self {
            Self::Named(seat_nos) => seat_nos.len(),
            Self::Area(_, count) => *count as usize,
            Self::Best(best) => best.count as usize,
        }
    }
}

pub(super) fn judge(
    show: &mut Show,
    command: &HoldSeats,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    let ttl = ttl(show, command)?;
    let checked = checked(show, &command.selection)?;
    let on_sale = match show.phase() {
        Phase::OnSale => true,
        Phase::Paused => command.late_money,
        Phase::Opening | Phase::Closing | Phase::Closed | Phase::Cancelled => false,
    };
    if !on_sale {
        return Err(RefusalReason::ShowNotOnSale.into());
    }
    room_to_remember(show, REQUESTS_PER_SHOW_MAX)?;
    if let Checked::Named(seat_nos) = &checked {
        no_conflict(show, seat_nos)?;
    }
    within_cap(show, command, checked.count())?;
    let seats_walked_max = if case.behaviour < WALK_BOUNDED {
        usize::MAX
    } else {
        SEATS_WALKED_MAX
    };
    let seat_nos = chosen(show, command, checked, seats_walked_max)?;

    let hold = Arc::new(Hold {
        id: HoldId::from(case.request.id),
        holder: command.holder,
        fence: case.revision,
        seat_nos,
        granted_at: case.now,
        expires_at: case.now.plus(ttl),
        extendable_until: case.now.plus(show.rules().hold_total_max),
        price_version: command.price_version,
    });
    show.grant(&hold, case.body, case.request.not_after);
    case.events.push(Event::SeatsHeld {
        show_id: show.id(),
        hold_id: hold.id,
        fence: hold.fence,
        seat_nos: Arc::clone(&hold.seat_nos),
        expires_at: hold.expires_at,
    });
    Ok(Outcome::Held {
        hold,
        replayed: false,
    })
}

fn ttl(show: &Show, command: &HoldSeats) -> Result<DurationMs, Refusal> {
    let longest = show.rules().hold_ttl;
    if command.ttl == DurationMs(0) {
        Ok(longest)
    } else if (HOLD_TTL_MIN..=longest).contains(&command.ttl) {
        Ok(command.ttl)
    } else {
        Err(Refusal::with_limit(RefusalReason::Invalid, longest.0))
    }
}

/// # Errors
/// `Invalid` if it is out of bounds; `SeatUnknown` if the show has no such seat or area.
fn checked<'a>(show: &Show, asked: &'a Selection) -> Result<Checked<'a>, Refusal> {
    let in_bounds = |count: u32| {
        let limit = SEATS_PER_HOLD_MAX as u64;
        if (1..=limit).contains(&u64::from(count)) {
            Ok(())
        } else {
            Err(Refusal::with_limit(RefusalReason::Invalid, limit))
        }
    };
    match asked {
        Selection::Seats(seat_nos) => selection(show, seat_nos).map(Checked::Named),
        Selection::Area { section_no, count } => {
            in_bounds(*count)?;
            if !show.places().has_area(*section_no) {
                return Err(RefusalReason::SeatUnknown.into());
            }
            Ok(Checked::Area(*section_no, *count))
        }
        Selection::BestAvailable(best) => {
            in_bounds(best.count)?;
            let lists = [&best.sections, &best.categories];
            if lists.iter().any(|list| list.len() > FILTER_ENTRIES_MAX) {
                let limit = FILTER_ENTRIES_MAX as u64;
                return Err(Refusal::with_limit(RefusalReason::Invalid, limit));
            }
            Ok(Checked::Best(best))
        }
    }
}

fn no_conflict(show: &Show, seat_nos: &[SeatNo]) -> Result<(), Refusal> {
    // A bit a seat says as much, and is found sooner.
    if show.places().are_free(seat_nos) {
        return Ok(());
    }
    match conflict(show, seat_nos, |state| state != SeatState::Available) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

/// The seats to hold, in ascending order.
///
/// # Errors
/// `LeavesLoneSeat` names those that would be left; `NoBlock` if there is nothing to choose.
fn chosen(
    show: &Show,
    command: &HoldSeats,
    checked: Checked<'_>,
    seats_walked_max: usize,
) -> Result<Arc<[SeatNo]>, Refusal> {
    let no_lone_seat = show.rules().no_lone_seat && !command.late_money;
    match checked {
        Checked::Named(seat_nos) if no_lone_seat => {
            let alone = show.places().left_alone(&seat_nos);
            if alone.is_empty() {
                return Ok(seat_nos);
            }
            let seats = alone.into_iter().take(REFUSAL_SEATS_MAX);
            Err(Refusal {
                reason: RefusalReason::LeavesLoneSeat,
                seats: seats
                    .map(|seat_no| SeatRefusal {
                        seat_no,
                        state: Some(SeatState::Available),
                    })
                    .collect(),
                limit: 0,
            })
        }
        Checked::Named(seat_nos) => Ok(seat_nos),
        Checked::Area(section_no, count) => {
            let lowest = show.places().lowest_of_area(section_no, count);
            lowest
                .map(Into::into)
                .map_err(|free| Refusal::with_limit(RefusalReason::NoBlock, u64::from(free)))
        }
        Checked::Best(best) => {
            let sorted = |list: &[u16]| {
                let mut list = list.to_vec();
                list.sort_unstable();
                list
            };
            let wanted = Wanted {
                count: best.count,
                sections: &sorted(&best.sections),
                categories: &sorted(&best.categories),
                adjacent: best.adjacent,
                accessible: best.accessible,
                no_lone_seat,
                seats_walked_max,
            };
            let best = show.places().best_available(&wanted);
            best.map(Into::into)
                .ok_or_else(|| RefusalReason::NoBlock.into())
        }
    }
}

/// HS-8.
fn within_cap(show: &Show, command: &HoldSeats, seats: usize) -> Result<(), Refusal> {
    let cap = show.rules().seats_per_customer_max;
    let total = u64::from(show.count(command.holder).total()) + seats as u64;
    if total > u64::from(cap) {
        return Err(Refusal::with_limit(
            RefusalReason::LimitExceeded,
            u64::from(cap),
        ));
    }
    Ok(())
}
