//! `OpenShow`: a layout arrives chunk after chunk, in order; the last one opens the show.

use holdfast_types::limits::{LAYOUT_CHUNK_SEATS_MAX, SEATS_PER_SHOW_MAX};

use super::{Case, room_to_remember};
use crate::{
    Event, LayoutSeat, OpenShow, Outcome, Phase, Refusal, RefusalReason, ShowRules, ShowState,
    limits::{REQUESTS_PER_SHOW_HARD_MAX, ZONES_PER_SHOW_MAX},
    show::Show,
};

/// The show that a first chunk makes known, still without a layout.
///
/// # Errors
/// `Invalid` if seat count, rules or chunk are out of bounds.
pub(crate) fn new_show(command: &OpenShow) -> Result<Show, Refusal> {
    check_chunk(command)?;
    Ok(Show::new(
        command.show_id,
        Phase::Opening,
        command.seat_count,
        command.rules,
        command.rules,
    ))
}

/// A chunk that is there already changes nothing and succeeds, in every state of the show.
pub(super) fn judge(
    show: &mut Show,
    command: &OpenShow,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    check_chunk(command)?;
    let known = show.seats_known();
    let first = command.first_seat_no.0;
    let same_show =
        command.seat_count == show.seat_count() && command.rules == *show.opening_rules();
    if !same_show || first > known {
        return Err(Refusal::with_limit(
            RefusalReason::Invalid,
            u64::from(known),
        ));
    }
    if first < known {
        return if is_there(show, command) {
            Ok(Outcome::ShowOpened {
                state: show.phase().as_state(),
                seats_known: known,
            })
        } else {
            Err(Refusal::with_limit(
                RefusalReason::Invalid,
                u64::from(known),
            ))
        };
    }
    check_rows(show, &command.seats)?;
    let places = show
        .places()
        .with(&command.seats)
        .map_err(|_| Refusal::with_limit(RefusalReason::Invalid, ZONES_PER_SHOW_MAX as u64))?;
    if show.phase() != Phase::Opening {
        // Closed or cancelled before its layout was complete.
        return Err(RefusalReason::ShowNotOnSale.into());
    }
    room_to_remember(show, REQUESTS_PER_SHOW_HARD_MAX)?;

    show.append_layout(&command.seats, places);
    if show.seats_known() == show.seat_count() {
        show.set_phase(if command.on_sale {
            Phase::OnSale
        } else {
            Phase::Paused
        });
        case.events.push(Event::ShowOpened {
            show_id: show.id(),
            state: show.phase().as_state(),
            seat_count: show.seat_count(),
        });
    }
    show.remember(case.request.id, case.done());
    let state: ShowState = show.phase().as_state();
    Ok(Outcome::ShowOpened {
        state,
        seats_known: show.seats_known(),
    })
}

/// Bounds of rules, for `ChangeShow` too.
pub(super) fn check_rules(rules: &ShowRules) -> Result<(), Refusal> {
    if rules.are_valid() {
        Ok(())
    } else {
        Err(RefusalReason::Invalid.into())
    }
}

/// What can be said of a chunk without its show.
fn check_chunk(command: &OpenShow) -> Result<(), Refusal> {
    check_rules(&command.rules)?;
    if !(1..=SEATS_PER_SHOW_MAX).contains(&command.seat_count) {
        return Err(Refusal::with_limit(
            RefusalReason::Invalid,
            u64::from(SEATS_PER_SHOW_MAX),
        ));
    }
    let seats = command.seats.len();
    if !(1..=LAYOUT_CHUNK_SEATS_MAX).contains(&seats) {
        return Err(Refusal::with_limit(
            RefusalReason::Invalid,
            LAYOUT_CHUNK_SEATS_MAX as u64,
        ));
    }
    if u64::from(command.first_seat_no.0) + seats as u64 > u64::from(command.seat_count) {
        return Err(Refusal::with_limit(
            RefusalReason::Invalid,
            u64::from(command.seat_count),
        ));
    }
    Ok(())
}

/// Rows are dense from 0 in seat order: each seat is of its predecessor's row or of the next.
fn check_rows(show: &Show, seats: &[LayoutSeat]) -> Result<(), Refusal> {
    let mut previous = show.layout().last().map(|seat| seat.row_no);
    for seat in seats {
        let fits = match previous {
            None => seat.row_no == 0,
            Some(row_no) => seat.row_no == row_no || Some(seat.row_no) == row_no.checked_add(1),
        };
        if !fits {
            return Err(RefusalReason::Invalid.into());
        }
        previous = Some(seat.row_no);
    }
    Ok(())
}

fn is_there(show: &Show, command: &OpenShow) -> bool {
    let first = command.first_seat_no.0 as usize;
    let end = first + command.seats.len();
    end <= show.layout().len()
        && show
            .layout()
            .focus()
            .narrow(first..end)
            .into_iter()
            .eq(command.seats.iter())
}
