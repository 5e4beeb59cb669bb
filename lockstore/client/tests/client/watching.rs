//! Watching: what is given out when nodes end, break, lag or forget.

use std::time::Duration;

use holdfast_proto::lockstore::v1::{
    self as pb, show_change::Change as Wire, watch_response::Item as Message,
};
use holdfast_types::{Lineage, Revision, SeatNo, SeatState, ShowId};
use lockstore_client::{Change, Client, Start, Watch, WatchItem, Watched};

use crate::node::{Node, Say, Stream, nowhere};

const SHOW: ShowId = ShowId::from_bytes([2; 16]);
/// Longer than a silent node is trusted.
const LIMIT: Duration = Duration::from_secs(20);

fn at(index: u64) -> Revision {
    Revision::new(Lineage(1), index, 0)
}

fn begun(revision: Revision, resumed: bool, snapshots: u64) -> Message {
    Message::Begun(pb::WatchBegun {
        lineage: revision.lineage().0.into(),
        revision: revision.as_u64(),
        resumed,
        snapshots,
    })
}

fn snapshot() -> Message {
    Message::Snapshot(pb::ShowSnapshot {
        show_id: SHOW.to_bytes().to_vec().into(),
        found: true,
        state: pb::ShowState::OnSale.into(),
        seat_states: vec![1, 2].into(),
        queue: None,
    })
}

/// Seat 0 is held at log index `index`.
fn changes(index: u64) -> Message {
    Message::Changes(pb::RevisionChanges {
        revision: at(index).as_u64(),
        shows: vec![pb::ShowChanges {
            show_id: SHOW.to_bytes().to_vec().into(),
            previous_revision: at(index - 1).as_u64(),
            changes: vec![pb::ShowChange {
                change: Some(Wire::Held(pb::SeatsHeld {
                    hold_id: vec![1; 16].into(),
                    fence: at(index).as_u64(),
                    seat_nos: vec![0],
                    expires_at_ms: 5,
                })),
            }],
        }],
    })
}

fn bookmark(index: u64) -> Message {
    Message::Bookmark(pb::WatchBookmark {
        revision: at(index).as_u64(),
        cluster_time_ms: 7,
    })
}

fn ended(index: u64) -> Message {
    Message::Ended(pb::WatchEnded {
        reason: pb::WatchEndReason::SlowReader.into(),
        resume_revision: at(index).as_u64(),
    })
}

/// The items that come, each in a word.
async fn take(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..count {
        let item = tokio::time::timeout(LIMIT, watch.next()).await;
        words.push(match item.expect("comes in time") {
            WatchItem::Begun {
                revision,
                snapshots,
                anew,
            } => format!(
                "begun {} with {snapshots}{}",
                revision.index(),
                if anew { " anew" } else { "" }
            ),
            WatchItem::Snapshot(snapshot) => {
                let (_, seats) = snapshot.show.expect("there");
                assert_eq!(seats, [SeatState::Available, SeatState::Held]);
                "snapshot".to_owned()
            }
            WatchItem::Changes(changes) => {
                let Change::Held { seat_nos, .. } = &changes.shows[0].changes[0] else {
                    panic!("{changes:?}")
                };
                assert_eq!(seat_nos, &[SeatNo(0)]);
                format!("changes {}", changes.revision.index())
            }
            WatchItem::Bookmark { revision, .. } => format!("bookmark {}", revision.index()),
        });
    }
    words
}

fn watch(nodes: &[&Node]) -> Watch {
    let client = Client::connect(nodes.iter().map(|node| node.uri.clone()).collect());
    client.watch(Watched::Show(SHOW), Start::Now)
}

/// A later release may tell of what this one doesn't know: it is left out, and the watch goes on.
#[tokio::test]
async fn kind_of_change_that_is_not_known_is_left_out() {
    let node = Node::start(&[], Say::Yes).await;
    let unknown = Message::Changes(pb::RevisionChanges {
        revision: at(4).as_u64(),
        shows: vec![pb::ShowChanges {
            show_id: SHOW.to_bytes().to_vec().into(),
            previous_revision: at(3).as_u64(),
            // As an unknown field of the oneof is read.
            changes: vec![pb::ShowChange { change: None }],
        }],
    });
    node.stream_next(Stream::Stays(vec![
        begun(at(3), false, 0),
        unknown,
        changes(5),
    ]));
    let mut watch = watch(&[&node]);
    assert_eq!(take(&mut watch, 1).await, ["begun 3 with 0"]);
    let item = tokio::time::timeout(LIMIT, watch.next()).await;
    let Ok(WatchItem::Changes(found)) = item else {
        panic!("{item:?}")
    };
    assert_eq!(found.revision, at(4));
    assert!(found.shows[0].changes.is_empty());
    assert_eq!(take(&mut watch, 1).await, ["changes 5"]);
}

