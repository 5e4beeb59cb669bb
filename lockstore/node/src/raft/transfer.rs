//! A snapshot on its way from a peer.
//!
//! Always holds: each chunk is checked when it comes, and only its bytes are in memory; what came of a
//! transfer that broke off is kept, of one snapshot at most, until that goes on, another comes, the
//! node has one that is as new, or the process ends; a file is verified as a whole before anybody
//! hears of it.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc};

use holdfast_proto::lockstore::v1 as pb;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::{
    convert,
    snapshot::{self, SnapshotFile, Snapshots, Unfinished},
    types::{LogId, SnapshotMeta},
};
use crate::limits;

/// The beginning of a snapshot file, in a file without a final name.
pub(crate) struct Partial {
    of: pb::SnapshotFile,
    /// Whether it can be gone on with: release 0.1.0 doesn't say which file it sends.
    resumable: bool,
    path: Arc<Unfinished>,
    file: Arc<File>,
    /// How many bytes of it are there, and their CRC32C.
    length: u64,
    crc32c: u32,
}

impl Partial {
    fn new(of: pb::SnapshotFile, resumable: bool, path: Unfinished) -> std::io::Result<Self> {
        Ok(Self {
            of,
            resumable,
            file: Arc::new(File::create_new(path.path())?),
            path: Arc::new(path),
            length: 0,
            crc32c: 0,
        })
    }

    /// What the snapshot covers.
    pub(super) fn covers(&self) -> Option<LogId> {
        self.of.last.as_ref().map(convert::log_id_from_pb)
    }
}

/// How many bytes from the start of `file` are here.
pub(crate) fn progress(snapshots: &Snapshots, file: &pb::SnapshotFile) -> u64 {
    match snapshots.partial().as_ref() {
        Some(partial) if partial.of == *file => partial.length,
        _ => 0,
    }
}

/// A snapshot that is being received.
pub(crate) struct Receiving {
    snapshots: Arc<Snapshots>,
    /// `None` when nothing is to be kept of it.
    partial: Option<Partial>,
    /// Held until the file is verified, which takes memory. The last to go.
    _place: OwnedSemaphorePermit,
}

impl Drop for Receiving {
    /// Broken off, be it while it was verified.
    fn drop(&mut self) {
        let partial = self.partial.take();
        let useful = |partial: &Partial| partial.resumable && partial.length > 0;
        self.snapshots.keep(partial.filter(useful));
    }
}

impl Receiving {
    /// Begins with the file that `start` names, or goes on with what is here of it.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for one that is too long, ABORTED if it doesn't go on where this node is.
    pub(crate) fn begin(
        snapshots: Arc<Snapshots>,
        start: &pb::InstallSnapshotStart,
        place: OwnedSemaphorePermit,
    ) -> Result<Self, Status> {
        if start.length > limits::SNAPSHOT_BYTES_MAX {
            return Err(Status::invalid_argument("the snapshot is too long"));
        }
        let of = pb::SnapshotFile {
            last: start.last,
            length: start.length,
            crc32c: start.crc32c.unwrap_or_default(),
        };
        let resumable = start.crc32c.is_some();
        // Whatever is kept of another makes way.
        let kept = snapshots.partial().take();
        let partial = match kept {
            Some(kept) if resumable && kept.of == of && kept.length == start.offset => kept,
            _ if start.offset == 0 => {
                Partial::new(of, resumable, snapshots.unfinished()).map_err(|e| failed(&e))?
            }
            kept => {
                *snapshots.partial() = kept;
                return Err(Status::aborted("the snapshot goes on elsewhere"));
            }
        };
        Ok(Self {
            snapshots,
            partial: Some(partial),
            _place: place,
        })
    }

