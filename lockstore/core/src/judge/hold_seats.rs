//! `HoldSeats`: all the named seats, or none (HS-2).

use std::sync::Arc;

use holdfast_types::{
    DurationMs, HoldId, SeatNo, SeatState,
    limits::{HOLD_TTL_MIN, SEATS_PER_HOLD_MAX},
};

use super::{Case, room_to_remember, selection};
use crate::{
    Effect, Event, Hold, HoldSeats, Outcome, Phase, Refusal, RefusalReason, SeatRefusal,
    limits::REQUESTS_PER_SHOW_MAX, request::Remembered, show::Show,
};

pub(super) fn judge(
    show: &mut Show,
    command: &HoldSeats,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    let ttl = ttl(show, command)?;
    let seat_nos = selection(show, &command.seat_nos)?;
    let on_sale = match show.phase() {
        Phase::OnSale => true,
        Phase::Paused => command.late_money,
        Phase::Opening | Phase::Closing | Phase::Closed | Phase::Cancelled => false,
    };
    if !on_sale {
        return Err(RefusalReason::ShowNotOnSale.into());
    }
    room_to_remember(show, REQUESTS_PER_SHOW_MAX)?;
    no_conflict(show, &seat_nos)?;
    within_cap(show, command, seat_nos.len())?;

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
    show.grant(Arc::clone(&hold));
    show.remember(
        case.request.id,
        Remembered {
            keep_until: None,
            effect: Effect::Held {
                hold: Arc::clone(&hold),
                end: None,
            },
            ..case.done()
        },
    );
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

fn no_conflict(show: &Show, seat_nos: &[SeatNo]) -> Result<(), Refusal> {
    let seats: Vec<_> = seat_nos
        .iter()
        .map(|seat_no| (*seat_no, show.seat(*seat_no).state))
        .filter(|(_, state)| *state != SeatState::Available)
        .map(|(seat_no, state)| SeatRefusal {
            seat_no,
            state: Some(state),
        })
        .collect();
    debug_assert!(seats.len() <= SEATS_PER_HOLD_MAX);
    if seats.is_empty() {
        Ok(())
    } else {
        Err(Refusal {
            reason: RefusalReason::Conflict,
            seats,
            limit: 0,
        })
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
