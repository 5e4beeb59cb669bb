//! Consensus: the only module that knows openraft.
//!
//! Always holds: the rest of the crate sees [`Node`] and plain values; what goes to disk or peers
//! is encoded by `convert`, never by openraft's own derives. Leaves to others: what entries mean.

mod convert;
mod log_db;
pub(crate) mod log_store;
mod log_writer;
mod network;
pub(crate) mod peer_service;
mod quorum;
pub(crate) mod snapshot;
mod state_machine;
mod transfer;
mod types;
pub(crate) mod watermark;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use openraft::{
    EmptyNode, Instant as _, Raft, ReadPolicy, ServerState, SnapshotPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, InitializeError, LinearizableReadError, RaftError},
    vote::leader_id_std::CommittedLeaderId,
};
use tokio::sync::watch;
pub(crate) use types::TypeConfig;

use self::{
    log_store::LogStore, network::Network, quorum::Quorum, snapshot::Snapshots,
    state_machine::StateMachine, types::Batch,
};
use crate::{
    Error,
    behaviour::Behaviours,
    clock::Clock,
    config::Config,
    disk::Disk,
    limits,
    machine::{Machine, Reply},
    metrics::{self, Stage},
    peers::Peers,
};

/// How often a leader says that it is there.
const HEARTBEAT_MS: u64 = 100;
/// A heartbeat is left out if an append went that recently.
const HEARTBEAT_MS_MIN: u64 = 50;
/// Entries a follower may lack before it is sent a snapshot though the log still has them.
const REPLICATION_LAG_MAX: u64 = 100_000;

/// Where consensus stands, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: pb::NodeRole,
    pub(crate) term: u64,
    pub(crate) leader: Option<u64>,
    /// Set when it stopped by itself: why.
    pub(crate) failed: Option<String>,
}

/// How far the log goes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Positions {
    pub(crate) last_log: Option<pb::LogPosition>,
    pub(crate) purged: Option<pb::LogPosition>,
    pub(crate) snapshot: Option<pb::LogPosition>,
}

/// A proposal that got no replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProposeError {
    /// Not proposed: another node leads, or none.
    NotLeader,
    /// Not proposed: this leader has lost its quorum.
    NoQuorum,
    /// It may or may not take effect.
    Unknown,
}

/// A read that can't be linearizable here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadError {
    NotLeader,
    NoQuorum,
}

/// A running member of the cluster.
#[derive(Clone)]
pub(crate) struct Node {
    raft: Raft<TypeConfig, StateMachine>,
    standing: watch::Receiver<Standing>,
    lease: Duration,
    quorum: Arc<Quorum>,
}

/// What a node is made of.
pub(crate) struct Parts {
    pub(crate) log: LogStore,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) machine: Arc<Machine>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) behaviours: Arc<Behaviours>,
}

fn raft_config(config: &Config) -> openraft::Config {
    let election_ms_max = config.election_timeout_ms_min * 2;
    openraft::Config {
        cluster_name: config.cluster_id.clone(),
        heartbeat_interval: HEARTBEAT_MS,
        heartbeat_min_interval: Some(HEARTBEAT_MS_MIN),
        election_timeout_min: config.election_timeout_ms_min,
        election_timeout_max: election_ms_max,
        // Handed on as the limit of a whole transfer.
        install_snapshot_timeout: limits::SNAPSHOT_TRANSFER_TIMEOUT.as_millis() as u64,
        max_payload_entries: limits::APPEND_ENTRIES_MAX,
        replication_lag_threshold: REPLICATION_LAG_MAX,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.snapshot_logs_since_last),
        max_in_snapshot_log_to_keep: config.snapshot_logs_kept,
        // Without it an old leader's heartbeats keep a connected quorum from electing.
        quorum_loss_probe_interval: Some(election_ms_max * 2),
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        allow_log_reversion: None,
        ..openraft::Config::default()
    }
}

