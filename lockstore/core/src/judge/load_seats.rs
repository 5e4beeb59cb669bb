//! `LoadSeats`: claims of an earlier life of the cluster, put back with their ids and fences when the
//! cluster is rebuilt from what the services know.
//!
//! Always holds: loaded fences are of an earlier lineage, so all that is granted here is above them
//! (HS-3); they ascend over a show, so none is loaded twice; all claims of a command are put in, or
//! none. Caps are not judged: what was granted was within them, or an organiser lowered them since.

use std::{collections::BTreeSet, sync::Arc};

use holdfast_types::{Fence, HoldId, SeatNo, SeatState, limits::HOLD_TOTAL_MAX};

use super::{Case, conflict, room_to_remember, selection};
use crate::{
    Event, Hold, LoadSeats, LoadedClaim, LoadedKind, Outcome, Phase, Refusal, RefusalReason,
    RequestId,
    body::claim_hash,
    limits::{
        CLAIMS_PER_LOAD_MAX, REQUESTS_PER_SHOW_HARD_MAX, REQUESTS_PER_SHOW_MAX, SEATS_PER_LOAD_MAX,
    },
    show::{Sale, Show},
};

/// Claims that are there as they are named are success, whatever the show's state and memory.
pub(super) fn judge(
    show: &mut Show,
    command: &LoadSeats,
    remembered: bool,
    case: &mut Case<'_>,
) -> Result<Outcome, Refusal> {
    let seats = check(show, command, case)?;
    let claims = || command.claims.iter().zip(&seats);
    if remembered || claims().all(|(claim, seats)| is_there(show, claim, seats)) {
        return Ok(Outcome::Loaded {
            claims: 0,
            already: true,
        });
    }
    if show.phase() != Phase::Paused {
        return Err(RefusalReason::ShowNotOnSale.into());
    }
    let holds = command.claims.iter().filter(|claim| is_hold(claim)).count();
    let room = REQUESTS_PER_SHOW_MAX.saturating_sub(holds);
    room_to_remember(
        show,
        if holds > 0 {
            room
        } else {
            REQUESTS_PER_SHOW_HARD_MAX
        },
    )?;
    if command.claims[0].fence <= show.loaded() || claims().any(|claim| is_stale(show, claim)) {
        return Err(RefusalReason::StaleFence.into());
    }
    let mut all: Vec<SeatNo> = seats
        .iter()
        .flat_map(|seats| seats.iter().copied())
        .collect();
    all.sort_unstable();
    if let Some(refusal) = conflict(show, &all, |state| state != SeatState::Available) {
        return Err(refusal);
    }

    for (claim, seats) in command.claims.iter().zip(seats) {
        load(show, claim, seats, case);
    }
    let count = u32::try_from(command.claims.len()).expect("a command loads few");
    if let Some(last) = command.claims.last() {
        show.set_loaded(last.fence);
    }
    show.remember(case.request.id, case.done());
    Ok(Outcome::Loaded {
        claims: count,
        already: false,
    })
}

const fn is_hold(claim: &LoadedClaim) -> bool {
    matches!(claim.kind, LoadedKind::Hold { .. })
}

