//! Between openraft's types and ours on disk and wire.
//!
//! Always holds: openraft's own serialisation is never used; what a message lacks or has out of
//! bounds is an error, not a default.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use openraft::{EmptyNode, EntryPayload};
use prost::Message;

use super::types::{Batch, Entry, Leader, LogId, Membership, StoredMembership, Vote};
use crate::{clock::Jump, frame, limits};

/// The format of a log entry on disk.
pub(crate) const ENTRY_VERSION: u8 = 1;

/// A message that says less than it must, or something impossible.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no {0}")]
    Missing(&'static str),
    #[error("not a message: {0}")]
    Decode(#[from] prost::DecodeError),
    #[error(transparent)]
    Frame(#[from] frame::Error),
    #[error("an entry of group {found}, this is group {expected}")]
    Group { expected: u32, found: u32 },
    #[error("a membership without voters")]
    NoVoters,
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

pub(crate) fn jump_to_pb(jump: Jump) -> pb::WallJump {
    pb::WallJump {
        then_ms: jump.then_ms,
        now_ms: jump.now_ms,
    }
}

pub(crate) fn jump_from_pb(jump: pb::WallJump) -> Jump {
    Jump {
        then_ms: jump.then_ms,
        now_ms: jump.now_ms,
    }
}

pub(crate) fn log_id_to_pb(log_id: &LogId) -> pb::LogPosition {
    pb::LogPosition {
        term: log_id.leader_id.term,
        index: log_id.index,
    }
}

pub(crate) fn log_id_from_pb(position: &pb::LogPosition) -> LogId {
    LogId::new(Leader::new(position.term), position.index)
}

pub(crate) fn vote_to_pb(vote: &Vote) -> pb::RaftVote {
    pb::RaftVote {
        term: vote.leader_id.term,
        node_id: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

pub(crate) fn vote_from_pb(vote: Option<&pb::RaftVote>) -> Result<Vote, Error> {
    let vote = vote.ok_or(Error::Missing("vote"))?;
    Ok(if vote.committed {
        Vote::new_committed(vote.term, vote.node_id)
    } else {
        Vote::new(vote.term, vote.node_id)
    })
}

fn membership_to_pb(membership: &Membership) -> pb::RaftMembership {
    pb::RaftMembership {
        voters: membership
            .get_joint_config()
            .iter()
            .map(|set| pb::VoterSet {
                node_ids: set.iter().copied().collect(),
            })
            .collect(),
        node_ids: membership.nodes().map(|(id, _)| *id).collect(),
    }
}

fn membership_from_pb(membership: &pb::RaftMembership) -> Result<Membership, Error> {
    let voters: Vec<BTreeSet<u64>> = membership
        .voters
        .iter()
        .map(|set| set.node_ids.iter().copied().collect())
        .collect();
    let nodes: BTreeMap<u64, EmptyNode> = membership
        .node_ids
        .iter()
        .map(|id| (*id, EmptyNode::new()))
        .collect();
    if voters.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(voters, nodes).map_err(|_| Error::NoVoters)
}

pub(crate) fn stored_membership_to_pb(stored: &StoredMembership) -> pb::StoredMembership {
    pb::StoredMembership {
        position: stored.log_id().as_ref().map(log_id_to_pb),
        membership: Some(membership_to_pb(stored.membership())),
    }
}

pub(crate) fn stored_membership_from_pb(
    stored: Option<&pb::StoredMembership>,
) -> Result<StoredMembership, Error> {
    let stored = stored.ok_or(Error::Missing("membership"))?;
    let membership = stored
        .membership
        .as_ref()
        .ok_or(Error::Missing("membership"))?;
    Ok(StoredMembership::new(
        stored.position.as_ref().map(log_id_from_pb),
        membership_from_pb(membership)?,
    ))
}

/// An entry as peers send it.
pub(crate) fn entry_to_bytes(entry: &Entry) -> Vec<u8> {
    use pb::log_entry::Payload;
    let payload: Payload = match &entry.payload {
        EntryPayload::Blank => Payload::Blank(pb::BlankEntry {}),
        EntryPayload::Normal(batch) => Payload::Batch(batch.0.clone()),
        EntryPayload::Membership(membership) => Payload::Membership(membership_to_pb(membership)),
    };
    pb::LogEntry {
        group_id: limits::GROUP_ID,
        position: Some(log_id_to_pb(&entry.log_id)),
        payload: Some(payload),
    }
    .encode_to_vec()
}

/// What [`entry_to_bytes`] made.
pub(crate) fn entry_from_bytes(bytes: Bytes) -> Result<Entry, Error> {
    use pb::log_entry::Payload;
    let entry = pb::LogEntry::decode(bytes)?;
    if entry.group_id != limits::GROUP_ID {
        return Err(Error::Group {
            expected: limits::GROUP_ID,
            found: entry.group_id,
        });
    }
    let log_id = log_id_from_pb(entry.position.as_ref().ok_or(Error::Missing("position"))?);
    let payload = match entry.payload.ok_or(Error::Missing("payload"))? {
        Payload::Blank(_) => EntryPayload::Blank,
        Payload::Batch(bytes) => EntryPayload::Normal(Batch(bytes)),
        Payload::Membership(membership) => {
            EntryPayload::Membership(membership_from_pb(&membership)?)
        }
    };
    Ok(Entry { log_id, payload })
}

/// An entry as it stands on disk: framed with version and checksum.
pub(crate) fn entry_to_disk(entry: &Entry) -> Vec<u8> {
    frame::seal(ENTRY_VERSION, &entry_to_bytes(entry))
}

/// What [`entry_to_disk`] made.
pub(crate) fn entry_from_disk(framed: &[u8]) -> Result<Entry, Error> {
    entry_from_bytes(Bytes::copy_from_slice(frame::open(ENTRY_VERSION, framed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, payload: EntryPayload<Batch, u64, EmptyNode>) -> Entry {
        Entry {
            log_id: log_id_from_pb(&pb::LogPosition { term: 3, index }),
            payload,
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bytes of version 1. A change here breaks every log there is: take the next version.
    #[test]
    fn entry_version_1_has_the_bytes_it_always_had() {
        let batch = pb::CommandBatch {
            stamp_ms: 1_700_000_000_000,
            wall_ms: 1_700_000_000_001,
            behaviour: 0,
            commands: vec![
                pb::LogCommand {
                    command: Some(pb::log_command::Command::Tick(pb::Tick {})),
                },
                pb::LogCommand {
                    command: Some(pb::log_command::Command::HoldSeats(pb::HoldSeatsRequest {
                        request: Some(pb::RequestInfo {
                            id: Bytes::from_static(&[1; 16]),
                            not_after_ms: 1_700_000_010_000,
                        }),
                        show_id: Bytes::from_static(&[2; 16]),
                        holder: Bytes::from_static(&[3; 16]),
                        seat_nos: vec![7, 8],
                        ttl_ms: 300_000,
                        price_version: 1,
                        late_money: false,
                        choice: None,
                    })),
                },
            ],
        };
        let nodes: BTreeMap<u64, EmptyNode> = [1, 2, 3].map(|id| (id, EmptyNode::new())).into();
        let voters = vec![BTreeSet::from([1, 2, 3])];
        let membership = Membership::new(voters, nodes).expect("voters are nodes");
        let cases = [
            (entry(4, EntryPayload::Blank), GOLDEN_BLANK),
            (
                entry(0, EntryPayload::Membership(membership)),
                GOLDEN_MEMBERSHIP,
            ),
            (
                entry(5, EntryPayload::Normal(Batch(batch.encode_to_vec().into()))),
                GOLDEN_BATCH,
            ),
        ];
        let framed = cases
            .each_ref()
            .map(|(entry, _)| hex(&entry_to_disk(entry)));
        assert_eq!(
            framed,
            cases.each_ref().map(|(_, golden)| (*golden).to_owned())
        );
        for (entry, _) in cases {
            assert_eq!(
                entry_from_disk(&entry_to_disk(&entry)).expect("decodes"),
                entry
            );
        }
    }

    const GOLDEN_BLANK: &str = "01ba3bdde51204080310041a00";
    const GOLDEN_MEMBERSHIP: &str = "01222298b312020803220c0a050a030102031203010203";
    const GOLDEN_BATCH: &str = "01d68b83111204080310052a5f0880d095ffbc311081d095ffbc3122020a00224b22490a190a100101010101010101010101010101010110909e96ffbc311210020202020202020202020202020202021a10030303030303030303030303030303032202070828e0a7123001";

    #[test]
    fn entry_of_another_group_is_refused() {
        let foreign = pb::LogEntry {
            group_id: 9,
            position: Some(pb::LogPosition { term: 1, index: 1 }),
            payload: Some(pb::log_entry::Payload::Blank(pb::BlankEntry {})),
        };
        let error = entry_from_bytes(foreign.encode_to_vec().into()).expect_err("refused");
        assert!(
            matches!(
                error,
                Error::Group {
                    expected: 0,
                    found: 9
                }
            ),
            "{error}"
        );
    }
}
