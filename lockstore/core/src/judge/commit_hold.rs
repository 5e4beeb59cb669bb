//! `CommitHold`: the one atomic decision of a purchase, judged by the seats.

use std::sync::Arc;

use holdfast_types::{SeatNo, SeatState};

use super::{Case, selection, unknown_hold};
use crate::{CommitHold, Event, HoldEnd, Outcome, Phase, Refusal, RefusalReason, show::Show};

/// `SOLD` under this fence and booking is success, whatever became of show and memory since. Seats
/// other than the hold's are `Invalid`. A paused or closing show still sells what is held.
pub(super) fn judge(
    show: &mut Show,
    command: &CommitHold,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    let seat_nos = selection(show, &command.seat_nos)?;
    if is_done(show, command, &seat_nos) {
        return Ok(Outcome::Sold {
            seat_nos,
            already: true,
        });
    }
    if matches!(show.phase(), Phase::Opening | Phase::Cancelled) {
        return Err(RefusalReason::ShowNotOnSale.into());
    }
    let Some((hold, end)) = show.known_hold(command.hold_id) else {
        return Err(unknown_hold(show, command.hold_id, command.fence, None));
    };
    match end {
        Some(HoldEnd::Expired) => return Err(RefusalReason::Expired.into()),
        Some(HoldEnd::Released | HoldEnd::Cancelled) => return Err(RefusalReason::Released.into()),
        _ if hold.fence != command.fence => return Err(RefusalReason::StaleFence.into()),
        Some(HoldEnd::Sold) => return Err(RefusalReason::AlreadySold.into()),
        None if !hold.seat_nos().eq(seat_nos.iter().copied()) => {
            return Err(RefusalReason::Invalid.into());
        }
        None => {}
    }

    let hold = show.sell(command.hold_id, command.booking_id, case.now);
    show.remember(case.request.id, case.done());
    case.events.push(Event::SeatsSold {
        show_id: show.id(),
        hold_id: hold.id,
        booking_id: command.booking_id,
        fence: hold.fence,
        seat_nos: Arc::clone(&hold.seat_nos),
    });
    Ok(Outcome::Sold {
        seat_nos,
        already: false,
    })
}

fn is_done(show: &Show, command: &CommitHold, seat_nos: &[SeatNo]) -> bool {
    let ours = |sale: &crate::show::Sale| {
        sale.booking_id == command.booking_id && sale.hold_id == command.hold_id
    };
    show.sales().get(&command.fence).is_some_and(ours)
        && seat_nos.iter().all(|seat_no| {
            let seat = show.seat(*seat_no);
            seat.state == SeatState::Sold && seat.fence == command.fence
        })
}
