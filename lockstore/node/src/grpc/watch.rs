//! One watcher's stream: a beginning, what was there, then every change.
//!
//! Always holds: the order of `WatchResponse`'s items; a change is sent once, though it may be in
//! the state that was sent, in the backlog and in the queue; it ends when the node stops, so that
//! it never keeps a drain waiting; its place is free when it is dropped.

use std::{sync::Arc, time::Duration};

use futures::{Stream, stream};
use holdfast_proto::lockstore::v1::{self as pb, watch_response::Item as Message};
use holdfast_types::{Revision, ShowId};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::failure;
use crate::{
    codec, limits,
    machine::{Machine, View},
    metrics,
    watch::{Changes, End, Item, Subscription},
};

/// What a watcher asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) show: Option<ShowId>,
    pub(super) after: Option<Revision>,
    pub(super) changes_only: bool,
}

impl Asked {
    pub(super) fn of(request: &pb::WatchRequest) -> Result<Self, codec::Field> {
        let show = if request.show_id.is_empty() {
            None
        } else {
            Some(codec::id("show_id", &request.show_id, ShowId::from_slice)?)
        };
        let after = match request.after_revision {
            0 => None,
            number => Some(codec::fence("after_revision", number)?),
        };
        Ok(Self {
            show,
            after,
            changes_only: request.changes_only,
        })
    }
}

/// Begins a stream; waits at most `wait` for this node to have come as far as the watcher has.
pub(super) async fn begin(
    asked: Asked,
    machine: Arc<Machine>,
    place: OwnedSemaphorePermit,
    shutdown: CancellationToken,
    wait: Duration,
) -> Result<impl Stream<Item = Result<pb::WatchResponse, Status>>, Status> {
    if let Some(after) = asked.after {
        let lineage = machine.lineage();
        if after.lineage() != lineage {
            return Err(failure::lineage_changed(lineage));
        }
        if !machine.reaches(after, wait.min(limits::CATCH_UP_MAX)).await {
            return Err(failure::behind());
        }
    }
    // In this order: see `watch`.
    let subscription = machine.watchers().subscribe(asked.show, asked.after);
    let view = machine.view();
    let watching = Watching::new(asked, subscription, view, place, shutdown);
    Ok(stream::unfold(watching, |mut watching| async move {
        let item = watching.next().await?;
        Some((Ok(pb::WatchResponse { item: Some(item) }), watching))
    }))
}

/// Where a stream is.
enum Stage {
    Begin(View),
    /// The shows of the view after this one.
    Snapshots(View, Option<ShowId>),
    Backlog(std::vec::IntoIter<Arc<Changes>>),
    Follow,
    Ended,
}

struct Watching {
    asked: Asked,
    stage: Stage,
    /// What is sent is complete up to here, once the snapshots are.
    at: Revision,
    subscription: Subscription,
    shutdown: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Drop for Watching {
    fn drop(&mut self) {
        metrics::watcher_left();
    }
}

impl Watching {
    fn new(
        asked: Asked,
        subscription: Subscription,
        view: View,
        place: OwnedSemaphorePermit,
        shutdown: CancellationToken,
    ) -> Self {
        metrics::watcher_came();
        let at = match asked.after {
            Some(after) if subscription.resumed => after,
            _ => view.revision(),
        };
        Self {
            asked,
            stage: Stage::Begin(view),
            at,
            subscription,
            shutdown,
            _place: place,
        }
    }

