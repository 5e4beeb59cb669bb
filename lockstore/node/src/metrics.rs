//! Every metric of a node, named once. On a follower the counters of outcomes count what it
//! applied, so each node's agree over time.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, gauge, histogram};
use tonic::Code;

/// Times that this node saw another leader than before; the first counts.
const LEADER_CHANGES: &str = "lockstore_leader_changes_total";
/// Seconds that writing and syncing one batch of the log took.
const LOG_SYNC_SECONDS: &str = "lockstore_log_sync_seconds";
/// Entries in one synced batch.
const LOG_SYNC_ENTRIES: &str = "lockstore_log_sync_entries";
/// Seconds that an entry took for a stage; label `stage`. Of a leader `proposed` from the arrival of its
/// first command, `committed` from there, `applied` from the commit, and `answered` from there until a
/// stream's answers were on their way; of every node `persisted` from the append to its log until that
/// was synced.
const STAGE_SECONDS: &str = "lockstore_stage_seconds";
/// Commands in one proposed entry.
const ENTRY_COMMANDS: &str = "lockstore_entry_commands";
/// The last log index applied.
const APPLIED_INDEX: &str = "lockstore_applied_index";
/// Holds granted by the entries that this node applied. Each node counts every one, and after a
/// restart those that it applies again.
const HOLDS: &str = "lockstore_holds_total";
/// Requests that the entries this node applied refused because a seat was taken; counted as holds
/// are.
const CONFLICTS: &str = "lockstore_conflicts_total";
/// Requests refused because too many wait.
const OVERLOADED: &str = "lockstore_overloaded_total";
/// Commands of streams that were answered; labels `command` and `code` (gRPC's name for what their own
/// rpc would have answered).
const STREAMED: &str = "lockstore_streamed_commands_total";
/// Seconds from a streamed command's arrival until its answer was on its way; label `command`.
const STREAMED_SECONDS: &str = "lockstore_streamed_command_seconds";
/// Watchers that a node has.
const WATCHERS: &str = "lockstore_watchers";
/// Watchers that were dropped because they read too slowly.
const WATCHERS_SLOW: &str = "lockstore_watchers_slow_total";
/// Times that a new leader didn't believe the wall clock after the whole cluster was down.
const TIME_JUMPS: &str = "lockstore_time_jumps_total";
/// 1 while no hold ends by time, until an operator resumes expiry; else 0.
const EXPIRY_PAUSED: &str = "lockstore_expiry_paused";

/// Bytes free in the file system of the data directory.
const DISK_FREE_BYTES: &str = "lockstore_disk_free_bytes";
/// 1 while less is free than the floor, so that the node takes no writes; else 0.
const DISK_SHORT: &str = "lockstore_disk_short";

pub(crate) fn disk(free_bytes: u64, short: bool) {
    gauge!(DISK_FREE_BYTES).set(free_bytes as f64);
    gauge!(DISK_SHORT).set(if short { 1.0 } else { 0.0 });
}

pub(crate) fn leader_changed() {
    counter!(LEADER_CHANGES).increment(1);
}

pub(crate) fn log_synced(took: Duration, entries: usize) {
    histogram!(LOG_SYNC_SECONDS).record(took.as_secs_f64());
    histogram!(LOG_SYNC_ENTRIES).record(entries as f64);
}

/// What an entry goes through.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    Proposed,
    Persisted,
    Committed,
    Applied,
    Answered,
}

pub(crate) fn stage(stage: Stage, took: Duration) {
    let stage = match stage {
        Stage::Proposed => "proposed",
        Stage::Persisted => "persisted",
        Stage::Committed => "committed",
        Stage::Applied => "applied",
        Stage::Answered => "answered",
    };
    histogram!(STAGE_SECONDS, "stage" => stage).record(took.as_secs_f64());
}

pub(crate) fn entry_proposed(commands: usize) {
    histogram!(ENTRY_COMMANDS).record(commands as f64);
}

pub(crate) fn applied(index: u64) {
    gauge!(APPLIED_INDEX).set(index as f64);
}

/// Of one entry.
pub(crate) fn holds_judged(granted: u64, conflicted: u64) {
    if granted > 0 {
        counter!(HOLDS).increment(granted);
    }
    if conflicted > 0 {
        counter!(CONFLICTS).increment(conflicted);
    }
}

pub(crate) fn expiry_paused(paused: bool) {
    gauge!(EXPIRY_PAUSED).set(if paused { 1.0 } else { 0.0 });
}

pub(crate) fn time_jumped() {
    counter!(TIME_JUMPS).increment(1);
}

pub(crate) fn watcher_came() {
    gauge!(WATCHERS).increment(1.0);
}

pub(crate) fn watcher_left() {
    gauge!(WATCHERS).decrement(1.0);
}

pub(crate) fn slow_watcher_dropped() {
    counter!(WATCHERS_SLOW).increment(1);
}

/// What counts the streamed commands of one kind; kept, because looking it up costs more than counting.
pub(crate) struct Streamed {
    command: &'static str,
    answered: Counter,
    seconds: Histogram,
}

impl Streamed {
    pub(crate) fn of(command: &'static str) -> Self {
        Self {
            command,
            answered: counter!(STREAMED, "command" => command, "code" => "Ok"),
            seconds: histogram!(STREAMED_SECONDS, "command" => command),
        }
    }

    pub(crate) fn count(&self, code: Code, took: Duration) {
        match code {
            Code::Ok => self.answered.increment(1),
            code => {
                let code = format!("{code:?}");
                counter!(STREAMED, "command" => self.command, "code" => code).increment(1);
            }
        }
        self.seconds.record(took.as_secs_f64());
    }
}

pub(crate) fn overloaded() {
    counter!(OVERLOADED).increment(1);
}