impl Node {
    /// Starts it from what its log and snapshots hold.
    ///
    /// # Errors
    /// [`Error::Raft`] if they contradict each other or can't be read.
    pub(crate) async fn start(config: &Config, parts: Parts) -> Result<Self, Error> {
        let raft_config = raft_config(config)
            .validate()
            .map_err(|e| Error::Raft(e.to_string()))?;
        let lease = Duration::from_millis(raft_config.election_timeout_max);
        let quorum = Arc::new(Quorum::new(config.members.len() == 1));
        let network = Network {
            peers: parts.peers,
            clock: parts.clock,
            behaviours: parts.behaviours,
            quorum: Arc::clone(&quorum),
        };
        let state_machine = StateMachine::new(parts.machine, parts.snapshots, parts.disk);
        let raft = Raft::new(
            config.node_id,
            Arc::new(raft_config),
            network,
            parts.log,
            state_machine,
        )
        .await
        .map_err(|error| Error::Raft(error.to_string()))?;
        quorum.follow(raft.data_metrics());
        let standing = follow(&raft);
        Ok(Self {
            raft,
            standing,
            lease,
            quorum,
        })
    }

    fn raft(&self) -> &Raft<TypeConfig, StateMachine> {
        &self.raft
    }

    /// Makes the first membership, if this node has nothing yet. Idempotent.
    ///
    /// # Errors
    /// [`Error::Raft`] if the members are no cluster, or it has stopped.
    pub(crate) async fn initialize(
        &self,
        members: impl IntoIterator<Item = u64>,
    ) -> Result<(), Error> {
        let nodes: BTreeMap<u64, EmptyNode> = members
            .into_iter()
            .map(|id| (id, EmptyNode::new()))
            .collect();
        match self.raft.initialize(nodes).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(Error::Raft(error.to_string())),
        }
    }

    /// Where it stands; told at each change.
    pub(crate) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// How far its log goes.
    pub(crate) fn positions(&self) -> Positions {
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        Positions {
            last_log: metrics.last_log.as_ref().map(convert::log_id_to_pb),
            purged: metrics.purged.as_ref().map(convert::log_id_to_pb),
            snapshot: metrics.snapshot.as_ref().map(convert::log_id_to_pb),
        }
    }

    /// Proposes an encoded `CommandBatch` in `term` and waits until it is applied here. Measures both
    /// ways there.
    ///
    /// # Errors
    /// [`ProposeError`] says whether it can still take effect.
    pub(crate) async fn propose(
        &self,
        term: u64,
        batch: Bytes,
    ) -> Result<Vec<Reply>, ProposeError> {
        let proposed = Instant::now();
        let (responder, committed, applied) = openraft::impls::ProgressResponder::new();
        self.raft
            .write(Batch(batch))
            .with_leader(CommittedLeaderId::new(term))
            .responder(responder)
            .await
            .map_err(|_| ProposeError::Unknown)?;
        let committed = committed.await.is_ok().then(Instant::now);
        let applied = applied.await;
        if let Some(at) = committed {
            metrics::stage(Stage::Committed, at - proposed);
            metrics::stage(Stage::Applied, at.elapsed());
        }
        match applied {
            Ok(Ok(response)) => Ok(response.data),
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => Err(match forward.leader_id {
                Some(_) => ProposeError::NotLeader,
                None => ProposeError::NoQuorum,
            }),
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Waits until a read here sees every write acknowledged before the call.
    ///
    /// # Errors
    /// [`ReadError`] if this node can't tell.
    pub(crate) async fn read_index(&self, wait_max: Duration) -> Result<(), ReadError> {
        let linearizer = match self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => linearizer,
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                return Err(match forward.leader_id {
                    Some(_) => ReadError::NotLeader,
                    None => ReadError::NoQuorum,
                });
            }
            Err(_) => return Err(ReadError::NoQuorum),
        };
        match linearizer.try_await_ready(&self.raft, Some(wait_max)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ReadError::NoQuorum),
        }
    }

    /// Whether a majority answered this leader within its lease. `false` also for a leader that
    /// was just elected and for a node that doesn't lead.
    pub(crate) fn has_quorum(&self) -> bool {
        self.quorum.age().is_some_and(|age| age < self.lease)
    }

    /// How long ago this leader sent what a majority answered, and up to where the log was decided
    /// then; `None` where [`Self::has_quorum`] says `false` for want of an answer.
    pub(crate) fn decided(&self) -> Option<(Duration, u64)> {
        self.quorum.decided()
    }

    /// How long a leader may go unheard, and a majority unheard by it, before that counts.
    pub(crate) const fn lease(&self) -> Duration {
        self.lease
    }

    /// Whether this node stands when it misses a leader. One that a leader hands over to does in any
    /// case.
    pub(crate) fn let_stand(&self, may: bool) {
        self.raft.runtime_config().elect(may);
    }

    /// What `node_id` has acknowledged to this leader in its term; nothing if it doesn't lead.
    pub(crate) fn acknowledged_by(&self, node_id: u64) -> Option<pb::LogPosition> {
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let matched = metrics.replication.as_ref()?.get(&node_id)?;
        matched.as_ref().map(convert::log_id_to_pb)
    }

    /// Asks the follower that answered within the lease and is furthest to take over, of those that
    /// `may`; `false` if there is none.
    pub(crate) async fn hand_over(&self, may: impl Fn(u64) -> bool) -> bool {
        let furthest = {
            let metrics = self.raft.data_metrics();
            let metrics = metrics.borrow_watched();
            let answered = |id: &u64| {
                let heard = metrics.heartbeat.as_ref()?.get(id)?.as_ref()?;
                (heard.elapsed() < self.lease).then_some(())
            };
            metrics.replication.as_ref().and_then(|followers| {
                followers
                    .iter()
                    .filter(|(id, matched)| *id != self.raft.node_id() && matched.is_some())
                    .filter(|(id, _)| answered(id).is_some() && may(**id))
                    .max_by_key(|(_, matched)| **matched)
                    .map(|(id, _)| *id)
            })
        };
        match furthest {
            Some(to) => self.raft.trigger().transfer_leader(to).await.is_ok(),
            None => false,
        }
    }

    /// Has a snapshot written, unless one is being written.
    pub(crate) async fn begin_snapshot(&self) {
        // If consensus has stopped, others say so.
        drop(self.raft.trigger().snapshot().await);
    }

    /// Stops it; nothing of it touches the disk afterwards but what is queued.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "consensus ended badly");
        }
    }
}

