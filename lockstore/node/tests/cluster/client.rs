//! Through `lockstore-client`, as services use the store: callers don't see a change of leader.

#[expect(dead_code, reason = "its main isn't called here")]
#[path = "../../../client/examples/hold.rs"]
mod example;

use std::{sync::Arc, time::Duration};

use holdfast_types::{BookingId, DurationMs, HoldId, SeatNo, SeatState, ShowId, UserId};
use lockstore_client::{
    Client, CommitHold, CommitOutcome, HoldOutcome, HoldSeats, LayoutSeat, OpenOutcome, OpenShow,
    Selection, ShowRules, ShowState,
};

use crate::support::{Cluster, ELECTION_TIMEOUT_MS_SHORT, new_id};

const DEADLINE: Duration = Duration::from_secs(30);
const SEATS: u32 = 200;

fn id<T>(from: fn([u8; 16]) -> T) -> T {
    from(new_id().as_ref().try_into().expect("16 bytes"))
}

async fn open_show(client: &Client) -> ShowId {
    let show_id = id(ShowId::from_bytes);
    let opened = client
        .open_show(
            OpenShow {
                show_id,
                seat_count: SEATS,
                rules: ShowRules {
                    hold_ttl: DurationMs::from_secs(600),
                    hold_total_max: DurationMs::from_secs(1800),
                    seats_per_customer_max: 10,
                    no_lone_seat: false,
                },
                first_seat_no: SeatNo(0),
                seats: vec![LayoutSeat::default(); SEATS as usize],
                on_sale: true,
            },
            DEADLINE,
        )
        .await
        .expect("answered");
    let on_sale = OpenOutcome::Opened {
        state: ShowState::OnSale,
        seats_known: SEATS,
    };
    assert_eq!(opened.outcome, on_sale);
    show_id
}

/// Holds one seat and buys it.
async fn buy(client: &Client, show_id: ShowId, seat: u32) {
    let hold_id = id(HoldId::from_bytes);
    let request = HoldSeats {
        hold_id,
        show_id,
        holder: id(UserId::from_bytes),
        selection: Selection::Seats(vec![SeatNo(seat)]),
        ttl: DurationMs(0),
        price_version: 1,
        late_money: false,
    };
    let answer = client.hold(request, DEADLINE).await.expect("held");
    let HoldOutcome::Held { hold, .. } = answer.outcome else {
        panic!("{:?}", answer.outcome)
    };
    let request = CommitHold {
        show_id,
        hold_id,
        fence: hold.fence,
        seat_nos: hold.seat_nos,
        booking_id: id(BookingId::from_bytes),
    };
    let answer = client.commit(request, DEADLINE).await.expect("sold");
    assert!(
        matches!(answer.outcome, CommitOutcome::Sold { .. }),
        "{:?}",
        answer.outcome
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_go_on_while_every_node_is_restarted_in_turn() {
    let mut cluster = Cluster::start(|config| {
        config.election_timeout_ms_min = ELECTION_TIMEOUT_MS_SHORT;
    })
    .await;
    let endpoints = cluster
        .ids()
        .into_iter()
        .map(|id| cluster.client_addr(id).to_owned());
    let client = Arc::new(Client::connect(endpoints.collect()));
    let show_id = open_show(&client).await;
    let buyers: Vec<_> = (0..4)
        .map(|buyer| {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                for seat in (buyer..SEATS).step_by(4) {
                    buy(&client, show_id, seat).await;
                }
            })
        })
        .collect();
    for node_id in cluster.ids() {
        cluster.stop_node(node_id).await;
        cluster.start_node(node_id);
        cluster.leader().await;
    }
    for buyer in buyers {
        buyer.await.expect("every seat was sold");
    }
    let show = client
        .show(show_id, DEADLINE)
        .await
        .expect("answered")
        .outcome
        .expect("there");
    assert!(show.seat_states.iter().all(|seat| *seat == SeatState::Sold));
    cluster.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn example_of_the_client_buys_two_seats_a_run_until_none_are_left() {
    let cluster = Cluster::start(|_| {}).await;
    let addresses = || {
        let ids = cluster.ids().into_iter();
        ids.map(|id| cluster.client_addr(id).to_owned()).collect()
    };
    let (mut seats, mut fence) = (Vec::new(), None);
    for _ in 0..10 {
        let bought = example::buy_two(addresses()).await.expect("two are left");
        assert!(fence < Some(bought.fence));
        fence = Some(bought.fence);
        seats.extend(bought.seat_nos);
    }
    assert_eq!(seats[..2], [SeatNo(4), SeatNo(5)], "the best there are");
    seats.sort_unstable();
    assert_eq!(seats, (0..20).map(SeatNo).collect::<Vec<_>>());
    let none = example::buy_two(addresses()).await.map(drop);
    let none = none.expect_err("it is sold out").to_string();
    assert_eq!(none, "not held: NoBlock");
}
