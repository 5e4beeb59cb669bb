//! `ExtendHold`: names an end; never shortens, never goes past what the hold was promised at most.

use std::sync::Arc;

use holdfast_types::ClusterTime;

use super::{Case, room_to_remember, unknown_hold};
use crate::{
    Event, ExtendHold, HoldEnd, Outcome, Phase, Refusal, RefusalReason,
    limits::REQUESTS_PER_SHOW_HARD_MAX, show::Show,
};

/// A copy of a remembered extension is judged by the hold as it stands, so that its answer is
/// always a check of holder, fence and seats; it can't move the end again.
pub(super) fn judge(
    show: &mut Show,
    command: &ExtendHold,
    remembered: bool,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    if command.until == ClusterTime(0) {
        return Err(RefusalReason::Invalid.into());
    }
    if matches!(show.phase(), Phase::Opening | Phase::Cancelled) {
        return Err(RefusalReason::ShowNotOnSale.into());
    }
    if !remembered {
        room_to_remember(show, REQUESTS_PER_SHOW_HARD_MAX)?;
    }
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
        Some(HoldEnd::Released | HoldEnd::Cancelled) => return Err(RefusalReason::Released.into()),
        _ if hold.fence != command.fence => return Err(RefusalReason::StaleFence.into()),
        Some(HoldEnd::Sold) => return Err(RefusalReason::AlreadySold.into()),
        None => {}
    }
    if command.until > hold.extendable_until() {
        return Err(Refusal::with_time(
            RefusalReason::UntilTooLate,
            hold.extendable_until(),
        ));
    }
    if command.until <= hold.expires_at() {
        return Ok(Outcome::Extended {
            hold: Arc::new(hold.hold()),
        });
    }

    let hold = Arc::new(show.extend(command.hold_id, command.until));
    show.remember(case.request.id, case.done());
    case.events.push(Event::HoldExtended {
        show_id: show.id(),
        hold_id: hold.id,
        fence: hold.fence,
        expires_at: hold.expires_at,
    });
    Ok(Outcome::Extended { hold })
}
