//! Which behaviours the cluster can use.
//!
//! A command that needs a behaviour (see `CommandBatch` in `log.proto`) which a member doesn't know
//! would stop that member. Always holds: none is proposed before every member has said that it knows
//! its behaviour, or the log has that behaviour already, as it does from the first entry on that is
//! written when all have said so; what a member said counts until it says something else, also while it
//! is away. A leader that has not heard of a member since it started takes it for one of release 0.1.0.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

/// The newest behaviour that this program knows.
pub(crate) const NEWEST: u32 = 2;
/// What a member knows that says nothing: one of release 0.1.0.
const UNSAID: u32 = 0;

/// What the members know.
pub(crate) struct Behaviours {
    own: u32,
    others: BTreeMap<u64, AtomicU32>,
    /// The newest that all know.
    common: AtomicU32,
}

impl Behaviours {
    /// This node knows up to `own`; nothing is known of `others` yet.
    pub(crate) fn new(own: u32, others: impl IntoIterator<Item = u64>) -> Self {
        let behaviours = Self {
            own,
            others: others
                .into_iter()
                .map(|node_id| (node_id, AtomicU32::new(UNSAID)))
                .collect(),
            common: AtomicU32::new(UNSAID),
        };
        behaviours.find_common();
        behaviours
    }

    /// A member says that it knows up to `behaviour`.
    pub(crate) fn hear(&self, node_id: u64, behaviour: u32) {
        let Some(known) = self.others.get(&node_id) else {
            return;
        };
        // Heard with each answer, and hardly ever another than before.
        if known.load(Ordering::Relaxed) != behaviour {
            known.store(behaviour, Ordering::SeqCst);
            self.find_common();
        }
    }

    fn find_common(&self) {
        let others = self.others.values();
        let common = others.map(|known| known.load(Ordering::SeqCst)).min();
        let common = common.map_or(self.own, |common| common.min(self.own));
        if self.common.swap(common, Ordering::SeqCst) != common {
            tracing::info!(
                behaviour = common,
                "the newest behaviour that every member knows"
            );
        }
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
}
