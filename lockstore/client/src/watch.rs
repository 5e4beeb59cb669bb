//! Following shows: a stream that finds another node by itself and goes on where it was.
//!
//! Always holds: what is given out is a beginning, what was there, then every change after it in
//! order, none left out and none twice, whichever node it comes from; where that can't be kept up
//! (no node remembers so far back, or it is another lineage), it begins anew and says so. It never
//! ends by itself: while no node answers it waits, and the silence is the consumer's to judge by
//! bookmarks. Leaves to [`ShowReplica`](crate::ShowReplica) what changes add up to.

use std::{sync::Arc, time::Duration};

use holdfast_proto::lockstore::v1::{self as pb, watch_response::Item as Message};
use holdfast_types::{Lineage, Revision, ShowId};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{Request, Streaming};

use crate::{
    call::Caller,
    change::{Changes, WatchItem},
    convert,
    error::Error,
    peers::Peer,
    status,
};

/// How long a node may take to begin: longer than it waits to catch up with the watcher.
const BEGIN_MAX: Duration = Duration::from_secs(4);
/// How long a node may say nothing, not even that there was nothing, before another is tried: it
/// has heard no leader for that long then.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Pause before another node is tried, doubled up to the longest; drawn from the upper half.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Largest message: the seats of the largest show, or all that one command can end.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// What to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// One show, whether it is there yet or not.
    Show(ShowId),
    /// Every show.
    All,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what is there now.
    Now,
    /// With what changes from now on.
    NextChange,
    /// With what changed after this revision, if that is remembered; else as [`Start::Now`].
    After(Revision),
}

/// A stream of what changes; see [`Client::watch`](crate::Client::watch).
#[derive(Debug)]
pub struct Watch {
    caller: Arc<Caller>,
    watched: Watched,
    changes_only: bool,
    /// What was given out is complete up to here; `None` before the beginning is.
    at: Option<Revision>,
    lineage: Option<Lineage>,
    /// The latest revision given out: it never begins anew before it.
    reached: Revision,
    /// Snapshots of this beginning that are still to come.
    snapshots: u64,
    /// Something was begun before, and is lost where it begins anew.
    began: bool,
    stream: Option<Streaming<pb::WatchResponse>>,
    peer: Option<Arc<Peer>>,
    /// The last item of this stream; the last attempt before the first.
    heard: Instant,
    /// Not before then is another node tried.
    resume: Instant,
    failures: u32,
}

/// Why a node is of no use now.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("it is another lineage")]
    LineageChanged,
    #[error("{0}")]
    Other(&'static str),
}

impl Watch {
    pub(crate) fn new(caller: Arc<Caller>, watched: Watched, start: Start) -> Self {
        let now = Instant::now();
        let at = match start {
            Start::After(revision) => Some(revision),
            Start::Now | Start::NextChange => None,
        };
        Self {
            caller,
            watched,
            changes_only: start == Start::NextChange,
            at,
            lineage: at.map(Revision::lineage),
            reached: at.unwrap_or_default(),
            snapshots: 0,
            began: false,
            stream: None,
            peer: None,
            heard: now,
            resume: now,
            failures: 0,
        }
    }

