//! `AdvanceQueue`: numbers for all who joined the waiting room since the last one, and the threshold
//! of who is served.
//!
//! Always holds: numbers count from 1 and none is handed out twice; the threshold never goes back.

use super::{Case, room_to_remember};
use crate::{
    AdvanceQueue, Effect, Event, Outcome, Phase, Queue, Refusal, RefusalReason,
    limits::{JOINS_PER_COMMAND_MAX, REQUESTS_PER_SHOW_HARD_MAX},
    request::Done,
    show::Show,
};

/// A copy is answered with the numbers that were handed out when it first came.
pub(super) fn judge(
    show: &mut Show,
    command: &AdvanceQueue,
    known: Option<&Effect>,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    let answer = |first_no, queue| Outcome::QueueAdvanced {
        first_no,
        joins: command.joins,
        queue,
    };
    let before = show.queue();
    match known {
        Some(Effect::Joined { first_no }) => return Ok(answer(*first_no, before)),
        Some(_) => return Ok(answer(0, before)),
        None => {}
    }
    if command.joins > JOINS_PER_COMMAND_MAX {
        let limit = u64::from(JOINS_PER_COMMAND_MAX);
        return Err(Refusal::with_limit(RefusalReason::Invalid, limit));
    }
    if matches!(
        show.phase(),
        Phase::Opening | Phase::Closing | Phase::Closed | Phase::Cancelled
    ) {
        return Err(RefusalReason::ShowNotOnSale.into());
    }
    let queue = Queue {
        joined: before.joined.saturating_add(command.joins.into()),
        serving: before.serving.max(command.serving),
    };
    if queue == before {
        return Ok(answer(0, before));
    }
    room_to_remember(show, REQUESTS_PER_SHOW_HARD_MAX)?;

    show.set_queue(queue);
    let first_no = if command.joins == 0 {
        0
    } else {
        before.joined.saturating_add(1)
    };
    let done = Done {
        first_no,
        ..case.done()
    };
    show.remember(case.request.id, done);
    case.events.push(Event::QueueAdvanced {
        show_id: show.id(),
        queue,
    });
    Ok(answer(first_no, queue))
}
