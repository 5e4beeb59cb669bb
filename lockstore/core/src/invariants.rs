//! What is true of every state and of every step (see ARCHITECTURE.md), each with its id and its one
//! definition: for tests, for reading snapshots, and for the CLI's audit.
//!
//! Always holds: checking reads only, and says what it found in words. HS-6 (what was acknowledged
//! stays) is a property of the log and belongs to the node.

use std::sync::Arc;

use holdfast_types::{
    ClusterTime, Fence, SeatNo, SeatState, ShowId, UserId, limits::SEATS_PER_HOLD_MAX,
};

use crate::{
    HoldEnd, LayoutSeat, Phase, RequestId, ShowRules, State,
    limits::ACTS_KEPT_MAX,
    show::{Count, Places, Show},
};

/// One invariant of a state.
#[derive(Debug, Clone, Copy)]
pub struct Invariant {
    /// Its id in ARCHITECTURE.md; `SHOW` is the table of a show's states, `PLACES` is what choosing
    /// relies on.
    pub id: &'static str,
    /// What it says of a state.
    pub statement: &'static str,
    check: fn(&Show, &State) -> Result<(), String>,
}

/// An invariant that doesn't hold: a defect of the program, or a damaged state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id} is violated: {detail}")]
pub struct Violation {
    /// Which.
    pub id: &'static str,
    /// Where and how.
    pub detail: String,
}

/// Every invariant of a show.
pub const ALL: [Invariant; 9] = [
    Invariant {
        id: "SHOW",
        statement: "a show's state fits its layout, its rules and its holds",
        check: show_state_fits,
    },
    Invariant {
        id: "PLACES",
        statement: "what is chosen from is the layout's seats that are available",
        check: places_follow,
    },
    Invariant {
        id: "HS-1",
        statement: "a seat is available, held by one live hold, sold to one booking, or blocked",
        check: each_seat_is_one_thing,
    },
    Invariant {
        id: "HS-2",
        statement: "a live hold has all its seats, and a sale has the seats it counts",
        check: holds_and_sales_are_whole,
    },
    Invariant {
        id: "HS-3",
        statement: "a fence was granted once, in the past",
        check: fences_are_of_the_past,
    },
    Invariant {
        id: "HS-4",
        statement: "a live hold is due at its promised end, padded, and never promised too much",
        check: holds_are_due_in_time,
    },
    Invariant {
        id: "HS-5",
        statement: "the hash that is kept up to date is the one computed from scratch",
        check: hash_is_right,
    },
    Invariant {
        id: "HS-7",
        statement: "a live hold's request is remembered, a finished one until its time",
        check: requests_are_remembered,
    },
    Invariant {
        id: "HS-8",
        statement: "the counts per customer are those of holds and sales",
        check: counts_are_right,
    },
];

/// Checks a whole state; reads all of it.
///
/// # Errors
/// The first [`Violation`].
pub fn check(state: &State) -> Result<(), Violation> {
    for show in state.all_shows().values() {
        check_show(show, state)?;
    }
    type Due = fn(&Show) -> Option<ClusterTime>;
    let queues: [(_, Due); 2] = [
        (state.all_sweep_due(), Show::sweep_due),
        (state.all_forget_due(), Show::forget_due),
    ];
    for (queue, due) in queues {
        let mut expected: Vec<_> = state
            .all_shows()
            .values()
            .filter_map(|show| Some((due(show)?, show.id())))
            .collect();
        expected.sort_unstable();
        if !queue.iter().eq(&expected) {
            return Err(Violation {
                id: "HS-4",
                detail: "a show isn't due when it should be".into(),
            });
        }
    }
    let kept = state.acts().kept();
    if kept.len() > ACTS_KEPT_MAX || kept.keys().any(|at| *at > state.revision()) {
        return Err(Violation {
            id: "HS-7",
            detail: "more acts than are kept, or one of the future".into(),
        });
    }
    if state.hash() != state.recompute_hash() {
        return Err(Violation {
            id: "HS-5",
            detail: "the state's hash is off".into(),
        });
    }
    Ok(())
}

/// Every invariant of [`ALL`] that doesn't hold for one show; reads all of it.
pub fn violations_of(state: &State, id: ShowId) -> Vec<Violation> {
    let Some(show) = state.all_shows().get(&id) else {
        return Vec::new();
    };
    let violations = ALL
        .iter()
        .map(|invariant| check_those([invariant].into_iter(), show, state));
    violations.filter_map(Result::err).collect()
}

