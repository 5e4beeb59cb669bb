//! How this node reaches its peers.
//!
//! Always holds: appends, heartbeats with votes, snapshots and status questions have connections of their own, so
//! that none waits behind another; addresses come from configuration by node id; an append has
//! no deadline but a long stall limit; every request says who it is for, and a leader's how fresh
//! its majority is.

use std::{io, sync::Arc, time::Instant};

use holdfast_proto::lockstore::v1::{self as pb, peer_service_client::PeerServiceClient};
use openraft::{
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{RPCOption, RaftNetworkFactory, RaftNetworkV2},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, transport::Channel};

use super::{
    convert,
    quorum::Quorum,
    snapshot::SnapshotFile,
    types::{Snapshot, TypeConfig, Vote},
};
use crate::{
    behaviour::Behaviours,
    clock::{Clock, Word},
    limits,
    peers::Peers,
};

type Rpc<T> = Result<T, RPCError<TypeConfig>>;

/// Messages of a snapshot stream that wait for the network.
const SNAPSHOT_CHUNKS_WAITING: usize = 2;

/// Makes links to peers.
pub(crate) struct Network {
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<Clock>,
    /// What the peers say that they know.
    pub(crate) behaviours: Arc<Behaviours>,
    pub(super) quorum: Arc<Quorum>,
}

impl Network {
    fn link(&self, target: u64, lane: impl Fn(&crate::peers::Peer) -> &Channel) -> Link {
        Link {
            target,
            address: self.peers.address_to(target),
            lane: self.peers.get(target).map(|peer| client(lane(peer))),
            votes: self.peers.get(target).map(|peer| client(&peer.heartbeat)),
            clock: Arc::clone(&self.clock),
            behaviours: Arc::clone(&self.behaviours),
            quorum: Arc::clone(&self.quorum),
        }
    }
}

fn client(channel: &Channel) -> PeerServiceClient<Channel> {
    PeerServiceClient::new(channel.clone())
        .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &openraft::EmptyNode) -> Link {
        self.link(target, |peer| &peer.append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &openraft::EmptyNode) -> Link {
        self.link(target, |peer| &peer.heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: u64, _node: &openraft::EmptyNode) -> Link {
        self.link(target, |peer| &peer.snapshot)
    }
}

/// One way to one peer.
pub(crate) struct Link {
    target: u64,
    address: pb::PeerAddress,
    /// `None` for a member that configuration doesn't know.
    lane: Option<PeerServiceClient<Channel>>,
    votes: Option<PeerServiceClient<Channel>>,
    clock: Arc<Clock>,
    behaviours: Arc<Behaviours>,
    quorum: Arc<Quorum>,
}

impl Link {
    fn known(
        target: u64,
        client: Option<&PeerServiceClient<Channel>>,
    ) -> Result<PeerServiceClient<Channel>, Unreachable<TypeConfig>> {
        client
            .cloned()
            .ok_or_else(|| Unreachable::from_string(format!("node {target} has no address here")))
    }

    /// The leader's time, if this node leads `vote`'s term or has just won it.
    fn leader_time(&self, vote: &Vote) -> Option<pb::LeaderTime> {
        let (term, now) = (vote.leader_id.term, Instant::now());
        let time_ms = match self.clock.leading(now) {
            Some((leading, time_ms)) if leading == term => time_ms,
            _ => self.clock.win(term, now)?,
        };
        Some(pb::LeaderTime {
            term,
            time_ms,
            age_ms: 0,
            jump: self.clock.unpaused().map(convert::jump_to_pb),
        })
    }

    /// Sends what the peer doesn't have of the file, or all of it to one of release 0.1.0.
    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot,
    ) -> Rpc<SnapshotResponse<TypeConfig>> {
        let mut client = Self::known(self.target, self.lane.as_ref())?;
        let (meta, file) = (snapshot.meta, snapshot.snapshot);
        let last = meta.last_log_id.as_ref().map(convert::log_id_to_pb);
        let summed = file.clone();
        let crc32c = tokio::task::spawn_blocking(move || summed.crc32c())
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| unreadable(&error))?;
        let described = pb::SnapshotFile {
            last,
            length: file.length(),
            crc32c,
        };
        let progress = self.progress(&mut client, described).await?;
        let start = pb::InstallSnapshotStart {
            address: Some(self.address.clone()),
            vote: Some(convert::vote_to_pb(&vote)),
            last,
            membership: Some(convert::stored_membership_to_pb(&meta.last_membership)),
            length: file.length(),
            leader_time: self.leader_time(&vote),
            quorum_age_ms: Some(self.quorum.age_ms()),
            crc32c: progress.map(|_| crc32c),
            offset: progress.unwrap_or_default(),
        };
        let (parts, waiting) = tokio::sync::mpsc::channel(SNAPSHOT_CHUNKS_WAITING);
        // It ends with the call, which has the other end.
        tokio::task::spawn_blocking(move || read_parts(start, &file, &parts));
        let response = client
            .install_snapshot(ReceiverStream::new(waiting))
            .await
            .map_err(|status| failed(&status))?
            .into_inner();
        let vote = convert::vote_from_pb(response.vote.as_ref()).map_err(malformed)?;
        Ok(SnapshotResponse::new(vote))
    }

    /// How much of the file the peer has; `None` for one of release 0.1.0, which can't say.
    async fn progress(
        &self,
        client: &mut PeerServiceClient<Channel>,
        file: pb::SnapshotFile,
    ) -> Rpc<Option<u64>> {
        let request = pb::GetSnapshotProgressRequest {
            address: Some(self.address.clone()),
            file: Some(file),
        };
        let asking = client.get_snapshot_progress(request);
        let answer = tokio::time::timeout(limits::APPEND_STALL_MAX, asking)
            .await
            .map_err(|_| stalled())?;
        match answer {
            Ok(answer) => Ok(Some(answer.into_inner().offset)),
            Err(status) if status.code() == Code::Unimplemented => Ok(None),
            Err(status) => Err(failed(&status)),
        }
    }
}

