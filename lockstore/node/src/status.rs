//! What a node tells of itself, to peers and to operators.
//!
//! Always holds: a status reads memory only, so that it is told while the cluster has no quorum.

use std::{
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Instant,
};

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;

use crate::{behaviour::Behaviours, clock::Clock, disk::Disk, machine::Machine, raft::Node};

/// Where a status is taken from.
pub(crate) struct StatusSource {
    pub(crate) node_id: u64,
    pub(crate) incarnation: Bytes,
    /// Empty until the cluster is founded.
    pub(crate) founders: RwLock<Vec<pb::Founder>>,
    pub(crate) node: Arc<OnceLock<Node>>,
    pub(crate) machine: Arc<Machine>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) behaviours: Arc<Behaviours>,
}

impl StatusSource {
    /// This node's own.
    pub(crate) fn own(&self) -> pb::GetPeerStatusResponse {
        let founders = self
            .founders
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let (applied, now, hash) = self
            .machine
            .read(|view| (view.applied, view.state.now(), view.state.hash()));
        let status = pb::GetPeerStatusResponse {
            node_id: self.node_id,
            incarnation: self.incarnation.clone(),
            founders,
            role: pb::NodeRole::Pristine.into(),
            short_of_space: self.disk.is_short(),
            free_bytes: self.disk.free_bytes(),
            behaviour: self.behaviours.own(),
            ..Default::default()
        };
        let Some(node) = self.node.get() else {
            return status;
        };
        let standing = node.standing().borrow().clone();
        let positions = node.positions();
        pb::GetPeerStatusResponse {
            role: standing.role.into(),
            term: standing.term,
            leader_id: standing.leader.unwrap_or_default(),
            last_log: positions.last_log,
            applied,
            purged: positions.purged,
            snapshot: positions.snapshot,
            cluster_time_ms: self
                .clock
                .leading(Instant::now())
                .map_or(now.0, |(_, time)| time),
            state_hash: Bytes::copy_from_slice(&hash.0.to_be_bytes()),
            ..status
        }
    }

    /// The founders, once they are known.
    pub(crate) fn set_founders(&self, founders: Vec<pb::Founder>) {
        *self
            .founders
            .write()
            .unwrap_or_else(PoisonError::into_inner) = founders;
    }
}
