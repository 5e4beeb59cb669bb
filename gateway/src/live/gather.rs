//! What changed in a show and its viewers aren't told yet: where much changes, one message tells of
//! a quarter of a second.
//!
//! Always holds: what comes after a quiet while is due at once; a seat is in it once, as it is now,
//! also where it is what it was before, because somebody may have seen it in between.

use std::{collections::BTreeMap, time::Duration};

use holdfast_types::{SeatNo, SeatState};
use lockstore_client::{Difference, ShowState};
use tokio::time::Instant;

/// Between two deltas of a show: the first after a quiet while goes at once, so a hall in which people choose
/// is seen as it changes; in a rush four small messages a second are little for a phone, and ten thousand
/// viewers cost a gateway forty thousand, not a hundred.
pub(super) const GATHER: Duration = Duration::from_millis(250);

/// What waits.
#[derive(Default)]
pub(super) struct Gathered {
    show_state: Option<ShowState>,
    seats: BTreeMap<SeatNo, SeatState>,
    /// Viewers were told something lately; none if never.
    quiet_until: Option<Instant>,
}

impl Gathered {
    pub(super) fn add(&mut self, difference: Difference) {
        self.show_state = difference.state.or(self.show_state);
        self.seats.extend(difference.seats);
    }

    /// When viewers are to be told; `None` if of nothing. May have passed.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let is_empty = self.show_state.is_none() && self.seats.is_empty();
        (!is_empty).then(|| self.quiet_until.unwrap_or(now))
    }

    /// All that waits, in the order of seats, to be told now.
    pub(super) fn take(&mut self, now: Instant) -> Difference {
        if self.due(now).is_some() {
            self.quiet_until = Some(now + GATHER);
        }
        Difference {
            state: self.show_state.take(),
            seats: std::mem::take(&mut self.seats).into_iter().collect(),
        }
    }
}