/// Hands `start` and then the file from there on to a call, until that has ended.
fn read_parts(
    start: pb::InstallSnapshotStart,
    file: &SnapshotFile,
    parts: &tokio::sync::mpsc::Sender<pb::InstallSnapshotRequest>,
) {
    use pb::install_snapshot_request::Part;
    let (mut offset, is_checked) = (start.offset, start.crc32c.is_some());
    let mut part = Part::Start(start);
    loop {
        let message = pb::InstallSnapshotRequest { part: Some(part) };
        // The receiver left: the call has failed and says why.
        if parts.blocking_send(message).is_err() {
            return;
        }
        let bytes: bytes::Bytes = match file.chunk(offset) {
            Ok(chunk) if chunk.is_empty() => return,
            Ok(chunk) => chunk.into(),
            // The receiver will miss the rest.
            Err(error) => return drop(unreadable(&error)),
        };
        let length = bytes.len() as u64;
        part = if is_checked {
            Part::Chunk(pb::SnapshotChunk {
                offset,
                crc32c: crc32c::crc32c(&bytes),
                bytes,
            })
        } else {
            Part::Bytes(bytes)
        };
        offset += length;
    }
}

fn unreadable(error: &io::Error) -> RPCError<TypeConfig> {
    tracing::error!(%error, "a snapshot of this node can't be read");
    RPCError::Network(NetworkError::new(error))
}

fn failed(status: &Status) -> RPCError<TypeConfig> {
    match status.code() {
        // Not there, not founded, or not the node it should be: no use asking again at once.
        Code::Unavailable | Code::FailedPrecondition => {
            RPCError::Unreachable(Unreachable::from_string(status))
        }
        _ => RPCError::Network(NetworkError::from_string(status)),
    }
}

fn malformed(error: convert::Error) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(&error))
}