/// Turns openraft's metrics into [`Standing`], until the node is gone.
fn follow(raft: &Raft<TypeConfig, StateMachine>) -> watch::Receiver<Standing> {
    let mut metrics = raft.metrics();
    let read = |metrics: &openraft::RaftMetrics<TypeConfig>| Standing {
        role: match metrics.state {
            ServerState::Learner => pb::NodeRole::Learner,
            ServerState::Follower => pb::NodeRole::Follower,
            ServerState::Candidate => pb::NodeRole::Candidate,
            ServerState::Leader => pb::NodeRole::Leader,
            ServerState::Shutdown => pb::NodeRole::Stopped,
        },
        term: metrics.current_term,
        leader: metrics.current_leader,
        failed: metrics
            .running_state
            .as_ref()
            .err()
            .map(ToString::to_string),
    };
    let (publish, standing) = watch::channel(read(&metrics.borrow_watched()));
    tokio::spawn(async move {
        while metrics.changed().await.is_ok() {
            let now = read(&metrics.borrow_watched());
            publish.send_if_modified(|standing| {
                let changed = *standing != now;
                if changed {
                    *standing = now;
                }
                changed
            });
            if publish.is_closed() {
                return;
            }
        }
    });
    standing
}

#[cfg(test)]
mod tests;