    /// The next item, when there is one. Cancelling it loses nothing.
    pub async fn next(&mut self) -> WatchItem {
        loop {
            let lost = match self.step().await {
                Ok(Some(item)) => return item,
                Ok(None) => continue,
                Err(lost) => lost,
            };
            let endpoint = self.peer.as_ref().map_or("none", |peer| &peer.uri);
            tracing::debug!(lockstore.endpoint = endpoint, %lost, "a watch was lost");
            // Before the snapshots were all there, nothing is.
            if matches!(lost, Lost::LineageChanged) || self.snapshots > 0 {
                self.at = None;
            }
            (self.stream, self.snapshots) = (None, 0);
            self.resume = Instant::now() + pause(self.failures);
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// Connects, or takes one message; whatever is cancelled here is done again.
    async fn step(&mut self) -> Result<Option<WatchItem>, Lost> {
        let Some(stream) = &mut self.stream else {
            sleep_until(self.resume).await;
            self.connect().await?;
            return Ok(None);
        };
        let message = match timeout_at(self.heard + SILENCE_MAX, stream.message()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => return Err(Lost::Other("the node ended it")),
            Ok(Err(_)) => return Err(Lost::Other("the connection broke")),
            Err(_) => return Err(Lost::Other("the node hears no leader")),
        };
        self.heard = Instant::now();
        let item = message.item.ok_or(Lost::Other("an empty message"))?;
        self.take(item)
    }

    async fn connect(&mut self) -> Result<(), Lost> {
        let peer = self.caller.peers.after(self.peer.as_ref());
        let peer = peer.ok_or(Lost::Other("no usable endpoint"))?;
        self.peer = Some(Arc::clone(&peer));
        let mut request = Request::new(pb::WatchRequest {
            show_id: match self.watched {
                Watched::Show(show_id) => convert::bytes(show_id.to_bytes()),
                Watched::All => bytes::Bytes::new(),
            },
            after_revision: self.at.map_or(0, Revision::as_u64),
            changes_only: self.changes_only,
        });
        request.set_timeout(BEGIN_MAX);
        let mut stub = peer.stub().max_decoding_message_size(MESSAGE_BYTES_MAX);
        let deadline = Instant::now() + BEGIN_MAX;
        match timeout_at(deadline, stub.watch(request)).await {
            Ok(Ok(answer)) => {
                self.stream = Some(answer.into_inner());
                self.heard = Instant::now();
                Ok(())
            }
            Ok(Err(refusal)) if status::is_lineage_changed(&refusal) => Err(Lost::LineageChanged),
            Ok(Err(_)) => Err(Lost::Other("the node refused")),
            Err(_) => Err(Lost::Other("the node didn't answer")),
        }
    }

    fn take(&mut self, message: Message) -> Result<Option<WatchItem>, Lost> {
        let unknown = |_: Error| Lost::Other("it wasn't understood");
        match message {
            Message::Begun(begun) => self.begin(&begun),
            Message::Snapshot(snapshot) => {
                let snapshot = convert::snapshot(snapshot).map_err(unknown)?;
                self.snapshots = self
                    .snapshots
                    .checked_sub(1)
                    .ok_or(Lost::Other("a snapshot too many"))?;
                Ok(Some(WatchItem::Snapshot(snapshot)))
            }
            Message::Changes(changes) => {
                let changes: Changes = convert::changes(changes).map_err(unknown)?;
                if self.at.is_none_or(|at| changes.revision <= at) || self.snapshots > 0 {
                    return Err(Lost::Other("changes out of order"));
                }
                self.come_to(changes.revision);
                Ok(Some(WatchItem::Changes(changes)))
            }
            Message::Bookmark(bookmark) => {
                let revision = convert::revision(bookmark.revision).map_err(unknown)?;
                if self.at.is_none_or(|at| revision < at) || self.snapshots > 0 {
                    return Err(Lost::Other("a bookmark out of order"));
                }
                self.come_to(revision);
                Ok(Some(WatchItem::Bookmark {
                    revision,
                    cluster_time: holdfast_types::ClusterTime(bookmark.cluster_time_ms),
                }))
            }
            Message::Ended(_) => {
                // Another goes on at once.
                self.failures = 0;
                Err(Lost::Other("the node said that it ends"))
            }
        }
    }

    fn come_to(&mut self, revision: Revision) {
        (self.at, self.reached) = (Some(revision), revision);
        self.failures = 0;
    }

    fn begin(&mut self, begun: &pb::WatchBegun) -> Result<Option<WatchItem>, Lost> {
        let malformed = |_| Lost::Other("it wasn't understood");
        let revision = convert::revision(begun.revision).map_err(malformed)?;
        let lineage = revision.lineage();
        if self.lineage.is_some_and(|known| lineage < known) {
            return Err(Lost::Other("a node of an earlier lineage"));
        }
        if begun.resumed {
            return match self.at == Some(revision) {
                true => Ok(None),
                false => Err(Lost::Other("it went on from elsewhere")),
            };
        }
        // Numbers of a later lineage are larger.
        if revision < self.reached {
            return Err(Lost::Other("a node that is behind"));
        }
        self.reached = revision;
        let anew = self.began;
        (self.lineage, self.began) = (Some(lineage), true);
        (self.at, self.snapshots) = (Some(revision), begun.snapshots);
        Ok(Some(WatchItem::Begun {
            revision,
            snapshots: begun.snapshots,
            anew,
        }))
    }
}

fn pause(failures: u32) -> Duration {
    let longest = PAUSE_FIRST
        .saturating_mul(1 << failures.min(10))
        .min(PAUSE_MAX);
    longest.mul_f64(rand::random_range(0.5..=1.0))
}
