//! One show as others can compare it with what they know of it: who has which seats, under which fence.
//!
//! Always holds: it is of one state, as callers see it: a show that was called off has no holds. Leaves to
//! [`invariants`](crate::invariants) what must be true within the state.

use std::collections::BTreeMap;

use holdfast_types::{BookingId, Fence, HoldId, SeatNo, SeatState, ShowId, UserId};

use crate::{ShowRules, ShowState, State};

/// A show with its holder of each seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Its state.
    pub state: ShowState,
    /// Its rules.
    pub rules: ShowRules,
    /// Seats of the whole show.
    pub seat_count: u32,
    /// Holds and sales, by ascending fences.
    pub claims: Vec<Claim>,
    /// In ascending order.
    pub blocked: Vec<SeatNo>,
    /// Seats that somebody had and nobody has, in ascending order, with the last fence granted.
    pub free: Vec<(SeatNo, Fence)>,
}

/// Who has seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of the hold, also of the one that became a sale.
    pub fence: Fence,
    /// That hold.
    pub hold_id: HoldId,
    /// Whose cap it counts towards.
    pub holder: UserId,
    /// In ascending order.
    pub seat_nos: Vec<SeatNo>,
    /// Of a sale.
    pub booking_id: Option<BookingId>,
}

impl State {
    /// A show with all claims on its seats; reads all of it.
    pub fn inspect(&self, id: ShowId) -> Option<Inspection> {
        let show = self.all_shows().get(&id)?;
        let mut claims = BTreeMap::new();
        let live = show.live_holds().filter(|_| !show.is_cancelled());
        for kept in live {
            let claim = Claim {
                fence: kept.fence,
                hold_id: kept.id,
                holder: kept.holder,
                seat_nos: kept.seat_nos().collect(),
                booking_id: None,
            };
            claims.insert(kept.fence, claim);
        }
        for (fence, sale) in show.sales().iter() {
            let claim = Claim {
                fence: *fence,
                hold_id: sale.hold_id,
                holder: sale.holder,
                seat_nos: Vec::new(),
                booking_id: Some(sale.booking_id),
            };
            claims.insert(*fence, claim);
        }
        let (mut blocked, mut free) = (Vec::new(), Vec::new());
        for (seat_no, seat) in show.touched_seats().iter() {
            match seat.state {
                SeatState::Sold => {
                    if let Some(claim) = claims.get_mut(&seat.fence) {
                        claim.seat_nos.push(seat_no);
                    }
                }
                SeatState::Blocked => blocked.push(seat_no),
                SeatState::Held if !show.is_cancelled() => {}
                SeatState::Held | SeatState::Available => free.push((seat_no, seat.fence)),
            }
        }
        Some(Inspection {
            state: show.phase().as_state(),
            rules: *show.rules(),
            seat_count: show.seat_count(),
            claims: claims.into_values().collect(),
            blocked,
            free,
        })
    }
}
