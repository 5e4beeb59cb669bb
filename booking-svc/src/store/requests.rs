//! Requests that customers named, with what they were answered.

use holdfast_types::{BookingId, HoldToken, UserId};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};

use super::Error;

/// How long a request and its answer are remembered: its key stands for it so long, and then for nothing,
/// but for a booking, which has the key that it was made under.
const KEPT_HOURS: i32 = 24;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    CreateBooking,
    CancelBooking,
    ReturnTickets,
}

impl Route {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::CreateBooking => "CREATE_BOOKING",
            Self::CancelBooking => "CANCEL_BOOKING",
            Self::ReturnTickets => "RETURN_TICKETS",
        }
    }
}

/// A customer's request with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) user_id: UserId,
    pub(crate) idempotency_key: String,
    pub(crate) route: Route,
    pub(crate) body_hash: [u8; 32],
}

impl Named {
    /// The advisory lock of whoever writes under this name. Two names share one as good as never, and
    /// then one of them is told to come again.
    pub(super) fn lock(&self) -> i64 {
        let mut hash = Sha256::new();
        hash.update(self.user_id.to_bytes());
        hash.update(self.idempotency_key.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize()[..8]);
        i64::from_be_bytes(first)
    }
}

/// What is known of a name, and of the hold that is to be booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) request: Option<Kept>,
    /// Which booking the hold has, and whose it is.
    pub(crate) booked: Option<(BookingId, UserId)>,
}

/// A request that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// It asked for the same with the same body.
    pub(crate) is_same: bool,
    pub(crate) answer: Option<Vec<u8>>,
}

/// Looks for a request under this name, and for the booking of a hold. A booking has the name that it was
/// made under after the request is forgotten, too.
pub(crate) async fn look(
    pool: &PgPool,
    named: &Named,
    hold: Option<HoldToken>,
) -> Result<Seen, Error> {
    let row = sqlx::query!(
        r#"SELECT coalesce(r.route, CASE WHEN k.booking_id IS NOT NULL THEN 'CREATE_BOOKING' END) AS route,
             coalesce(r.body_hash, k.body_hash) AS body_hash, r.answer AS "answer?",
             coalesce(b.booking_id, k.booking_id) AS booking_id, coalesce(b.user_id, k.user_id) AS booked_by
         FROM (SELECT 1) AS one
         LEFT JOIN booking.requests r ON r.user_id = $1 AND r.idempotency_key = $2
         LEFT JOIN booking.directory k ON k.user_id = $1 AND k.idempotency_key = $2
         LEFT JOIN booking.bookings b ON b.show_id = $5 AND b.hold_id = $3 AND b.fence = $4"#,
        named.user_id.as_uuid(),
        named.idempotency_key,
        hold.map(|token| token.hold_id.as_uuid()),
        hold.map(|token| token.fence.as_i64()),
        hold.map(|token| token.show_id.as_uuid()),
    )
    .fetch_one(pool)
    .await?;
    let request = row.route.zip(row.body_hash).map(|(route, hash)| Kept {
        is_same: route == named.route.as_str() && hash == named.body_hash,
        answer: row.answer,
    });
    let booked = row.booking_id.zip(row.booked_by);
    Ok(Seen {
        request,
        booked: booked.map(|(id, by)| (BookingId::from_uuid(id), UserId::from_uuid(by))),
    })
}

/// Binds the name to this request, before anybody is answered. False: it stands for another one.
pub(crate) async fn bind(connection: &mut PgConnection, named: &Named) -> Result<bool, Error> {
    let bound = sqlx::query!(
        "INSERT INTO booking.requests AS r (user_id, idempotency_key, route, body_hash)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id, idempotency_key) DO UPDATE SET route = r.route
             WHERE r.route = excluded.route AND r.body_hash = excluded.body_hash",
        named.user_id.as_uuid(),
        named.idempotency_key,
        named.route.as_str(),
        &named.body_hash[..],
    )
    .execute(connection)
    .await?;
    Ok(bound.rows_affected() == 1)
}

/// Keeps the first answer to this request, and returns it. `None`: the name stands for another one.
pub(crate) async fn answer(
    pool: &PgPool,
    named: &Named,
    answer: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    let kept = sqlx::query_scalar!(
        r#"INSERT INTO booking.requests AS r (user_id, idempotency_key, route, body_hash, answer)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id, idempotency_key) DO UPDATE
             SET answer = coalesce(r.answer, excluded.answer)
             WHERE r.route = excluded.route AND r.body_hash = excluded.body_hash
         RETURNING answer AS "answer!""#,
        named.user_id.as_uuid(),
        named.idempotency_key,
        named.route.as_str(),
        &named.body_hash[..],
        answer,
    )
    .fetch_optional(pool)
    .await?;
    Ok(kept)
}

/// Forgets up to `limit` requests that were remembered long enough, the oldest first. Returns how many.
/// By place, so that no plan reads the whole table.
pub(crate) async fn forget(pool: &PgPool, limit: u32) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        "DELETE FROM booking.requests WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM booking.requests
             WHERE asked_at < now() - make_interval(hours => $2)
             ORDER BY asked_at LIMIT $1 FOR UPDATE SKIP LOCKED))",
        i64::from(limit),
        KEPT_HOURS,
    )
    .execute(pool)
    .await?;
    Ok(forgotten.rows_affected())
}
