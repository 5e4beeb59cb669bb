//! `BlockSeats` and `UnblockSeats`: staff takes seats out of sale and puts them back.
//!
//! Always holds: a seat is never blocked under its holder or its owner. Of the seats that a block
//! names, those that are blocked already stay so; if one is held or sold, none is blocked, and the
//! refusal says which: staff waits for the hold to end, or the sale is returned first. A copy of a
//! request that had its effect changes nothing, whatever came after.

use std::sync::Arc;

use holdfast_types::{SeatNo, SeatState};

use super::{Case, conflict, named_seats, room_to_remember};
use crate::{
    BlockSeats, Event, Outcome, Phase, Refusal, RefusalReason, UnblockSeats,
    limits::{REQUESTS_PER_SHOW_HARD_MAX, SEATS_PER_BLOCK_MAX},
    show::Show,
};

/// Works unless the show is opening or called off, or its layout never came whole.
pub(super) fn block(
    show: &mut Show,
    command: &BlockSeats,
    remembered: bool,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    let named = named_seats(show, &command.seat_nos, SEATS_PER_BLOCK_MAX)?;
    let none = || Outcome::Blocked {
        seat_nos: Arc::default(),
        already: true,
    };
    if remembered {
        return Ok(none());
    }
    let is_whole = show.seats_known() == show.seat_count();
    if !is_whole || matches!(show.phase(), Phase::Opening | Phase::Cancelled) {
        return Err(RefusalReason::ShowNotOnSale.into());
    }
    room_to_remember(show, REQUESTS_PER_SHOW_HARD_MAX)?;
    let is_taken = |state| matches!(state, SeatState::Held | SeatState::Sold);
    if let Some(refusal) = conflict(show, &named, is_taken) {
        return Err(refusal);
    }
    let seat_nos = of_state(show, &named, SeatState::Available);
    if seat_nos.is_empty() {
        return Ok(none());
    }

    show.block(&seat_nos, command.actor);
    show.remember(case.request.id, case.done());
    case.events.push(Event::SeatsBlocked {
        show_id: show.id(),
        seat_nos: Arc::clone(&seat_nos),
    });
    Ok(Outcome::Blocked {
        seat_nos,
        already: false,
    })
}

/// Works in every state of the show. Those of the seats named that aren't blocked are left.
pub(super) fn unblock(
    show: &mut Show,
    command: &UnblockSeats,
    remembered: bool,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    let named = named_seats(show, &command.seat_nos, SEATS_PER_BLOCK_MAX)?;
    let seat_nos = of_state(show, &named, SeatState::Blocked);
    if remembered || seat_nos.is_empty() {
        return Ok(Outcome::Unblocked {
            seat_nos: Arc::default(),
            already: true,
        });
    }
    room_to_remember(show, REQUESTS_PER_SHOW_HARD_MAX)?;

    show.unblock(&seat_nos);
    show.remember(case.request.id, case.done());
    case.events.push(Event::SeatsUnblocked {
        show_id: show.id(),
        seat_nos: Arc::clone(&seat_nos),
    });
    Ok(Outcome::Unblocked {
        seat_nos,
        already: false,
    })
}

fn of_state(show: &Show, seat_nos: &[SeatNo], state: SeatState) -> Arc<[SeatNo]> {
    let is_so = |seat_no: &&SeatNo| show.seat(**seat_no).state == state;
    seat_nos.iter().filter(is_so).copied().collect()
}
