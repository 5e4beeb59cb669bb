//! A show's confirmed bookings and tickets, for its organiser. Reads only.

use chrono::{DateTime, Utc};
use holdfast_types::{
    BookingId, BookingState, Money, SeatNo, ShowId, TicketId, TicketState, UserId,
};
use sqlx::PgPool;

use super::{Error, corrupt, to_columns, to_seats};

/// A booking that was confirmed, however it ended since.
#[derive(Debug)]
pub(crate) struct SaleRow {
    pub(crate) booking_id: BookingId,
    pub(crate) user_id: UserId,
    pub(crate) state: BookingState,
    pub(crate) reason: Option<String>,
    pub(crate) seats: Vec<SeatNo>,
    pub(crate) returned: Vec<SeatNo>,
    pub(crate) total: Money,
    pub(crate) created_at: DateTime<Utc>,
}

/// A ticket that isn't void.
#[derive(Debug)]
pub(crate) struct AttendeeRow {
    pub(crate) ticket_id: TicketId,
    pub(crate) booking_id: BookingId,
    pub(crate) user_id: UserId,
    pub(crate) seat_no: SeatNo,
    pub(crate) state: TicketState,
    pub(crate) issued_at: DateTime<Utc>,
}

/// Bookings of a show that ever had tickets, by id, after `after`; at most `limit`.
pub(crate) async fn sales(
    pool: &PgPool,
    show_id: ShowId,
    after: Option<BookingId>,
    limit: u32,
) -> Result<Vec<SaleRow>, Error> {
    let rows = sqlx::query!(
        "SELECT booking_id, user_id, state, reason, seat_nos, returned_nos, amount, currency, created_at
         FROM booking.bookings b
         WHERE show_id = $1 AND ($2::uuid IS NULL OR booking_id > $2)
           AND EXISTS (SELECT FROM booking.tickets t
                       WHERE t.show_id = $1 AND t.booking_id = b.booking_id)
         ORDER BY booking_id LIMIT $3",
        show_id.as_uuid(),
        after.map(BookingId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let currency = row.currency.parse();
            Ok(SaleRow {
                booking_id: BookingId::from_uuid(row.booking_id),
                user_id: UserId::from_uuid(row.user_id),
                state: row
                    .state
                    .parse()
                    .map_err(|error| corrupt("bookings", error))?,
                reason: row.reason,
                seats: to_seats(&row.seat_nos),
                returned: to_seats(&row.returned_nos),
                total: Money {
                    amount: row.amount,
                    currency: currency.map_err(|error| corrupt("bookings", error))?,
                },
                created_at: row.created_at,
            })
        })
        .collect()
}

/// Tickets of a show that aren't void, in seat order, after `after`; at most `limit`.
pub(crate) async fn attendees(
    pool: &PgPool,
    show_id: ShowId,
    after: Option<SeatNo>,
    limit: u32,
) -> Result<Vec<AttendeeRow>, Error> {
    let after = after.map_or(-1, |seat| to_columns(&[seat])[0]);
    let rows = sqlx::query!(
        "SELECT t.ticket_id, t.booking_id, b.user_id, t.seat_no, t.state, t.issued_at
         FROM booking.tickets t JOIN booking.bookings b USING (show_id, booking_id)
         WHERE t.show_id = $1 AND t.seat_no > $2 AND t.state <> 'VOID'
         ORDER BY t.seat_no LIMIT $3",
        show_id.as_uuid(),
        after,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(AttendeeRow {
                ticket_id: TicketId::from_uuid(row.ticket_id),
                booking_id: BookingId::from_uuid(row.booking_id),
                user_id: UserId::from_uuid(row.user_id),
                seat_no: to_seats(&[row.seat_no])[0],
                state: row
                    .state
                    .parse()
                    .map_err(|error| corrupt("tickets", error))?,
                issued_at: row.issued_at,
            })
        })
        .collect()
}
