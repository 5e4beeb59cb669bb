//! What a command changed, for those who follow the state without keeping it.
//!
//! Always holds: the events of a command, in order, say every change of a seat's or a show's
//! state at its revision; a refused command's events are what its sweep did. One event says two
//! things: a show that is cancelled has no held seat from there on, and what follows on its holds
//! says how each ended.

use std::sync::Arc;

use holdfast_types::{BookingId, ClusterTime, Fence, HoldId, SeatNo, ShowId};

use crate::{Hold, HoldEnd, Queue, ShowState};

/// One change. Seats are in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are named as in the commands")]
pub enum Event {
    /// The layout is complete.
    ShowOpened {
        show_id: ShowId,
        state: ShowState,
        seat_count: u32,
    },
    /// The show's state is another.
    ShowStateChanged { show_id: ShowId, state: ShowState },
    /// Available → held.
    SeatsHeld {
        show_id: ShowId,
        hold_id: HoldId,
        fence: Fence,
        seat_nos: Arc<[SeatNo]>,
        expires_at: ClusterTime,
    },
    /// The promised end moved.
    HoldExtended {
        show_id: ShowId,
        hold_id: HoldId,
        fence: Fence,
        expires_at: ClusterTime,
    },
    /// Held → available; never with [`HoldEnd::Sold`], which is [`Event::SeatsSold`].
    HoldEnded {
        show_id: ShowId,
        hold_id: HoldId,
        fence: Fence,
        seat_nos: Arc<[SeatNo]>,
        end: HoldEnd,
    },
    /// Held → sold; or available → sold, where a sale was loaded.
    SeatsSold {
        show_id: ShowId,
        hold_id: HoldId,
        booking_id: BookingId,
        fence: Fence,
        seat_nos: Arc<[SeatNo]>,
    },
    /// Sold → available.
    SeatsReturned {
        show_id: ShowId,
        booking_id: BookingId,
        fence: Fence,
        seat_nos: Arc<[SeatNo]>,
    },
    /// Available → blocked.
    SeatsBlocked {
        show_id: ShowId,
        seat_nos: Arc<[SeatNo]>,
    },
    /// Blocked → available.
    SeatsUnblocked {
        show_id: ShowId,
        seat_nos: Arc<[SeatNo]>,
    },
    /// The waiting room is another.
    QueueAdvanced { show_id: ShowId, queue: Queue },
}

impl Event {
    /// Whose change it is.
    pub const fn show_id(&self) -> ShowId {
        match self {
            Self::ShowOpened { show_id, .. }
            | Self::ShowStateChanged { show_id, .. }
            | Self::SeatsHeld { show_id, .. }
            | Self::HoldExtended { show_id, .. }
            | Self::HoldEnded { show_id, .. }
            | Self::SeatsSold { show_id, .. }
            | Self::SeatsReturned { show_id, .. }
            | Self::SeatsBlocked { show_id, .. }
            | Self::SeatsUnblocked { show_id, .. }
            | Self::QueueAdvanced { show_id, .. } => *show_id,
        }
    }

    pub(crate) fn hold_ended(show_id: ShowId, hold: &Hold, end: HoldEnd) -> Self {
        Self::HoldEnded {
            show_id,
            hold_id: hold.id,
            fence: hold.fence,
            seat_nos: Arc::clone(&hold.seat_nos),
            end,
        }
    }
}
