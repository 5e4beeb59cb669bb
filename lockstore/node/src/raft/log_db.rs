//! The log's database: how it is opened, and reading from it with every check.
//!
//! Always holds: what is returned passed its checksum and stands where it should.

use std::path::Path;

use prost::Message;
use rocksdb::{
    ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Direction, IteratorMode,
    Options, ReadOptions,
};

use super::{
    convert,
    log_writer::{CF_LOG, CF_META},
    types::{Entry, LogId},
};
use crate::frame;

/// Format of a value of the meta family.
const META_VERSION: u8 = 1;

/// Memory that RocksDB collects writes in before it makes a file, so that entries that are
/// purged soon never reach one.
const WRITE_BUFFER_BYTES: usize = 32 << 20;
const WRITE_BUFFERS_MAX: i32 = 3;
/// Write-ahead log that may stand on disk. The meta family is written so seldom that it would
/// otherwise keep gigabytes of it, all read at each start.
const WAL_BYTES_MAX: u64 = 256 << 20;

/// A log that can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("RocksDB refuses to open the log: {0}")]
    Rocks(#[from] rocksdb::Error),
    #[error("log metadata `{key}`: {source}")]
    Meta {
        key: &'static str,
        source: convert::Error,
    },
    #[error("log entry {index}: {source}")]
    Entry { index: u64, source: convert::Error },
    #[error("the log has a hole: entry {found} follows entry {last}")]
    Hole { last: u64, found: u64 },
    #[error("the log has lost its beginning: its first entry is {found}, and must be {first}")]
    Headless { first: u64, found: u64 },
    #[error("log entry {index} says it is entry {says}")]
    Misplaced { index: u64, says: u64 },
    #[error("log entry {index} is of term {term}, after term {last}")]
    TermFalls { index: u64, term: u64, last: u64 },
    #[error("a key of {0} bytes in the log")]
    Key(usize),
    #[error("the log's thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Opens it, making it if it isn't there.
pub(super) fn open(path: &Path) -> Result<DB, OpenError> {
    Ok(DB::open_cf_descriptors(
        &options(),
        path,
        [family(CF_LOG), family(CF_META)],
    )?)
}

pub(super) fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // The default forgets every entry after the first damaged one without a word.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    options.set_use_fsync(false);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options
}

pub(super) fn family(name: &str) -> ColumnFamilyDescriptor {
    let mut options = Options::default();
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(WRITE_BUFFERS_MAX);
    options.set_level_zero_file_num_compaction_trigger(8);
    options.set_compression_type(DBCompressionType::None);
    ColumnFamilyDescriptor::new(name, options)
}

/// A value of the meta family.
pub(super) fn meta<M: Message + Default>(
    db: &DB,
    key: &'static str,
) -> Result<Option<M>, OpenError> {
    let family = db.cf_handle(CF_META).expect("opened with this family");
    let Some(value) = db.get_cf(family, key)? else {
        return Ok(None);
    };
    let body = frame::open(META_VERSION, &value).map_err(|error| OpenError::Meta {
        key,
        source: error.into(),
    })?;
    let message = M::decode(body).map_err(|error| OpenError::Meta {
        key,
        source: error.into(),
    })?;
    Ok(Some(message))
}

/// A value for the meta family.
pub(super) fn framed(message: &impl Message) -> Vec<u8> {
    frame::seal(META_VERSION, &message.encode_to_vec())
}

/// Reads entries `first..end` that are on disk, checked, and hands each to `each` with its size.
pub(super) fn scan(
    db: &DB,
    first: u64,
    end: u64,
    mut each: impl FnMut(Entry, usize) -> bool,
) -> Result<(), OpenError> {
    let mut bounds = ReadOptions::default();
    bounds.set_iterate_lower_bound(first.to_be_bytes().to_vec());
    bounds.set_iterate_upper_bound(end.to_be_bytes().to_vec());
    let family = db.cf_handle(CF_LOG).expect("opened with this family");
    let from = first.to_be_bytes();
    let mut last: Option<LogId> = None;
    for item in db.iterator_cf_opt(
        family,
        bounds,
        IteratorMode::From(&from, Direction::Forward),
    ) {
        let (key, value) = item?;
        let index = key
            .as_ref()
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| OpenError::Key(key.len()))?;
        let entry = convert::entry_from_disk(&value)
            .map_err(|source| OpenError::Entry { index, source })?;
        if entry.log_id.index != index {
            return Err(OpenError::Misplaced {
                index,
                says: entry.log_id.index,
            });
        }
        if let Some(last) = last {
            if last.index + 1 != index {
                return Err(OpenError::Hole {
                    last: last.index,
                    found: index,
                });
            }
            let (term, last) = (entry.log_id.leader_id.term, last.leader_id.term);
            if term < last {
                return Err(OpenError::TermFalls { index, term, last });
            }
        }
        last = Some(entry.log_id);
        if !each(entry, value.len()) {
            break;
        }
    }
    Ok(())
}