fn check_show(show: &Show, state: &State) -> Result<(), Violation> {
    check_those(ALL.iter(), show, state)
}

/// A show whose hash was just computed from scratch.
pub(crate) fn check_restored_show(show: &Show, state: &State) -> Result<(), Violation> {
    let others = ALL.iter().filter(|invariant| invariant.id != "HS-5");
    check_those(others, show, state)
}

fn check_those<'a>(
    invariants: impl Iterator<Item = &'a Invariant>,
    show: &Show,
    state: &State,
) -> Result<(), Violation> {
    for invariant in invariants {
        (invariant.check)(show, state).map_err(|detail| Violation {
            id: invariant.id,
            detail: format!("show {}: {detail}", show.id()),
        })?;
    }
    Ok(())
}

/// Checks that `after` can come after `before`, some commands later: fences grow (HS-3), no hold
/// expired early (HS-4), no request was forgotten early (HS-7), no cap was exceeded (HS-8).
/// Several commands at once are checked as far as their ends tell.
///
/// # Errors
/// The first [`Violation`].
pub fn check_step(before: &State, after: &State) -> Result<(), Violation> {
    let fail = |id, detail: String| Err(Violation { id, detail });
    if after.now() < before.now() || after.revision() < before.revision() {
        return fail("HS-5", "time or revision went back".into());
    }
    for (id, old) in before.all_shows().iter() {
        let Some(new) = after.all_shows().get(id) else {
            return fail("HS-1", format!("show {id} is gone"));
        };
        if Arc::ptr_eq(old, new) {
            continue;
        }
        for (invariant, check) in STEPS {
            check(old, new, after).map_err(|detail| Violation {
                id: invariant,
                detail: format!("show {id}: {detail}"),
            })?;
        }
    }
    Ok(())
}

type StepCheck = fn(&Show, &Show, &State) -> Result<(), String>;

const STEPS: [(&str, StepCheck); 4] = [
    ("HS-3", fences_grow),
    ("HS-4", no_hold_expired_early),
    ("HS-7", no_request_was_forgotten_early),
    ("HS-8", no_cap_was_exceeded),
];

fn ensure(holds: bool, detail: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(detail()) }
}

fn show_state_fits(show: &Show, _: &State) -> Result<(), String> {
    let complete = show.seats_known() == show.seat_count();
    let has_holds = show.live_count() > 0;
    let fits = match show.phase() {
        Phase::Opening => !complete && !has_holds,
        Phase::OnSale | Phase::Paused => complete,
        Phase::Closing => complete && has_holds,
        Phase::Closed => !has_holds,
        // Those not put away yet.
        Phase::Cancelled => complete || !has_holds,
    };
    ensure(fits, || {
        format!("{:?} with these holds and this layout", show.phase())
    })?;
    let rules = [show.rules(), show.opening_rules()];
    ensure(rules.into_iter().all(ShowRules::are_valid), || {
        "rules out of bounds".into()
    })?;
    ensure(show.seats_known() <= show.seat_count(), || {
        "more layout than seats".into()
    })
}

fn places_follow(show: &Show, _: &State) -> Result<(), String> {
    let layout: Vec<LayoutSeat> = show.layout().iter().copied().collect();
    let mut expected = Places::default()
        .with(&layout)
        .map_err(|_| "a layout that can't be".to_owned())?;
    let taken: Vec<SeatNo> = show
        .touched_seats()
        .iter()
        .filter(|(_, seat)| seat.state != SeatState::Available)
        .map(|(seat_no, _)| seat_no)
        .collect();
    ensure(
        taken.iter().all(|seat_no| seat_no.0 < show.seats_known()),
        || "a seat beyond the layout is taken".into(),
    )?;
    expected.set_free(&taken, false);
    ensure(show.places().agrees_with(&expected), || {
        "what is chosen from isn't what is available".into()
    })
}

