//! The replicated log on RocksDB, with its newest part in memory.
//!
//! Always holds: an entry can be read as soon as `append` returns, and is on disk before its
//! callback; every entry read from disk passed its checksum; a log with a hole, without its
//! beginning, with a wrong index or a falling term is refused at start. Leaves the writing to `log_writer`.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use holdfast_proto::lockstore::v1 as pb;
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};
use prost::Message;
use rocksdb::DB;
use tokio::sync::oneshot;

use super::{
    convert,
    log_db::{self, OpenError, framed, meta, scan},
    log_writer::{self, Write, Writer},
    types::{Entry, LogId, TypeConfig, Vote},
};
use crate::limits;

const KEY_VOTE: &str = "vote";
const KEY_PURGED: &str = "purged";
const KEY_COMMITTED: &str = "committed";

/// A handle on the log; clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    db: Arc<DB>,
    /// Dropped after `db`, so that the thread is the last to let go of it.
    writer: Writer,
    tail: Mutex<Tail>,
    /// The index after the last entry on disk.
    flushed_next: Arc<AtomicU64>,
    tail_bytes_max: usize,
}

/// What is known without asking the disk.
#[derive(Default)]
struct Tail {
    vote: Option<Vote>,
    purged: Option<LogId>,
    committed: Option<LogId>,
    /// The last entry, or what was purged last.
    last: Option<LogId>,
    /// The newest entries and their sizes, without a gap up to `last`.
    entries: BTreeMap<u64, (Entry, usize)>,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, entry: Entry, bytes: usize) {
        self.last = Some(entry.log_id);
        self.bytes += bytes;
        self.entries.insert(entry.log_id.index, (entry, bytes));
    }

    /// Forgets the oldest entries that are on disk until the rest fits.
    fn shrink(&mut self, flushed_next: u64, bytes_max: usize) {
        while self.bytes > bytes_max
            && let Some(oldest) = self.entries.first_entry()
            && *oldest.key() < flushed_next
        {
            self.bytes -= oldest.remove().1;
        }
    }
}

impl LogStore {
    /// Opens the log in `path`, making it if it isn't there, and checks every entry. The
    /// receiver resolves when the database has been let go of.
    ///
    /// # Errors
    /// [`OpenError`]: damage, a format of another version, or RocksDB's own refusal.
    pub(crate) fn open(
        path: &Path,
        tail_bytes_max: usize,
    ) -> Result<(Self, oneshot::Receiver<()>), OpenError> {
        let db = log_db::open(path)?;
        let mut tail = Tail::default();
        if let Some(vote) = meta::<pb::RaftVote>(&db, KEY_VOTE)? {
            let vote = convert::vote_from_pb(Some(&vote)).map_err(|source| OpenError::Meta {
                key: KEY_VOTE,
                source,
            })?;
            tail.vote = Some(vote);
        }
        tail.purged = meta(&db, KEY_PURGED)?.map(|position| convert::log_id_from_pb(&position));
        tail.committed =
            meta(&db, KEY_COMMITTED)?.map(|position| convert::log_id_from_pb(&position));
        tail.last = tail.purged;
        let first = tail.purged.map_or(0, |purged| purged.index + 1);
        let mut begins = None;
        scan(&db, first, u64::MAX, |entry, bytes| {
            if *begins.get_or_insert(entry.log_id.index) != first {
                return false;
            }
            let next = entry.log_id.index + 1;
            tail.push(entry, bytes);
            tail.shrink(next, tail_bytes_max);
            true
        })?;
        if let Some(found) = begins.filter(|found| *found != first) {
            return Err(OpenError::Headless { first, found });
        }
        let db = Arc::new(db);
        let flushed_next = Arc::new(AtomicU64::new(tail.last.map_or(0, |last| last.index + 1)));
        let (stopped, closed) = oneshot::channel();
        let writer = log_writer::spawn(Arc::clone(&db), Arc::clone(&flushed_next), stopped)?;
        let shared = Arc::new(Shared {
            db,
            writer,
            tail: Mutex::new(tail),
            flushed_next,
            tail_bytes_max,
        });
        Ok((Self { shared }, closed))
    }

    /// Nothing was ever voted, appended or purged here.
    pub(crate) fn is_pristine(&self) -> bool {
        let tail = self.tail();
        tail.vote.is_none() && tail.last.is_none()
    }

    /// What it ends with: the last entry, or what was purged last.
    pub(super) fn last(&self) -> Option<LogId> {
        self.tail().last
    }

    /// What was purged last.
    pub(super) fn purged(&self) -> Option<LogId> {
        self.tail().purged
    }

    /// Vote and an entry that are on disk and never go back: a vote only grows, and a committed
    /// entry is never truncated. The entry may not be the last such.
    pub(super) fn settled(&self) -> (Option<Vote>, Option<LogId>) {
        let tail = self.tail();
        let flushed_next = self.shared.flushed_next.load(Ordering::Acquire);
        // A leader may commit by the disks of others before its own has the entry.
        let committed = tail.committed.filter(|at| at.index < flushed_next);
        let flushed = || {
            let (entry, _) = tail.entries.get(&flushed_next.checked_sub(1)?)?;
            (Some(entry.log_id) <= tail.committed).then_some(entry.log_id)
        };
        (tail.vote, committed.or_else(flushed))
    }

