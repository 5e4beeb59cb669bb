//! What viewers of a show were sent lately, for those who come back.
//!
//! Always holds: it has every difference after its floor, each once, in order; memory is bounded.

use std::collections::VecDeque;

use holdfast_types::Revision;

use super::show::Sent;

/// Deltas that are remembered, and seats in them: half a megabyte, and minutes of a rush.
pub(super) const REMEMBERED_MAX: usize = 2_048;
const REMEMBERED_SEATS_MAX: usize = 8_192;

/// What was different from one revision to another.
pub(super) struct Remembered {
    /// What happened after it and before `to` isn't known one by one: who has come to somewhere in
    /// between can't go on from there.
    pub(super) from: Revision,
    pub(super) to: Revision,
    /// None if nothing was different in the end.
    pub(super) sent: Option<Sent>,
    pub(super) seats: usize,
}

impl Remembered {
    fn jumps_over(&self, revision: Revision) -> bool {
        self.from < revision && revision < self.to
    }
}

#[derive(Default)]
pub(super) struct History {
    /// The last revision that viewers saw a difference at.
    pub(super) changed: Revision,
    /// Every difference after `floor`.
    remembered: VecDeque<Remembered>,
    seats: usize,
    floor: Revision,
}

impl History {
    /// From here on nothing before is known.
    pub(super) fn forget(&mut self, at: Revision) {
        self.remembered.clear();
        (self.seats, self.changed, self.floor) = (0, at, at);
    }

    pub(super) fn remember(&mut self, difference: Remembered) {
        self.seats += difference.seats;
        self.remembered.push_back(difference);
        while (self.remembered.len() > REMEMBERED_MAX || self.seats > REMEMBERED_SEATS_MAX)
            && let Some(oldest) = self.remembered.pop_front()
        {
            self.seats -= oldest.seats;
            self.floor = oldest.to;
        }
    }

    /// What one who has come to `since` is missing at `revision`; `None` if that isn't known.
    pub(super) fn since(
        &self,
        since: Revision,
        revision: Revision,
    ) -> Option<impl Iterator<Item = Sent>> {
        let mut remembered = self.remembered.iter();
        let is_known = since.lineage() == revision.lineage()
            && (self.floor..=revision).contains(&since)
            && !remembered.any(|difference| difference.jumps_over(since));
        let sent = self.remembered.iter().filter_map(|past| past.sent.clone());
        is_known.then(|| sent.filter(move |sent| sent.revision > since))
    }
}
