//! The peer plane's server.
//!
//! Always holds: a request for another node, cluster, lineage or group is refused before it is
//! looked at; before the node is founded nothing but its status is told; time is taken only from
//! a leader whose message was not refused; a snapshot is verified before consensus hears of it,
//! since one that can't be installed would end the node.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use holdfast_proto::lockstore::v1::{self as pb, peer_service_server::PeerService};
use openraft::{
    Snapshot,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
        VoteRequest, VoteResponse,
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status, Streaming};

use super::{
    Node, convert,
    snapshot::Snapshots,
    transfer::{self, Receiving},
    types::{SnapshotMeta, TypeConfig},
};
use crate::{clock::Clock, limits, peers::Peers, status::StatusSource};

/// What the peer plane needs.
pub(crate) struct PeerServer {
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) status: Arc<StatusSource>,
    /// Set when the node is founded.
    pub(crate) node: Arc<OnceLock<Node>>,
    /// The newest behaviour that this node knows.
    pub(crate) behaviour: u32,
    /// Places for snapshots being received: [`limits::SNAPSHOTS_RECEIVED_MAX`].
    pub(crate) receiving: Arc<Semaphore>,
}

impl PeerServer {
    fn check(&self, address: Option<&pb::PeerAddress>) -> Result<(), Status> {
        let address = address.ok_or_else(|| Status::invalid_argument("no address"))?;
        if self.peers.is_for_us(address) {
            return Ok(());
        }
        tracing::warn!(
            ?address,
            "a peer's request for another node, cluster or lineage was refused"
        );
        Err(Status::failed_precondition("not meant for this node"))
    }

    /// The place for a snapshot that comes.
    fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.receiving)
            .try_acquire_owned()
            .map_err(|_| Status::aborted("another snapshot is being received"))
    }

    /// Takes a leader's time; returns how long its message was under way at the least.
    fn hear(&self, time: Option<&pb::LeaderTime>, received: Instant) -> Duration {
        time.map_or(Duration::ZERO, |time| {
            let late = self.clock.hear(time.term, time.time_ms, received);
            let jump = time.jump.map(convert::jump_from_pb);
            self.clock.hear_jump(time.term, jump);
            late
        })
    }

    fn node(&self, address: Option<&pb::PeerAddress>) -> Result<&Node, Status> {
        self.check(address)?;
        self.node
            .get()
            .ok_or_else(|| Status::unavailable("not founded yet"))
    }
}

fn malformed(error: convert::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::fmt::Display) -> Status {
    tracing::warn!(%error, "a peer's request met a node that has stopped");
    Status::unavailable("this node has stopped")
}

/// As of when the leader whose message was received at `received` had its majority, which answered
/// what was sent `age_ms` before: what it says is decided was all there was then. Counted from the
/// arrival, less the time that the message was under way, as far as `late` knows that: it truly was
/// so much earlier. `None` if no majority ever answered. A leader of release 0.1.0 says no age, and is
/// taken to be followed.
fn majority_as_of(age_ms: Option<u64>, received: Instant, late: Duration) -> Option<Instant> {
    let age = match age_ms {
        Some(u64::MAX) => return None,
        age_ms => Duration::from_millis(age_ms.unwrap_or_default()),
    };
    received.checked_sub(age.checked_add(late)?)
}

/// Up to where the log is decided, by the word of who leads `vote`'s term; `None` before something of
/// that term is, since it may not know of all that was decided before.
fn decided(vote: Option<&pb::RaftVote>, committed: Option<&pb::LogPosition>) -> Option<u64> {
    let (vote, committed) = vote.zip(committed)?;
    (committed.term == vote.term).then_some(committed.index)
}

fn vote_request(
    vote: Option<&pb::RaftVote>,
    last: Option<&pb::LogPosition>,
    leadership_transfer: bool,
) -> Result<VoteRequest<TypeConfig>, Status> {
    Ok(VoteRequest {
        vote: convert::vote_from_pb(vote).map_err(malformed)?,
        last_log_id: last.map(convert::log_id_from_pb),
        leadership_transfer,
    })
}

