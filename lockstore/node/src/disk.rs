//! Free space of the data directory's file system, and what a node does that is short of it.
//!
//! Always holds: below its floor a node decides no command, hands the leadership to one that has
//! space, and leaves the standing to others while there may be one; it has space again only well
//! above the floor, so that it doesn't come and go. It still appends, votes and answers reads: a
//! follower that refused entries would cost the cluster the redundancy that is needed just then.
//! Where every node is short, so that one of them leads, only ticks are written, until the holds
//! that there are have ended. A follower that fills up while others have space is ended by the
//! first write that fails (`raft::log_writer`), and the others go on.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use holdfast_proto::lockstore::v1 as pb;
use tokio::{sync::oneshot, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, config::Config, limits, metrics, peers::Peers, raft::Node};

/// The thread that looks.
const LOOKING: &str = "lockstore-disk";

/// How many bytes are free in the file system of a folder. Blocks.
pub type FreeSpace = Arc<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

/// What the operating system says is free for users without privileges, also to those who have
/// them and could use the reserve.
pub(crate) fn free_space() -> FreeSpace {
    Arc::new(|folder| {
        let status = rustix::fs::statvfs(folder)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    })
}

/// Whether there is space, as of the last look.
pub(crate) struct Disk {
    folder: PathBuf,
    /// In bytes; 0 for none.
    floor: u64,
    probe: FreeSpace,
    free: AtomicU64,
    short: AtomicBool,
    /// The last look failed, and that was said.
    blind: AtomicBool,
}

impl Disk {
    /// The file system of the data directory, which is there; not looked at yet.
    pub(crate) fn new(config: &Config, probe: FreeSpace) -> Self {
        Self {
            folder: config.data_dir.clone(),
            floor: config.free_space_min_mb.saturating_mul(1 << 20),
            probe,
            free: AtomicU64::new(0),
            short: AtomicBool::new(false),
            blind: AtomicBool::new(false),
        }
    }

    /// Less is free than must be.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Acquire)
    }

    /// Whether a file of so many bytes may be written that can wait: it must leave the floor, since a
    /// write that fails ends the node.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        self.floor == 0 || self.free_bytes() >= bytes.saturating_add(self.floor)
    }

    /// What was free.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.free.load(Ordering::Acquire)
    }

    /// Looks. What was known stands if that fails.
    pub(crate) async fn look(&self) {
        match self.probe().await {
            Ok(free) => {
                self.blind.store(false, Ordering::Release);
                self.take(free);
            }
            Err(error) if !self.blind.swap(true, Ordering::AcqRel) => {
                tracing::warn!(%error, path = %self.folder.display(), "free space can't be read");
            }
            Err(_) => {}
        }
    }

    /// On a thread of its own, which no runtime waits for: a disk that hangs is not to keep a node from
    /// stopping.
    async fn probe(&self) -> io::Result<u64> {
        let (probe, folder) = (Arc::clone(&self.probe), self.folder.clone());
        let (found, finding) = oneshot::channel();
        thread::Builder::new()
            .name(LOOKING.to_owned())
            .spawn(move || drop(found.send(probe(&folder))))?;
        finding.await.map_err(io::Error::other)?
    }

    fn take(&self, free: u64) {
        self.free.store(free, Ordering::Release);
        let recovered_at = self.floor / 100 * limits::FREE_SPACE_RECOVERED_PERCENT;
        let short = free
            < if self.is_short() {
                recovered_at
            } else {
                self.floor
            };
        metrics::disk(free, short);
        if short == self.short.swap(short, Ordering::AcqRel) {
            return;
        }
        let (path, floor) = (self.folder.display(), self.floor);
        if short {
            tracing::warn!(
                %path, free_bytes = free, floor_bytes = floor, recovered_at_bytes = recovered_at,
                "too little disk space is free: this node takes no writes and doesn't lead if \
                 another can; make space, and it goes on by itself"
            );
        } else {
            tracing::info!(%path, free_bytes = free, floor_bytes = floor, "there is disk space again");
        }
    }
}

