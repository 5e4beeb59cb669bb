//! Seats that the store chooses and seats that staff blocks, through real nodes.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use holdfast_types::{DurationMs, HoldId, SeatNo, ShowId, UserId};
use lockstore_client::{
    BestAvailable, BlockOutcome, BlockSeats, Client, HoldOutcome, HoldSeats, LayoutSeat,
    OpenOutcome, OpenShow, RefusalReason, SeatKind, Selection, ShowRules, UnblockOutcome,
    UnblockSeats,
};

use crate::support::{Cluster, new_id};

const DEADLINE: Duration = Duration::from_secs(30);
const ROWS: u32 = 4;
const ROW_SEATS: u32 = 10;
const PLACES: u32 = 5;
const SEATS: u32 = ROWS * ROW_SEATS + PLACES;
const ARENA: u16 = 7;

fn id<T>(from: fn([u8; 16]) -> T) -> T {
    from(new_id().as_ref().try_into().expect("16 bytes"))
}

fn everywhere(cluster: &Cluster) -> Client {
    let ids = cluster.ids().into_iter();
    Client::connect(ids.map(|id| cluster.client_addr(id).to_owned()).collect())
}

/// Four rows, the first the best, whose middle is; then an area.
async fn open(client: &Client) -> ShowId {
    let seat = |n: u32| {
        let row_no = (n / ROW_SEATS).min(ROWS);
        let from_the_middle = (2 * (n % ROW_SEATS)).abs_diff(ROW_SEATS - 1);
        let is_place = row_no == ROWS;
        LayoutSeat {
            row_no,
            rank: if is_place {
                0
            } else {
                (10 * row_no + from_the_middle) as u16
            },
            section_no: if is_place { ARENA } else { 0 },
            category_no: (row_no / 2) as u16,
            kind: if is_place {
                SeatKind::Standing
            } else {
                SeatKind::Plain
            },
            gap_after: false,
        }
    };
    let show_id = id(ShowId::from_bytes);
    let request = OpenShow {
        show_id,
        seat_count: SEATS,
        rules: ShowRules {
            hold_ttl: DurationMs::from_secs(600),
            hold_total_max: DurationMs::from_secs(1_800),
            seats_per_customer_max: 10,
            no_lone_seat: true,
        },
        first_seat_no: SeatNo(0),
        seats: (0..SEATS).map(seat).collect(),
        on_sale: true,
    };
    let answer = client.open_show(request, DEADLINE).await.expect("judged");
    let OpenOutcome::Opened { .. } = answer.outcome else {
        panic!("{:?}", answer.outcome)
    };
    show_id
}

fn hold(show_id: ShowId, selection: Selection) -> HoldSeats {
    HoldSeats {
        hold_id: id(HoldId::from_bytes),
        show_id,
        holder: id(UserId::from_bytes),
        selection,
        ttl: DurationMs(0),
        price_version: 1,
        late_money: false,
    }
}

fn best(count: u32) -> BestAvailable {
    BestAvailable {
        count,
        sections: Vec::new(),
        categories: Vec::new(),
        adjacent: true,
        accessible: false,
    }
}

