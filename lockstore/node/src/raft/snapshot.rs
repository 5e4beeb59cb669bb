//! Snapshot files: written, verified, kept.
//!
//! Always holds: a file under its final name is complete and was synced before it got the name;
//! every record is checked by its checksum and the whole by the state's hash before anything of
//! it is used; at most one snapshot is current; a file that never got its final name goes with the
//! last that uses it. The layout is in `snapshot.proto`. Leaves to `transfer` how one comes from a peer.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::Lineage;
use lockstore_core::StateBuilder;
use pb::snapshot_record::Record;
use prost::Message;

use super::{convert, transfer::Partial, types::SnapshotMeta};
use crate::{behaviour, codec, limits, machine::View};

const MAGIC: &[u8; 6] = b"HFSNAP";
const VERSION: u16 = 1;
const SUFFIX: &str = ".snapshot";
const UNFINISHED: &str = ".unfinished";

/// A file that is no snapshot of this cluster.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("snapshot {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("snapshot {path}: record {record}: {problem}")]
    Damaged {
        path: PathBuf,
        record: usize,
        problem: String,
    },
    #[error(
        "snapshot {path} needs behaviour {needs}, this program knows up to {knows}: run a newer release"
    )]
    Behaviour {
        path: PathBuf,
        needs: u32,
        knows: u32,
    },
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// A snapshot file, open for reading at any place: it can be read on after it was replaced.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFile {
    file: Arc<File>,
    path: PathBuf,
    length: u64,
    /// Of the whole, once somebody asked.
    crc32c: Arc<OnceLock<u32>>,
    /// While it has no final name.
    _unfinished: Option<Arc<Unfinished>>,
    /// What it was verified to hold, until it is installed.
    verified: Option<Arc<Verified>>,
}

/// What a file holds.
struct Verified(SnapshotMeta, View);

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The path of a file without a final name; dropping it removes the file, if it is still there.
/// No path is given twice while the process runs.
#[derive(Debug)]
pub(crate) struct Unfinished(PathBuf);

impl Unfinished {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "an unfinished snapshot stays");
            }
            _ => {}
        }
    }
}

impl SnapshotFile {
    fn open(path: PathBuf) -> Result<Self, Error> {
        let open = || {
            let file = File::open(&path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            file: Arc::new(file),
            path,
            length,
            crc32c: Arc::default(),
            _unfinished: None,
            verified: None,
        })
    }

