//! What a new lock store must know of the old one: shows, seats, and who has them.

use chrono::Utc;
use holdfast_types::{
    BookingId, ClusterTime, DurationMs, Fence, HoldId, SeatNo, SeatState, ShowId, ShowState, UserId,
};
use sqlx::PgPool;

use super::{
    Error, corrupt,
    shows::{NewSeat, kind},
    to_cluster_time, to_seats, to_timestamp,
};

/// Shows in one answer.
const SHOWS_PER_PAGE: i64 = 100;

/// A show that the store had.
#[derive(Debug, Clone)]
pub(crate) struct Show {
    pub(crate) show_id: ShowId,
    pub(crate) state: ShowState,
    pub(crate) hold_ttl_ms: u64,
    pub(crate) hold_total_ms_max: u64,
    pub(crate) seats_per_customer_max: u32,
    pub(crate) no_lone_seat: bool,
}

/// Seats that a booking has.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) fence: Fence,
    pub(crate) hold_id: HoldId,
    pub(crate) holder: UserId,
    pub(crate) booking_id: BookingId,
    /// In ascending order.
    pub(crate) seat_nos: Vec<SeatNo>,
    pub(crate) price_version: u32,
    /// When the hold ends, if it isn't sold.
    pub(crate) held_until: Option<ClusterTime>,
}

/// How many shows there are to load.
pub(crate) async fn count(pool: &PgPool) -> Result<u64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM booking.shows WHERE state <> 'DRAFT'"#
    );
    let count = count.fetch_one(pool).await?;
    Ok(u64::try_from(count).map_err(|error| corrupt("shows", error))?)
}

/// Shows after `after`, in the order of ids; none when there are no more. A draft's layout is sent when
/// it is opened.
pub(crate) async fn shows_after(pool: &PgPool, after: ShowId) -> Result<Vec<Show>, Error> {
    let rows = sqlx::query!(
        "SELECT show_id, state, hold_ttl_ms, hold_total_ms_max, seats_per_customer_max,
             no_lone_seat
         FROM booking.shows WHERE show_id > $1 AND state <> 'DRAFT' ORDER BY show_id LIMIT $2",
        after.as_uuid(),
        SHOWS_PER_PAGE
    );
    let rows = rows.fetch_all(pool).await?;
    let shows = rows.into_iter().map(|row| {
        Ok(Show {
            show_id: ShowId::from_uuid(row.show_id),
            state: row.state.parse().map_err(|error| corrupt("shows", error))?,
            hold_ttl_ms: u64::try_from(row.hold_ttl_ms).map_err(|error| corrupt("shows", error))?,
            hold_total_ms_max: u64::try_from(row.hold_total_ms_max)
                .map_err(|error| corrupt("shows", error))?,
            seats_per_customer_max: u32::try_from(row.seats_per_customer_max)
                .map_err(|error| corrupt("shows", error))?,
            no_lone_seat: row.no_lone_seat,
        })
    });
    shows.collect()
}

/// All seats of a show as it was opened, in seat order.
pub(crate) async fn layout(pool: &PgPool, show_id: ShowId) -> Result<Vec<NewSeat>, Error> {
    let rows = sqlx::query!(
        "SELECT label, section, row_no, gap_after, category, price, kind
         FROM booking.seats WHERE show_id = $1 ORDER BY seat_no",
        show_id.as_uuid()
    );
    let seats = rows.fetch_all(pool).await?.into_iter().map(|row| {
        Ok(NewSeat {
            label: row.label,
            section: row.section,
            row_no: row.row_no,
            gap_after: row.gap_after,
            category: row.category,
            price: row.price,
            kind: kind(&row.kind)?,
        })
    });
    seats.collect()
}

/// What each seat of a show is, in seat order.
pub(crate) async fn states(pool: &PgPool, show_id: ShowId) -> Result<Vec<SeatState>, Error> {
    let states = sqlx::query_scalar!(
        "SELECT state FROM booking.seats WHERE show_id = $1 ORDER BY seat_no",
        show_id.as_uuid()
    );
    let states = states.fetch_all(pool).await?;
    let states = states.iter().map(|state| match state.as_str() {
        "AVAILABLE" => Ok(SeatState::Available),
        "HELD" => Ok(SeatState::Held),
        "SOLD" => Ok(SeatState::Sold),
        "BLOCKED" => Ok(SeatState::Blocked),
        other => Err(corrupt("seats", format!("state {other}")).into()),
    });
    states.collect()
}

/// The seats of each booking that has some in a show, by ascending fences.
pub(crate) async fn claims(pool: &PgPool, show_id: ShowId) -> Result<Vec<Claim>, Error> {
    let rows = sqlx::query!(
        r#"SELECT s.fence, s.state, b.booking_id, b.hold_id, b.fence AS booked_fence, b.user_id,
             b.price_version, b.expires_at, array_agg(s.seat_no ORDER BY s.seat_no) AS "seat_nos!"
         FROM booking.seats s
         JOIN booking.bookings b ON b.show_id = s.show_id AND b.booking_id = s.booking_id
         WHERE s.show_id = $1 AND s.state IN ('HELD', 'SOLD')
         GROUP BY s.fence, s.state, b.show_id, b.booking_id
         ORDER BY s.fence"#,
        show_id.as_uuid()
    );
    let rows = rows.fetch_all(pool).await?;
    let claims = rows.into_iter().map(|row| {
        if row.fence != row.booked_fence {
            let what = format!(
                "a seat of booking {} has fence {}, the booking {}",
                row.booking_id, row.fence, row.booked_fence
            );
            return Err(corrupt("seats", what).into());
        }
        let fence = u64::try_from(row.fence).ok();
        let fence = fence.and_then(|fence| Fence::from_u64(fence).ok());
        Ok(Claim {
            fence: fence.ok_or_else(|| corrupt("seats", format!("fence {}", row.fence)))?,
            hold_id: HoldId::from_uuid(row.hold_id),
            holder: UserId::from_uuid(row.user_id),
            booking_id: BookingId::from_uuid(row.booking_id),
            seat_nos: to_seats(&row.seat_nos),
            price_version: u32::try_from(row.price_version)
                .map_err(|error| corrupt("bookings", error))?,
            held_until: (row.state == "HELD").then(|| to_cluster_time(row.expires_at)),
        })
    });
    claims.collect()
}

/// Gives whoever is paying for seats of a show at least so much time, as their holds have it.
pub(crate) async fn give_time(
    pool: &PgPool,
    show_id: ShowId,
    until: ClusterTime,
    span: DurationMs,
) -> Result<(), Error> {
    let span = chrono::TimeDelta::milliseconds(i64::try_from(span.0).unwrap_or(i64::MAX));
    let pay_until = Utc::now().checked_add_signed(span);
    sqlx::query!(
        "UPDATE booking.bookings SET expires_at = greatest(expires_at, $2),
             pay_until = greatest(pay_until, $3)
         WHERE show_id = $1 AND state = 'PENDING_PAYMENT'",
        show_id.as_uuid(),
        to_timestamp(until),
        pay_until.unwrap_or_else(Utc::now),
    )
    .execute(pool)
    .await?;
    Ok(())
}
