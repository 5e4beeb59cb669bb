//! Tickets and the keys that sign them.

use chrono::{DateTime, Utc};
use holdfast_types::{SeatNo, ShowId, TicketId, TicketState, UserId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Error, bookings::Key, corrupt, to_columns, to_seats};

/// A ticket to be issued.
#[derive(Debug, Clone)]
pub(crate) struct NewTicket {
    pub(crate) ticket_id: TicketId,
    pub(crate) seat_no: SeatNo,
    pub(crate) qr_payload: String,
}

/// Tickets as columns.
pub(super) struct Columns {
    pub(super) ids: Vec<Uuid>,
    pub(super) seats: Vec<i32>,
    pub(super) payloads: Vec<String>,
}

impl Columns {
    pub(super) fn of(tickets: &[NewTicket]) -> Self {
        let seats: Vec<_> = tickets.iter().map(|ticket| ticket.seat_no).collect();
        Self {
            ids: tickets
                .iter()
                .map(|ticket| ticket.ticket_id.as_uuid())
                .collect(),
            seats: to_columns(&seats),
            payloads: tickets
                .iter()
                .map(|ticket| ticket.qr_payload.clone())
                .collect(),
        }
    }
}

/// A ticket that was issued.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) ticket_id: TicketId,
    pub(crate) seat_no: SeatNo,
    pub(crate) state: TicketState,
    pub(crate) qr_payload: String,
}

/// Issues tickets. Returns how many: fewer than given where a seat has another ticket that isn't
/// void.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    of: Key,
    tickets: &[NewTicket],
) -> Result<u64, Error> {
    let Columns {
        ids,
        seats,
        payloads,
    } = Columns::of(tickets);
    let inserted = sqlx::query!(
        "INSERT INTO booking.tickets (ticket_id, booking_id, show_id, seat_no, qr_payload)
         SELECT t.ticket_id, $1, $2, t.seat_no, t.qr_payload
         FROM unnest($3::uuid[], $4::int[], $5::text[]) AS t (ticket_id, seat_no, qr_payload)
         ON CONFLICT DO NOTHING",
        of.booking_id.as_uuid(),
        of.show_id.as_uuid(),
        &ids,
        &seats,
        &payloads,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

/// Makes a booking's valid tickets void. Returns how many were.
pub(crate) async fn void(connection: &mut PgConnection, of: Key) -> Result<u64, Error> {
    let voided = sqlx::query!(
        "UPDATE booking.tickets SET state = 'VOID'
         WHERE show_id = $1 AND booking_id = $2 AND state = 'VALID'",
        of.show_id.as_uuid(),
        of.booking_id.as_uuid()
    )
    .execute(connection)
    .await?;
    Ok(voided.rows_affected())
}

/// Makes the valid tickets of some of a booking's seats void. Returns how many were.
pub(crate) async fn void_seats(
    connection: &mut PgConnection,
    of: Key,
    seats: &[SeatNo],
) -> Result<u64, Error> {
    let voided = sqlx::query!(
        "UPDATE booking.tickets SET state = 'VOID'
         WHERE show_id = $1 AND booking_id = $2 AND seat_no = ANY($3) AND state = 'VALID'",
        of.show_id.as_uuid(),
        of.booking_id.as_uuid(),
        &to_columns(seats)
    )
    .execute(connection)
    .await?;
    Ok(voided.rows_affected())
}

/// A booking's tickets, in seat order.
pub(crate) async fn of(pool: &PgPool, of: Key) -> Result<Vec<Ticket>, Error> {
    let rows = sqlx::query!(
        "SELECT ticket_id, seat_no, state, qr_payload FROM booking.tickets
         WHERE show_id = $1 AND booking_id = $2 ORDER BY seat_no",
        of.show_id.as_uuid(),
        of.booking_id.as_uuid()
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Ticket {
                ticket_id: TicketId::from_uuid(row.ticket_id),
                seat_no: to_seats(&[row.seat_no])[0],
                state: row
                    .state
                    .parse()
                    .map_err(|error| corrupt("tickets", error))?,
                qr_payload: row.qr_payload,
            })
        })
        .collect()
}