/// Looks again and again, and draws the consequences for the leadership, until `shutdown`.
pub(crate) async fn watch(
    disk: Arc<Disk>,
    node: Node,
    node_id: u64,
    peers: Arc<Peers>,
    clock: Arc<Clock>,
    shutdown: CancellationToken,
) {
    let mut period = tokio::time::interval(limits::FREE_SPACE_LOOK_PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // When a leader was there last.
    let mut led_at = Instant::now();
    loop {
        tokio::select! {
            _ = period.tick() => {}
            () = shutdown.cancelled() => return,
        }
        tokio::select! {
            () = disk.look() => {}
            () = shutdown.cancelled() => return,
        }
        let now = Instant::now();
        let leads = node.standing().borrow().leader == Some(node_id);
        let hears = clock
            .silence(now)
            .is_some_and(|silence| silence < node.lease());
        if leads || hears {
            led_at = now;
        }
        let short = disk.is_short();
        node.let_stand(may_stand(short, now - led_at, node.lease()));
        if short && leads && !hand_over(&node, &peers).await {
            tracing::debug!("nobody who has disk space can take the leadership over");
        }
    }
}

/// Whether a node may stand that heard no leader for `leaderless`. One that is short of space
/// lets the others try first: but where none of them can win, one that answers reads is better
/// than none.
fn may_stand(short: bool, leaderless: Duration, lease: Duration) -> bool {
    !short || leaderless > lease * limits::SHORT_OF_SPACE_STANDS_AFTER_LEASES
}

/// Hands over to a peer that can go on at once; `false` without one: this node leads on.
pub(crate) async fn hand_over(node: &Node, peers: &Peers) -> bool {
    let statuses = peers.statuses().await;
    let last = node.positions().last_log.map_or(0, |last| last.index);
    let able: BTreeSet<u64> = statuses
        .into_iter()
        .filter(|(_, answer)| answer.as_ref().is_ok_and(|peer| can_go_on(peer, last)))
        .map(|(peer_id, _)| peer_id)
        .collect();
    node.hand_over(|peer_id| able.contains(&peer_id)).await
}

/// Whether a peer has space, as one of a release that doesn't say is taken to have, and nearly all of
/// a log that ends with `last`: while a leader waits for one that lags, nobody leads.
fn can_go_on(peer: &pb::GetPeerStatusResponse, last: u64) -> bool {
    let has = peer.last_log.map_or(0, |last| last.index);
    !peer.short_of_space && has + limits::HAND_OVER_LAG_ENTRIES_MAX >= last
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn disk(floor_mb: u64, probe: FreeSpace) -> Disk {
        let config = Config {
            free_space_min_mb: floor_mb,
            ..Config::default()
        };
        Disk::new(&config, probe)
    }

    #[test]
    fn node_is_short_below_the_floor_until_well_above_it() {
        let disk = disk(100, free_space());
        let readings = [
            (100, false),
            (99, true),
            (100, true),
            (124, true),
            (125, false),
            (100, false),
            (0, true),
        ];
        for (free_mb, short) in readings {
            disk.take(free_mb * MB);
            assert_eq!((disk.is_short(), disk.free_bytes()), (short, free_mb * MB));
        }
    }

    #[test]
    fn without_a_floor_nothing_is_short() {
        let disk = disk(0, free_space());
        disk.take(0);
        assert!(!disk.is_short());
    }

    #[tokio::test]
    async fn what_was_known_stands_while_nothing_can_be_read() {
        let readings = std::sync::Mutex::new(vec![Err(io::Error::other("gone")), Ok(7)]);
        let disk = disk(
            100,
            Arc::new(move |_| readings.lock().expect("held by nobody").pop().expect("two")),
        );
        for _ in 0..2 {
            disk.look().await;
            assert_eq!((disk.is_short(), disk.free_bytes()), (true, 7));
        }
    }

    #[test]
    fn operating_system_says_what_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(free_space()(folder.path()).expect("read") > 0);
        assert!(free_space()(&folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn leadership_goes_to_a_peer_with_space_that_lags_little() {
        let lag = limits::HAND_OVER_LAG_ENTRIES_MAX;
        let peer = |index, short_of_space| pb::GetPeerStatusResponse {
            last_log: Some(pb::LogPosition { term: 1, index }),
            short_of_space,
            ..Default::default()
        };
        assert!(can_go_on(&peer(1_000, false), 1_000 + lag));
        assert!(!can_go_on(&peer(1_000, false), 1_001 + lag));
        assert!(!can_go_on(&peer(1_000, true), 1_000));
    }

    #[test]
    fn short_node_stands_only_where_nobody_else_wins() {
        let lease = Duration::from_secs(1);
        let patience = lease * limits::SHORT_OF_SPACE_STANDS_AFTER_LEASES;
        assert!(may_stand(false, Duration::ZERO, lease));
        assert!(!may_stand(true, patience, lease));
        assert!(may_stand(true, patience + lease, lease));
    }
}
