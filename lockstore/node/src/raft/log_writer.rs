//! The one thread that writes the log: it takes everything that waits, writes it as one synced
//! batch, then says so to each writer in order.
//!
//! Always holds: log, vote and metadata are written in the order they were queued; nothing is
//! reported before it is on disk; the first write that fails ends the process, because after a
//! failed fsync nobody knows what is on disk, and asking again lies.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use openraft::storage::IOFlushed;
use rocksdb::{DB, WriteBatch, WriteOptions};
use tokio::sync::{
    mpsc::{self, error::SendError},
    oneshot,
};

use super::types::TypeConfig;
use crate::{
    limits,
    metrics::{self, Stage},
};

/// Column family of entries: 8-byte big-endian index to framed entry.
pub(super) const CF_LOG: &str = "log";
/// Column family of everything else, by name.
pub(super) const CF_META: &str = "meta";

/// The exit code after a failed write: 74 is `EX_IOERR`.
const EXIT_WRITE_FAILED: i32 = 74;

/// One thing to write. `done` is told after it is durable.
pub(super) enum Write {
    /// Entries by index, framed.
    Append {
        entries: Vec<(u64, Vec<u8>)>,
        /// When it was asked for.
        since: Instant,
        done: IOFlushed<TypeConfig>,
    },
    /// A value of the meta family that must be durable.
    Meta {
        key: &'static str,
        value: Vec<u8>,
        done: oneshot::Sender<()>,
    },
    /// A value of the meta family that may be lost with the power: it needs no sync of its own.
    Hint { key: &'static str, value: Vec<u8> },
    /// Removes entries from `from` on.
    Truncate {
        from: u64,
        done: oneshot::Sender<()>,
    },
    /// Removes entries `first..=upto` and notes that.
    Purge {
        first: u64,
        upto: u64,
        key: &'static str,
        value: Vec<u8>,
    },
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(|(_, value)| value.len()).sum(),
            Self::Meta { value, .. } | Self::Hint { value, .. } => value.len(),
            Self::Truncate { .. } | Self::Purge { .. } => 0,
        }
    }
}

enum Done {
    Flushed(IOFlushed<TypeConfig>, Instant),
    Told(oneshot::Sender<()>),
}

/// The thread and the queue to it. Dropped, it waits until the thread has written what is queued
/// and let go of the database: a process that exits while RocksDB is being closed is aborted. A
/// disk that hangs makes it wait as long.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Queues a write; waits while the queue is full.
    ///
    /// # Errors
    /// The write, if the thread has ended.
    pub(super) async fn send(&self, write: Write) -> Result<(), SendError<Write>> {
        match &self.queue {
            Some(queue) => queue.send(write).await,
            None => Err(SendError(write)),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        let Some(thread) = self.thread.take() else {
            return;
        };
        // The thread itself may be the last to drop what a write came with.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the log's thread panicked");
        }
    }
}

/// Starts the thread; it ends when the writer is dropped. `stopped` is dropped after it has let
/// go of the database.
pub(super) fn spawn(
    db: Arc<DB>,
    flushed_next: Arc<AtomicU64>,
    stopped: oneshot::Sender<()>,
) -> io::Result<Writer> {
    let (queue, waiting) = mpsc::channel(limits::LOG_QUEUE_MAX);
    let thread = std::thread::Builder::new()
        .name("lockstore-log".to_owned())
        .spawn(move || {
            run(&db, &flushed_next, waiting);
            drop(db);
            drop(stopped);
        })?;
    Ok(Writer {
        queue: Some(queue),
        thread: Some(thread),
    })
}

fn run(db: &DB, flushed_next: &AtomicU64, mut waiting: mpsc::Receiver<Write>) {
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    let unsynced = WriteOptions::default();
    while let Some(first) = waiting.blocking_recv() {
        let writes = gather(first, &mut waiting);
        let Merged {
            batch,
            done,
            entries,
            must_sync,
            flushed_next: next,
        } = merge(db, flushed_next.load(Ordering::Acquire), writes);
        let began = Instant::now();
        if let Err(error) = db.write_opt(batch, if must_sync { &synced } else { &unsynced }) {
            fail_stop(done, &error);
        }
        if must_sync {
            metrics::log_synced(began.elapsed(), entries);
        }
        flushed_next.store(next, Ordering::Release);
        for done in done {
            match done {
                Done::Flushed(flushed, since) => {
                    flushed.io_completed(Ok(()));
                    metrics::stage(Stage::Persisted, since.elapsed());
                }
                // Nobody waits any more: the write stands all the same.
                Done::Told(told) => drop(told.send(())),
            }
        }
    }
}

/// `first` and those that wait behind it, as many as fit one batch.
fn gather(first: Write, waiting: &mut mpsc::Receiver<Write>) -> Vec<Write> {
    let mut bytes = first.bytes();
    let mut writes = vec![first];
    while writes.len() < limits::LOG_BATCH_WRITES_MAX && bytes < limits::LOG_BATCH_BYTES_MAX {
        let Ok(next) = waiting.try_recv() else { break };
        bytes += next.bytes();
        writes.push(next);
    }
    writes
}

struct Merged {
    batch: WriteBatch,
    done: Vec<Done>,
    entries: usize,
    must_sync: bool,
    /// The index after the last entry on disk, once this batch is there.
    flushed_next: u64,
}

