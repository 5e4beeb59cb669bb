//! Buys the two best seats of a small show, which it opens if the store has none yet:
//! `cargo run -p lockstore-client --example hold -- http://127.0.0.1:7101 http://127.0.0.1:7102`
//! with the addresses of the nodes' client planes. Each run buys two more, until none are left.

use std::{error::Error, time::Duration};

use lockstore_client::{
    BestAvailable, BookingId, Client, CommitHold, CommitOutcome, DurationMs, Fence, HoldId,
    HoldOutcome, HoldSeats, LayoutSeat, OpenOutcome, OpenShow, SeatNo, Selection, ShowId,
    ShowRules, UserId,
};

/// How long a call may take, retries and a change of leader included.
const DEADLINE: Duration = Duration::from_secs(10);
/// An id that others use, too, names the same show.
const SHOW: ShowId = ShowId::from_bytes(*b"lockstore-client");
const ROWS: u32 = 2;
const SEATS_PER_ROW: u32 = 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    let bought = buy_two(addresses).await?;
    println!(
        "bought seats {:?} under fence {}",
        bought.seat_nos, bought.fence
    );
    Ok(())
}

/// What was bought.
pub(crate) struct Bought {
    /// Kept with the purchase: seats are returned by it.
    pub(crate) fence: Fence,
    pub(crate) seat_nos: Vec<SeatNo>,
}

/// Holds the two best seats that are free, and buys them.
///
/// # Errors
/// The store gave no answer, or it refused: then there are no two seats side by side any more.
pub(crate) async fn buy_two(addresses: Vec<String>) -> Result<Bought, Box<dyn Error>> {
    let client = Client::connect(addresses);
    open(&client).await?;

    // The caller chooses the hold's id. Whoever isn't sure that a hold was granted asks again with
    // the same id and the same request, and gets the same answer.
    let request = HoldSeats {
        hold_id: HoldId::from_bytes(rand::random()),
        show_id: SHOW,
        holder: UserId::from_bytes(rand::random()),
        selection: Selection::BestAvailable(BestAvailable {
            count: 2,
            sections: Vec::new(),
            categories: Vec::new(),
            adjacent: true,
            accessible: false,
        }),
        ttl: DurationMs(0),
        price_version: 1,
        late_money: false,
    };
    let answer = client.hold(request, DEADLINE).await?;
    let hold = match answer.outcome {
        HoldOutcome::Held { hold, .. } => hold,
        HoldOutcome::Refused(refusal) => Err(format!("not held: {:?}", refusal.reason))?,
    };
    // Here one would be charged. The store's time is the one that counts; what is left of the hold:
    let left = answer.cluster_time.until(hold.expires_at);
    println!("holding seats {:?} for {} s", hold.seat_nos, left.as_secs());

    let request = CommitHold {
        show_id: SHOW,
        hold_id: hold.hold_id,
        fence: hold.fence,
        seat_nos: hold.seat_nos,
        booking_id: BookingId::from_bytes(rand::random()),
    };
    // The same commit may be sent again whatever came of it: sold to this booking is sold.
    match client.commit(request, DEADLINE).await?.outcome {
        CommitOutcome::Sold { seat_nos, .. } => Ok(Bought {
            fence: hold.fence,
            seat_nos,
        }),
        CommitOutcome::Refused(refusal) => Err(format!("not sold: {:?}", refusal.reason))?,
    }
}

/// Opens the show; one that is there already is left as it is.
async fn open(client: &Client) -> Result<(), Box<dyn Error>> {
    if client.show(SHOW, DEADLINE).await?.outcome.is_some() {
        return Ok(());
    }
    let seat = |n: u32| LayoutSeat {
        row_no: n / SEATS_PER_ROW,
        // The first row is the best, and its middle.
        rank: (10 * (n / SEATS_PER_ROW) + (2 * (n % SEATS_PER_ROW)).abs_diff(SEATS_PER_ROW - 1))
            as u16,
        ..LayoutSeat::default()
    };
    let seats: Vec<LayoutSeat> = (0..ROWS * SEATS_PER_ROW).map(seat).collect();
    let request = OpenShow {
        show_id: SHOW,
        seat_count: ROWS * SEATS_PER_ROW,
        rules: ShowRules {
            hold_ttl: DurationMs::from_secs(600),
            hold_total_max: DurationMs::from_secs(1_800),
            seats_per_customer_max: 10,
            no_lone_seat: true,
        },
        first_seat_no: SeatNo(0),
        seats,
        on_sale: true,
    };
    match client.open_show(request, DEADLINE).await?.outcome {
        OpenOutcome::Opened { .. } => Ok(()),
        OpenOutcome::Refused(refusal) => Err(format!("not opened: {:?}", refusal.reason))?,
    }
}
