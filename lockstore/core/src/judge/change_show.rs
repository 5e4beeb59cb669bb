//! `ChangeShow`: state and rules.

use super::{Case, open_show::check_rules, room_to_remember};
use crate::{
    ChangeShow, Event, Outcome, Phase, Refusal, RefusalReason, ShowState,
    limits::REQUESTS_PER_SHOW_HARD_MAX, show::Show, state::sweep,
};

/// Closed and cancelled are final, except that a closed show can still be called off; an opening
/// one can only be closed or called off. Other changes are `ShowNotOnSale`. New rules count for
/// new holds; a hold keeps what it was promised.
pub(super) fn judge(
    show: &mut Show,
    command: &ChangeShow,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    if let Some(rules) = &command.rules {
        check_rules(rules)?;
    }
    if command.state == Some(ShowState::Opening) {
        return Err(RefusalReason::Invalid.into());
    }
    let next = next_phase(show, command.state)?;
    let new_rules = command.rules.filter(|rules| rules != show.rules());
    if next == show.phase() && new_rules.is_none() {
        return Ok(Outcome::ShowChanged {
            state: next.as_state(),
        });
    }
    room_to_remember(show, REQUESTS_PER_SHOW_HARD_MAX)?;

    if let Some(rules) = new_rules {
        show.set_rules(rules);
    }
    let state_before = show.phase().as_state();
    if next != show.phase() {
        show.set_phase(next);
    }
    let state = next.as_state();
    if state != state_before {
        case.events.push(Event::ShowStateChanged {
            show_id: show.id(),
            state,
        });
    }
    if next == Phase::Cancelled {
        // From here all its holds have ended; what this batch leaves is put away by what follows.
        let swept = sweep(show, case.now, case.allowance.cancelled(), case.events);
        case.allowance.swept(swept);
    }
    show.remember(case.request.id, case.done());
    Ok(Outcome::ShowChanged { state })
}

fn next_phase(show: &Show, asked: Option<ShowState>) -> Result<Phase, Refusal> {
    let Some(asked) = asked else {
        return Ok(show.phase());
    };
    match (show.phase(), asked) {
        (phase, asked) if phase.as_state() == asked => Ok(phase),
        (_, ShowState::Cancelled) => Ok(Phase::Cancelled),
        (Phase::Opening | Phase::OnSale | Phase::Paused, ShowState::Closed) => {
            Ok(if show.live_count() == 0 {
                Phase::Closed
            } else {
                Phase::Closing
            })
        }
        (Phase::OnSale | Phase::Paused, ShowState::OnSale) => Ok(Phase::OnSale),
        (Phase::OnSale | Phase::Paused, ShowState::Paused) => Ok(Phase::Paused),
        _ => Err(RefusalReason::ShowNotOnSale.into()),
    }
}
