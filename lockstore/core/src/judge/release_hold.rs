//! `ReleaseHold`: ends a hold; one that was given up (or called off) before is success again.

use super::{Case, unknown_hold};
use crate::{Event, HoldEnd, Outcome, Refusal, RefusalReason, ReleaseHold, show::Show};

/// Works in every state of the show.
pub(super) fn judge(
    show: &mut Show,
    command: &ReleaseHold,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    let Some((hold, end)) = show
        .known_hold(command.hold_id)
        .filter(|(hold, _)| hold.holder == command.holder)
    else {
        return Err(unknown_hold(
            show,
            command.hold_id,
            command.fence,
            Some(command.holder),
        ));
    };
    match end {
        Some(HoldEnd::Expired) => return Err(RefusalReason::Expired.into()),
        _ if hold.fence != command.fence => return Err(RefusalReason::StaleFence.into()),
        Some(HoldEnd::Sold) => return Err(RefusalReason::AlreadySold.into()),
        Some(HoldEnd::Released | HoldEnd::Cancelled) => {
            return Ok(Outcome::Released {
                seat_nos: hold.seat_nos().collect(),
            });
        }
        None => {}
    }

    let hold = show.end_hold(command.hold_id, HoldEnd::Released, case.now);
    show.remember(case.request.id, case.done());
    case.events
        .push(Event::hold_ended(show.id(), &hold, HoldEnd::Released));
    Ok(Outcome::Released {
        seat_nos: hold.seat_nos,
    })
}