    /// The next message; `None` after the last.
    async fn next(&mut self) -> Option<Message> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Begin(view) => return Some(self.begun(view)),
                Stage::Snapshots(view, last) => {
                    if self.shutdown.is_cancelled() {
                        return Some(ended(pb::WatchEndReason::Stopping, 0));
                    }
                    if let Some(message) = self.snapshot(view, last).await {
                        return Some(message);
                    }
                }
                Stage::Backlog(mut backlog) => match backlog.next() {
                    Some(changes) => {
                        self.stage = Stage::Backlog(backlog);
                        if let Some(message) = self.changes(&changes) {
                            return Some(message);
                        }
                    }
                    None => self.stage = Stage::Follow,
                },
                Stage::Follow => {
                    let (message, stage) = self.follow().await;
                    self.stage = stage;
                    if let Some(message) = message {
                        return Some(message);
                    }
                }
                Stage::Ended => return None,
            }
        }
    }

    fn begun(&mut self, view: View) -> Message {
        let resumed = self.subscription.resumed;
        let snapshots = match self.asked.show {
            _ if resumed || self.asked.changes_only => 0,
            Some(_) => 1,
            None => view.state.show_count() as u64,
        };
        let lineage = view.state.lineage().0.into();
        self.stage = if snapshots > 0 {
            Stage::Snapshots(view, None)
        } else {
            let backlog = std::mem::take(&mut self.subscription.backlog);
            Stage::Backlog(backlog.into_iter())
        };
        Message::Begun(pb::WatchBegun {
            lineage,
            revision: self.at.as_u64(),
            resumed,
            snapshots,
        })
    }

    /// The show after `last`, or the one that is watched; `None` when there is no more.
    async fn snapshot(&mut self, view: View, last: Option<ShowId>) -> Option<Message> {
        let next = match self.asked.show {
            Some(_) if last.is_some() => None,
            Some(show_id) => Some(show_id),
            None => view.state.show_after(last).map(|show| show.id()),
        };
        let Some(show_id) = next else {
            self.stage = Stage::Follow;
            return None;
        };
        let seats = view.state.show(show_id).map_or(0, |show| show.seat_count());
        let snapshot = if seats > limits::SEATS_ENCODED_AT_ONCE_MAX {
            let view = view.clone();
            let encoding =
                tokio::task::spawn_blocking(move || codec::show_snapshot(&view.state, show_id));
            match encoding.await {
                Ok(snapshot) => snapshot,
                // The runtime is going down.
                Err(_) => return Some(ended(pb::WatchEndReason::Stopping, 0)),
            }
        } else {
            codec::show_snapshot(&view.state, show_id)
        };
        self.stage = Stage::Snapshots(view, Some(show_id));
        Some(Message::Snapshot(snapshot))
    }

    /// One of the queue; says where the stream is then.
    async fn follow(&mut self) -> (Option<Message>, Stage) {
        let next = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => {
                let message = ended(pb::WatchEndReason::Stopping, self.at.as_u64());
                return (Some(message), Stage::Ended);
            }
            next = self.subscription.next() => next,
        };
        match next {
            Ok(Item::Changes(changes)) => (self.changes(&changes), Stage::Follow),
            Ok(Item::Bookmark { revision, .. }) if revision < self.at => (None, Stage::Follow),
            Ok(Item::Bookmark { revision, time_ms }) => {
                self.at = revision;
                let bookmark = pb::WatchBookmark {
                    revision: revision.as_u64(),
                    cluster_time_ms: time_ms,
                };
                (Some(Message::Bookmark(bookmark)), Stage::Follow)
            }
            Err(end) => {
                let reason = match end {
                    End::SlowReader => pb::WatchEndReason::SlowReader,
                    End::SnapshotInstalled => pb::WatchEndReason::SnapshotInstalled,
                };
                (Some(ended(reason, self.at.as_u64())), Stage::Ended)
            }
        }
    }

    fn changes(&mut self, changes: &Changes) -> Option<Message> {
        if changes.revision <= self.at {
            return None;
        }
        self.at = changes.revision;
        let changes = codec::changes_to_pb(changes, self.asked.show);
        Some(Message::Changes(changes))
    }
}

fn ended(reason: pb::WatchEndReason, resume_revision: u64) -> Message {
    Message::Ended(pb::WatchEnded {
        reason: reason.into(),
        resume_revision,
    })
}
