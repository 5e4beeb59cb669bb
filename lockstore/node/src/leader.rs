//! What a node does because it leads, or because somebody does.
//!
//! Always holds: a leader's time runs only after it applied everything before its own term; a
//! tick is written only when the state says that something is due, the log has no recent reading of
//! the wall clock, or that one couldn't be right; a node is ready while it knows a leader that has a quorum, as far as
//! it can tell, and isn't short of disk space.

use std::{sync::Arc, time::Instant};

use holdfast_mesh as mesh;
use holdfast_proto::lockstore::v1 as pb;
use lockstore_core::Outcome;
use tokio_util::sync::CancellationToken;

use crate::{
    behaviour::Behaviours,
    clock::{Clock, Logged},
    codec, limits,
    machine::Machine,
    metrics,
    proposer::{Proposer, must_pause},
    raft::Node,
    wall::Wall,
};

/// Keeps the clock in step with leadership, until `shutdown`.
pub(crate) async fn keep_time(
    node: Node,
    machine: Arc<Machine>,
    clock: Arc<Clock>,
    wall: Wall,
    shutdown: CancellationToken,
) {
    let mut standing = node.standing();
    let mut applied = machine.subscribe();
    loop {
        let (role, term) = {
            let standing = standing.borrow_and_update();
            (standing.role, standing.term)
        };
        applied.borrow_and_update();
        let mut settled = true;
        if role == pb::NodeRole::Leader {
            let (position, logged) = machine.read(|view| {
                let logged = Logged {
                    now_ms: view.state.now().0,
                    wall_ms: view.wall_ms,
                };
                (view.applied, logged)
            });
            settled = position.is_some_and(|position| position.term == term);
            if settled {
                clock.lead(term, logged, Instant::now(), wall.ms());
            } else {
                clock.win(term, Instant::now());
            }
        } else {
            clock.follow(Instant::now());
        }
        tokio::select! {
            changed = standing.changed() => if changed.is_err() { return },
            changed = applied.changed(), if !settled => if changed.is_err() { return },
            () = shutdown.cancelled() => return,
        }
    }
}

/// Wakes an idle leader with a tick when something is due, the wall clock was not noted for long, or
/// expiry has to be paused, until `shutdown`. One that is busy puts a tick into its next entry by itself.
pub(crate) async fn tick(
    proposer: Proposer,
    machine: Arc<Machine>,
    clock: Arc<Clock>,
    behaviours: Arc<Behaviours>,
    wall: Wall,
    shutdown: CancellationToken,
) {
    let mut applied = machine.subscribe();
    loop {
        applied.borrow_and_update();
        let (due, noted_ms) = machine.read(|view| (view.state.next_due(), view.wall_ms));
        if let Some((term, now)) = clock.leading(Instant::now())
            && (due.is_some_and(|due| due.0 <= now)
                || is_old(noted_ms, wall.ms())
                || must_pause(&clock, &machine, &behaviours, term))
        {
            let deadline = mesh::deadline::Deadline::after(mesh::deadline::DEADLINE_DEFAULT);
            let proposed = tokio::select! {
                proposed = proposer.propose(codec::Body::Tick(pb::Tick {}), deadline) => proposed,
                // Without a quorum it would take as long as its deadline is.
                () = shutdown.cancelled() => return,
            };
            match proposed.map(|reply| reply.outcome) {
                // There may be more that is due than one tick sweeps.
                Ok(Outcome::Ticked { swept }) if swept > 0 => continue,
                Ok(_) => {}
                Err(error) => tracing::debug!(?error, "a tick was not written"),
            }
        }
        let pause = async {
            match due {
                // A later entry may make something due sooner than a long sleep would notice.
                Some(_) => tokio::time::sleep(limits::TICK_PERIOD).await,
                None => {
                    drop(tokio::time::timeout(limits::WALL_LOOK_PERIOD, applied.changed()).await)
                }
            }
        };
        tokio::select! {
            () = pause => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Whether the log's last reading of the wall clock says too little of when the cluster was up.
fn is_old(noted_ms: u64, wall_ms: u64) -> bool {
    wall_ms.abs_diff(noted_ms) >= limits::WALL_NOTED_EVERY_MS
}

/// Makes readiness follow whether a leader with a quorum is known, and ends when consensus has stopped by itself, saying why, or at `shutdown`.
pub(crate) async fn watch(
    name: &'static str,
    node: Node,
    clock: Arc<Clock>,
    node_id: u64,
    context: &mesh::Context,
) -> Option<String> {
    // From its binding on; the server itself would say that it is ready then.
    tokio::select! {
        _ = context.readiness.address(name) => {}
        () = context.shutdown.cancelled() => return None,
    }
    let mut standing = node.standing();
    // The last one known, and in which term.
    let mut elected = None;
    let mut elected_at = Instant::now();
    loop {
        let now = standing.borrow_and_update().clone();
        if let Some(why) = now.failed {
            return Some(why);
        }
        if let Some(leader) = now.leader
            && elected != Some((leader, now.term))
        {
            if elected.map(|(leader, _)| leader) != now.leader {
                metrics::leader_changed();
                tracing::info!(leader, term = now.term, "leader");
            }
            elected = Some((leader, now.term));
            elected_at = Instant::now();
        }
        // Whom a leader was lost to is not told: it stays the last one known. One without a quorum
        // that is still heard says so.
        let heard = match now.leader {
            Some(leader) if leader == node_id => node.has_quorum(),
            _ => clock
                .silence(Instant::now())
                .is_some_and(|silence| silence < node.lease()),
        };
        match now.leader {
            None => context.readiness.set_not_ready(name, "no leader is known"),
            // One that was just elected may not have been answered, or have spoken, yet.
            Some(_) if heard || elected_at.elapsed() < node.lease() => {
                context.readiness.set_ready(name);
            }
            Some(_) => context
                .readiness
                .set_not_ready(name, "the leader is silent, or has no quorum"),
        }
        tokio::select! {
            changed = standing.changed() => if changed.is_err() { return Some("it is gone".to_owned()) },
            () = tokio::time::sleep(limits::QUORUM_LOOK_PERIOD) => {}
            () = context.shutdown.cancelled() => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_is_noted_hourly_and_whenever_it_was_set() {
        let noted_ms = 1_800_000_000_000;
        assert!(!is_old(
            noted_ms,
            noted_ms + limits::WALL_NOTED_EVERY_MS - 1
        ));
        assert!(is_old(noted_ms, noted_ms + limits::WALL_NOTED_EVERY_MS));
        assert!(is_old(noted_ms, noted_ms - limits::WALL_NOTED_EVERY_MS));
        assert!(is_old(0, noted_ms), "nothing was ever noted");
    }
}
