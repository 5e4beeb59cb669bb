//! The types that openraft is instantiated with.
//!
//! Always holds: at most one leader a term (`leader_id_std`); entries carry opaque bytes; members
//! carry no address.

use std::fmt;

use bytes::Bytes;
use openraft::{EmptyNode, impls::leader_id_std::LeaderId};

use super::snapshot::SnapshotFile;
use crate::machine::Reply;

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Batch,
        R = Vec<Reply>,
        NodeId = u64,
        Node = EmptyNode,
        Term = u64,
        LeaderId = LeaderId<u64, u64>,
);

/// The leader of an entry: its term says all.
pub(crate) type Leader = openraft::vote::leader_id_std::CommittedLeaderId<u64>;
pub(crate) type Payload = openraft::EntryPayload<Batch, u64, EmptyNode>;
pub(crate) type Entry = openraft::Entry<Leader, Payload>;
pub(crate) type LogId = openraft::LogId<Leader>;
pub(crate) type Vote = openraft::Vote<LeaderId<u64, u64>>;
pub(crate) type Membership = openraft::Membership<u64, EmptyNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<Leader, u64, EmptyNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<Leader, u64, EmptyNode>;
pub(crate) type Snapshot = openraft::Snapshot<Leader, u64, EmptyNode, SnapshotFile>;

/// An encoded `CommandBatch`: what one entry carries.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Batch(pub(crate) Bytes);

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} bytes)", self.0.len())
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
