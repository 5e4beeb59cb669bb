//! A feed that much has happened without, over a real catalogue and a real stream.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use holdfast_eventlog::{ConsumerConfig, Event, Handler};
use holdfast_proto::events::v1 as events;
use holdfast_types::ShowId;
use prost::Message;
use sqlx::PgPool;
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    blame::show_changed,
    served::{Hall, catalogue},
    shows::{all, text},
};
use crate::{
    clients::catalog::{Catalog, PAGE_SHOWS},
    document::{Changes, Document},
    embedded::Embedded,
    feed::{Keeper, News, NewsDesk, Status, Stream, TOPIC, Writer},
    index::{Error, Found, Index},
    query::Query,
    suggest::{Begun, Kind},
};

/// Longest wait for anything that must happen.
const LIMIT: Duration = Duration::from_secs(60);

/// Changes that are far behind, as many as the keeper takes for it at least.
const FAR: i32 = 20_000;

/// An index that keeps what was written, and lets pages into the next only one for one.
pub(crate) struct Watched {
    index: Embedded,
    writes: Mutex<Vec<Changes>>,
    /// Pages that may pass.
    pages: Semaphore,
    /// Pages that came.
    came: Semaphore,
    /// How many shows it says it has, where not those that it has.
    shows: Option<u64>,
    /// How often it was asked for them.
    counted: AtomicUsize,
    /// How often it was searched.
    pub(crate) asked: AtomicUsize,
}

impl Watched {
    pub(crate) fn open(dir: &Path) -> Arc<Self> {
        Self::of_shows(dir, None)
    }

    fn of_shows(dir: &Path, shows: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            index: Embedded::open(dir).unwrap(),
            writes: Mutex::default(),
            pages: Semaphore::new(0),
            came: Semaphore::new(0),
            shows,
            counted: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
        })
    }

    async fn titles(&self, query: &Query) -> Vec<String> {
        let found = self.index.search(query).await.unwrap().shows;
        found.into_iter().map(|show| show.title).collect()
    }
}

impl Index for Watched {
    const ENGINE: &'static str = Embedded::ENGINE;

    const SPELLS_LOOSER: bool = Embedded::SPELLS_LOOSER;

    async fn is_built(&self) -> Result<bool, Error> {
        self.index.is_built().await
    }

    async fn shows(&self) -> Result<u64, Error> {
        self.counted.fetch_add(1, Ordering::Relaxed);
        match self.shows {
            Some(shows) => Ok(shows),
            None => self.index.shows().await,
        }
    }

    async fn search(&self, query: &Query) -> Result<Found, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.index.search(query).await
    }

    async fn names(&self, kind: Kind, begun: &Begun) -> Result<Vec<String>, Error> {
        self.index.names(kind, begun).await
    }

    async fn contents(
        &self,
        after: Option<ShowId>,
        up_to: Option<ShowId>,
        max: usize,
    ) -> Result<Vec<(ShowId, u64)>, Error> {
        self.index.contents(after, up_to, max).await
    }

    async fn write(&self, changes: Changes) -> Result<(), Error> {
        self.writes.lock().unwrap().push(changes.clone());
        self.index.write(changes).await
    }

    async fn begin_next(&self) -> Result<(), Error> {
        self.index.begin_next().await
    }

    async fn fill_next(&self, documents: Vec<Document>) -> Result<(), Error> {
        self.came.add_permits(1);
        self.pages.acquire().await.unwrap().forget();
        self.index.fill_next(documents).await
    }

    async fn write_next(&self, changes: Changes) -> Result<(), Error> {
        self.index.write_next(changes).await
    }

    async fn swap(&self) -> Result<(), Error> {
        self.index.swap().await
    }
}

/// The parts of a feed, of which a test starts those that it wants.
struct Feed {
    pool: PgPool,
    index: Arc<Watched>,
    writer: Arc<Writer<Watched>>,
    stream: Arc<Stream>,
    status: Arc<Status>,
    catalog: Catalog,
    ending: CancellationToken,
}

impl Feed {
    fn new(pool: &PgPool, catalog: &str, index: Arc<Watched>) -> Self {
        Self {
            pool: pool.clone(),
            writer: Arc::new(Writer::new(Arc::clone(&index))),
            index,
            stream: Arc::new(Stream::new(pool.clone(), "search")),
            status: Arc::default(),
            catalog: Catalog::new(holdfast_mesh::client::channel(catalog).unwrap()),
            ending: CancellationToken::new(),
        }
    }

    fn keep(&self) -> JoinHandle<()> {
        let keeper = Keeper {
            index: Arc::clone(&self.index),
            writer: Arc::clone(&self.writer),
            catalog: self.catalog.clone(),
            stream: Arc::clone(&self.stream),
            status: Arc::clone(&self.status),
            may_build: true,
        };
        let ending = self.ending.clone();
        tokio::spawn(async move { keeper.keep(&ending).await })
    }

