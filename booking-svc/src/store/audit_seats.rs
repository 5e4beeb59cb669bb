//! What the lock store is compared with (HS-1, HS-3, HS-8, BK-3): shows, and who has which seats as far as
//! this schema knows.

use std::time::Duration;

use holdfast_types::{
    BookingId, BookingState, Fence, HoldId, SeatNo, SeatState, ShowId, ShowState, UserId,
};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Corrupt, Error, corrupt, house_seats};

/// A show that the lock store has, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedShow {
    /// Which.
    pub show_id: ShowId,
    /// As this schema has it.
    pub state: ShowState,
    /// Seats of the whole show.
    pub seat_count: u32,
    /// The cap per customer.
    pub seats_per_customer_max: u32,
}

/// A seat that a booking has or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedSeat {
    /// Which.
    pub seat_no: SeatNo,
    /// As this schema has it.
    pub state: SeatState,
    /// The last fence that was marked on it.
    pub fence: Fence,
    /// Whose it is.
    pub booking_id: Option<BookingId>,
}

/// A booking, as far as seats need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedBooking {
    /// Which.
    pub booking_id: BookingId,
    /// Whose.
    pub user_id: UserId,
    /// Its state.
    pub state: BookingState,
    /// A question to the store is open.
    pub is_step_open: bool,
    /// Since it last changed, by the database's clock.
    pub unchanged_for: Duration,
    /// The hold that it was made of, or that late money took.
    pub hold_id: HoldId,
    /// That hold's.
    pub fence: Fence,
}

/// Seats that are kept for the house.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditedHouse {
    /// As this schema has it, ascending.
    pub blocked: Vec<SeatNo>,
    /// They will be compared with the store by booking-svc itself; and how long that has been due, if it is, however
    /// often it failed since.
    pub comparison_late_for: Option<Duration>,
}

/// What a show's seats are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditedInventory {
    /// Those that were ever booked, in seat order.
    pub seats: Vec<AuditedSeat>,
    /// Bookings that have some, and others that were asked about.
    pub bookings: Vec<AuditedBooking>,
    /// The house's.
    pub house: AuditedHouse,
}

/// Rows that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditedRows {
    /// Bookings of all states.
    pub bookings: u64,
    /// Tickets that aren't void.
    pub tickets: u64,
    /// Captured payments as bookings know them.
    pub payments: u64,
    /// Refunds that bookings asked for.
    pub refunds: u64,
}

/// How many rows [`audit`](super::audit::audit) compares.
///
/// # Errors
/// [`Error::Database`].
pub async fn audited_rows(pool: &PgPool) -> Result<AuditedRows, Error> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM booking.bookings) AS "bookings!",
             (SELECT count(*) FROM booking.tickets WHERE state <> 'VOID') AS "tickets!",
             (SELECT count(*) FROM booking.booking_payments) AS "payments!",
             (SELECT count(*) FROM booking.refunds) AS "refunds!""#
    )
    .fetch_one(pool)
    .await?;
    Ok(AuditedRows {
        bookings: row.bookings.unsigned_abs(),
        tickets: row.tickets.unsigned_abs(),
        payments: row.payments.unsigned_abs(),
        refunds: row.refunds.unsigned_abs(),
    })
}

/// How many shows [`audited_shows`] goes through.
///
/// # Errors
/// [`Error::Database`].
pub async fn audited_show_count(pool: &PgPool) -> Result<u64, Error> {
    super::rebuild::count(pool).await
}

/// Shows after `after` in the order of ids, at most `limit`; no drafts, whose layout the store may not
/// have yet.
///
/// # Errors
/// [`Error::Database`]; [`Error::Corrupt`].
pub async fn audited_shows(
    pool: &PgPool,
    after: ShowId,
    limit: u32,
) -> Result<Vec<AuditedShow>, Error> {
    let rows = sqlx::query_as!(
        ShowRow,
        "SELECT show_id, state, seat_count, seats_per_customer_max FROM booking.shows
         WHERE show_id > $1 AND state <> 'DRAFT' ORDER BY show_id LIMIT $2",
        after.as_uuid(),
        i64::from(limit)
    );
    let rows = rows.fetch_all(pool).await?;
    Ok(rows
        .into_iter()
        .map(AuditedShow::try_from)
        .collect::<Result<_, _>>()?)
}