#[tokio::test]
async fn another_node_goes_on_where_the_first_broke() {
    let node = Node::start(&[], Say::Yes).await;
    let first = vec![begun(at(3), false, 1), snapshot(), changes(4), bookmark(6)];
    node.stream_next(Stream::Breaks(first));
    node.stream_next(Stream::Refused("BEHIND"));
    node.stream_next(Stream::Stays(vec![
        begun(at(6), true, 0),
        changes(8),
        ended(8),
    ]));
    node.stream_next(Stream::Stays(vec![begun(at(8), true, 0), changes(9)]));
    let mut watch = watch(&[&node]);
    assert_eq!(
        take(&mut watch, 6).await,
        [
            "begun 3 with 1",
            "snapshot",
            "changes 4",
            "bookmark 6",
            "changes 8",
            "changes 9"
        ]
    );
    let named: Vec<u64> = node.watched().iter().map(|r| r.after_revision).collect();
    let (six, eight) = (at(6).as_u64(), at(8).as_u64());
    assert_eq!(named, [0, six, six, eight]);
}

#[tokio::test]
async fn what_no_node_remembers_begins_anew_and_says_so() {
    let node = Node::start(&[], Say::Yes).await;
    node.stream_next(Stream::Breaks(vec![begun(at(3), false, 1), snapshot()]));
    node.stream_next(Stream::Breaks(vec![begun(at(90), false, 1), snapshot()]));
    // The revision is of a lineage that is over.
    node.stream_next(Stream::Refused("LINEAGE_CHANGED"));
    let next = Revision::new(Lineage(2), 1, 0);
    node.stream_next(Stream::Stays(vec![begun(next, false, 1), snapshot()]));
    let mut watch = watch(&[&node]);
    assert_eq!(
        take(&mut watch, 6).await,
        [
            "begun 3 with 1",
            "snapshot",
            "begun 90 with 1 anew",
            "snapshot",
            "begun 1 with 1 anew",
            "snapshot"
        ]
    );
    let named: Vec<u64> = node.watched().iter().map(|r| r.after_revision).collect();
    assert_eq!(named, [0, at(3).as_u64(), at(90).as_u64(), 0]);
}

#[tokio::test]
async fn beginning_that_is_cut_off_is_no_beginning() {
    let node = Node::start(&[], Say::Yes).await;
    node.stream_next(Stream::Breaks(vec![begun(at(3), false, 2), snapshot()]));
    node.stream_next(Stream::Stays(vec![begun(at(5), false, 1), snapshot()]));
    let mut watch = watch(&[&node]);
    assert_eq!(
        take(&mut watch, 4).await,
        [
            "begun 3 with 2",
            "snapshot",
            "begun 5 with 1 anew",
            "snapshot"
        ]
    );
    assert_eq!(node.watched()[1].after_revision, 0);
}

#[tokio::test]
async fn silent_node_and_one_that_is_down_are_passed_over() {
    let (silent, good, down) = (
        Node::start(&[], Say::Yes).await,
        Node::start(&[], Say::Yes).await,
        nowhere(),
    );
    for _ in 0..4 {
        silent.stream_next(Stream::Stays(vec![begun(at(3), false, 1), snapshot()]));
        good.stream_next(Stream::Stays(vec![
            begun(at(3), false, 1),
            snapshot(),
            changes(4),
        ]));
    }
    let uris = vec![silent.uri.clone(), down.uri.clone(), good.uri.clone()];
    let mut watch = Client::connect(uris).watch(Watched::Show(SHOW), Start::Now);
    // Whichever it begins with.
    let words = tokio::time::timeout(LIMIT, async {
        loop {
            if take(&mut watch, 1).await[0] == "changes 4" {
                return;
            }
        }
    });
    words.await.expect("the good one is found");
}

#[tokio::test]
async fn node_that_repeats_or_leaves_out_what_it_said_is_not_believed() {
    let node = Node::start(&[], Say::Yes).await;
    node.stream_next(Stream::Stays(vec![
        begun(at(3), false, 0),
        changes(5),
        changes(5),
    ]));
    // It claims to go on, and does so from elsewhere.
    node.stream_next(Stream::Stays(vec![begun(at(9), true, 0), changes(10)]));
    node.stream_next(Stream::Stays(vec![begun(at(5), true, 0), changes(6)]));
    let mut watch = watch(&[&node]);
    assert_eq!(
        take(&mut watch, 3).await,
        ["begun 3 with 0", "changes 5", "changes 6"]
    );
}