/// The seats of each claim, in ascending order, if the command can be meant.
///
/// # Errors
/// `Invalid`, or `SeatUnknown`.
fn check(show: &Show, command: &LoadSeats, case: &Case<'_>) -> Result<Vec<Arc<[SeatNo]>>, Refusal> {
    let invalid = |limit: usize| Refusal::with_limit(RefusalReason::Invalid, limit as u64);
    let count = command.claims.len();
    if !(1..=CLAIMS_PER_LOAD_MAX).contains(&count) {
        return Err(invalid(CLAIMS_PER_LOAD_MAX));
    }
    let total: usize = command
        .claims
        .iter()
        .map(|claim| claim.seat_nos.len())
        .sum();
    if total > SEATS_PER_LOAD_MAX {
        return Err(invalid(SEATS_PER_LOAD_MAX));
    }
    let ascend = |pair: &[LoadedClaim]| pair[0].fence < pair[1].fence;
    let earlier = |claim: &LoadedClaim| {
        claim.fence > Fence::ZERO && claim.fence.lineage() < case.revision.lineage()
    };
    let timed = |claim: &LoadedClaim| match claim.kind {
        LoadedKind::Hold {
            left, extendable, ..
        } => left.0 > 0 && left <= extendable && extendable <= HOLD_TOTAL_MAX,
        LoadedKind::Sale { .. } => true,
    };
    let claims = &command.claims;
    if !claims.windows(2).all(ascend) || !claims.iter().all(earlier) || !claims.iter().all(timed) {
        return Err(RefusalReason::Invalid.into());
    }
    let seats = claims
        .iter()
        .map(|claim| selection(show, &claim.seat_nos))
        .collect::<Result<Vec<_>, _>>()?;
    // No seat, and no hold, twice; holds are remembered under their ids, and this request under its own.
    let named: BTreeSet<SeatNo> = seats
        .iter()
        .flat_map(|seats| seats.iter().copied())
        .collect();
    let own = HoldId::from(case.request.id);
    let ids: BTreeSet<_> = claims.iter().map(|claim| claim.hold_id).collect();
    if named.len() < total || ids.len() < count || ids.contains(&own) {
        return Err(RefusalReason::Invalid.into());
    }
    Ok(seats)
}

/// Whether it stands in the show as it is named; how much time is left to a hold doesn't count.
fn is_there(show: &Show, claim: &LoadedClaim, seat_nos: &Arc<[SeatNo]>) -> bool {
    match claim.kind {
        LoadedKind::Hold { .. } => show.known_hold(claim.hold_id).is_some_and(|(kept, end)| {
            end.is_none()
                && kept.fence == claim.fence
                && kept.holder == claim.holder
                && kept.seat_nos().eq(seat_nos.iter().copied())
        }),
        LoadedKind::Sale { booking_id } => {
            let sale = show.sales().get(&claim.fence);
            sale.is_some_and(|sale| {
                sale.hold_id == claim.hold_id
                    && sale.holder == claim.holder
                    && sale.booking_id == booking_id
                    && sale.seat_count as usize == seat_nos.len()
            }) && seat_nos.iter().all(|seat_no| {
                let seat = show.seat(*seat_no);
                seat.state == SeatState::Sold && seat.fence == claim.fence
            })
        }
    }
}

/// Whether its hold is known here, or something newer happened on its seats.
fn is_stale(show: &Show, (claim, seat_nos): (&LoadedClaim, &Arc<[SeatNo]>)) -> bool {
    let newer = |seat_no: &SeatNo| show.seat(*seat_no).fence >= claim.fence;
    let id = RequestId::from(claim.hold_id);
    show.request(id).is_some() || seat_nos.iter().any(newer)
}

fn load(show: &mut Show, claim: &LoadedClaim, seat_nos: Arc<[SeatNo]>, case: &mut Case<'_>) {
    let (show_id, fence, hold_id) = (show.id(), claim.fence, claim.hold_id);
    match claim.kind {
        LoadedKind::Hold {
            left,
            extendable,
            price_version,
        } => {
            let hold = Hold {
                id: hold_id,
                holder: claim.holder,
                fence,
                seat_nos: Arc::clone(&seat_nos),
                granted_at: case.now,
                expires_at: case.now.plus(left),
                extendable_until: case.now.plus(extendable),
                price_version,
            };
            show.grant(&hold, claim_hash(claim), case.request.not_after);
            case.events.push(Event::SeatsHeld {
                show_id,
                hold_id,
                fence,
                seat_nos,
                expires_at: hold.expires_at,
            });
        }
        LoadedKind::Sale { booking_id } => {
            let sale = Sale {
                hold_id,
                holder: claim.holder,
                booking_id,
                seat_count: u32::try_from(seat_nos.len()).expect("a claim has at most 64 seats"),
            };
            show.load_sale(fence, sale, &seat_nos);
            case.events.push(Event::SeatsSold {
                show_id,
                hold_id,
                booking_id,
                fence,
                seat_nos,
            });
        }
    }
}
