//! Topic `catalog`: what changed is read anew and indexed, many changes at a time.
//!
//! Always holds: an event is answered for when what it tells of can be found; a batch is bounded in
//! size and in how long it waits for more. A change that the engine refuses is told from the others
//! of its batch, and parked alone. A show that several changes of a batch name is read and written
//! once, and a page of the catalogue is one write.

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use holdfast_eventlog::{Event, HandleError, Handler};
use holdfast_proto::events::v1;
use holdfast_types::{EventId, ShowId, VenueId};
use prost::Message;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{Error, Stream, Writer, Written};
use crate::{
    clients::catalog::{self, Catalog, Named, Shows},
    document::Changes,
    index::{self, Index},
    metric,
};

/// Changes taken at once: the more, the fewer commits, each of which takes some fsyncs.
pub(crate) const BATCH_CHANGES_MAX: usize = 256;

/// How long the first change of a batch waits for more. Small beside the two seconds of SE-1.
const GATHER: Duration = Duration::from_millis(20);

/// What an event says has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Show(ShowId),
    Event(EventId),
    Venue(VenueId),
}

/// A change that waits for its batch.
pub(crate) struct Change {
    what: What,
    occurred_at: DateTime<Utc>,
    done: oneshot::Sender<Result<(), HandleError>>,
}

/// The handler of the events.
pub(crate) struct News {
    queue: mpsc::Sender<Change>,
    stream: Arc<Stream>,
}

impl News {
    /// The handler, and what it hands on.
    pub(crate) fn new(stream: Arc<Stream>) -> (Self, mpsc::Receiver<Change>) {
        let (queue, changes) = mpsc::channel(BATCH_CHANGES_MAX);
        (Self { queue, stream }, changes)
    }
}

impl Handler for News {
    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let Some(what) = read(event)? else {
            return Ok(());
        };
        if self.stream.has(event.seq).await {
            note_found(event.occurred_at);
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        let change = Change {
            what,
            occurred_at: event.occurred_at,
            done,
        };
        let ending = || HandleError::Unavailable("the process ends".to_owned());
        self.queue.send(change).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())?
    }

    /// After an index was built over a large catalogue there may be a million that it has.
    fn needs_none_up_to(&self) -> i64 {
        self.stream.is_reached_up_to()
    }
}

/// None for events that aren't ours.
fn read(event: &Event) -> Result<Option<What>, HandleError> {
    let payload = event.payload.as_slice();
    let unreadable = |why: String| HandleError::Permanent(format!("unreadable event: {why}"));
    let undecoded = |error: prost::DecodeError| unreadable(error.to_string());
    let what = match event.event_type.as_str() {
        "ShowChanged" => {
            let message = v1::ShowChanged::decode(payload).map_err(undecoded)?;
            ShowId::from_slice(&message.show_id).map(What::Show)
        }
        "EventChanged" => {
            let message = v1::EventChanged::decode(payload).map_err(undecoded)?;
            EventId::from_slice(&message.event_id).map(What::Event)
        }
        "VenueChanged" => {
            let message = v1::VenueChanged::decode(payload).map_err(undecoded)?;
            VenueId::from_slice(&message.venue_id).map(What::Venue)
        }
        _ => return Ok(None),
    };
    what.map(Some)
        .map_err(|error| unreadable(error.to_string()))
}

/// Where the changes are dealt with.
pub(crate) struct NewsDesk<I> {
    pub(crate) catalog: Catalog,
    pub(crate) writer: Arc<Writer<I>>,
}

impl<I: Index> NewsDesk<I> {
    /// Until the handler is gone.
    pub(crate) async fn run(&self, mut changes: mpsc::Receiver<Change>) {
        while let Some(first) = changes.recv().await {
            let mut batch = vec![first];
            let end = Instant::now() + GATHER;
            while batch.len() < BATCH_CHANGES_MAX
                && let Ok(Some(change)) = timeout_at(end, changes.recv()).await
            {
                batch.push(change);
            }
            self.deal_with(batch).await;
        }
    }

    async fn deal_with(&self, batch: Vec<Change>) {
        let all: BTreeSet<What> = batch.iter().map(|change| change.what).collect();
        let together = self.index(&all).await;
        let blames_one = matches!(
            together,
            Err(Error::Index(index::Error::Refused(_)) | Error::Catalog(catalog::Error::Show(_)))
        );
        if blames_one && all.len() > 1 {
            for change in batch {
                let outcome = self.index(&BTreeSet::from([change.what])).await;
                answer(change, &outcome);
            }
        } else {
            batch
                .into_iter()
                .for_each(|change| answer(change, &together));
        }
    }

    /// Brings the index up to date with what changed: page after page; there are as many as the
    /// catalogue has shows of it.
    async fn index(&self, changed: &BTreeSet<What>) -> Result<(), Error> {
        let named = named(changed);
        // Those named themselves that no page had yet: what isn't public is in none.
        let mut awaited = named.shows.clone();
        let shows = Shows::Of(named);
        let mut after = None;
        loop {
            let mark = self.writer.mark();
            let mut page = self.catalog.read(&shows, after).await?;
            if let Some((_, why)) = page.unreadable.pop() {
                return Err(catalog::Error::Show(why).into());
            }
            let later = page.next.map_or_else(BTreeSet::new, |last| {
                // Not `last` itself, which is on this page.
                awaited
                    .range((Excluded(last), Unbounded))
                    .copied()
                    .collect()
            });
            let public: BTreeSet<ShowId> = page.documents.iter().map(|it| it.show_id).collect();
            let passed = awaited.difference(&later);
            let changes = Changes {
                removes: passed.filter(|id| !public.contains(id)).copied().collect(),
                puts: page.documents,
            };
            match self.writer.write(changes, mark).await? {
                // Once for a building that begins, which is seldom.
                Written::Outdated => continue,
                Written::Done => {}
            }
            if page.next.is_none() {
                return Ok(());
            }
            (after, awaited) = (page.next, later);
        }
    }
}

fn named(changed: &BTreeSet<What>) -> Named {
    let mut named = Named::default();
    for what in changed {
        match what {
            What::Show(id) => named.shows.insert(*id),
            What::Event(id) => named.events.insert(*id),
            What::Venue(id) => named.venues.insert(*id),
        };
    }
    named
}

fn answer(change: Change, outcome: &Result<(), Error>) {
    let answer = match outcome {
        Ok(()) => {
            note_found(change.occurred_at);
            Ok(())
        }
        Err(error) => Err(refusal(error)),
    };
    // Whoever waited may have been cut off; the event comes again.
    let _ = change.done.send(answer);
}

fn note_found(occurred_at: DateTime<Utc>) {
    let took = Utc::now() - occurred_at;
    metrics::histogram!(metric::CHANGE_SECONDS)
        .record(took.to_std().unwrap_or_default().as_secs_f64());
}

/// What the stream does with an event that wasn't handled.
fn refusal(error: &Error) -> HandleError {
    let text = error.to_string();
    match error {
        Error::Index(index::Error::Refused(_)) | Error::Catalog(catalog::Error::Show(_)) => {
            HandleError::Retry(text)
        }
        Error::Index(index::Error::NotBuilt | index::Error::Away(_))
        | Error::Catalog(catalog::Error::Call(_))
        | Error::Overtaken => HandleError::Unavailable(text),
    }
}