    /// A file that is whole and synced, and has no final name yet.
    pub(crate) fn open_unfinished(unfinished: impl Into<Arc<Unfinished>>) -> Result<Self, Error> {
        let unfinished = unfinished.into();
        let file = Self::open(unfinished.0.clone())?;
        Ok(Self {
            _unfinished: Some(unfinished),
            ..file
        })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// CRC32C of the whole, which tells files of one position apart. Blocks, the first time.
    ///
    /// # Errors
    /// The file can't be read.
    pub(crate) fn crc32c(&self) -> io::Result<u32> {
        if let Some(known) = self.crc32c.get() {
            return Ok(*known);
        }
        let (mut crc, mut offset) = (0, 0);
        while offset < self.length {
            let chunk = self.chunk(offset)?;
            crc = crc32c::crc32c_append(crc, &chunk);
            offset += chunk.len() as u64;
        }
        Ok(*self.crc32c.get_or_init(|| crc))
    }

    /// The bytes from `offset` on, at most a chunk; empty at the end.
    pub(crate) fn chunk(&self, offset: u64) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(limits::SNAPSHOT_CHUNK_BYTES)];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// Reads a [`SnapshotFile`] from its start.
struct Cursor<'a> {
    file: &'a SnapshotFile,
    at: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The snapshots of one node.
pub(crate) struct Snapshots {
    folder: PathBuf,
    cluster_id: String,
    lineage: Lineage,
    /// Locked only to look at it or to put the next in its place: consensus asks for it between
    /// entries.
    current: Mutex<Option<(SnapshotMeta, SnapshotFile)>>,
    /// Held by who gives a file its name.
    naming: Mutex<()>,
    /// The one that is coming from a peer, while nothing of it comes. Not kept over a restart.
    partial: Mutex<Option<Partial>>,
    unfinished: AtomicU64,
    /// The newest behaviour that may be in one.
    knows: u32,
}

impl Snapshots {
    /// Opens the folder, making it if need be; what was left unfinished is removed. The newest
    /// snapshot is current; its records are verified when it is loaded.
    pub(crate) fn open(
        folder: PathBuf,
        cluster_id: String,
        lineage: Lineage,
    ) -> Result<Self, Error> {
        let at = |source| Error::Io {
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(at)?;
        // The log is purged on the strength of what is in it.
        if let Some(parent) = folder.parent() {
            sync_folder(parent).map_err(at)?;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).map_err(at)? {
            let path = entry.map_err(at)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(UNFINISHED) {
                fs::remove_file(&path).map_err(at)?;
            } else if name.ends_with(SUFFIX) {
                found.push(path);
            }
        }
        let snapshots = Self {
            cluster_id,
            lineage,
            current: Mutex::new(None),
            naming: Mutex::new(()),
            partial: Mutex::new(None),
            unfinished: AtomicU64::new(0),
            knows: behaviour::NEWEST,
            folder: folder.clone(),
        };
        // Names sort as the positions they stand for.
        found.sort();
        if let Some(newest) = found.pop() {
            let file = SnapshotFile::open(newest)?;
            let meta = snapshots.read_header(&file)?.0;
            *snapshots.current() = Some((meta, file));
        }
        for old in found {
            fs::remove_file(&old).map_err(at)?;
        }
        Ok(snapshots)
    }

    fn current(&self) -> MutexGuard<'_, Option<(SnapshotMeta, SnapshotFile)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of a node that knows no newer behaviour than `knows`.
    pub(crate) fn knowing(self, knows: u32) -> Self {
        Self { knows, ..self }
    }

    /// Keeps what has come of a snapshot, unless it is of no use.
    pub(super) fn keep(&self, partial: Option<Partial>) {
        *self.partial() = partial;
        // Looked at afterwards, so that one which is adopted meanwhile isn't missed.
        let has = self.get().and_then(|(meta, _)| meta.last_log_id);
        self.partial().take_if(|partial| partial.covers() <= has);
    }

    /// What has come of a snapshot whose transfer broke off.
    pub(super) fn partial(&self) -> MutexGuard<'_, Option<Partial>> {
        self.partial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The snapshot that is current.
    pub(crate) fn get(&self) -> Option<(SnapshotMeta, SnapshotFile)> {
        self.current().clone()
    }

    /// A path for a file that isn't finished.
    pub(crate) fn unfinished(&self) -> Unfinished {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        Unfinished(self.folder.join(format!("{number}{UNFINISHED}")))
    }

    /// Writes `view` to a file and makes it current, unless a newer one is. Blocks.
    pub(crate) fn write(&self, meta: &SnapshotMeta, view: &View) -> Result<SnapshotFile, Error> {
        let unfinished = self.unfinished();
        let write = || {
            let file = File::create_new(unfinished.path())?;
            let mut out = BufWriter::with_capacity(1 << 20, file);
            self.write_records(&mut out, meta, view)?;
            out.into_inner()
                .map_err(io::IntoInnerError::into_error)?
                .sync_all()
        };
        write().map_err(|source| Error::Io {
            path: unfinished.path().to_owned(),
            source,
        })?;
        self.adopt(meta, SnapshotFile::open_unfinished(unfinished)?)
    }

    /// Gives `file` its final name and makes it current, unless a newer one is. Blocks.
    pub(crate) fn adopt(
        &self,
        meta: &SnapshotMeta,
        file: SnapshotFile,
    ) -> Result<SnapshotFile, Error> {
        let at = |source| Error::Io {
            path: file.path.clone(),
            source,
        };
        let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((newer, _)) = self.get()
            && newer.last_log_id > meta.last_log_id
        {
            return Ok(file);
        }
        let position = meta
            .last_log_id
            .map(|last| (last.leader_id.term, last.index));
        let (term, index) = position.unwrap_or_default();
        let path = self.folder.join(format!("{term:020}-{index:020}{SUFFIX}"));
        if path != file.path {
            fs::rename(&file.path, &path).map_err(at)?;
            sync_folder(&self.folder).map_err(at)?;
        }
        let file = SnapshotFile {
            path,
            _unfinished: None,
            verified: None,
            ..file.clone()
        };
        let old = self.current().replace((meta.clone(), file.clone()));
        // What is still to come of an older one is of no use any more.
        self.partial()
            .take_if(|partial| partial.covers() <= meta.last_log_id);
        if let Some((_, old)) = old
            && old.path != file.path
        {
            fs::remove_file(&old.path).map_err(at)?;
        }
        Ok(file)
    }

    fn write_records(
        &self,
        out: &mut impl Write,
        meta: &SnapshotMeta,
        view: &View,
    ) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let header = pb::SnapshotHeader {
            group_id: limits::GROUP_ID,
            cluster_id: self.cluster_id.clone(),
            lineage: self.lineage.0.into(),
            last: meta.last_log_id.as_ref().map(convert::log_id_to_pb),
            membership: Some(convert::stored_membership_to_pb(&meta.last_membership)),
            wall_ms: view.wall_ms,
            behaviour: view.behaviour,
        };
        let mut body = Vec::new();
        write_record(out, &mut body, Record::Header(header))?;
        for record in view.state.records() {
            write_record(out, &mut body, codec::record_to_pb(&record))?;
        }
        Ok(())
    }

