//! `ReturnSeats`: sold seats go back on sale, judged by the seats.

use std::sync::Arc;

use holdfast_types::{SeatNo, SeatState};

use super::{Case, selection};
use crate::{Event, Outcome, Refusal, ReturnSeats, show::Show};

/// Works in every state of the show. Of the seats named, those that are sold to this booking under
/// this fence are put back; the others are left, and if that is all of them, it is done already.
pub(super) fn judge(
    show: &mut Show,
    command: &ReturnSeats,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    let named = selection(show, &command.seat_nos)?;
    let ours = show
        .sales()
        .get(&command.fence)
        .is_some_and(|sale| sale.booking_id == command.booking_id);
    let sold: Arc<[SeatNo]> = named
        .iter()
        .filter(|seat_no| {
            let seat = show.seat(**seat_no);
            ours && seat.state == SeatState::Sold && seat.fence == command.fence
        })
        .copied()
        .collect();
    if sold.is_empty() {
        return Ok(Outcome::Returned {
            seat_nos: sold,
            already: true,
        });
    }

    show.put_back(command.fence, &sold);
    show.remember(case.request.id, case.done());
    case.events.push(Event::SeatsReturned {
        show_id: show.id(),
        booking_id: command.booking_id,
        fence: command.fence,
        seat_nos: Arc::clone(&sold),
    });
    Ok(Outcome::Returned {
        seat_nos: sold,
        already: false,
    })
}
