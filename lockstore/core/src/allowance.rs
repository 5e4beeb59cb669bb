//! How much the passing of time may do at once: end overdue holds, forget finished requests.
//!
//! Always holds: it is bounded, before [`BY_ENTRY`] by command and from it on by entry, however many
//! commands that has (besides the one hold that each may name), so that nothing waits long for an entry in which many holds end; what is left
//! over is due, and the next entries go on with it. A leader in whose entry nothing else waits puts
//! more ticks into it, each of which is allowed as much again, up to the bound of an entry. A command
//! forgets a little in any case, more than it can add. Nothing of this outlives an entry, so no
//! snapshot has it.

use holdfast_types::limits::SWEEP_PER_COMMAND_MAX;

use crate::limits::{
    FORGET_PER_COMMAND_MAX, FORGET_PER_ENTRY_MAX, SWEEP_PER_ENTRY_MAX, SWEEP_PER_TICK_MAX,
};

/// From this behaviour on what is allowed is allowed to an entry.
const BY_ENTRY: u32 = 2;

/// What is left of what is allowed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowance {
    /// Of which entry, by its place in the log.
    entry: Option<u64>,
    sweeps: usize,
    /// What further ticks may allow.
    spare_sweeps: usize,
    forgets: usize,
    by_entry: bool,
    ticked: bool,
}

impl Allowance {
    /// For the next command, which is one of entry `index`.
    pub(crate) fn of_next(self, behaviour: u32, index: u64) -> Self {
        let entry = Some(index);
        if behaviour < BY_ENTRY {
            Self {
                entry,
                sweeps: SWEEP_PER_COMMAND_MAX,
                forgets: FORGET_PER_COMMAND_MAX,
                ..Self::default()
            }
        } else if self.entry == entry && self.by_entry {
            self
        } else {
            Self {
                entry,
                sweeps: SWEEP_PER_TICK_MAX,
                spare_sweeps: SWEEP_PER_ENTRY_MAX - SWEEP_PER_TICK_MAX,
                forgets: FORGET_PER_ENTRY_MAX,
                by_entry: true,
                ticked: false,
            }
        }
    }

    /// The next command is a tick.
    pub(crate) fn tick(&mut self) {
        if self.ticked {
            let more = self.spare_sweeps.min(SWEEP_PER_TICK_MAX);
            self.spare_sweeps -= more;
            self.sweeps += more;
        }
        self.ticked = true;
    }

    /// Whether it is of the entry, and not of each command.
    pub(crate) const fn is_by_entry(&self) -> bool {
        self.by_entry
    }

    pub(crate) const fn sweeps(&self) -> usize {
        self.sweeps
    }

    pub(crate) const fn forgets(&self) -> usize {
        self.forgets
    }

    pub(crate) const fn swept(&mut self, holds: usize) {
        self.sweeps = self.sweeps.saturating_sub(holds);
    }

    pub(crate) const fn forgot(&mut self, requests: usize) {
        self.forgets = self.forgets.saturating_sub(requests);
    }

    /// Called off, a show puts away so many of its holds in the command itself: before [`BY_ENTRY`]
    /// a second time what a command may.
    pub(crate) const fn cancelled(&self) -> usize {
        if self.by_entry {
            self.sweeps
        } else {
            SWEEP_PER_COMMAND_MAX
        }
    }
}