fn each_seat_is_one_thing(show: &Show, _: &State) -> Result<(), String> {
    // Whose each seat is, if it is of a hold.
    let mut holds: Vec<Option<Fence>> = vec![None; show.seats_known() as usize];
    for hold in show.live_holds() {
        for seat_no in hold.seat_nos() {
            let Some(held_by) = holds.get_mut(seat_no.0 as usize) else {
                return Err(format!("hold {} has seat {seat_no}", hold.id));
            };
            let other = held_by.replace(hold.fence);
            ensure(other.is_none(), || {
                format!("seat {seat_no} is in two holds")
            })?;
        }
    }
    for (seat_no, seat) in show.touched_seats().iter() {
        ensure(seat_no.0 < show.seat_count(), || {
            format!("seat {seat_no} is beyond the layout")
        })?;
        let held_by = holds.get_mut(seat_no.0 as usize).and_then(Option::take);
        let fits = match seat.state {
            SeatState::Held => held_by == Some(seat.fence),
            SeatState::Sold => held_by.is_none() && show.sales().contains_key(&seat.fence),
            SeatState::Available | SeatState::Blocked => held_by.is_none(),
        };
        ensure(fits, || {
            format!(
                "seat {seat_no} is {} but its holds and sales differ",
                seat.state
            )
        })?;
    }
    ensure(holds.iter().all(Option::is_none), || {
        "a hold names a seat that was never held".into()
    })?;
    let blocked = show
        .touched_seats()
        .iter()
        .filter(|(_, seat)| seat.state == SeatState::Blocked)
        .map(|(seat_no, _)| seat_no);
    ensure(blocked.eq(show.blocked().keys().copied()), || {
        "a seat is blocked by nobody, or one that isn't by somebody".into()
    })
}

fn holds_and_sales_are_whole(show: &Show, _: &State) -> Result<(), String> {
    for hold in show.live_holds() {
        let in_bounds = (1..=SEATS_PER_HOLD_MAX).contains(&(hold.seat_count() as usize));
        ensure(
            in_bounds && hold.seat_nos().is_sorted_by(|a, b| a < b),
            || format!("hold {} names its seats badly", hold.id),
        )?;
        for seat_no in hold.seat_nos() {
            let seat = show.seat(seat_no);
            ensure(
                seat.state == SeatState::Held && seat.fence == hold.fence,
                || format!("hold {} has lost seat {seat_no}", hold.id),
            )?;
        }
    }
    let sold = show
        .touched_seats()
        .iter()
        .filter(|(_, seat)| seat.state == SeatState::Sold);
    let mut sold: Vec<Fence> = sold.map(|(_, seat)| seat.fence).collect();
    sold.sort_unstable();
    let sold = sold
        .chunk_by(|a, b| a == b)
        .map(|seats| (seats[0], seats.len() as u32));
    let sales = show.sales().iter();
    let counted = sales.map(|(fence, sale)| (*fence, sale.seat_count));
    ensure(sold.eq(counted), || {
        "sales don't count the seats sold".into()
    })
}

fn fences_are_of_the_past(show: &Show, state: &State) -> Result<(), String> {
    for (seat_no, seat) in show.touched_seats().iter() {
        let granted = Fence::ZERO < seat.fence && seat.fence <= state.revision();
        ensure(granted || seat.state == SeatState::Blocked, || {
            format!("seat {seat_no} has fence {:?}", seat.fence)
        })?;
    }
    ensure(
        show.loaded() == Fence::ZERO || show.loaded().lineage() < state.lineage(),
        || "a loaded fence is of this lineage".into(),
    )?;
    let holds = show.live_holds().map(|hold| hold.fence);
    let mut granted: Vec<Fence> = holds.chain(show.sales().keys().copied()).collect();
    granted.sort_unstable();
    let twice = granted.windows(2).find(|pair| pair[0] == pair[1]);
    ensure(twice.is_none(), || {
        format!("fence {:?} was granted twice", twice.map(|pair| pair[0]))
    })
}

fn holds_are_due_in_time(show: &Show, state: &State) -> Result<(), String> {
    let mut due = Vec::with_capacity(show.live_count());
    for hold in show.live_holds() {
        let ordered = hold.granted_at <= hold.expires_at()
            && hold.expires_at() <= hold.extendable_until()
            && hold.granted_at <= state.now()
            && hold.expires_at() <= hold.overdue_at();
        ensure(ordered, || {
            format!("hold {} has its times out of order", hold.id)
        })?;
        due.push((hold.overdue_at(), hold.id));
    }
    due.sort_unstable();
    let queue = show.overdue().iter().map(|(due, ())| due);
    ensure(queue.eq(&due), || {
        "what is due is not the live holds".into()
    })
}