#[tonic::async_trait]
impl PeerService for PeerServer {
    async fn append_entries(
        &self,
        request: Request<pb::AppendEntriesRequest>,
    ) -> Result<Response<pb::AppendEntriesResponse>, Status> {
        use pb::append_entries_response::Outcome;
        let received = Instant::now();
        let request = request.into_inner();
        let node = self.node(request.address.as_ref())?;
        let entries = request
            .entries
            .into_iter()
            .map(convert::entry_from_bytes)
            .collect::<Result<_, _>>()
            .map_err(malformed)?;
        let rpc = AppendEntriesRequest {
            vote: convert::vote_from_pb(request.vote.as_ref()).map_err(malformed)?,
            prev_log_id: request.previous.as_ref().map(convert::log_id_from_pb),
            entries,
            leader_commit: request.committed.as_ref().map(convert::log_id_from_pb),
        };
        let response = node.raft().append_entries(rpc).await.map_err(stopped)?;
        if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
            let late = self.hear(request.leader_time.as_ref(), received);
            if let Some(as_of) = majority_as_of(request.quorum_age_ms, received, late) {
                self.clock.leader_spoke(as_of);
                let decided = decided(request.vote.as_ref(), request.committed.as_ref());
                // A leader of 0.1.0 doesn't say whether it has its majority.
                if let Some(index) = decided.filter(|_| request.quorum_age_ms.is_some()) {
                    self.status.machine.leaders_words().hear(index, as_of);
                }
            }
        }
        let outcome = match response {
            AppendEntriesResponse::Success => Outcome::All(pb::AppendedAll {}),
            AppendEntriesResponse::PartialSuccess(last) => Outcome::Some(pb::AppendedSome {
                last: last.as_ref().map(convert::log_id_to_pb),
            }),
            AppendEntriesResponse::Conflict => Outcome::Conflict(pb::AppendConflict {}),
            AppendEntriesResponse::HigherVote(vote) => {
                Outcome::HigherVote(convert::vote_to_pb(&vote))
            }
        };
        Ok(Response::new(pb::AppendEntriesResponse {
            outcome: Some(outcome),
            behaviour: self.behaviour,
        }))
    }

    async fn vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = request.into_inner();
        let node = self.node(request.address.as_ref())?;
        let rpc = vote_request(
            request.vote.as_ref(),
            request.last.as_ref(),
            request.leadership_transfer,
        )?;
        let VoteResponse {
            vote,
            vote_granted,
            last_log_id,
        } = node.raft().vote(rpc).await.map_err(stopped)?;
        let newest = self.clock.newest(Instant::now());
        Ok(Response::new(pb::VoteResponse {
            vote: Some(convert::vote_to_pb(&vote)),
            granted: vote_granted,
            last: last_log_id.as_ref().map(convert::log_id_to_pb),
            leader_time: newest.map(|word| pb::LeaderTime {
                term: word.term,
                time_ms: word.time_ms,
                age_ms: word.age_ms,
                jump: self.clock.unpaused().map(convert::jump_to_pb),
            }),
        }))
    }

    async fn pre_vote(
        &self,
        request: Request<pb::PreVoteRequest>,
    ) -> Result<Response<pb::PreVoteResponse>, Status> {
        let request = request.into_inner();
        let node = self.node(request.address.as_ref())?;
        let rpc = vote_request(
            request.vote.as_ref(),
            request.last.as_ref(),
            request.leadership_transfer,
        )?;
        let VoteResponse {
            vote,
            vote_granted,
            last_log_id,
        } = node.raft().pre_vote(rpc).await.map_err(stopped)?;
        Ok(Response::new(pb::PreVoteResponse {
            vote: Some(convert::vote_to_pb(&vote)),
            granted: vote_granted,
            last: last_log_id.as_ref().map(convert::log_id_to_pb),
        }))
    }

    async fn get_snapshot_progress(
        &self,
        request: Request<pb::GetSnapshotProgressRequest>,
    ) -> Result<Response<pb::GetSnapshotProgressResponse>, Status> {
        let request = request.into_inner();
        self.node(request.address.as_ref())?;
        let file = request
            .file
            .ok_or_else(|| Status::invalid_argument("no file"))?;
        // While something comes it isn't known how far it will have come.
        let _place = self.place()?;
        let offset = transfer::progress(&self.snapshots, &file);
        Ok(Response::new(pb::GetSnapshotProgressResponse { offset }))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::InstallSnapshotRequest>>,
    ) -> Result<Response<pb::InstallSnapshotResponse>, Status> {
        let received = Instant::now();
        let mut parts = request.into_inner();
        let first = next_part(&mut parts).await?;
        let Some(pb::install_snapshot_request::Part::Start(start)) = first else {
            return Err(Status::invalid_argument("no start"));
        };
        let node = self.node(start.address.as_ref())?;
        let vote = convert::vote_from_pb(start.vote.as_ref()).map_err(malformed)?;
        let meta = SnapshotMeta {
            last_log_id: start.last.as_ref().map(convert::log_id_from_pb),
            last_membership: convert::stored_membership_from_pb(start.membership.as_ref())
                .map_err(malformed)?,
        };
        let place = self.place()?;
        let mut receiving = Receiving::begin(Arc::clone(&self.snapshots), &start, place)?;
        while let Some(part) = next_part(&mut parts).await? {
            receiving.take(part).await?;
        }
        let snapshot = receiving.finish(meta.clone()).await?;
        let response = node
            .raft()
            .install_full_snapshot(vote, Snapshot { meta, snapshot })
            .await
            .map_err(stopped)?;
        if response.vote == vote {
            let late = self.hear(start.leader_time.as_ref(), received);
            if let Some(as_of) = majority_as_of(start.quorum_age_ms, received, late) {
                self.clock.leader_spoke(as_of);
            }
        }
        let vote = Some(convert::vote_to_pb(&response.vote));
        Ok(Response::new(pb::InstallSnapshotResponse { vote }))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        use pb::transfer_leader_response::Outcome;
        let request = request.into_inner();
        let node = self.node(request.address.as_ref())?;
        let rpc = TransferLeaderRequest::new(
            convert::vote_from_pb(request.from.as_ref()).map_err(malformed)?,
            request.successor_node_id,
            request.last.as_ref().map(convert::log_id_from_pb),
        );
        let outcome = match node
            .raft()
            .handle_transfer_leader(rpc)
            .await
            .map_err(stopped)?
        {
            Ok(()) => Outcome::Accepted(pb::TransferAccepted {}),
            Err(TransferLeaderError::VoteChanged { actual, .. }) => {
                let vote = Some(convert::vote_to_pb(&actual));
                Outcome::Refused(pb::TransferRefused {
                    vote,
                    flushed: None,
                })
            }
            Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
                let flushed = actual.as_ref().map(convert::log_id_to_pb);
                Outcome::Refused(pb::TransferRefused {
                    vote: None,
                    flushed,
                })
            }
        };
        Ok(Response::new(pb::TransferLeaderResponse {
            outcome: Some(outcome),
        }))
    }

    async fn get_peer_status(
        &self,
        request: Request<pb::GetPeerStatusRequest>,
    ) -> Result<Response<pb::GetPeerStatusResponse>, Status> {
        let address = request.into_inner().address;
        self.check(address.as_ref())?;
        let asker = address.map(|address| address.from_node_id);
        let node = self.node.get();
        Ok(Response::new(pb::GetPeerStatusResponse {
            acknowledged: node
                .zip(asker)
                .and_then(|(node, id)| node.acknowledged_by(id)),
            ..self.status.own()
        }))
    }
}