fn merge(db: &DB, flushed_next: u64, writes: Vec<Write>) -> Merged {
    let log = db.cf_handle(CF_LOG).expect("opened with this family");
    let meta = db.cf_handle(CF_META).expect("opened with this family");
    let mut merged = Merged {
        batch: WriteBatch::default(),
        done: Vec::with_capacity(writes.len()),
        entries: 0,
        must_sync: false,
        flushed_next,
    };
    for write in writes {
        merged.must_sync |= !matches!(write, Write::Hint { .. } | Write::Purge { .. });
        match write {
            Write::Append {
                entries,
                since,
                done,
            } => {
                merged.entries += entries.len();
                for (index, value) in entries {
                    merged.batch.put_cf(log, index.to_be_bytes(), value);
                    merged.flushed_next = index + 1;
                }
                merged.done.push(Done::Flushed(done, since));
            }
            Write::Meta { key, value, done } => {
                merged.batch.put_cf(meta, key, value);
                merged.done.push(Done::Told(done));
            }
            Write::Hint { key, value } => merged.batch.put_cf(meta, key, value),
            Write::Truncate { from, done } => {
                merged
                    .batch
                    .delete_range_cf(log, from.to_be_bytes(), u64::MAX.to_be_bytes());
                merged.flushed_next = merged.flushed_next.min(from);
                merged.done.push(Done::Told(done));
            }
            Write::Purge {
                first,
                upto,
                key,
                value,
            } => {
                merged
                    .batch
                    .delete_range_cf(log, first.to_be_bytes(), (upto + 1).to_be_bytes());
                merged.batch.put_cf(meta, key, value);
            }
        }
    }
    merged
}

/// Ends the process.
fn fail_stop(done: Vec<Done>, error: &rocksdb::Error) -> ! {
    tracing::error!(%error, "the log could not be written; stopping, since its state on disk is unknown");
    for done in done {
        if let Done::Flushed(flushed, _) = done {
            flushed.io_completed(Err(io::Error::other(error.to_string())));
        }
    }
    std::process::exit(EXIT_WRITE_FAILED)
}

#[cfg(test)]
mod tests {
    use openraft::type_config::TypeConfigExt;
    use rocksdb::statistics::Ticker;

    use super::{super::log_db, *};

    #[tokio::test]
    async fn whoever_waits_is_told_only_after_a_synced_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = log_db::options();
        options.enable_statistics();
        let families = [CF_LOG, CF_META].map(log_db::family);
        let db = DB::open_cf_descriptors(&options, folder.path(), families).expect("opens");
        let db = Arc::new(db);
        let (stopped, _closed) = oneshot::channel();
        let queue = spawn(Arc::clone(&db), Arc::default(), stopped).expect("starts");
        let syncs = || options.get_ticker_count(Ticker::WalFileSynced);
        let read = |family, key: &[u8]| {
            let family = db.cf_handle(family).expect("there");
            db.get_cf(family, key).expect("read")
        };
        for round in 0_u64..5 {
            let before = syncs();
            let (done, written) = TypeConfig::oneshot();
            let append = Write::Append {
                since: Instant::now(),
                entries: vec![(round, vec![7])],
                done: IOFlushed::signal(done),
            };
            assert!(queue.send(append).await.is_ok());
            written.await.expect("told").expect("durable");
            assert!(syncs() > before, "an append");
            assert_eq!(read(CF_LOG, &round.to_be_bytes()), Some(vec![7]));

            let before = syncs();
            let (done, written) = oneshot::channel();
            let value = round.to_be_bytes().to_vec();
            let vote = Write::Meta {
                key: "vote",
                value: value.clone(),
                done,
            };
            assert!(queue.send(vote).await.is_ok());
            written.await.expect("told");
            assert!(syncs() > before, "a vote");
            assert_eq!(read(CF_META, b"vote"), Some(value));

            let before = syncs();
            let (done, written) = oneshot::channel();
            let truncate = Write::Truncate { from: round, done };
            assert!(queue.send(truncate).await.is_ok());
            written.await.expect("told");
            assert!(syncs() > before, "a truncation");
            assert_eq!(read(CF_LOG, &round.to_be_bytes()), None);
        }
    }

    #[test]
    fn batch_has_so_many_writes_and_bytes_and_the_queue_so_many_places() {
        let hint = |bytes| Write::Hint {
            key: "committed",
            value: vec![0; bytes],
        };
        let batches = |queued: usize, bytes: usize| {
            let (queue, mut waiting) = mpsc::channel(limits::LOG_QUEUE_MAX);
            for _ in 0..queued {
                assert!(queue.try_send(hint(bytes)).is_ok(), "there is a place");
            }
            let mut lengths = Vec::new();
            while let Ok(first) = waiting.try_recv() {
                lengths.push(gather(first, &mut waiting).len());
            }
            lengths
        };
        let most = limits::LOG_BATCH_WRITES_MAX;
        assert_eq!(batches(2 * most + 1, 1), [most, most, 1]);
        let half = limits::LOG_BATCH_BYTES_MAX / 2;
        assert_eq!(batches(5, half), [2, 2, 1]);
        assert_eq!(batches(2, limits::LOG_BATCH_BYTES_MAX + 1), [1, 1]);
    }

    /// A disk that hangs: whoever writes waits, and nothing is refused or lost.
    #[tokio::test]
    async fn writer_whose_queue_is_full_waits() {
        let (queue, mut waiting) = mpsc::channel(limits::LOG_QUEUE_MAX);
        let writer = Writer {
            queue: Some(queue),
            thread: None,
        };
        let hint = || Write::Hint {
            key: "committed",
            value: vec![0],
        };
        for _ in 0..limits::LOG_QUEUE_MAX {
            assert!(writer.send(hint()).await.is_ok());
        }
        let mut late = std::pin::pin!(writer.send(hint()));
        assert!(futures::poll!(&mut late).is_pending(), "it is full");
        assert!(waiting.try_recv().is_ok());
        assert!(late.await.is_ok());
    }
}
