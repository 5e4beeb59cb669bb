//! Many bookings that end in one transaction: a handful of statements, however many they are.
//!
//! Always holds: rows are found by their keys, one by one, whatever the planner thinks of the tables'
//! sizes; bookings that others have locked are left out, and seats are locked in the order of shows and
//! numbers, as everybody locks them, so that nobody waits for each other.

use booking_core::{Booking, Entry, Reason};
use holdfast_types::{Fence, Revision, SeatNo};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Error;

/// A booking that ends without money: as it is then, what is told of it, and whose seats are let go.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) after: Booking,
    /// In order, each with the revision of the store's word that it follows from.
    pub(crate) entries: Vec<(Entry, Option<Revision>)>,
    /// Seats are freed where they are marked with it.
    pub(crate) fence: Fence,
}

/// From here on the caller's transaction finds every row by its key. A batch is a large part of a small
/// table, which a plan would rather read through, and is kept when the table has grown.
pub(crate) async fn by_key(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!(
        "SELECT set_config('enable_seqscan', 'off', true) AS a,
             set_config('enable_hashjoin', 'off', true) AS b,
             set_config('enable_mergejoin', 'off', true) AS c"
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Writes them all; each is locked.
pub(crate) async fn save(connection: &mut PgConnection, settled: &[Settled]) -> Result<(), Error> {
    save_timeline(connection, settled).await?;
    let shows: Vec<Uuid> = column(settled, |booking| booking.show_id.as_uuid());
    let ids: Vec<Uuid> = column(settled, |booking| booking.id.as_uuid());
    let states: Vec<String> = column(settled, |booking| booking.state.to_string());
    let reasons = column(settled, |booking| {
        booking
            .reason
            .map(|reason| Reason::as_str(reason).to_owned())
    });
    sqlx::query_file!(
        "src/store/settle_bookings.sql",
        &shows,
        &ids,
        &states,
        &reasons as &[Option<String>],
    )
    .execute(&mut *connection)
    .await?;
    free_seats(connection, settled).await
}

fn column<T>(settled: &[Settled], of: impl Fn(&Booking) -> T) -> Vec<T> {
    settled.iter().map(|settled| of(&settled.after)).collect()
}

async fn save_timeline(connection: &mut PgConnection, settled: &[Settled]) -> Result<(), Error> {
    let (mut shows, mut ids, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let (mut happened, mut reasons) = (Vec::new(), Vec::new());
    let (mut revisions, mut fences) = (Vec::new(), Vec::new());
    for settled in settled {
        for (place, (entry, revision)) in (1_i32..).zip(&settled.entries) {
            shows.push(settled.after.show_id.as_uuid());
            ids.push(settled.after.id.as_uuid());
            places.push(place);
            happened.push(entry.happened.as_str().to_owned());
            reasons.push(entry.reason.map(str::to_owned));
            revisions.push(revision.map(Revision::as_i64));
            fences.push(settled.fence.as_i64());
        }
    }
    sqlx::query_file!(
        "src/store/settle_timeline.sql",
        &shows,
        &ids,
        &places,
        &happened,
        &reasons as &[Option<String>],
        &revisions as &[Option<i64>],
        &fences,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn free_seats(connection: &mut PgConnection, settled: &[Settled]) -> Result<(), Error> {
    let (mut shows, mut seats) = (Vec::new(), Vec::new());
    let (mut ids, mut fences) = (Vec::new(), Vec::new());
    for settled in settled {
        for SeatNo(seat) in &settled.after.seats {
            shows.push(settled.after.show_id.as_uuid());
            seats.push(i32::try_from(*seat).expect("a layout has under 2^31 seats"));
            ids.push(settled.after.id.as_uuid());
            fences.push(settled.fence.as_i64());
        }
    }
    sqlx::query_file!("src/store/settle_seats.sql", &shows, &seats, &ids, &fences)
        .execute(connection)
        .await?;
    Ok(())
}
