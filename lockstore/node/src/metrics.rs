//! Every metric of a node, named once. On a follower the counters of outcomes count what it
//! applied, so each node's agree over time.

use std::{borrow::Cow, time::Duration};

use metrics::{counter, gauge, histogram};
use tonic::Code;

/// Times that this node saw another leader than before; the first counts.
const LEADER_CHANGES: &str = "lockstore_leader_changes_total";
/// Seconds that writing and syncing one batch of the log took.
const LOG_SYNC_SECONDS: &str = "lockstore_log_sync_seconds";
/// Entries in one synced batch.
const LOG_SYNC_ENTRIES: &str = "lockstore_log_sync_entries";
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

pub(crate) fn leader_changed() {
    counter!(LEADER_CHANGES).increment(1);
}

pub(crate) fn log_synced(took: Duration, entries: usize) {
    histogram!(LOG_SYNC_SECONDS).record(took.as_secs_f64());
    histogram!(LOG_SYNC_ENTRIES).record(entries as f64);
}

pub(crate) fn entry_proposed(commands: usize) {
    histogram!(ENTRY_COMMANDS).record(commands as f64);
}

pub(crate) fn applied(index: u64) {
    gauge!(APPLIED_INDEX).set(index as f64);
}

pub(crate) fn hold_granted() {
    counter!(HOLDS).increment(1);
}

pub(crate) fn hold_conflicted() {
    counter!(CONFLICTS).increment(1);
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

pub(crate) fn streamed(command: &'static str, code: Code, took: Duration) {
    // No text is made for those that go well.
    let code = match code {
        Code::Ok => Cow::Borrowed("Ok"),
        code => Cow::Owned(format!("{code:?}")),
    };
    counter!(STREAMED, "command" => command, "code" => code).increment(1);
    histogram!(STREAMED_SECONDS, "command" => command).record(took.as_secs_f64());
}

pub(crate) fn overloaded() {
    counter!(OVERLOADED).increment(1);
}