/// The next part; a sender that went silent is given up, so that another can have the place.
async fn next_part(
    parts: &mut Streaming<pb::InstallSnapshotRequest>,
) -> Result<Option<pb::install_snapshot_request::Part>, Status> {
    let message = tokio::time::timeout(limits::APPEND_STALL_MAX, parts.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no part of the snapshot came"))??;
    Ok(message.and_then(|message| message.part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leader_of_which_nothing_is_decided_yet_says_nothing_of_what_is() {
        let vote = pb::RaftVote {
            term: 5,
            node_id: 2,
            committed: true,
        };
        let at = |term, index| pb::LogPosition { term, index };
        // What another leader acknowledged may be in its log and not known to be decided.
        assert_eq!(decided(Some(&vote), Some(&at(4, 50))), None);
        assert_eq!(decided(Some(&vote), Some(&at(5, 61))), Some(61));
        assert_eq!(decided(Some(&vote), None), None);
        assert_eq!(decided(None, Some(&at(5, 61))), None);
    }

    #[test]
    fn majority_was_there_before_the_message_was_sent_that_says_so() {
        let (late, t0) = (Duration::from_millis(700), Instant::now());
        let received = t0 + Duration::from_secs(1);
        let as_of = |age_ms, late| majority_as_of(age_ms, received, late);
        assert_eq!(as_of(Some(1_000), Duration::ZERO), Some(t0));
        assert_eq!(as_of(Some(300), late), Some(t0));
        assert_eq!(as_of(None, late), Some(received - late));
        assert_eq!(as_of(Some(u64::MAX), late), None, "it never was");
    }
}