fn stalled() -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::from_string(
        "no answer; the connection is given up",
    ))
}

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        use pb::append_entries_response::Outcome;
        let mut client = Self::known(self.target, self.lane.as_ref())?;
        let message = pb::AppendEntriesRequest {
            address: Some(self.address.clone()),
            vote: Some(convert::vote_to_pb(&request.vote)),
            previous: request.prev_log_id.as_ref().map(convert::log_id_to_pb),
            entries: request
                .entries
                .iter()
                .map(|e| convert::entry_to_bytes(e).into())
                .collect(),
            committed: request.leader_commit.as_ref().map(convert::log_id_to_pb),
            leader_time: self.leader_time(&request.vote),
            quorum_age_ms: Some(self.quorum.age_ms()),
        };
        let answer = tokio::time::timeout(limits::APPEND_STALL_MAX, client.append_entries(message));
        let response = answer
            .await
            .map_err(|_| stalled())?
            .map_err(|status| failed(&status))?
            .into_inner();
        self.behaviours.hear(self.target, response.behaviour);
        Ok(match response.outcome {
            Some(Outcome::All(_)) => AppendEntriesResponse::Success,
            Some(Outcome::Some(some)) => AppendEntriesResponse::PartialSuccess(
                some.last.as_ref().map(convert::log_id_from_pb),
            ),
            Some(Outcome::Conflict(_)) => AppendEntriesResponse::Conflict,
            Some(Outcome::HigherVote(vote)) => AppendEntriesResponse::HigherVote(
                convert::vote_from_pb(Some(&vote)).map_err(malformed)?,
            ),
            None => return Err(malformed(convert::Error::Missing("outcome"))),
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        let mut client = Self::known(self.target, self.votes.as_ref())?;
        let last_log_term = request.last_log_id.map_or(0, |last| last.leader_id.term);
        self.clock.stand(request.vote.leader_id.term, last_log_term);
        let message = pb::VoteRequest {
            address: Some(self.address.clone()),
            vote: Some(convert::vote_to_pb(&request.vote)),
            last: request.last_log_id.as_ref().map(convert::log_id_to_pb),
            leadership_transfer: request.leadership_transfer,
        };
        let answer = tokio::time::timeout(option.hard_ttl(), client.vote(message));
        let response = answer
            .await
            .map_err(|_| stalled())?
            .map_err(|status| failed(&status))?
            .into_inner();
        if let Some(time) = response.leader_time {
            let word = Word {
                term: time.term,
                time_ms: time.time_ms,
                age_ms: time.age_ms,
            };
            self.clock.hear_of(word, Instant::now());
            if let Some(jump) = time.jump {
                let jump = Some(convert::jump_from_pb(jump));
                self.clock.hear_jump(time.term, jump);
            }
        }
        Ok(VoteResponse {
            vote: convert::vote_from_pb(response.vote.as_ref()).map_err(malformed)?,
            vote_granted: response.granted,
            last_log_id: response.last.as_ref().map(convert::log_id_from_pb),
        })
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        let mut client = Self::known(self.target, self.votes.as_ref())?;
        let message = pb::PreVoteRequest {
            address: Some(self.address.clone()),
            vote: Some(convert::vote_to_pb(&request.vote)),
            last: request.last_log_id.as_ref().map(convert::log_id_to_pb),
            leadership_transfer: request.leadership_transfer,
        };
        let answer = tokio::time::timeout(option.hard_ttl(), client.pre_vote(message));
        let response = answer
            .await
            .map_err(|_| stalled())?
            .map_err(|status| failed(&status))?
            .into_inner();
        Ok(VoteResponse {
            vote: convert::vote_from_pb(response.vote.as_ref()).map_err(malformed)?,
            vote_granted: response.granted,
            last_log_id: response.last.as_ref().map(convert::log_id_from_pb),
        })
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let sending = self.send_snapshot(vote, snapshot);
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = tokio::time::timeout(option.hard_ttl(), sending) => {
                Ok(sent.map_err(|_| stalled())??)
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        use openraft::raft::TransferLeaderError;
        use pb::transfer_leader_response::Outcome;
        let mut client = Self::known(self.target, self.votes.as_ref())?;
        let message = pb::TransferLeaderRequest {
            address: Some(self.address.clone()),
            from: Some(convert::vote_to_pb(request.from_leader())),
            last: request.last_log_id().map(convert::log_id_to_pb),
            // Everyone is told, and only this one is to stand.
            successor_node_id: *request.to_node_id(),
        };
        let answer = tokio::time::timeout(option.hard_ttl(), client.transfer_leader(message));
        let response = answer
            .await
            .map_err(|_| stalled())?
            .map_err(|status| failed(&status))?;
        Ok(match response.into_inner().outcome {
            Some(Outcome::Accepted(_)) => Ok(()),
            Some(Outcome::Refused(refused)) => Err(match refused.vote {
                Some(vote) => TransferLeaderError::VoteChanged {
                    expected: *request.from_leader(),
                    actual: convert::vote_from_pb(Some(&vote)).map_err(malformed)?,
                },
                None => TransferLeaderError::LogNotFlushed {
                    expected: request.last_log_id().copied(),
                    actual: refused.flushed.as_ref().map(convert::log_id_from_pb),
                },
            }),
            None => return Err(malformed(convert::Error::Missing("outcome"))),
        })
    }
}

#[cfg(test)]
mod tests;
