//! Reads: as of now on the leader, or on any node as of a revision or an age that the reader names.
//!
//! Always holds: a read as of now sees every write acknowledged before it began, one of a revision all
//! that whoever was given that revision has seen, one of an age all that was decided so long before it;
//! a node that can't tell says so. Reads in flight are bounded, those of a stream that came together
//! counting as one, and so are those that wait for a revision, which keep no place from others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_proto::lockstore::v1::{self as pb, get_hold_response::Outcome};
use holdfast_types::{HoldId, Revision, ShowId, UserId};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::Status;

use super::{
    client::{ANSWER_AHEAD, Decider},
    failure,
};
use crate::{clock::Clock, codec, freshness::Freshness, limits, machine::View, raft::ReadError};

/// What reads need.
pub(crate) struct Reader {
    pub(crate) decider: Arc<Decider>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) freshness: Freshness,
    /// Places for reads: [`limits::READS_IN_FLIGHT_MAX`].
    pub(crate) reads: Semaphore,
    /// Places for those that wait for a revision: [`limits::READS_WAITING_MAX`].
    pub(crate) waiting: Semaphore,
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consistency {
    /// As of now.
    Linearizable,
    /// As of this revision, or later.
    AtLeast(Revision),
    /// As of so long ago, or later.
    Stale(Duration),
}

impl Consistency {
    /// # Errors
    /// Names the field that is out of bounds.
    pub(super) fn of(asked: Option<&pb::ReadConsistency>) -> Result<Self, Status> {
        use pb::read_consistency::Level;
        const REVISION: &str = "consistency.at_least_revision";
        const AGE: &str = "consistency.stale_max_age_ms";
        let age_ms_max = limits::STALE_READ_AGE_MAX.as_millis() as u64;
        let field = |name, why| failure::invalid(codec::Field { name, why });
        match asked.and_then(|asked| asked.level) {
            None => Ok(Self::Linearizable),
            Some(Level::AtLeastRevision(0)) => {
                Err(field(REVISION, "0 is before everything".to_owned()))
            }
            Some(Level::AtLeastRevision(number)) => codec::fence(REVISION, number)
                .map(Self::AtLeast)
                .map_err(failure::invalid),
            Some(Level::StaleMaxAgeMs(ms)) if (1..=age_ms_max).contains(&ms) => {
                Ok(Self::Stale(Duration::from_millis(ms)))
            }
            Some(Level::StaleMaxAgeMs(ms)) => {
                Err(field(AGE, format!("{ms} is not from 1 to {age_ms_max}")))
            }
        }
    }
}

/// A state to answer from, and the place that the read has until it is answered.
pub(super) struct Read<'a> {
    pub(super) view: View,
    /// The leader's present time, if it is known; on another node what it is at the least.
    time: Option<u64>,
    _place: SemaphorePermit<'a>,
}

/// The hold that is asked for, by whom.
pub(super) struct WantedHold {
    show_id: ShowId,
    hold_id: HoldId,
    holder: UserId,
}

impl WantedHold {
    /// # Errors
    /// Names the field that can't be read.
    pub(super) fn of(request: &pb::GetHoldRequest) -> Result<Self, Status> {
        let read = || {
            Ok(Self {
                show_id: codec::id("show_id", &request.show_id, ShowId::from_slice)?,
                hold_id: codec::id("hold_id", &request.hold_id, HoldId::from_slice)?,
                holder: codec::id("holder", &request.holder, UserId::from_slice)?,
            })
        };
        read().map_err(failure::invalid)
    }
}

impl Reader {
    /// A state as fresh as is asked for, for a caller that waits so long.
    ///
    /// # Errors
    /// This node has none, or can't tell, or reads too much already.
    pub(super) async fn read(
        &self,
        consistency: Consistency,
        wait: Duration,
    ) -> Result<Read<'_>, Status> {
        match consistency {
            Consistency::Linearizable => self.linearizable(wait).await,
            Consistency::AtLeast(revision) => self.at_least(revision, wait).await,
            Consistency::Stale(age_max) => self.stale(age_max),
        }
    }

    /// The state with every write that was acknowledged before.
    async fn linearizable(&self, wait: Duration) -> Result<Read<'_>, Status> {
        self.decider.check_leads()?;
        let place = failure::place(&self.reads)?;
        let wait = wait.saturating_sub(ANSWER_AHEAD).min(limits::READ_WAIT_MAX);
        match tokio::time::timeout(wait, self.decider.node.read_index(wait)).await {
            Ok(Ok(())) => Ok(Read {
                view: self.decider.machine.view(),
                time: self.clock.leading(Instant::now()).map(|(_, time)| time),
                _place: place,
            }),
            Ok(Err(ReadError::NotLeader)) => Err(self.decider.not_leader()),
            Ok(Err(ReadError::NoQuorum)) | Err(_) => Err(failure::no_quorum()),
        }
    }

    /// The state once it has `revision`.
    async fn at_least(&self, revision: Revision, wait: Duration) -> Result<Read<'_>, Status> {
        let machine = &self.decider.machine;
        let lineage = machine.lineage();
        if revision.lineage() != lineage {
            return Err(failure::lineage_changed(lineage));
        }
        if !machine.has(revision) {
            let _place = failure::place(&self.waiting)?;
            let wait = wait.saturating_sub(ANSWER_AHEAD).min(limits::CATCH_UP_MAX);
            if !machine.reaches(revision, wait).await {
                return Err(failure::behind());
            }
        }
        let place = failure::place(&self.reads)?;
        Ok(self.as_it_is(machine.view(), place))
    }

    /// The state, if everything decided until `age_max` ago is in it.
    fn stale(&self, age_max: Duration) -> Result<Read<'_>, Status> {
        let place = failure::place(&self.reads)?;
        let machine = &self.decider.machine;
        let (view, age) = self.freshness.of(|| {
            let view = machine.view();
            let applied = view.revision().index();
            (view, applied)
        });
        match age {
            Some(age) if age <= age_max => Ok(self.as_it_is(view, place)),
            _ => Err(failure::not_new()),
        }
    }

    fn as_it_is<'a>(&self, view: View, place: SemaphorePermit<'a>) -> Read<'a> {
        Read {
            view,
            time: self.clock.at_least(Instant::now()),
            _place: place,
        }
    }
}

impl Read<'_> {
    pub(super) fn has_leaders_time(&self) -> bool {
        self.time.is_some()
    }

    /// What an answer carries; its time is the leader's present one, as far as it is known.
    pub(super) fn info(&self) -> pb::AnswerInfo {
        let now = self.view.state.now().0;
        pb::AnswerInfo {
            lineage: self.view.state.lineage().0.into(),
            revision: self.view.revision().as_u64(),
            cluster_time_ms: self.time.map_or(now, |time| time.max(now)),
        }
    }

    pub(super) fn hold(&self, wanted: &WantedHold) -> pb::GetHoldResponse {
        let found = self
            .view
            .state
            .hold(wanted.show_id, wanted.hold_id, wanted.holder);
        pb::GetHoldResponse {
            info: Some(self.info()),
            outcome: Some(match found {
                Ok(hold) => Outcome::Hold(codec::hold_to_pb(&hold)),
                Err(refusal) => Outcome::Refusal(codec::refusal_to_pb(&refusal)),
            }),
        }
    }
}