/// A scan of a ticket at the door.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) show_id: ShowId,
    pub(crate) seat_no: SeatNo,
    pub(crate) ticket_id: TicketId,
    pub(crate) by: UserId,
    /// Of the scan, by that account.
    pub(crate) key: &'a str,
}

/// What became of a scanned ticket.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) state: TicketState,
    pub(crate) used_at: Option<DateTime<Utc>>,
    /// This scan used it.
    pub(crate) by_this: bool,
    /// The scan's key is that of another ticket's.
    pub(crate) is_key_of_another: bool,
}

/// Uses a valid ticket, and says how it is then; `None`: there is none of that id and seat.
pub(crate) async fn scan(pool: &PgPool, scan: &Scan<'_>) -> Result<Option<Scanned>, Error> {
    let seat_no = to_columns(&[scan.seat_no])[0];
    sqlx::query_file!(
        "src/store/use_ticket.sql",
        scan.show_id.as_uuid(),
        seat_no,
        scan.ticket_id.as_uuid(),
        scan.by.as_uuid(),
        scan.key,
    )
    .execute(pool)
    .await?;
    let row = sqlx::query!(
        r#"SELECT state, used_at,
            coalesce(used_by = $4 AND used_key = $5, false) AS "by_this!",
            EXISTS (SELECT FROM booking.tickets o WHERE o.show_id = $1 AND o.used_by = $4
                AND o.used_key = $5 AND o.seat_no <> $2) AS "is_key_of_another!"
         FROM booking.tickets WHERE show_id = $1 AND seat_no = $2 AND ticket_id = $3"#,
        scan.show_id.as_uuid(),
        seat_no,
        scan.ticket_id.as_uuid(),
        scan.by.as_uuid(),
        scan.key,
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        let state = row.state.parse();
        Ok(Scanned {
            state: state.map_err(|error| corrupt("tickets", error))?,
            used_at: row.used_at,
            by_this: row.by_this,
            is_key_of_another: row.is_key_of_another,
        })
    })
    .transpose()
}

/// The public half of a key that signed tickets.
pub(crate) async fn public_key(pool: &PgPool, key_id: u32) -> Result<Option<Vec<u8>>, Error> {
    let key_id = i32::try_from(key_id).unwrap_or(-1);
    let key = sqlx::query_scalar!(
        "SELECT public_key FROM booking.ticket_keys WHERE key_id = $1",
        key_id
    );
    Ok(key.fetch_optional(pool).await?)
}

/// The newest signing key, `fresh` if there is none yet: `(key id, private key)`.
pub(crate) async fn signing_key(
    pool: &PgPool,
    fresh_private: &[u8; 32],
    fresh_public: &[u8; 32],
) -> Result<(u32, [u8; 32]), Error> {
    sqlx::query!(
        "INSERT INTO booking.ticket_keys (key_id, private_key, public_key)
         SELECT 1, $1, $2 WHERE NOT EXISTS (SELECT FROM booking.ticket_keys)
         ON CONFLICT DO NOTHING",
        &fresh_private[..],
        &fresh_public[..],
    )
    .execute(pool)
    .await?;
    let row = sqlx::query!(
        "SELECT key_id, private_key FROM booking.ticket_keys ORDER BY key_id DESC LIMIT 1"
    )
    .fetch_one(pool)
    .await?;
    let key_id = u32::try_from(row.key_id).map_err(|error| corrupt("ticket_keys", error))?;
    let private = row
        .private_key
        .try_into()
        .map_err(|_| corrupt("ticket_keys", "a private key isn't 32 bytes long"))?;
    Ok((key_id, private))
}
