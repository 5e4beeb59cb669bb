//! openraft's view of the state: apply entries, build and install snapshots.
//!
//! Always holds: a snapshot is a clone taken between two entries, encoded elsewhere, so that
//! building one stops no write; a snapshot is installed whole, after it was verified and is on
//! disk under its name, or not at all.

use std::{io, sync::Arc};

use futures::{Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};

use super::{
    convert,
    snapshot::{SnapshotFile, Snapshots},
    types::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig},
};
use crate::{
    disk::Disk,
    machine::{Machine, View},
};

pub(crate) struct StateMachine {
    machine: Arc<Machine>,
    snapshots: Arc<Snapshots>,
    pub(super) disk: Arc<Disk>,
    /// The last snapshot that was due waits for disk space, and that was said.
    waits_for_space: bool,
    applied: Option<LogId>,
    membership: StoredMembership,
}

impl StateMachine {
    pub(crate) fn new(machine: Arc<Machine>, snapshots: Arc<Snapshots>, disk: Arc<Disk>) -> Self {
        Self {
            machine,
            snapshots,
            disk,
            waits_for_space: false,
            applied: None,
            membership: StoredMembership::default(),
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let position = convert::log_id_to_pb(&entry.log_id);
            let replies = match entry.payload {
                EntryPayload::Blank => {
                    self.machine.pass(position);
                    Vec::new()
                }
                EntryPayload::Membership(membership) => {
                    self.machine.pass(position);
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Vec::new()
                }
                EntryPayload::Normal(batch) => self
                    .machine
                    .apply(position, batch.0)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
            };
            self.applied = Some(entry.log_id);
            if let Some(responder) = responder {
                responder.send(replies);
            }
            // Heartbeats and votes wait for the work of one entry, not of all that are ready.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        // It is written beside the last one, and may have grown meanwhile.
        let last = self.snapshots.get().map_or(0, |(_, file)| file.length());
        let room = self.disk.has_room_for(last + last / 4);
        if !force && !room {
            if !self.waits_for_space {
                tracing::warn!(
                    last_bytes = last,
                    free_bytes = self.disk.free_bytes(),
                    "a snapshot waits for disk space; the log grows meanwhile"
                );
            }
            self.waits_for_space = true;
            return None;
        }
        self.waits_for_space = false;
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.machine.snapshot_begun();
        Builder {
            snapshots: Arc::clone(&self.snapshots),
            view: Some(self.machine.view()),
            meta: SnapshotMeta {
                last_log_id: self.applied,
                last_membership: self.membership.clone(),
            },
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        file: SnapshotFile,
    ) -> io::Result<()> {
        let snapshots = Arc::clone(&self.snapshots);
        let wanted = meta.clone();
        let view = blocking(move || {
            let view = snapshots.load_as(&wanted, &file)?;
            snapshots.adopt(&wanted, file)?;
            Ok(view)
        })
        .await?;
        let old = self.machine.replace(view);
        // Millions of pages: consensus has other things to do.
        drop(tokio::task::spawn_blocking(move || drop(old)));
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self
            .snapshots
            .get()
            .map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// The state at one position, to be written to a file.
pub(crate) struct Builder {
    snapshots: Arc<Snapshots>,
    /// Given to who writes it, so that it isn't freed here.
    view: Option<View>,
    meta: SnapshotMeta,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let (snapshots, view, meta) = (
            Arc::clone(&self.snapshots),
            self.view.take(),
            self.meta.clone(),
        );
        let view = view.ok_or_else(|| io::Error::other("a snapshot is written once"))?;
        let snapshot = blocking(move || {
            let file = snapshots.write(&meta, &view)?;
            Ok(Snapshot {
                meta,
                snapshot: file,
            })
        })
        .await?;
        tracing::info!(snapshot = %snapshot.meta, bytes = snapshot.snapshot.length(), "snapshot written");
        Ok(snapshot)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