fn hash_is_right(show: &Show, _: &State) -> Result<(), String> {
    ensure(show.hash() == show.recompute_hash(), || {
        "the show's hash is off".into()
    })
}

fn requests_are_remembered(show: &Show, _: &State) -> Result<(), String> {
    let mut living = 0_usize;
    let mut finished = Vec::with_capacity(show.finished().len());
    let mut finish = |id, not_after, keep_until| {
        finished.push((keep_until, id));
        ensure(keep_until >= not_after, || {
            format!("{id:?} would be forgotten too early")
        })
    };
    for kept in show.kept_holds() {
        let id = RequestId::from(kept.id);
        ensure(kept.granted_expires_at() <= kept.expires_at(), || {
            format!("hold {} was shortened", kept.id)
        })?;
        match kept.keep_until() {
            None => living += 1,
            Some(keep_until) => finish(id, kept.not_after, keep_until)?,
        }
    }
    for (id, done) in show.done().iter() {
        ensure(show.known_hold((*id).into()).is_none(), || {
            format!("{id:?} is remembered twice")
        })?;
        finish(*id, done.not_after, done.keep_until)?;
    }
    ensure(living == show.live_count(), || {
        "the live holds are counted wrongly".into()
    })?;
    finished.sort_unstable();
    let queue = show.finished().iter().map(|(finished, ())| finished);
    ensure(queue.eq(&finished), || {
        "what is to be forgotten is not what is finished".into()
    })
}

fn counts_are_right(show: &Show, _: &State) -> Result<(), String> {
    let held = show.live_holds().map(|hold| {
        (
            hold.holder,
            Count {
                held: hold.seat_count(),
                sold: 0,
            },
        )
    });
    let sold = show.sales().values().map(|sale| {
        (
            sale.holder,
            Count {
                held: 0,
                sold: sale.seat_count,
            },
        )
    });
    let mut counts: Vec<(UserId, Count)> = held.chain(sold).collect();
    counts.sort_unstable_by_key(|(customer, _)| *customer);
    let counts = counts.chunk_by(|a, b| a.0 == b.0).map(|counts| {
        let all = counts.iter().map(|(_, count)| count);
        let (held, sold) = all.fold((0, 0), |(held, sold), count| {
            (held + count.held, sold + count.sold)
        });
        (counts[0].0, Count { held, sold })
    });
    ensure(counts.eq(show.customers().iter().copied()), || {
        "a customer's count is off".into()
    })
}

fn fences_grow(old: &Show, new: &Show, _: &State) -> Result<(), String> {
    for (seat_no, was) in old.touched_seats().iter() {
        let is = new.seat(seat_no);
        let newly_held = is.state == SeatState::Held && was.state != SeatState::Held;
        let grew = if newly_held {
            is.fence > was.fence
        } else {
            is.fence >= was.fence
        };
        ensure(grew, || {
            format!("seat {seat_no} went from {:?} to {:?}", was.fence, is.fence)
        })?;
    }
    Ok(())
}

fn no_hold_expired_early(old: &Show, new: &Show, after: &State) -> Result<(), String> {
    for hold in old.live_holds() {
        let end = new.known_hold(hold.id).and_then(|(known, _)| known.end());
        let expired = end == Some(HoldEnd::Expired);
        ensure(!expired || hold.overdue_at() <= after.now(), || {
            format!("hold {} expired at {}", hold.id, after.now())
        })?;
    }
    Ok(())
}

fn no_request_was_forgotten_early(old: &Show, new: &Show, after: &State) -> Result<(), String> {
    for (id, known) in old.requests().filter(|(id, _)| new.request(*id).is_none()) {
        ensure(known.keep_until.is_none_or(|at| at < after.now()), || {
            format!("{id:?} was forgotten at {}", after.now())
        })?;
    }
    Ok(())
}

fn no_cap_was_exceeded(old: &Show, new: &Show, _: &State) -> Result<(), String> {
    for (customer, count) in new.customers().iter() {
        let grew = count.total() > old.count(*customer).total();
        // What an earlier life of the cluster granted is put back whatever the cap is now.
        let loaded = new.loaded() > old.loaded();
        ensure(
            !grew || loaded || count.total() <= new.rules().seats_per_customer_max,
            || format!("customer {customer} has {} seats", count.total()),
        )?;
    }
    Ok(())
}