    fn partial(&mut self) -> Result<&mut Partial, Status> {
        self.partial
            .as_mut()
            .ok_or_else(|| Status::internal("the snapshot is not received any more"))
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// DATA_LOSS for one that arrived damaged, INVALID_ARGUMENT for one that doesn't belong here;
    /// what came before is kept.
    pub(crate) async fn take(
        &mut self,
        part: pb::install_snapshot_request::Part,
    ) -> Result<(), Status> {
        use pb::install_snapshot_request::Part;
        let partial = self.partial()?;
        let chunk = match part {
            Part::Chunk(chunk) if partial.resumable => chunk,
            Part::Bytes(bytes) if !partial.resumable => pb::SnapshotChunk {
                offset: partial.length,
                crc32c: crc32c::crc32c(&bytes),
                bytes,
            },
            _ => return Err(Status::invalid_argument("a part of another kind")),
        };
        let (bytes, offset) = (chunk.bytes, chunk.offset);
        if bytes.is_empty() || bytes.len() > limits::SNAPSHOT_CHUNK_BYTES {
            return Err(Status::invalid_argument(
                "a chunk that is empty or too long",
            ));
        }
        if offset != partial.length {
            let due = partial.length;
            let why = format!("a chunk at offset {offset} where that at {due} was due");
            return Err(Status::invalid_argument(why));
        }
        let length = offset + bytes.len() as u64;
        if length > partial.of.length {
            return Err(Status::invalid_argument(
                "the snapshot is longer than was said",
            ));
        }
        if crc32c::crc32c(&bytes) != chunk.crc32c {
            tracing::warn!(offset, "a chunk of a snapshot arrived damaged");
            return Err(Status::data_loss(format!(
                "the chunk at offset {offset} arrived damaged"
            )));
        }
        let crc32c = crc32c::crc32c_combine(partial.crc32c, chunk.crc32c, bytes.len());
        let file = Arc::clone(&partial.file);
        // If this is given up meanwhile the same bytes are written there again, or the file is gone.
        let writing = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, offset));
        match writing.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.partial = None;
                return Err(failed(&error));
            }
            Err(error) => return Err(failed(&error)),
        }
        let partial = self.partial()?;
        (partial.length, partial.crc32c) = (length, crc32c);
        Ok(())
    }

    /// The file, synced and verified as one of `meta`, and without a final name. If nobody waits any
    /// more it is verified all the same, and kept for who asks again.
    ///
    /// # Errors
    /// INVALID_ARGUMENT if there is more to come, which is kept; DATA_LOSS if it isn't what it should
    /// be, and FAILED_PRECONDITION if it needs a newer behaviour, and nothing of it is kept.
    pub(crate) async fn finish(mut self, meta: SnapshotMeta) -> Result<SnapshotFile, Status> {
        let partial = self.partial()?;
        if partial.length != partial.of.length {
            let why = "the snapshot isn't as long as was said";
            return Err(Status::invalid_argument(why));
        }
        let verify = move || {
            let partial = self.partial.take()?;
            let file = self.verify(&meta, &partial);
            if file.is_ok() {
                self.partial = Some(partial);
            }
            Some((file, self))
        };
        let verified = tokio::task::spawn_blocking(verify).await;
        let verified = verified.map_err(|error| failed(&error))?;
        let Some((file, mut received)) = verified else {
            return Err(Status::internal("the snapshot is not received any more"));
        };
        // Whoever waits has it now.
        received.partial = None;
        match file {
            Ok(file) => Ok(file),
            Err(error @ snapshot::Error::Damaged { .. }) => {
                tracing::error!(%error, "a damaged snapshot was received and is not used");
                Err(Status::data_loss("the snapshot arrived damaged"))
            }
            Err(error @ snapshot::Error::Behaviour { .. }) => {
                tracing::error!(%error, "a snapshot was received that this node is too old for");
                Err(Status::failed_precondition("this node is too old for it"))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// The whole of what came. Blocks.
    fn verify(
        &self,
        meta: &SnapshotMeta,
        partial: &Partial,
    ) -> Result<SnapshotFile, snapshot::Error> {
        let path = || partial.path.path().to_owned();
        if partial.resumable && partial.crc32c != partial.of.crc32c {
            return Err(snapshot::Error::Damaged {
                path: path(),
                record: 0,
                problem: "its checksum is another than was said".to_owned(),
            });
        }
        let synced = partial.file.sync_all();
        synced.map_err(|source| snapshot::Error::Io {
            path: path(),
            source,
        })?;
        let file = SnapshotFile::open_unfinished(Arc::clone(&partial.path))?;
        self.snapshots.verify(meta, file)
    }
}

fn failed(error: &dyn std::error::Error) -> Status {
    tracing::error!(%error, "a snapshot could not be received");
    Status::internal("the snapshot could not be written")
}