    /// With a desk, or without anybody who reads what events name.
    fn consume(&self, with_desk: bool) -> JoinHandle<()> {
        let (news, changes) = News::new(Arc::clone(&self.stream));
        let desk = NewsDesk {
            catalog: self.catalog.clone(),
            writer: Arc::clone(&self.writer),
        };
        let config = ConsumerConfig::new("search", &[TOPIC]);
        let consuming =
            holdfast_eventlog::consume(self.pool.clone(), config, news, self.ending.clone());
        tokio::spawn(async move {
            if with_desk {
                tokio::join!(consuming, desk.run(changes));
            } else {
                consuming.await;
            }
        })
    }

    async fn built(&self) {
        until("an index", async || self.status.indexes_built() > 0).await;
    }

    async fn all_handled(&self) {
        let handled = async || self.stream.lag().await.unwrap().is_zero();
        until("all to be handled", handled).await;
    }

    async fn stop(self, tasks: impl IntoIterator<Item = JoinHandle<()>>) {
        self.ending.cancel();
        for task in tasks {
            tokio::time::timeout(LIMIT, task).await.unwrap().unwrap();
        }
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(LIMIT, waited).await;
    assert!(waited.is_ok(), "waited too long for {what}");
}

/// Waits until the relay has moved everything.
async fn all_moved(pool: &PgPool) {
    let is_empty = async || {
        let left = sqlx::query_scalar("SELECT count(*) FROM catalog.outbox");
        left.fetch_one(pool).await.unwrap_or(1_i64) == 0
    };
    until("the outbox to be moved", is_empty).await;
}

/// `count` times the news of one show, each under a key of its own.
async fn tell_of(pool: &PgPool, show_id: Uuid, count: i32) {
    sqlx::query(
        "INSERT INTO catalog.outbox (id, topic, key, event_type, payload)
         SELECT gen_random_uuid(), 'catalog', n::text, 'ShowChanged', $2
         FROM generate_series(1, $1) AS n",
    )
    .bind(count)
    .bind(show_changed(show_id).payload)
    .execute(pool)
    .await
    .unwrap();
}

#[sqlx::test(migrations = false)]
async fn a_feed_that_is_far_behind_builds_an_index_and_reads_no_change_anew(pool: PgPool) {
    let catalog = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    let (event_id, _) = hall.show("Opening", "ON_SALE", 1).await;
    let (_, gone) = hall.show("Gone", "ON_SALE", 2).await;
    let dir = tempfile::tempdir().unwrap();
    let index = Watched::open(dir.path());
    index.pages.add_permits(10);
    let feed = Feed::new(&pool, &catalog.uri, index);
    let keeping = feed.keep();
    feed.built().await;
    feed.stop([keeping]).await;

    // Nobody takes notice.
    hall.retitle(event_id, "Finale").await;
    let (_, added) = hall.show("Added", "ON_SALE", 3).await;
    hall.set_state(gone, "DRAFT").await;
    tell_of(&pool, added, FAR - 2).await;
    all_moved(&pool).await;

    // Of the same folder, as after a restart.
    let index = Watched::open(dir.path());
    index.pages.add_permits(10);
    let feed = Feed::new(&pool, &catalog.uri, index);
    assert_eq!(feed.index.titles(&all()).await, ["Opening", "Gone"]);
    assert_eq!(feed.stream.behind(u64::MAX).await.unwrap(), FAR as u64);
    let keeping = feed.keep();
    feed.built().await;
    assert_eq!(feed.index.titles(&all()).await, ["Finale", "Added"]);
    // The consumer has still to pass them all; no other index is built for that.
    assert!(!feed.stream.lag().await.unwrap().is_zero());
    assert_eq!(feed.stream.behind(u64::MAX).await.unwrap(), 0);
    let consuming = feed.consume(false);
    feed.all_handled().await;
    assert_eq!(feed.status.indexes_built(), 1);

    feed.stop([keeping, consuming]).await;
    catalog.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_large_index_that_is_a_little_behind_is_not_built_anew_after_a_restart(pool: PgPool) {
    let catalog = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    let (_, show_id) = hall.show("Opening", "ON_SALE", 1).await;
    let dir = tempfile::tempdir().unwrap();
    let index = Watched::open(dir.path());
    index.begin_next().await.unwrap();
    index.swap().await.unwrap();
    drop(index);
    tell_of(&pool, show_id, FAR).await;
    all_moved(&pool).await;

    // Its shows take longer than those changes do.
    let index = Watched::of_shows(dir.path(), Some(FAR as u64 * 17));
    let feed = Feed::new(&pool, &catalog.uri, index);
    let keeping = feed.keep();
    let counted = async || feed.index.counted.load(Ordering::Relaxed) > 1;
    until("another look at what the first made of it", counted).await;
    assert!(!feed.status.is_building());
    assert_eq!(feed.status.indexes_built(), 0);
    feed.stop([keeping]).await;
    catalog.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_changes_while_an_index_is_built_is_not_lost(pool: PgPool) {
    let catalog = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    let (event_id, show_id) = hall.show("Opening", "ON_SALE", 1).await;
    tell_of(&pool, show_id, 1).await;
    all_moved(&pool).await;
    let dir = tempfile::tempdir().unwrap();
    let feed = Feed::new(&pool, &catalog.uri, Watched::open(dir.path()));
    let keeping = feed.keep();
    // The show was read, and isn't written yet.
    let page = tokio::time::timeout(LIMIT, feed.index.came.acquire()).await;
    page.unwrap().unwrap().forget();
    let early = feed.stream.newest().await.unwrap();
    hall.retitle(event_id, "Finale").await;
    all_moved(&pool).await;
    let late = feed.stream.newest().await.unwrap();
    assert_eq!(feed.stream.has(early).now_or_never(), None, "it waits");
    assert_eq!(feed.stream.has(late).now_or_never(), Some(false));

    let consuming = feed.consume(true);
    feed.index.pages.add_permits(1);
    feed.built().await;
    assert!(feed.stream.has(early).await);
    assert!(!feed.stream.has(late).await);
    feed.all_handled().await;
    assert_eq!(feed.index.titles(&text("finale")).await, ["Finale"]);
    assert_eq!(feed.index.titles(&all()).await, ["Finale"]);
    feed.stop([keeping, consuming]).await;
    catalog.stop().await;
}

#[sqlx::test(migrations = false)]
async fn events_wait_no_longer_than_the_building_lasts(pool: PgPool) {
    let stream = Stream::new(pool, "search");
    let wait = stream.wait_up_to(7);
    assert_eq!(stream.has(8).now_or_never(), Some(false));
    let reached = stream.has(7);
    tokio::pin!(reached);
    assert_eq!(reached.as_mut().now_or_never(), None);
    drop(wait);
    assert!(!reached.await, "it failed: the event is handled as ever");
}

/// The news of something else, made from that of a show.
fn changed(event_type: &str, id: Uuid, payload: Vec<u8>) -> Event {
    Event {
        event_type: event_type.to_owned(),
        payload,
        ..show_changed(id)
    }
}

#[sqlx::test(migrations = false)]
async fn a_show_that_several_changes_name_is_written_once_and_a_page_at_a_time(pool: PgPool) {
    const MORE: usize = 100;
    let catalog = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    let (event_id, show_id) = hall.show("Festival", "ON_SALE", 1).await;
    hall.more((PAGE_SHOWS + MORE - 1) as i32).await;
    let (_, draft) = hall.show("Secret", "DRAFT", 2).await;
    let dir = tempfile::tempdir().unwrap();
    let index = Watched::open(dir.path());
    index.begin_next().await.unwrap();
    index.swap().await.unwrap();
    let feed = Feed::new(&pool, &catalog.uri, index);
    let (news, changes) = News::new(Arc::clone(&feed.stream));
    let desk = NewsDesk {
        catalog: feed.catalog.clone(),
        writer: Arc::clone(&feed.writer),
    };
    let desk = tokio::spawn(async move { desk.run(changes).await });

    let of_event = events::EventChanged {
        event_id: event_id.as_bytes().to_vec(),
    };
    let at_venue = events::VenueChanged {
        venue_id: hall.venue_id.as_bytes().to_vec(),
    };
    let [one, two, of_event, at_venue] = [
        show_changed(show_id),
        show_changed(draft),
        changed("EventChanged", event_id, of_event.encode_to_vec()),
        changed("VenueChanged", hall.venue_id, at_venue.encode_to_vec()),
    ];
    let (one, two, of_event, at_venue) = tokio::join!(
        news.handle(&one),
        news.handle(&two),
        news.handle(&of_event),
        news.handle(&at_venue)
    );
    assert_eq!([one, two, of_event, at_venue], [(); 4].map(|()| Ok(())));
    let writes = std::mem::take(&mut *feed.index.writes.lock().unwrap());
    let puts: Vec<usize> = writes.iter().map(|write| write.puts.len()).collect();
    assert_eq!(puts, [PAGE_SHOWS, MORE]);
    let removes: Vec<_> = writes.iter().flat_map(|write| &write.removes).collect();
    assert_eq!(removes, [&draft.into()]);
    drop(news);
    desk.await.unwrap();
    catalog.stop().await;
}
