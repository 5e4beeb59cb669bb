//! A show's confirmed bookings and tickets, for its organiser. Reads only.

use booking_core::RefundReason;
use chrono::{DateTime, Utc};
use holdfast_types::{
    BookingId, BookingState, Money, SeatNo, ShowId, TicketId, TicketState, UserId,
};
use sqlx::PgPool;

use super::{Error, corrupt, to_columns, to_seats};

/// Why money of bookings that had tickets goes back. Of the others it was never for any: it came twice, late, or
/// wasn't what was to be paid.
const REASONS: [RefundReason; 3] = [
    RefundReason::Cancelled,
    RefundReason::SeatsGivenBack,
    RefundReason::ShowCancelled,
];
/// Of refunds from before reasons were recorded. Such a one of a booking that is confirmed yet was never for its
/// tickets: none could be given back then.
const REASON_UNKNOWN: &str = "NOT_RECORDED";

fn reasons() -> [String; 3] {
    REASONS.map(|reason| reason.as_str().to_owned())
}

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
    /// What goes back of the total, or went.
    pub(crate) refunded: i64,
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
        r#"SELECT booking_id, user_id, state, reason, seat_nos, returned_nos, amount, currency, created_at,
             (SELECT coalesce(sum(r.amount), 0)::bigint FROM booking.refunds r
              WHERE r.show_id = $1 AND r.booking_id = b.booking_id
                AND (r.reason = ANY($4) OR r.reason = $5 AND b.state <> 'CONFIRMED')) AS "refunded!"
         FROM booking.bookings b
         WHERE show_id = $1 AND ($2::uuid IS NULL OR booking_id > $2)
           AND EXISTS (SELECT FROM booking.tickets t
                       WHERE t.show_id = $1 AND t.booking_id = b.booking_id)
         ORDER BY booking_id LIMIT $3"#,
        show_id.as_uuid(),
        after.map(BookingId::as_uuid),
        i64::from(limit),
        &reasons(),
        REASON_UNKNOWN,
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
                refunded: row.refunded,
                created_at: row.created_at,
            })
        })
        .collect()
}

/// What was taken for something, in minor units of the show's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Takings {
    /// Fees included.
    pub(crate) gross: i64,
    pub(crate) fees: i64,
    /// What goes back of it, or went.
    pub(crate) refunded: i64,
}

/// What was taken for a show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ShowTakings {
    pub(crate) total: Takings,
    /// Seats with the fees for each ticket, by name.
    pub(crate) categories: Vec<(String, Takings)>,
}

/// What was taken for the bookings that [`sales`] lists: what each has, and each of its seats.
pub(crate) async fn takings(pool: &PgPool, show_id: ShowId) -> Result<ShowTakings, Error> {
    let rows = sqlx::query_file!(
        "src/store/takings.sql",
        show_id.as_uuid(),
        &reasons(),
        REASON_UNKNOWN,
    )
    .fetch_all(pool)
    .await?;
    let mut all = ShowTakings::default();
    for row in rows {
        let takings = Takings {
            gross: row.gross,
            fees: row.fees,
            refunded: row.refunded,
        };
        match row.category {
            Some(category) => all.categories.push((category, takings)),
            None => all.total = takings,
        }
    }
    Ok(all)
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
