//! News that come while an index is built, over a real index on disk.

use std::sync::Arc;

use super::shows::{all, found, puts, show, text};
use crate::{
    document::Changes,
    embedded::Embedded,
    feed::{Error, Writer},
    index::{self, Index},
};

struct World {
    index: Arc<Embedded>,
    writer: Writer<Embedded>,
    _dir: tempfile::TempDir,
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
    writer
        .write(puts([show(1, "New"), show(4, "Added")]))
        .await
        .unwrap();
    writer.write(removes(2)).await.unwrap();
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
    writer.write(puts([show(1, "Newest")])).await.unwrap();
    assert_eq!(
        found(&*index, &text("newest")).await,
        [1],
        "in the first index, too"
    );
    writer.write(removes(2)).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(found(&*index, &all()).await, [1]);
    assert_eq!(found(&*index, &text("newest")).await, [1]);
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
    writer.write(puts([show(4, "Fourth")])).await.unwrap();
    assert_eq!(found(&*index, &all()).await, [1, 4]);
}

#[tokio::test]
async fn news_wait_until_there_is_an_index() {
    let World {
        index,
        writer,
        _dir,
    } = world();
    let early = writer.write(puts([show(1, "Early")])).await;
    assert!(
        matches!(early, Err(Error::Index(index::Error::NotBuilt))),
        "{early:?}"
    );
    writer.write(Changes::default()).await.unwrap();
    assert!(!index.is_built().await.unwrap());
}
