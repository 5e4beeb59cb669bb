//! News that come while an index is built, over a real index on disk.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use holdfast_types::ShowId;

use super::shows::{all, found, puts, show, text};
use crate::{
    document::{Changes, Document},
    embedded::Embedded,
    feed::{Error, Writer, Written},
    index::{self, Found, Index},
    query::Query,
    suggest::{Begun, Kind},
};

struct World {
    index: Arc<Embedded>,
    writer: Writer<Embedded>,
    _dir: tempfile::TempDir,
}

/// News that were read just now.
async fn tell(writer: &Writer<Embedded>, changes: Changes) {
    let told = writer.write(changes, writer.mark()).await;
    assert_eq!(told.unwrap(), Written::Done);
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let index = Arc::new(Embedded::open(dir.path()).unwrap());
    World {
        writer: Writer::new(Arc::clone(&index)),
        index,
        _dir: dir,
    }
}

fn removes(number: u8) -> Changes {
    Changes {
        puts: Vec::new(),
        removes: vec![show(number, "").show_id],
    }
}

#[tokio::test]
async fn what_was_read_earlier_does_not_overwrite_news() {
    let World {
        index,
        writer,
        _dir,
    } = world();
    writer.begin().await.unwrap();
    let read_earlier = vec![show(1, "Old"), show(2, "Gone"), show(3, "Kept")];
    tell(&writer, puts([show(1, "New"), show(4, "Added")])).await;
    tell(&writer, removes(2)).await;
    writer.fill(read_earlier).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(found(&*index, &all()).await, [1, 3, 4]);
    assert_eq!(found(&*index, &text("new")).await, [1]);

    // The other way round the news are later anyway.
    writer.begin().await.unwrap();
    writer
        .fill(vec![show(1, "Old"), show(2, "Gone")])
        .await
        .unwrap();
    tell(&writer, puts([show(1, "Newest")])).await;
    assert_eq!(
        found(&*index, &text("newest")).await,
        [1],
        "in the first index, too"
    );
    tell(&writer, removes(2)).await;
    writer.finish().await.unwrap();
    assert_eq!(found(&*index, &all()).await, [1]);
    assert_eq!(found(&*index, &text("newest")).await, [1]);
}

#[tokio::test]
async fn what_the_news_read_before_a_building_began_is_read_again() {
    let World {
        index,
        writer,
        _dir,
    } = world();
    let before = writer.mark();
    writer.begin().await.unwrap();
    let outdated = async || writer.write(puts([show(1, "Older")]), before).await;
    assert_eq!(outdated().await.unwrap(), Written::Outdated);
    // Read after the building began, so no older than that.
    writer.fill(vec![show(1, "Newer")]).await.unwrap();
    assert_eq!(outdated().await.unwrap(), Written::Outdated);
    writer.finish().await.unwrap();
    assert_eq!(outdated().await.unwrap(), Written::Outdated);
    assert_eq!(found(&*index, &text("newer")).await, [1]);
}

#[tokio::test]
async fn a_building_that_is_abandoned_leaves_the_first_alone() {
    let World {
        index,
        writer,
        _dir,
    } = world();
    writer.begin().await.unwrap();
    writer.fill(vec![show(1, "First")]).await.unwrap();
    writer.finish().await.unwrap();
    writer.begin().await.unwrap();
    writer.fill(vec![show(2, "Second")]).await.unwrap();
    writer.abandon().await;
    assert!(matches!(
        writer.fill(vec![show(3, "Third")]).await,
        Err(Error::Overtaken)
    ));
    tell(&writer, puts([show(4, "Fourth")])).await;
    assert_eq!(found(&*index, &all()).await, [1, 4]);
}

/// An index of which the next one stops taking changes.
struct Fragile {
    index: Embedded,
    fails: AtomicBool,
}

impl Index for Fragile {
    const ENGINE: &'static str = "fragile";
    const SPELLS_LOOSER: bool = true;

    async fn is_built(&self) -> Result<bool, index::Error> {
        self.index.is_built().await
    }

    async fn shows(&self) -> Result<u64, index::Error> {
        self.index.shows().await
    }

    async fn search(&self, query: &Query) -> Result<Found, index::Error> {
        self.index.search(query).await
    }

    async fn names(&self, kind: Kind, begun: &Begun) -> Result<Vec<String>, index::Error> {
        self.index.names(kind, begun).await
    }

    async fn contents(
        &self,
        after: Option<ShowId>,
        up_to: Option<ShowId>,
        max: usize,
    ) -> Result<Vec<(ShowId, u64)>, index::Error> {
        self.index.contents(after, up_to, max).await
    }

    async fn write(&self, changes: Changes) -> Result<(), index::Error> {
        self.index.write(changes).await
    }

    async fn begin_next(&self) -> Result<(), index::Error> {
        self.index.begin_next().await
    }

    async fn fill_next(&self, documents: Vec<Document>) -> Result<(), index::Error> {
        self.index.fill_next(documents).await
    }

    async fn write_next(&self, changes: Changes) -> Result<(), index::Error> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(index::Error::Away("the disk is full".to_owned()));
        }
        self.index.write_next(changes).await
    }

    async fn swap(&self) -> Result<(), index::Error> {
        self.index.swap().await
    }
}

#[tokio::test]
async fn an_index_that_may_lack_something_does_not_take_the_place_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let index = Arc::new(Fragile {
        index: Embedded::open(dir.path()).unwrap(),
        fails: AtomicBool::new(false),
    });
    let writer = Writer::new(Arc::clone(&index));
    writer.begin().await.unwrap();
    writer.fill(vec![show(1, "First")]).await.unwrap();
    writer.finish().await.unwrap();

    writer.begin().await.unwrap();
    writer.fill(vec![show(1, "First")]).await.unwrap();
    index.fails.store(true, Ordering::Relaxed);
    // Whoever is searched has the news all the same.
    let told = writer.write(puts([show(2, "News")]), writer.mark()).await;
    assert_eq!(told.unwrap(), Written::Done);
    index.fails.store(false, Ordering::Relaxed);
    let filled = writer.fill(vec![show(3, "Last")]).await;
    assert!(matches!(filled, Err(Error::Overtaken)), "{filled:?}");
    let finished = writer.finish().await;
    assert!(matches!(finished, Err(Error::Overtaken)), "{finished:?}");
    writer.abandon().await;
    assert_eq!(found(&*index, &all()).await, [1, 2]);
}

#[tokio::test]
async fn news_wait_until_there_is_an_index() {
    let World {
        index,
        writer,
        _dir,
    } = world();
    let early = writer.write(puts([show(1, "Early")]), writer.mark()).await;
    assert!(
        matches!(early, Err(Error::Index(index::Error::NotBuilt))),
        "{early:?}"
    );
    tell(&writer, Changes::default()).await;
    assert!(!index.is_built().await.unwrap());
}