    /// Verifies the whole file as one of `wanted`, and keeps with it what it holds, so that it
    /// isn't read again when it is installed. Blocks.
    pub(crate) fn verify(
        &self,
        wanted: &SnapshotMeta,
        file: SnapshotFile,
    ) -> Result<SnapshotFile, Error> {
        let view = self.load_as(wanted, &file)?;
        Ok(SnapshotFile {
            verified: Some(Arc::new(Verified(wanted.clone(), view))),
            ..file
        })
    }

    /// The state in a file of `wanted`, which is verified unless it was. Blocks.
    pub(crate) fn load_as(
        &self,
        wanted: &SnapshotMeta,
        file: &SnapshotFile,
    ) -> Result<View, Error> {
        if let Some(verified) = &file.verified
            && verified.0 == *wanted
        {
            return Ok(verified.1.clone());
        }
        let (found, view) = self.load(file)?;
        if found != *wanted {
            return Err(Error::Damaged {
                path: file.path.clone(),
                record: 0,
                problem: format!("a snapshot of {found} came as one of {wanted}"),
            });
        }
        Ok(view)
    }

    /// Reads the whole file, verified: what it stands for, and the state. Blocks.
    pub(crate) fn load(&self, file: &SnapshotFile) -> Result<(SnapshotMeta, View), Error> {
        let (meta, header, mut reader) = self.read_header(file)?;
        let mut builder = StateBuilder::new();
        let mut number = 1;
        let damaged = |record, problem: String| Error::Damaged {
            path: file.path.clone(),
            record,
            problem,
        };
        loop {
            let record = read_record(&mut reader).map_err(|problem| damaged(number, problem))?;
            let Some(record) = record else { break };
            let record = codec::record_from_pb(&record)
                .map_err(|field| damaged(number, field.to_string()))?;
            builder
                .push(record)
                .map_err(|error| damaged(number, error.to_string()))?;
            number += 1;
        }
        let state = builder
            .finish()
            .map_err(|error| damaged(number, error.to_string()))?;
        if state.lineage() != self.lineage {
            return Err(damaged(number, format!("of lineage {}", state.lineage())));
        }
        Ok((
            meta,
            View {
                state,
                applied: header.last,
                wall_ms: header.wall_ms,
                behaviour: header.behaviour,
            },
        ))
    }

