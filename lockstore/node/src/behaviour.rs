//! Which behaviours the cluster can use.
//!
//! A command that needs a behaviour (see `CommandBatch` in `log.proto`) which a member doesn't know
//! would stop that member. Always holds: none is proposed before every member has said that it knows
//! its behaviour, or the log has that behaviour already, as it does from the first entry on that is
//! written when all have said so; what a member said counts until it says something else, also while it
//! is away. A leader that has not heard of a member since it started takes it for one of release 0.1.0.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use crate::limits;

/// The newest behaviour that this program knows.
pub(crate) const NEWEST: u32 = 2;
/// From it on what ticks may do at once is bounded by entry.
pub(crate) const BY_ENTRY: u32 = 2;
/// What a member knows that says nothing: one of release 0.1.0.
const UNSAID: u32 = 0;
/// In place of what a member knows that was not heard of.
const UNHEARD: u32 = u32::MAX;

/// What the members know.
pub(crate) struct Behaviours {
    own: u32,
    /// [`UNHEARD`] until they say something.
    others: BTreeMap<u64, AtomicU32>,
    /// The newest that all know.
    common: AtomicU32,
    /// When it was logged last that a command was refused.
    refused: Mutex<Option<Instant>>,
}

/// The members because of which a behaviour isn't used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lacking {
    pub(crate) behaviour: u32,
    /// Those that have said that they know an older one, or are of release 0.1.0.
    pub(crate) too_old: Vec<u64>,
    /// Those that this node has not heard of since it started.
    pub(crate) unheard: Vec<u64>,
}

impl Behaviours {
    /// This node knows up to `own`; nothing is known of `others` yet.
    pub(crate) fn new(own: u32, others: impl IntoIterator<Item = u64>) -> Self {
        let behaviours = Self {
            own,
            others: others
                .into_iter()
                .map(|node_id| (node_id, AtomicU32::new(UNHEARD)))
                .collect(),
            common: AtomicU32::new(UNSAID),
            refused: Mutex::new(None),
        };
        behaviours.find_common();
        behaviours
    }

    /// A member says that it knows up to `behaviour`.
    pub(crate) fn hear(&self, node_id: u64, behaviour: u32) {
        let Some(known) = self.others.get(&node_id) else {
            return;
        };
        let behaviour = behaviour.min(UNHEARD - 1);
        // Heard with each answer, and hardly ever another than before.
        if known.load(Ordering::Relaxed) != behaviour {
            known.store(behaviour, Ordering::SeqCst);
            self.find_common();
        }
    }

    fn find_common(&self) {
        let others = self.others.values();
        let said = |known: &AtomicU32| match known.load(Ordering::SeqCst) {
            UNHEARD => UNSAID,
            said => said,
        };
        let common = others.map(said).min();
        let common = common.map_or(self.own, |common| common.min(self.own));
        if self.common.swap(common, Ordering::SeqCst) != common {
            tracing::info!(
                behaviour = common,
                "the newest behaviour that every member knows"
            );
        }
    }

    /// The newest that this node knows.
    pub(crate) fn own(&self) -> u32 {
        self.own
    }

    /// What another member said last that it knows, if it said anything.
    pub(crate) fn said_by(&self, node_id: u64) -> Option<u32> {
        let said = self.others.get(&node_id)?.load(Ordering::Relaxed);
        (said != UNHEARD).then_some(said)
    }

    /// Why a command that needs `behaviour` is refused by this node, which is `own_id`; says so in the
    /// log.
    pub(crate) fn refuse(&self, behaviour: u32, own_id: u64) -> Lacking {
        let mut lacking = Lacking {
            behaviour,
            ..Lacking::default()
        };
        if self.own < behaviour {
            lacking.too_old.push(own_id);
        }
        for node_id in self.others.keys() {
            match self.said_by(*node_id) {
                None => lacking.unheard.push(*node_id),
                Some(said) if said < behaviour => lacking.too_old.push(*node_id),
                Some(_) => {}
            }
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.is_none_or(|at| at.elapsed() >= limits::UPGRADING_LOG_PERIOD) {
            *refused = Some(Instant::now());
            tracing::info!(
                behaviour,
                too_old = ?lacking.too_old,
                unheard = ?lacking.unheard,
                "a command is refused until every member runs a release that knows it"
            );
        }
        lacking
    }

    /// What the log may say that it needs from now on: it stands for what the members said when one of
    /// them is away, or the leader is another.
    pub(crate) fn common(&self) -> u32 {
        self.common.load(Ordering::Relaxed)
    }

    /// Whether a command may be proposed that needs `behaviour`, where the log has `in_log`.
    pub(crate) fn allow(&self, behaviour: u32, in_log: impl FnOnce() -> u32) -> bool {
        behaviour <= self.common() || (behaviour <= self.own && behaviour <= in_log())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviour_is_used_when_all_know_it_or_the_log_has_it() {
        let members = Behaviours::new(1, [2, 3]);
        let allow = |behaviour| members.allow(behaviour, || 0);
        assert!(allow(0) && !allow(1));
        members.hear(2, 2);
        members.hear(9, 2);
        assert!(!allow(1), "one has not said anything");
        assert!(members.allow(1, || 1), "it must be known to all by now");
        members.hear(3, 1);
        assert!(allow(1));
        members.hear(2, 0);
        assert!(!allow(1), "an older one came back");
        members.hear(2, 2);
        members.hear(3, 2);
        assert!(!allow(2) && !members.allow(2, || 2), "this node is too old");
        assert!(Behaviours::new(1, []).allow(1, || 0), "it is alone");
    }

    #[test]
    fn members_are_named_that_are_too_old_or_not_heard_of() {
        let members = Behaviours::new(1, [2, 3, 4]);
        members.hear(2, 0);
        members.hear(3, 1);
        let lacking = |behaviour, too_old: &[u64]| Lacking {
            behaviour,
            too_old: too_old.to_vec(),
            unheard: vec![4],
        };
        assert_eq!(members.refuse(1, 9), lacking(1, &[2]));
        assert_eq!(members.refuse(2, 9), lacking(2, &[9, 2, 3]));
        let said: Vec<_> = (1..5).map(|node_id| members.said_by(node_id)).collect();
        assert_eq!(said, [None, Some(0), Some(1), None]);
        // Whatever a member says, it has said something.
        members.hear(4, u32::MAX);
        assert!(members.said_by(4).is_some());
    }
}
