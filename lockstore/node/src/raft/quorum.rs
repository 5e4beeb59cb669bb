//! Whether a majority still answers this leader.
//!
//! Always holds: what is said is counted from when a message left that a majority answered, so no
//! other leader had been elected by then; nothing is said by a node that doesn't lead.

use std::{sync::OnceLock, time::Duration};

use openraft::{
    Instant as _, async_runtime::watch::WatchReceiver, metrics::RaftDataMetrics,
    type_config::alias::WatchReceiverOf,
};

use super::types::TypeConfig;

type Metrics = WatchReceiverOf<TypeConfig, RaftDataMetrics<TypeConfig>>;

/// What a leader knows of its majority.
pub(super) struct Quorum {
    /// It is the only member.
    alone: bool,
    /// Set when consensus runs; those who send for it exist before.
    metrics: OnceLock<Metrics>,
}

impl Quorum {
    pub(super) const fn new(alone: bool) -> Self {
        Self {
            alone,
            metrics: OnceLock::new(),
        }
    }

    /// Consensus runs, and tells by `metrics`.
    pub(super) fn follow(&self, metrics: Metrics) {
        // There is one consensus, started once.
        let _ = self.metrics.set(metrics);
    }

    /// How long ago something was sent that a majority answered; `None` for a leader that was just
    /// elected and for a node that doesn't lead.
    pub(super) fn age(&self) -> Option<Duration> {
        if self.alone {
            return Some(Duration::ZERO);
        }
        let metrics = self.metrics.get()?;
        let acked = metrics.borrow_watched().last_quorum_acked?;
        Some(acked.elapsed())
    }

    /// [`Self::age`], and up to where the log was decided then.
    pub(super) fn decided(&self) -> Option<(Duration, u64)> {
        // Of one moment.
        let metrics = self.metrics.get()?.borrow_watched();
        let decided = metrics.cluster_committed.as_ref()?.index;
        let age = match metrics.last_quorum_acked {
            _ if self.alone => Duration::ZERO,
            acked => acked?.elapsed(),
        };
        Some((age, decided))
    }

    /// [`Self::age`] as peers are told it: the largest number for none.
    pub(super) fn age_ms(&self) -> u64 {
        self.age().map_or(u64::MAX, |age| {
            u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
        })
    }
}