    fn read_header<'a>(
        &self,
        file: &'a SnapshotFile,
    ) -> Result<(SnapshotMeta, pb::SnapshotHeader, BufReader<Cursor<'a>>), Error> {
        let damaged = |problem: String| Error::Damaged {
            path: file.path.clone(),
            record: 0,
            problem,
        };
        let mut reader = BufReader::with_capacity(1 << 20, Cursor { file, at: 0 });
        let mut magic = [0; MAGIC.len() + 2];
        reader
            .read_exact(&mut magic)
            .map_err(|error| damaged(error.to_string()))?;
        let [name @ .., low, high] = magic;
        let version = u16::from_le_bytes([low, high]);
        if name != *MAGIC || version != VERSION {
            return Err(damaged(format!(
                "format version {version}, this program reads {VERSION}"
            )));
        }
        let record = read_record(&mut reader).map_err(damaged)?;
        let Some(Record::Header(header)) = record else {
            return Err(damaged("not a header".to_owned()));
        };
        let ours = header.group_id == limits::GROUP_ID
            && header.cluster_id == self.cluster_id
            && header.lineage == u32::from(self.lineage.0);
        if !ours {
            let whose = format!(
                "of cluster {:?}, lineage {}, group {}",
                header.cluster_id, header.lineage, header.group_id
            );
            return Err(damaged(whose));
        }
        if header.behaviour > self.knows {
            return Err(Error::Behaviour {
                path: file.path.clone(),
                needs: header.behaviour,
                knows: self.knows,
            });
        }
        let membership = convert::stored_membership_from_pb(header.membership.as_ref())
            .map_err(|error| damaged(error.to_string()))?;
        let meta = SnapshotMeta {
            last_log_id: header.last.as_ref().map(convert::log_id_from_pb),
            last_membership: membership,
        };
        Ok((meta, header, reader))
    }
}

/// Makes renames in `folder` survive a loss of power.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// `body` is room that is used again for each record.
fn write_record(out: &mut impl Write, body: &mut Vec<u8>, record: Record) -> io::Result<()> {
    let record = pb::SnapshotRecord {
        record: Some(record),
    };
    body.clear();
    record.encode(body).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&crc32c::crc32c(body).to_le_bytes())?;
    out.write_all(body)
}

/// `None` at the end of the file.
fn read_record(reader: &mut impl Read) -> Result<Option<Record>, String> {
    let mut head = [0; 8];
    let mut read = 0;
    while read < head.len() {
        match reader
            .read(&mut head[read..])
            .map_err(|error| error.to_string())?
        {
            0 if read == 0 => return Ok(None),
            0 => return Err("cut short".to_owned()),
            more => read += more,
        }
    }
    let [a, b, c, d, e, f, g, h] = head;
    let (length, expected) = (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    );
    let length = usize::try_from(length).map_err(|error| error.to_string())?;
    if length > limits::SNAPSHOT_RECORD_BYTES_MAX {
        return Err(format!("{length} bytes are more than a record may have"));
    }
    let mut body = vec![0; length];
    reader
        .read_exact(&mut body)
        .map_err(|error| error.to_string())?;
    let found = crc32c::crc32c(&body);
    if found != expected {
        return Err(format!(
            "checksum {found:08x} where {expected:08x} was written"
        ));
    }
    let record =
        pb::SnapshotRecord::decode(Bytes::from(body)).map_err(|error| error.to_string())?;
    record
        .record
        .map(Some)
        .ok_or_else(|| "of an unknown kind".to_owned())
}

#[cfg(test)]
mod tests;