/// A show as it is now.
///
/// # Errors
/// As [`audited_shows`].
pub async fn audited_show(pool: &PgPool, show_id: ShowId) -> Result<Option<AuditedShow>, Error> {
    let row = sqlx::query_as!(
        ShowRow,
        "SELECT show_id, state, seat_count, seats_per_customer_max FROM booking.shows
         WHERE show_id = $1",
        show_id.as_uuid()
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map(AuditedShow::try_from).transpose()?)
}

struct ShowRow {
    show_id: Uuid,
    state: String,
    seat_count: i32,
    seats_per_customer_max: i32,
}

impl TryFrom<ShowRow> for AuditedShow {
    type Error = Corrupt;

    fn try_from(row: ShowRow) -> Result<Self, Corrupt> {
        let number = |n: i32| u32::try_from(n).map_err(|error| corrupt("shows", error));
        Ok(Self {
            show_id: ShowId::from_uuid(row.show_id),
            state: row.state.parse().map_err(|error| corrupt("shows", error))?,
            seat_count: number(row.seat_count)?,
            seats_per_customer_max: number(row.seats_per_customer_max)?,
        })
    }
}

/// The seats of a show with the bookings that have some, and those of `others`. One snapshot.
///
/// # Errors
/// [`Error::Database`]; [`Error::Corrupt`].
pub async fn audited_seats(
    pool: &PgPool,
    show_id: ShowId,
    others: &[BookingId],
) -> Result<AuditedInventory, Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *transaction)
        .await?;
    let seats = sqlx::query!(
        "SELECT seat_no, state, fence, booking_id FROM booking.seats
         WHERE show_id = $1 AND (state <> 'AVAILABLE' OR fence > 0) ORDER BY seat_no",
        show_id.as_uuid()
    );
    let seats = seats.fetch_all(&mut *transaction).await?;
    let others: Vec<Uuid> = others.iter().map(|id| id.as_uuid()).collect();
    let bookings = sqlx::query!(
        r#"SELECT booking_id, user_id, state, step, hold_id, fence,
             extract(epoch FROM clock_timestamp() - updated_at)::float8 AS "unchanged_s!"
           FROM booking.bookings
           WHERE show_id = $1 AND (booking_id = ANY ($2)
              OR booking_id IN (SELECT booking_id FROM booking.seats
                                WHERE show_id = $1 AND booking_id IS NOT NULL))"#,
        show_id.as_uuid(),
        &others
    );
    let bookings = bookings.fetch_all(&mut *transaction).await?;
    let blocked = house_seats::blocked(&mut transaction, show_id).await?;
    let late_s = sqlx::query_scalar!(
        r#"SELECT extract(epoch FROM clock_timestamp() - late_from)::float8 AS "late_s!"
           FROM booking.house_checks WHERE show_id = $1"#,
        show_id.as_uuid()
    );
    let late_s = late_s.fetch_optional(&mut *transaction).await?;
    transaction.commit().await?;
    let seats = seats.into_iter().map(|row| {
        Ok(AuditedSeat {
            seat_no: SeatNo(u32::try_from(row.seat_no).map_err(|e| corrupt("seats", e))?),
            state: row.state.parse().map_err(|e| corrupt("seats", e))?,
            fence: Fence::from_i64(row.fence).map_err(|e| corrupt("seats", e))?,
            booking_id: row.booking_id.map(BookingId::from_uuid),
        })
    });
    let seats = seats.collect::<Result<_, Corrupt>>()?;
    let bookings = bookings.into_iter().map(|row| {
        Ok(AuditedBooking {
            booking_id: BookingId::from_uuid(row.booking_id),
            user_id: UserId::from_uuid(row.user_id),
            state: row.state.parse().map_err(|e| corrupt("bookings", e))?,
            is_step_open: row.step != "IDLE",
            unchanged_for: Duration::try_from_secs_f64(row.unchanged_s).unwrap_or_default(),
            hold_id: HoldId::from_uuid(row.hold_id),
            fence: Fence::from_i64(row.fence).map_err(|e| corrupt("bookings", e))?,
        })
    });
    let bookings = bookings.collect::<Result<_, Corrupt>>()?;
    Ok(AuditedInventory {
        seats,
        bookings,
        house: AuditedHouse {
            blocked: blocked.into_iter().map(|seat| seat.seat_no).collect(),
            comparison_late_for: late_s
                .map(|late_s| Duration::try_from_secs_f64(late_s).unwrap_or_default()),
        },
    })
}