    /// The position of the entry at `index`, if the log has it.
    ///
    /// # Errors
    /// If it is damaged.
    pub(super) fn position(&self, index: u64) -> io::Result<Option<LogId>> {
        let entries = self.read(index, index + 1, usize::MAX)?;
        Ok(entries.first().map(|entry| entry.log_id))
    }

    /// A value that this node keeps about itself, if it is there.
    ///
    /// # Errors
    /// [`OpenError`] if it is damaged.
    pub(crate) fn note<M: Message + Default>(
        &self,
        key: &'static str,
    ) -> Result<Option<M>, OpenError> {
        meta(&self.shared.db, key)
    }

    /// Keeps such a value; durable on return.
    ///
    /// # Errors
    /// If the log has stopped.
    pub(crate) async fn set_note(
        &self,
        key: &'static str,
        message: &impl Message,
    ) -> io::Result<()> {
        let value = framed(message);
        self.write_and_wait(|done| Write::Meta { key, value, done })
            .await
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        // A panic while it was held left plain data behind, none of it half changed.
        self.shared
            .tail
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, write: Write) -> io::Result<()> {
        self.shared.writer.send(write).await.map_err(|_| stopped())
    }

    async fn write_and_wait(
        &self,
        write: impl FnOnce(oneshot::Sender<()>) -> Write,
    ) -> io::Result<()> {
        let (done, written) = oneshot::channel();
        self.write(write(done)).await?;
        written.await.map_err(|_| stopped())
    }

    /// Entries `start..end` that the log has, as many as fit `bytes_max` but at least one.
    fn read(&self, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (from, memory, memory_from) = {
            let tail = self.tail();
            let from = start.max(tail.purged.map_or(0, |purged| purged.index + 1));
            let end = end.min(tail.last.map_or(0, |last| last.index + 1));
            if from >= end {
                return Ok(Vec::new());
            }
            let memory_from = tail.entries.keys().next().copied().unwrap_or(end).min(end);
            let mut bytes = 0;
            let memory: Vec<Entry> = tail
                .entries
                .range(from.max(memory_from)..end)
                .take_while(|(_, (_, size))| {
                    let fits = bytes == 0 || bytes + size <= bytes_max;
                    bytes += size;
                    fits
                })
                .map(|(_, (entry, _))| entry.clone())
                .collect();
            (from, memory, memory_from)
        };
        if from >= memory_from {
            return Ok(memory);
        }
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut full = false;
        scan(&self.shared.db, from, memory_from, |entry, size| {
            full = bytes > 0 && bytes + size > bytes_max;
            if !full {
                bytes += size;
                entries.push(entry);
            }
            !full
        })
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        // Older ones may have been purged meanwhile; what is there reaches up to memory.
        let reached = entries
            .last()
            .map_or(memory_from, |entry| entry.log_id.index + 1);
        if !full && reached != memory_from {
            let error = OpenError::Hole {
                last: reached - 1,
                found: memory_from,
            };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if !full && bytes < bytes_max {
            entries.extend(memory);
        }
        Ok(entries)
    }
}

fn stopped() -> io::Error {
    io::Error::other("the log has stopped")
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start, end, usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.tail().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, limits::APPEND_BYTES_MAX)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let tail = self.tail();
        Ok(LogState {
            last_purged_log_id: tail.purged,
            last_log_id: tail.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let value = framed(&convert::vote_to_pb(vote));
        self.write_and_wait(|done| Write::Meta {
            key: KEY_VOTE,
            value,
            done,
        })
        .await?;
        self.tail().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.tail().committed = committed;
        // A committed position never goes back, so there is none to remove.
        let Some(committed) = committed else {
            return Ok(());
        };
        let value = framed(&convert::log_id_to_pb(&committed));
        self.write(Write::Hint {
            key: KEY_COMMITTED,
            value,
        })
        .await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.tail().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut writes = Vec::new();
        {
            let mut tail = self.tail();
            for entry in entries {
                let value = convert::entry_to_disk(&entry);
                let (index, bytes) = (entry.log_id.index, value.len());
                writes.push((index, value));
                tail.push(entry, bytes);
            }
            let flushed_next = self.shared.flushed_next.load(Ordering::Acquire);
            tail.shrink(flushed_next, self.shared.tail_bytes_max);
        }
        self.write(Write::Append {
            entries: writes,
            since: Instant::now(),
            done: callback,
        })
        .await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let from = last_log_id.map_or(0, |last| last.index + 1);
        {
            let mut tail = self.tail();
            let removed = tail.entries.split_off(&from);
            tail.bytes -= removed.values().map(|(_, bytes)| bytes).sum::<usize>();
            // Nothing after a position beyond the end is nothing.
            tail.last = tail.last.min(last_log_id).max(tail.purged);
        }
        self.write_and_wait(|done| Write::Truncate { from, done })
            .await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let first = {
            let mut tail = self.tail();
            let first = tail.purged.map_or(0, |purged| purged.index + 1);
            let kept = tail.entries.split_off(&(log_id.index + 1));
            tail.bytes = kept.values().map(|(_, bytes)| bytes).sum();
            tail.entries = kept;
            tail.purged = Some(log_id);
            tail.last = tail.last.max(Some(log_id));
            first
        };
        let value = framed(&convert::log_id_to_pb(&log_id));
        self.write(Write::Purge {
            first,
            upto: log_id.index,
            key: KEY_PURGED,
            value,
        })
        .await
    }
}
