//! The hub alone: what is given, remembered and put away.

use holdfast_types::{ClusterTime, HoldId, SeatNo};

use super::*;

const LINEAGE: Lineage = Lineage(1);

fn at(index: u64) -> Revision {
    Revision::new(LINEAGE, index, 0)
}

fn show(n: u8) -> ShowId {
    ShowId::from_bytes([n; 16])
}

fn held(show_id: ShowId, revision: Revision) -> Event {
    Event::SeatsHeld {
        show_id,
        hold_id: HoldId::from_bytes([9; 16]),
        fence: revision,
        seat_nos: [SeatNo(1)].into(),
        expires_at: ClusterTime(1),
    }
}

/// Publishes a change of each of `shows` at log index `index`.
fn publish(hub: &Hub, index: u64, shows: &[u8]) {
    let revision = at(index);
    let events = shows.iter().map(|n| held(show(*n), revision)).collect();
    let changes = Changes::of(revision, events, |_| 10);
    hub.publish(changes.into_iter().collect(), revision);
}

/// All that waits, as log indices, and the end if there is one.
fn taken(subscription: &mut Subscription) -> (Vec<u64>, Option<End>) {
    use futures::FutureExt;
    let mut found: Vec<u64> = std::mem::take(&mut subscription.backlog)
        .iter()
        .map(|changes| changes.revision.index())
        .collect();
    while let Some(next) = subscription.next().now_or_never() {
        match next {
            Ok(Item::Changes(changes)) => found.push(changes.revision.index()),
            Ok(Item::Bookmark { .. }) => {}
            Err(end) => return (found, Some(end)),
        }
    }
    (found, None)
}

#[test]
fn watcher_of_a_show_is_given_its_changes_and_one_of_all_everything() {
    let hub = Hub::new(LINEAGE);
    let (mut one, mut all) = (
        hub.subscribe(Some(show(1)), None),
        hub.subscribe(None, None),
    );
    assert!(!one.resumed, "it named no revision");
    publish(&hub, 1, &[1]);
    publish(&hub, 2, &[2]);
    publish(&hub, 3, &[]);
    publish(&hub, 4, &[2, 1]);
    assert_eq!(taken(&mut one), (vec![1, 4], None));
    assert_eq!(taken(&mut all), (vec![1, 2, 4], None));
}

#[test]
fn changes_name_the_revision_of_the_show_before() {
    let hub = Hub::new(LINEAGE);
    hub.begin(at(10));
    let mut all = hub.subscribe(None, None);
    publish(&hub, 11, &[1]);
    publish(&hub, 12, &[2]);
    publish(&hub, 13, &[1, 2]);
    let mut previous = Vec::new();
    while let Some(Ok(Item::Changes(changes))) = futures::FutureExt::now_or_never(all.next()) {
        previous.push(
            changes
                .shows
                .iter()
                .map(|show| show.previous)
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(previous, [vec![at(10)], vec![at(10)], vec![at(11), at(12)]]);
}

#[test]
fn one_that_comes_back_misses_nothing_and_is_given_nothing_twice() {
    let hub = Hub::new(LINEAGE);
    for index in 1..=6 {
        publish(&hub, index, &[if index % 2 == 0 { 1 } else { 2 }]);
    }
    let mut back = hub.subscribe(Some(show(1)), Some(at(2)));
    assert!(back.resumed);
    publish(&hub, 7, &[1]);
    assert_eq!(taken(&mut back), (vec![4, 6, 7], None));
    let mut newest = hub.subscribe(None, Some(at(7)));
    assert!(newest.resumed);
    assert_eq!(taken(&mut newest), (vec![], None));
}

#[test]
fn what_is_too_far_back_is_not_remembered() {
    let hub = Hub::new(LINEAGE);
    let last = limits::WATCH_REMEMBERED_MAX as u64 + 5;
    for index in 1..=last {
        publish(&hub, index, &[1]);
    }
    assert!(!hub.subscribe(None, Some(at(4))).resumed);
    let back = hub.subscribe(None, Some(at(5)));
    assert!(back.resumed);
    assert_eq!(back.backlog.len() as u64, last - 5);
}

#[test]
fn slow_reader_is_dropped_with_what_it_has_and_others_go_on() {
    let hub = Hub::new(LINEAGE);
    let (mut slow, mut good) = (hub.subscribe(None, None), hub.subscribe(None, None));
    let queue = limits::WATCH_QUEUE_MAX as u64;
    for index in 1..=queue {
        publish(&hub, index, &[1]);
    }
    assert_eq!(taken(&mut good).0.len() as u64, queue);
    // A bookmark that has no room ends nothing.
    hub.bookmark(1);
    publish(&hub, queue + 1, &[1]);
    publish(&hub, queue + 2, &[1]);
    let (given, end) = taken(&mut slow);
    assert_eq!(given, (1..=queue).collect::<Vec<_>>());
    assert_eq!(end, Some(End::SlowReader));
    assert_eq!(taken(&mut good), (vec![queue + 1, queue + 2], None));
    // It goes on from there.
    let mut back = hub.subscribe(None, given.last().copied().map(at));
    assert_eq!(taken(&mut back), (vec![queue + 1, queue + 2], None));
}

#[test]
fn state_put_in_place_ends_all_and_what_was_before_is_not_remembered() {
    let hub = Hub::new(LINEAGE);
    publish(&hub, 1, &[1]);
    let (mut one, mut all) = (
        hub.subscribe(Some(show(1)), None),
        hub.subscribe(None, None),
    );
    publish(&hub, 2, &[1]);
    hub.begin(at(50));
    assert_eq!(taken(&mut one), (vec![2], Some(End::SnapshotInstalled)));
    assert_eq!(taken(&mut all), (vec![2], Some(End::SnapshotInstalled)));
    assert!(!hub.subscribe(None, Some(at(2))).resumed);
    assert!(hub.subscribe(None, Some(at(50))).resumed);
}

#[test]
fn bookmark_comes_after_everything_that_it_covers() {
    let hub = Hub::new(LINEAGE);
    let mut one = hub.subscribe(Some(show(1)), None);
    publish(&hub, 1, &[1]);
    publish(&hub, 2, &[2]);
    hub.bookmark(77);
    let mut items = Vec::new();
    while let Some(Ok(item)) = futures::FutureExt::now_or_never(one.next()) {
        items.push(match item {
            Item::Changes(changes) => (changes.revision, 0),
            Item::Bookmark { revision, time_ms } => (revision, time_ms),
        });
    }
    assert_eq!(items, [(at(1), 0), (at(2), 77)]);
}

#[test]
fn watcher_that_left_is_put_away_at_the_next_bookmark() {
    let hub = Hub::new(LINEAGE);
    drop(hub.subscribe(Some(show(1)), None));
    drop(hub.subscribe(None, None));
    hub.bookmark(1);
    let inner = hub.inner();
    assert!(inner.of_show.is_empty() && inner.of_all.is_empty());
}

#[test]
fn watcher_that_left_is_put_away_while_nothing_is_given() {
    let hub = Hub::new(LINEAGE);
    let mut stays = hub.subscribe(Some(show(1)), None);
    drop(hub.subscribe(Some(show(1)), None));
    drop(hub.subscribe(Some(show(2)), None));
    drop(hub.subscribe(None, None));
    hub.put_away();
    {
        let inner = hub.inner();
        assert!(inner.of_all.is_empty());
        assert_eq!((inner.of_show.len(), inner.of_show[&show(1)].len()), (1, 1));
    }
    publish(&hub, 1, &[1]);
    assert_eq!(taken(&mut stays), (vec![1], None));
}
