//! The behaviour suite of `lockstore-core`'s tests, asked of a node by messages and of three nodes
//! through `lockstore-client`.

mod by_client;
mod by_messages;

use std::fmt::Debug;

use futures::future::join_all;
use holdfast_types::{ClusterTime, ShowId};
use lockstore_core::{Outcome, Refusal, RefusalReason, ShowState};

use crate::{
    behaviour::{self, Scenario, Store},
    support::{Cluster, LIMIT, POLL, new_id},
};

#[tokio::test(flavor = "multi_thread")]
async fn one_node_behaves_as_every_scenario_says() {
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    cluster.leader().await;
    run(|| by_messages::Node(&cluster)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_behave_to_a_client_as_every_scenario_says() {
    let cluster = Cluster::start(|_| {}).await;
    let nodes = by_client::Nodes::of(&cluster);
    run(|| nodes.clone()).await;
    cluster.agrees().await;
}

/// Runs every scenario that such a store can be asked, side by side, each in a show of its own.
async fn run<S: Store>(store: impl Fn() -> S) {
    let scenarios: Vec<Scenario> = behaviour::all()
        .into_iter()
        .filter(Scenario::is_for::<S>)
        .collect();
    let runs = scenarios.iter().map(|scenario| {
        let mut store = store();
        let show_id = ShowId::from_bytes(new_id().as_ref().try_into().expect("16 bytes"));
        async move { scenario.run(&mut store, show_id).await }
    });
    join_all(runs).await;
}

/// Asks for the store's time until it has come.
async fn wait_until(time: ClusterTime, now: impl AsyncFn() -> ClusterTime) {
    let waiting = async {
        while now().await < time {
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    waited.expect("the store's time goes on");
}

/// A node refuses a list that is too long before it is a command, and says so by a status. It is the
/// same refusal.
fn too_many(why: &str) -> Outcome {
    let (_, limit) = why.split_once("are too many, at most ").expect(why);
    Outcome::Refused(Refusal {
        reason: RefusalReason::Invalid,
        seats: Vec::new(),
        limit: limit.parse().expect(why),
    })
}

const SHOW_STATES: [ShowState; 5] = [
    ShowState::Opening,
    ShowState::OnSale,
    ShowState::Paused,
    ShowState::Closed,
    ShowState::Cancelled,
];

const REASONS: [RefusalReason; 18] = [
    RefusalReason::DeadlinePassed,
    RefusalReason::DeadlineTooFar,
    RefusalReason::RequestReused,
    RefusalReason::ShowNotFound,
    RefusalReason::Invalid,
    RefusalReason::SeatUnknown,
    RefusalReason::ShowNotOnSale,
    RefusalReason::TooManyRequests,
    RefusalReason::HoldNotFound,
    RefusalReason::Expired,
    RefusalReason::Released,
    RefusalReason::StaleFence,
    RefusalReason::AlreadySold,
    RefusalReason::Conflict,
    RefusalReason::LimitExceeded,
    RefusalReason::LeavesLoneSeat,
    RefusalReason::NoBlock,
    RefusalReason::UntilTooLate,
];

/// The core's word for one of the wire's or the client's: they have the same names.
fn same<T: Debug + Copy>(theirs: impl Debug, ours: &[T]) -> T {
    let name = format!("{theirs:?}");
    let named = ours.iter().find(|our| format!("{our:?}") == name);
    *named.unwrap_or_else(|| panic!("{name} is none of {ours:?}"))
}
