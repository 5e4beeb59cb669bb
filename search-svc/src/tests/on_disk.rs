//! The embedded index over restarts, what can be wrong with its folder, and pages of it while it
//! changes.

use std::{fs, path::Path};

use super::shows::{all, fill, found, near, puts, show, text};
use crate::{
    document::Changes,
    embedded::Embedded,
    index::{Error, Index},
    query::Query,
};

fn open(dir: &Path) -> Embedded {
    Embedded::open(dir).unwrap()
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    fill(&index, [show(1, "First")]).await;
    index.write(puts([show(2, "Second")])).await.unwrap();
    drop(index);
    let index = open(dir.path());
    assert!(index.is_built().await.unwrap());
    assert_eq!(found(&index, &all()).await, [1, 2]);
    index.write(puts([show(2, "Third")])).await.unwrap();
    assert_eq!(found(&index, &text("third")).await, [2]);
}

#[tokio::test]
async fn one_that_was_being_built_is_not_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    fill(&index, [show(1, "First")]).await;
    index.begin_next().await.unwrap();
    index.write_next(puts([show(2, "Second")])).await.unwrap();
    drop(index);
    let index = open(dir.path());
    assert_eq!(found(&index, &all()).await, [1]);
    fill(&index, [show(3, "Third")]).await;
    assert_eq!(found(&index, &all()).await, [3]);
    // Only what is searched takes room.
    let folders = ["a", "b"]
        .iter()
        .filter(|name| dir.path().join(name).exists());
    assert_eq!(folders.count(), 1);
}

#[tokio::test]
async fn an_index_that_can_not_be_used_counts_as_none_and_another_is_built() {
    let wrong: [fn(&Path); 4] = [
        |dir| fs::write(dir.join("current.json"), "{\"schema\":").unwrap(),
        |dir| fs::write(dir.join("current.json"), r#"{"schema":0,"folder":"a"}"#).unwrap(),
        |dir| fs::remove_dir_all(dir.join("a")).unwrap(),
        |dir| fs::write(dir.join("a/meta.json"), "nonsense").unwrap(),
    ];
    for spoil in wrong {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path());
        fill(&index, [show(1, "First")]).await;
        drop(index);
        spoil(dir.path());
        let index = open(dir.path());
        assert!(!index.is_built().await.unwrap());
        assert!(matches!(index.search(&all()).await, Err(Error::NotBuilt)));
        // Left half built, it still counts as none.
        index.begin_next().await.unwrap();
        index.write_next(puts([show(2, "Half")])).await.unwrap();
        drop(index);
        let index = open(dir.path());
        assert!(!index.is_built().await.unwrap());
        fill(&index, [show(3, "Whole")]).await;
        drop(index);
        assert_eq!(found(&open(dir.path()), &all()).await, [3]);
    }
}

#[tokio::test]
async fn two_processes_do_not_write_to_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    fill(&index, [show(1, "First")]).await;
    let other = open(dir.path());
    let refused = other.write(puts([show(2, "Second")])).await;
    assert!(matches!(refused, Err(Error::Away(_))), "{refused:?}");
    index.write(puts([show(3, "Third")])).await.unwrap();
    assert_eq!(found(&index, &all()).await, [1, 3]);
}

#[tokio::test]
async fn one_that_was_not_kept_up_to_date_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    fill(&index, [show(1, "First")]).await;
    drop(index);
    Embedded::forget(dir.path()).unwrap();
    assert!(!open(dir.path()).is_built().await.unwrap());
    Embedded::forget(dir.path()).unwrap();
    Embedded::forget(&dir.path().join("nowhere")).unwrap();
}

#[test]
fn a_folder_that_can_not_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Embedded::open(&file.join("index")).unwrap_err();
    assert!(error.to_string().contains("file/index"), "{error}");
}

#[tokio::test]
async fn a_page_goes_on_behind_the_last_show_whatever_came_or_went() {
    for question in [all(), text("festival"), near(52.52, 13.405, 1_000)] {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path());
        let even = (2..=40).step_by(2);
        let shows: Vec<_> = even.map(|number| show(number, "Festival")).collect();
        fill(&index, shows).await;
        let first = Query {
            limit: 10,
            ..question
        };
        let answer = index.search(&first).await.unwrap();
        let shown: Vec<u8> = answer.shows.iter().map(|show| show.show_id[0]).collect();
        assert_eq!(shown, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
        let changes = Changes {
            puts: vec![
                show(1, "Festival"),
                show(3, "Festival"),
                show(23, "Festival"),
            ],
            removes: vec![
                show(8, "").show_id,
                show(20, "").show_id,
                show(24, "").show_id,
            ],
        };
        index.write(changes).await.unwrap();
        let next = Query {
            offset: 10,
            after: answer.last,
            ..first
        };
        let shown = found(&index, &next).await;
        assert_eq!(shown, [22, 23, 26, 28, 30, 32, 34, 36, 38, 40]);
    }
}
