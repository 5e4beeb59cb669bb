//! Reads as of now, on the leader.
//!
//! Always holds: a read sees every write acknowledged before it began; reads in flight are bounded, those
//! of a stream that came together counting as one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_proto::lockstore::v1::{self as pb, get_hold_response::Outcome};
use holdfast_types::{HoldId, ShowId, UserId};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::Status;

use super::{
    client::{ANSWER_AHEAD, Decider},
    failure,
};
use crate::{clock::Clock, codec, limits, machine::View, raft::ReadError};

/// What reads need.
pub(crate) struct Reader {
    pub(crate) decider: Arc<Decider>,
    pub(crate) clock: Arc<Clock>,
    /// Places for reads: [`limits::READS_IN_FLIGHT_MAX`].
    pub(crate) reads: Semaphore,
}

/// A state to answer from, and the place that the read has until it is answered.
pub(super) struct Read<'a> {
    pub(super) view: View,
    /// The leader's time, if it has one.
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
    /// The state with every write that was acknowledged before, for a caller that waits so long.
    ///
    /// # Errors
    /// This node doesn't lead, has no quorum, or reads too much already.
    pub(super) async fn read(&self, wait: Duration) -> Result<Read<'_>, Status> {
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
}

impl Read<'_> {
    pub(super) fn has_leaders_time(&self) -> bool {
        self.time.is_some()
    }

    /// What an answer carries; its time is the leader's present one.
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