async fn held(client: &Client, request: &HoldSeats) -> Result<Vec<u32>, RefusalReason> {
    let answer = client
        .hold(request.clone(), DEADLINE)
        .await
        .expect("judged");
    match answer.outcome {
        HoldOutcome::Held { hold, .. } => {
            Ok(hold.seat_nos.iter().map(|seat_no| seat_no.0).collect())
        }
        HoldOutcome::Refused(refusal) => Err(refusal.reason),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rush_for_two_together_has_no_conflict_and_sells_the_rows_out() {
    let cluster = Cluster::start(|_| {}).await;
    let client = everywhere(&cluster);
    let show_id = open(&client).await;
    // From the middle outwards a row is five pairs.
    let customers: Vec<_> = (0..ROWS * ROW_SEATS / 2)
        .map(|_| {
            let client = client.clone();
            let request = hold(show_id, Selection::BestAvailable(best(2)));
            tokio::spawn(async move { held(&client, &request).await })
        })
        .collect();
    let mut taken = BTreeSet::new();
    for customer in customers {
        let seats = customer.await.expect("no panic").expect("there is a block");
        assert_eq!(seats.len(), 2);
        assert!(seats.is_sorted_by(|a, b| a + 1 == *b), "side by side");
        taken.extend(seats);
    }
    assert_eq!(taken, (0..ROWS * ROW_SEATS).collect());
    let late = hold(show_id, Selection::BestAvailable(best(1)));
    assert_eq!(held(&client, &late).await, Err(RefusalReason::NoBlock));
    cluster.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_chosen_and_blocked_survives_a_restart_from_snapshots() {
    let mut cluster = Cluster::start(|config| {
        config.snapshot_logs_since_last = 10;
        config.snapshot_logs_kept = 0;
    })
    .await;
    let client = everywhere(&cluster);
    let show_id = open(&client).await;
    let actor = id(UserId::from_bytes);
    let block = BlockSeats {
        show_id,
        seat_nos: vec![SeatNo(0), SeatNo(40)],
        actor,
    };
    let answer = client.block_seats(block.clone(), DEADLINE).await;
    let blocked = BlockOutcome::Blocked {
        seat_nos: block.seat_nos.clone(),
        already: false,
    };
    assert_eq!(answer.expect("judged").outcome, blocked);
    let four = hold(show_id, Selection::BestAvailable(best(4)));
    assert_eq!(held(&client, &four).await, Ok(vec![3, 4, 5, 6]));
    let cheap = BestAvailable {
        categories: vec![1],
        ..best(2)
    };
    let cheap = hold(show_id, Selection::BestAvailable(cheap));
    assert_eq!(held(&client, &cheap).await, Ok(vec![24, 25]));
    let area = Selection::Area {
        section_no: ARENA,
        count: 2,
    };
    let places = hold(show_id, area);
    assert_eq!(held(&client, &places).await, Ok(vec![41, 42]));
    let lone = hold(show_id, Selection::Seats(vec![SeatNo(8)]));
    assert_eq!(
        held(&client, &lone).await,
        Err(RefusalReason::LeavesLoneSeat)
    );
    cluster
        .until("every node has a snapshot of all this", || async {
            let filler = hold(show_id, Selection::Seats(vec![SeatNo(0)]));
            assert_eq!(held(&client, &filler).await, Err(RefusalReason::Conflict));
            for node_id in cluster.ids() {
                cluster.status(node_id).await.ok()?.purged?;
            }
            Some(())
        })
        .await;
    cluster.restart_elsewhere().await;
    let client = everywhere(&cluster);
    let wire = Bytes::copy_from_slice(&show_id.to_bytes());
    assert_eq!(
        cluster.seats(&wire).await,
        "BAAHHHHAAAAAAAAAAAAAAAAAHHAAAAAAAAAAAAAABHHAA"
    );
    // Copies are answered as then, and what is chosen next follows on.
    assert_eq!(held(&client, &four).await, Ok(vec![3, 4, 5, 6]));
    assert_eq!(held(&client, &places).await, Ok(vec![41, 42]));
    let next = hold(show_id, Selection::BestAvailable(best(3)));
    assert_eq!(held(&client, &next).await, Ok(vec![7, 8, 9]));
    let unblock = UnblockSeats {
        show_id,
        seat_nos: vec![SeatNo(0), SeatNo(1), SeatNo(40)],
        actor,
    };
    let answer = client.unblock_seats(unblock, DEADLINE).await;
    let unblocked = UnblockOutcome::Unblocked {
        seat_nos: block.seat_nos,
        already: false,
    };
    assert_eq!(answer.expect("judged").outcome, unblocked);
    cluster.agrees().await;
}
