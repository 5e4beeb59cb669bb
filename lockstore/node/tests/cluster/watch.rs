//! Watching real nodes: what is given out is the store's own state, whoever gives it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use holdfast_proto::lockstore::v1::{
    self as pb, lock_store_service_client::LockStoreServiceClient, watch_response::Item as Message,
};
use holdfast_types::{
    BookingId, DurationMs, Fence, HoldId, Lineage, Revision, SeatNo, SeatState, ShowId, UserId,
};
use lockstore_client::{
    BestAvailable, BlockSeats, ChangeShow, Client, CommitHold, HoldOutcome, HoldSeats, LayoutSeat,
    OpenShow, ReleaseHold, ReturnSeats, Selection, ShowReplica, ShowRules, ShowState, Start,
    UnblockSeats, Watch, WatchItem, Watched,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tonic::{Code, Streaming, transport::Endpoint};

use crate::{
    reading, reason,
    support::{Cluster, ELECTION_TIMEOUT_MS_SHORT, new_id},
};

const DEADLINE: Duration = Duration::from_secs(30);
/// Longer than anything that is waited for takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(50);
const SEATS: u32 = 40;
/// Reads of a show that changes by itself while it is compared.
const READS_MAX: usize = 50;
/// Shorter than the random commands take, so that some holds run out among them.
const TTL: DurationMs = DurationMs(1_000);

fn id<T>(from: fn([u8; 16]) -> T) -> T {
    from(new_id().as_ref().try_into().expect("16 bytes"))
}

fn everywhere(cluster: &Cluster) -> Client {
    let ids = cluster.ids().into_iter();
    Client::connect(ids.map(|id| cluster.client_addr(id).to_owned()).collect())
}

async fn open(client: &Client, seats: u32, hold_ttl: DurationMs) -> ShowId {
    let show_id = id(ShowId::from_bytes);
    let layout = LayoutSeat::default();
    let request = OpenShow {
        show_id,
        seat_count: seats,
        rules: ShowRules {
            hold_ttl,
            hold_total_max: DurationMs::from_secs(3_600),
            seats_per_customer_max: 1_000,
            no_lone_seat: false,
        },
        first_seat_no: SeatNo(0),
        seats: vec![layout; seats as usize],
        on_sale: true,
    };
    client.open_show(request, DEADLINE).await.expect("opened");
    show_id
}

/// Shows as a watch of all of them adds up.
#[derive(Default)]
struct Replicas {
    began: Revision,
    at: Revision,
    shows: BTreeMap<ShowId, ShowReplica>,
}

impl Replicas {
    fn take(&mut self, item: WatchItem) {
        match item {
            WatchItem::Begun { revision, .. } => {
                *self = Self {
                    began: revision,
                    at: revision,
                    shows: BTreeMap::new(),
                };
            }
            WatchItem::Snapshot(snapshot) => {
                let replica = ShowReplica::new(self.at, snapshot.show);
                self.shows.insert(snapshot.show_id, replica);
            }
            WatchItem::Changes(changes) => {
                for show in &changes.shows {
                    let began = self.began;
                    let replica = self.shows.entry(show.show_id);
                    let replica = replica.or_insert_with(|| ShowReplica::new(began, None));
                    let applied = replica.apply(changes.revision, show);
                    applied.expect("nothing is missing in between");
                }
                self.at = changes.revision;
            }
            WatchItem::Bookmark { revision, .. } => self.at = revision,
        }
    }

    /// Follows until everything up to `revision` was given.
    async fn reach(&mut self, watch: &mut Watch, revision: Revision) {
        let reaching = async {
            while self.at < revision {
                self.take(watch.next().await);
            }
        };
        tokio::time::timeout(LIMIT, reaching)
            .await
            .expect("comes in time");
    }
}

/// One command of any kind, with what is likely to do something.
struct Random {
    rng: StdRng,
    client: Client,
    live: Vec<(ShowId, HoldId, UserId, Fence, Vec<SeatNo>)>,
    sold: Vec<(ShowId, Fence, Vec<SeatNo>, BookingId)>,
}

impl Random {
    async fn step(&mut self, show_id: ShowId) {
        let choice = self.rng.random_range(0..12);
        match choice {
            0..=4 => self.hold(show_id).await,
            5 | 6 if !self.live.is_empty() => {
                let index = self.rng.random_range(0..self.live.len());
                let (show_id, hold_id, _, fence, seat_nos) = self.live.swap_remove(index);
                let booking_id = id(BookingId::from_bytes);
                let request = CommitHold {
                    show_id,
                    hold_id,
                    fence,
                    seat_nos: seat_nos.clone(),
                    booking_id,
                };
                self.client.commit(request, DEADLINE).await.expect("judged");
                self.sold.push((show_id, fence, seat_nos, booking_id));
            }
            7 | 8 if !self.live.is_empty() => {
                let index = self.rng.random_range(0..self.live.len());
                let (show_id, hold_id, holder, fence, _) = self.live.swap_remove(index);
                let request = ReleaseHold {
                    show_id,
                    holder,
                    hold_id,
                    fence,
                };
                let released = self.client.release(request, DEADLINE).await;
                released.expect("judged");
            }
            9 if !self.sold.is_empty() => {
                let index = self.rng.random_range(0..self.sold.len());
                let (show_id, fence, seat_nos, booking_id) = self.sold.swap_remove(index);
                let request = ReturnSeats {
                    show_id,
                    fence,
                    seat_nos,
                    booking_id,
                };
                let returned = self.client.return_seats(request, DEADLINE).await;
                returned.expect("judged");
            }
            10 => {
                let request = BlockSeats {
                    show_id,
                    seat_nos: self.some_seats(),
                    actor: id(UserId::from_bytes),
                };
                let blocked = self.client.block_seats(request, DEADLINE).await;
                blocked.expect("judged");
            }
            11 => {
                let request = UnblockSeats {
                    show_id,
                    seat_nos: self.some_seats(),
                    actor: id(UserId::from_bytes),
                };
                let unblocked = self.client.unblock_seats(request, DEADLINE).await;
                unblocked.expect("judged");
            }
            _ => self.hold(show_id).await,
        }
    }

    fn some_seats(&mut self) -> Vec<SeatNo> {
        let first = self.rng.random_range(0..SEATS - 3);
        let last = first + self.rng.random_range(0..3);
        (first..=last).map(SeatNo).collect()
    }

    async fn hold(&mut self, show_id: ShowId) {
        let selection = if self.rng.random_range(0..3) == 0 {
            Selection::BestAvailable(BestAvailable {
                count: self.rng.random_range(1..4),
                sections: Vec::new(),
                categories: Vec::new(),
                adjacent: true,
                accessible: false,
            })
        } else {
            Selection::Seats(self.some_seats())
        };
        let (hold_id, holder) = (id(HoldId::from_bytes), id(UserId::from_bytes));
        let request = HoldSeats {
            hold_id,
            show_id,
            holder,
            selection,
            ttl: DurationMs(0),
            price_version: 1,
            late_money: false,
        };
        let answer = self.client.hold(request, DEADLINE).await.expect("judged");
        if let HoldOutcome::Held { hold, .. } = answer.outcome {
            self.live
                .push((show_id, hold_id, holder, hold.fence, hold.seat_nos));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_node_gives_out_adds_up_to_the_stores_own_state() {
    let cluster = Cluster::start(|_| {}).await;
    let client = everywhere(&cluster);
    let first = open(&client, SEATS, TTL).await;
    let mut random = Random {
        rng: StdRng::seed_from_u64(7),
        client: client.clone(),
        live: Vec::new(),
        sold: Vec::new(),
    };
    for _ in 0..20 {
        random.step(first).await;
    }
    // One at each node, of the first show and of all.
    let mut watches: Vec<(Watch, Replicas)> = Vec::new();
    for node_id in cluster.ids() {
        let node = Client::connect(vec![cluster.client_addr(node_id).to_owned()]);
        for watched in [Watched::Show(first), Watched::All] {
            let mut watch = node.watch(watched, Start::Now);
            let mut replicas = Replicas::default();
            replicas.take(watch.next().await);
            watches.push((watch, replicas));
        }
    }
    let second = open(&client, SEATS, TTL).await;
    let cancelled = open(&client, SEATS, DurationMs::from_secs(600)).await;
    for step in 0..150 {
        random.step([first, second, cancelled][step % 3]).await;
    }
    let cancel = ChangeShow {
        show_id: cancelled,
        state: Some(ShowState::Cancelled),
        rules: None,
    };
    client.change_show(cancel, DEADLINE).await.expect("judged");
    tokio::time::sleep(Duration::from_millis(TTL.0)).await;
    random.step(first).await;

    for show_id in [first, second, cancelled] {
        let mut compared = 0;
        for (watch, replicas) in &mut watches {
            compared += usize::from(agrees(&client, show_id, watch, replicas).await);
        }
        // A watch of one show knows that one only.
        let watched = if show_id == first { 6 } else { 3 };
        assert_eq!(compared, watched);
    }
    let answer = client.show(cancelled, DEADLINE).await.expect("read");
    let show = answer.outcome.expect("is there");
    let held = show.seat_states.contains(&SeatState::Held);
    assert!(!held, "it was called off");
    let known: Vec<usize> = watches.iter().map(|(_, all)| all.shows.len()).collect();
    assert_eq!(known, [1, 3, 1, 3, 1, 3]);
}

/// Reads a show and compares what a watch adds up to with it; `false` if that show isn't watched.
async fn agrees(
    client: &Client,
    show_id: ShowId,
    watch: &mut Watch,
    replicas: &mut Replicas,
) -> bool {
    for _ in 0..READS_MAX {
        let answer = client.show(show_id, DEADLINE).await.expect("read");
        let show = answer.outcome.expect("is there");
        replicas.reach(watch, answer.revision).await;
        let Some(replica) = replicas.shows.get(&show_id) else {
            return false;
        };
        // What was given out since the read, as a hold that ran out, shows in the next one.
        if replica.revision() <= answer.revision {
            let (state, seats) = replica.show().expect("is there");
            assert_eq!((state, seats), (show.state, show.seat_states.as_slice()));
            return true;
        }
    }
    panic!("show {show_id} changed at every read");
}

async fn watch_raw(
    cluster: &Cluster,
    node_id: u64,
    request: pb::WatchRequest,
) -> Result<Streaming<pb::WatchResponse>, tonic::Status> {
    let answer = cluster.client(node_id).watch(request).await?;
    Ok(answer.into_inner())
}

async fn next(stream: &mut Streaming<pb::WatchResponse>) -> Option<Message> {
    let message = tokio::time::timeout(LIMIT, stream.message()).await;
    let message = message.expect("comes in time").expect("doesn't break");
    message.map(|message| message.item.expect("is something"))
}

/// The revisions of the next `count` changes.
async fn revisions(stream: &mut Streaming<pb::WatchResponse>, count: usize) -> Vec<u64> {
    let mut found = Vec::new();
    while found.len() < count {
        if let Message::Changes(changes) = next(stream).await.expect("goes on") {
            found.push(changes.revision);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_comes_back_to_another_node_misses_nothing_and_gets_nothing_twice() {
    let cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(30, 600_000).await;
    let other = cluster.open_show(30, 600_000).await;
    let request = |after_revision| pb::WatchRequest {
        show_id: show_id.clone(),
        after_revision,
        changes_only: false,
    };
    let leader = cluster.leader().await;
    let mut whole = watch_raw(&cluster, leader, request(0))
        .await
        .expect("begun");
    for seat in 0..20 {
        cluster.hold(&show_id, &[seat]).await;
        cluster.hold(&other, &[seat]).await;
    }
    let all = revisions(&mut whole, 20).await;
    for node_id in cluster.ids() {
        for from in [0, 7, 19] {
            let mut back = watch_raw(&cluster, node_id, request(all[from]))
                .await
                .expect("begun");
            let Some(Message::Begun(begun)) = next(&mut back).await else {
                panic!("it begins")
            };
            assert!(begun.resumed && begun.revision == all[from] && begun.snapshots == 0);
            let rest = revisions(&mut back, 19 - from).await;
            assert_eq!(rest, all[from + 1..], "node {node_id} after {from}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_go_on_without_a_gap_when_the_leader_is_killed() {
    let mut cluster = Cluster::start(|config| {
        config.election_timeout_ms_min = ELECTION_TIMEOUT_MS_SHORT;
    })
    .await;
    let client = everywhere(&cluster);
    let show_id = open(&client, SEATS, DurationMs::from_secs(600)).await;
    // One at each node: it takes turns.
    let mut watches = Vec::new();
    for _ in cluster.ids() {
        let mut watch = client.watch(Watched::Show(show_id), Start::Now);
        let mut replicas = Replicas::default();
        replicas.take(watch.next().await);
        watches.push((watch, replicas));
    }
    let mut random = Random {
        rng: StdRng::seed_from_u64(11),
        client: client.clone(),
        live: Vec::new(),
        sold: Vec::new(),
    };
    for step in 0..60 {
        if step == 20 {
            let leader = cluster.leader().await;
            cluster.kill_node(leader);
        }
        random.step(show_id).await;
    }
    let answer = client.show(show_id, DEADLINE).await.expect("read");
    let show = answer.outcome.expect("is there");
    for (watch, replicas) in &mut watches {
        let begun_anew = async {
            while replicas.at < answer.revision {
                let item = watch.next().await;
                let anew = matches!(item, WatchItem::Begun { .. });
                assert!(!anew, "every node remembers so far back");
                replicas.take(item);
            }
        };
        tokio::time::timeout(LIMIT, begun_anew)
            .await
            .expect("comes in time");
        let (_, seats) = replicas.shows[&show_id].show().expect("is there");
        assert_eq!(seats, show.seat_states);
    }
}

/// More than a watcher's queue and what is under way to it can take.
const PAIRS: u32 = 6_000;
const HOLDERS: u32 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn slow_reader_is_dropped_and_the_store_goes_on() {
    let cluster = Cluster::start(|_| {}).await;
    let client = Arc::new(everywhere(&cluster));
    let show_id = open(&client, HOLDERS, DurationMs::from_secs(600)).await;
    let leader = cluster.leader().await;
    // It takes little at once, so that what isn't read stays at the node.
    let channel = Endpoint::from_shared(cluster.client_addr(leader).to_owned())
        .expect("an address")
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535)
        .connect_lazy();
    let request = pb::WatchRequest {
        show_id: Bytes::copy_from_slice(&show_id.to_bytes()),
        ..Default::default()
    };
    let mut slow = LockStoreServiceClient::new(channel)
        .watch(request.clone())
        .await
        .expect("begun")
        .into_inner();
    let holders: Vec<_> = (0..HOLDERS)
        .map(|seat| {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                for _ in 0..PAIRS / HOLDERS {
                    hold_and_release(&client, show_id, seat).await;
                }
            })
        })
        .collect();
    for holder in holders {
        holder.await.expect("the store goes on");
    }
    let mut found = Vec::new();
    let resume = loop {
        match next(&mut slow).await.expect("it says that it ends") {
            Message::Changes(changes) => found.push(changes.revision),
            Message::Ended(ended) => {
                assert_eq!(ended.reason(), pb::WatchEndReason::SlowReader);
                break ended.resume_revision;
            }
            Message::Begun(_) | Message::Snapshot(_) | Message::Bookmark(_) => {}
        }
    };
    assert!(next(&mut slow).await.is_none(), "nothing comes after it");
    assert!(found.len() < 2 * PAIRS as usize, "it was dropped");
    let resumed = pb::WatchRequest {
        after_revision: resume,
        ..request
    };
    let mut back = watch_raw(&cluster, leader, resumed).await.expect("begun");
    let rest = 2 * PAIRS as usize - found.len();
    found.extend(revisions(&mut back, rest).await);
    assert!(found.is_sorted_by(|a, b| a < b), "in order and none twice");
}

async fn hold_and_release(client: &Client, show_id: ShowId, seat: u32) {
    let (hold_id, holder) = (id(HoldId::from_bytes), id(UserId::from_bytes));
    let request = HoldSeats {
        hold_id,
        show_id,
        holder,
        selection: Selection::Seats(vec![SeatNo(seat)]),
        ttl: DurationMs(0),
        price_version: 1,
        late_money: false,
    };
    let answer = client.hold(request, DEADLINE).await.expect("judged");
    let HoldOutcome::Held { hold, .. } = answer.outcome else {
        panic!("{:?}", answer.outcome)
    };
    let request = ReleaseHold {
        show_id,
        holder,
        hold_id,
        fence: hold.fence,
    };
    client.release(request, DEADLINE).await.expect("judged");
}

#[tokio::test(flavor = "multi_thread")]
async fn bookmarks_come_only_while_a_leader_is_heard_and_a_stopping_node_ends_the_stream() {
    let mut cluster = Cluster::start(|_| {}).await;
    let show_id = cluster.open_show(3, 600_000).await;
    let follower = cluster.follower().await;
    let request = pb::WatchRequest {
        show_id: show_id.clone(),
        ..Default::default()
    };
    let mut stream = watch_raw(&cluster, follower, request).await.expect("begun");
    let held = cluster.hold(&show_id, &[1]).await;
    let mut seen = 0;
    while seen < held.hold.fence {
        if let Message::Bookmark(bookmark) = next(&mut stream).await.expect("goes on") {
            assert!(bookmark.revision >= seen);
            seen = bookmark.revision;
        }
    }
    for node_id in cluster.ids() {
        if node_id != follower {
            cluster.stop_node(node_id).await;
        }
    }
    // Those that were said before may be under way; then there are none.
    let silent = Duration::from_secs(3);
    let ending = async {
        loop {
            match tokio::time::timeout(silent, stream.message()).await {
                Ok(message) => drop(message.expect("doesn't break").expect("goes on")),
                Err(_) => return,
            }
        }
    };
    tokio::time::timeout(LIMIT, ending)
        .await
        .expect("without a leader it is silent");
    cluster.stop_node(follower).await;
    let Some(Message::Ended(ended)) = next(&mut stream).await else {
        panic!("it says that it ends")
    };
    assert_eq!(ended.reason(), pb::WatchEndReason::Stopping);
    assert!(ended.resume_revision >= held.hold.fence);
}

/// So long that a leader which lost its majority goes on saying that it is there for well over what
/// a bookmark may be late by.
const PATIENT_ELECTION_MS: u64 = 5_000;
/// How late a bookmark may be after the last moment at which the leader had its majority: the second
/// that is allowed, and what a busy machine takes to pass a word on.
const BOOKMARK_LATE_MS_MAX: u64 = 1_000 + 3_000;

#[tokio::test(flavor = "multi_thread")]
async fn follower_of_a_leader_without_majority_gives_no_bookmarks() {
    let mut cluster = Cluster::prepare(5, |config| {
        config.election_timeout_ms_min = PATIENT_ELECTION_MS;
    });
    for node_id in cluster.ids() {
        cluster.start_node(node_id);
    }
    let show_id = cluster.open_show(3, 600_000).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let request = pb::WatchRequest {
        show_id: show_id.clone(),
        ..Default::default()
    };
    let mut stream = watch_raw(&cluster, follower, request).await.expect("begun");
    let bookmark = async |stream: &mut Streaming<pb::WatchResponse>| loop {
        if let Message::Bookmark(bookmark) = next(stream).await.expect("goes on") {
            return bookmark.cluster_time_ms;
        }
    };
    bookmark(&mut stream).await;
    for node_id in cluster.ids() {
        if ![leader, follower].contains(&node_id) {
            cluster.kill_node(node_id);
        }
    }
    // The leader's own clock, which goes on though it decides nothing any more.
    let lost_ms = cluster.status_of(leader).await.cluster_time_ms;
    let silent = Duration::from_secs(3);
    let mut last_ms = 0;
    let ending = async {
        while let Ok(message) = tokio::time::timeout(silent, stream.message()).await {
            let message = message.expect("doesn't break").expect("goes on");
            if let Some(Message::Bookmark(bookmark)) = message.item {
                last_ms = bookmark.cluster_time_ms;
            }
        }
    };
    tokio::time::timeout(LIMIT, ending)
        .await
        .expect("without a majority it is silent");
    assert!(
        last_ms < lost_ms + BOOKMARK_LATE_MS_MAX,
        "the majority was lost by {lost_ms}, and it was still said at {last_ms} that all is known"
    );
    // Nor is a read answered from what was known then as if it were new.
    for node_id in [leader, follower] {
        let status = reading::show(&cluster, node_id, &show_id, reading::stale(1_000)).await;
        let status = status.expect_err("nobody can tell what was decided");
        assert_eq!(reason(&status), "BEHIND", "node {node_id}: {status}");
    }
    // They are there, and hear each other: only the others are missing.
    let status = cluster.status_of(follower).await;
    assert_eq!(status.leader_id, leader);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_watched_is_refused_by_name() {
    let cluster = Cluster::start(|_| {}).await;
    cluster.open_show(1, 600_000).await;
    let leader = cluster.leader().await;
    let ask = async |request| {
        let refused = watch_raw(&cluster, leader, request).await;
        refused.expect_err("refused")
    };
    let after = |revision: Revision| pb::WatchRequest {
        after_revision: revision.as_u64(),
        ..Default::default()
    };
    let status = ask(after(Revision::new(Lineage(2), 1, 0))).await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "LINEAGE_CHANGED")
    );
    let status = ask(after(Revision::new(Lineage(1), 1 << 30, 0))).await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "BEHIND")
    );
    let malformed = pb::WatchRequest {
        show_id: vec![1; 15].into(),
        ..Default::default()
    };
    let status = ask(malformed).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("show_id"), "{status}");
}
