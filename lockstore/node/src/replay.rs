//! How much log a start after a kill has to apply.
//!
//! Always holds: a snapshot is begun when more bytes of log were applied since the last than
//! `snapshot_log_mb` says, or than a part of the last snapshot where that is more, so that reading the
//! snapshot and applying the rest both take time by what there is, and writing snapshots never takes more
//! than a few times what the log does. Entries are counted beside it, by consensus itself: this is for
//! those that carry many commands.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    limits,
    machine::Machine,
    raft::{Node, snapshot::Snapshots},
};

/// Bytes of snapshot that are written for a byte of log at most. A hold takes three times as many bytes
/// there as its command does in the log, so as many commands come between two snapshots as there are
/// holds in the first; writing a hold takes a third of the time that applying its command does, and
/// loading it half of that time.
const SNAPSHOT_PER_LOG: u64 = 3;

/// Whether one is due.
fn is_due(log_bytes: u64, log_bytes_least: u64, snapshot_bytes: u64) -> bool {
    log_bytes >= log_bytes_least.max(snapshot_bytes / SNAPSHOT_PER_LOG)
}

/// Begins snapshots that are due, until `shutdown`.
pub(crate) async fn keep_short(
    node: Node,
    machine: Arc<Machine>,
    snapshots: Arc<Snapshots>,
    log_mb: u64,
    shutdown: CancellationToken,
) {
    let log_bytes_least = log_mb << 20;
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
        let last = snapshots.get().map_or(0, |(_, file)| file.length());
        pause = if is_due(machine.log_bytes(), log_bytes_least, last) {
            node.begin_snapshot().await;
            // It may wait for the one before, or for disk space.
            limits::SNAPSHOT_ASKED_PERIOD
        } else {
            limits::SNAPSHOT_LOOK_PERIOD
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_is_due_by_the_log_and_less_often_where_it_is_large() {
        let least = 24 << 20;
        assert!(!is_due(least - 1, least, 0));
        assert!(is_due(least, least, 0));
        assert!(is_due(least, least, 3 * least));
        assert!(!is_due(least, least, 3 * (least + 1)));
        assert!(is_due(least + 1, least, 3 * (least + 1)));
    }
}
