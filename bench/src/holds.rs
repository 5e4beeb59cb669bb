//! Holds per second through gRPC on three replicas: distinct free seats, all or nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use holdfast_harness::System;
use holdfast_types::{
    DurationMs, HoldId, SeatNo, ShowId, UserId,
    limits::{HOLD_TOTAL_DEFAULT, HOLD_TTL_DEFAULT, LAYOUT_CHUNK_SEATS_MAX, SEATS_PER_SHOW_MAX},
};
use lockstore_client::{
    Client, HoldOutcome, HoldSeats, LayoutSeat, OpenOutcome, OpenShow, Options, Selection,
    ShowRules,
};
use uuid::Uuid;

use crate::load::{self, Ended, Load, Measured};

/// How long one call may take before it counts as failed.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Seats of a row; of no matter to named seats.
const ROW_SEATS: u32 = 100;
/// Seats of a row of a hall whose seats are chosen for the customer.
const HALL_ROW_SEATS: u32 = 20;

/// Shows that the holds spread over.
const SHOWS: u32 = 8;

/// Opens shows of 100,000 seats and holds `seats` of them at a time until the time is over.
///
/// # Errors
/// If a show can't be opened, or the system has no certificates.
pub async fn run(system: &System, seats: u32, load: Load) -> Result<Measured> {
    // As booking-svc, which alone may hold.
    let client = Client::connect_with(
        system.run()?.lockstore,
        Options {
            channels_per_endpoint: 4,
            tls: Some(system.certificates().of("booking", "lockstore")?),
            ..Options::default()
        },
    );
    let mut shows = Vec::new();
    for _ in 0..SHOWS {
        shows.push(open_show(&client, SEATS_PER_SHOW_MAX).await?);
    }
    let shows = Arc::new(shows);
    let next = Arc::new(AtomicU32::new(0));
    let holds_per_show = SEATS_PER_SHOW_MAX / seats;
    load::run(load, move |_| {
        let (client, shows, next) = (client.clone(), Arc::clone(&shows), Arc::clone(&next));
        async move {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(show_id) = shows.get((n / holds_per_show) as usize) else {
                return Ok(Ended::Exhausted);
            };
            let first = n % holds_per_show * seats;
            let request = HoldSeats {
                hold_id: HoldId::from_uuid(Uuid::new_v4()),
                show_id: *show_id,
                holder: UserId::from_uuid(Uuid::new_v4()),
                selection: Selection::Seats((first..first + seats).map(SeatNo).collect()),
                ttl: DurationMs(0),
                price_version: 1,
                late_money: false,
            };
            match client.hold(request, CALL_LIMIT).await?.outcome {
                HoldOutcome::Held { .. } => Ok(Ended::Done),
                HoldOutcome::Refused(_) => Ok(Ended::Refused),
            }
        }
    })
    .await
}

/// Opens a show of `seats` seats on sale.
///
/// # Errors
/// The store is away, or refuses.
pub async fn open_show(client: &Client, seats: u32) -> Result<ShowId> {
    open(client, seats, ROW_SEATS, |_| 0).await
}

/// As [`open_show`], a hall of rows that fit parties of four, the best seats in the middle of the
/// front.
///
/// # Errors
/// As [`open_show`].
pub async fn open_hall(client: &Client, seats: u32) -> Result<ShowId> {
    let rank = |seat: u32| {
        let (row, place) = (seat / HALL_ROW_SEATS, seat % HALL_ROW_SEATS);
        let rank = 2 * row + place.abs_diff(HALL_ROW_SEATS / 2);
        u16::try_from(rank).unwrap_or(u16::MAX)
    };
    open(client, seats, HALL_ROW_SEATS, rank).await
}

async fn open(
    client: &Client,
    seats: u32,
    row_seats: u32,
    rank: impl Fn(u32) -> u16,
) -> Result<ShowId> {
    let show_id = ShowId::from_uuid(Uuid::new_v4());
    let chunk = u32::try_from(LAYOUT_CHUNK_SEATS_MAX)?;
    let mut first = 0;
    while first < seats {
        let count = chunk.min(seats - first);
        let request = OpenShow {
            show_id,
            seat_count: seats,
            rules: ShowRules {
                hold_ttl: HOLD_TTL_DEFAULT,
                hold_total_max: HOLD_TOTAL_DEFAULT,
                seats_per_customer_max: 10,
                no_lone_seat: false,
            },
            first_seat_no: SeatNo(first),
            seats: (first..first + count)
                .map(|seat| LayoutSeat {
                    row_no: seat / row_seats,
                    rank: rank(seat),
                    ..LayoutSeat::default()
                })
                .collect(),
            on_sale: true,
        };
        let answer = client
            .open_show(request, CALL_LIMIT)
            .await
            .context("opening a show")?;
        if let OpenOutcome::Refused(refusal) = answer.outcome {
            bail!("the store refuses the show: {refusal:?}");
        }
        first += count;
    }
    Ok(show_id)
}
