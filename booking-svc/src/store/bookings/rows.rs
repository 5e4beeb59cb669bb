//! Rows of bookings and their payments, and what they say.

use booking_core::{Booking, Ending, HeldAs, Reason, Session, Step};
use chrono::{DateTime, Utc};
use holdfast_types::{BookingId, Fence, HoldId, Money, PaymentId, ShowId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::{Corrupt, Error, corrupt, payments, to_cluster_time, to_seats},
    Key, Stored,
};

pub(super) struct Row {
    pub(super) booking_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) show_id: Uuid,
    pub(super) seat_nos: Vec<i32>,
    pub(super) returned_nos: Vec<i32>,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) step: String,
    pub(super) step_ending: Option<String>,
    pub(super) hold_id: Uuid,
    pub(super) fence: i64,
    pub(super) hold_attempt: i32,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) session_payment_id: Option<Uuid>,
    pub(super) payment_url: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) pay_until: DateTime<Utc>,
}

/// A booking with one of its payments, or none.
pub(super) struct RowWithPayment {
    pub(super) version: String,
    pub(super) booking_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) show_id: Uuid,
    pub(super) seat_nos: Vec<i32>,
    pub(super) returned_nos: Vec<i32>,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) step: String,
    pub(super) step_ending: Option<String>,
    pub(super) hold_id: Uuid,
    pub(super) fence: i64,
    pub(super) hold_attempt: i32,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) session_payment_id: Option<Uuid>,
    pub(super) payment_url: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) pay_until: DateTime<Utc>,
    pub(super) payment_id: Option<Uuid>,
    pub(super) paid: Option<i64>,
    pub(super) paid_currency: Option<String>,
    pub(super) fate: Option<String>,
    pub(super) refund_id: Option<Uuid>,
    pub(super) parts: Option<Vec<i64>>,
    pub(super) parts_went: Option<Vec<bool>>,
}

impl RowWithPayment {
    fn split(self) -> (Row, Option<payments::Row>) {
        let payment = self.payment_id.map(|payment_id| payments::Row {
            payment_id,
            booking_id: self.booking_id,
            amount: self.paid.unwrap_or_default(),
            currency: self.paid_currency.unwrap_or_default(),
            fate: self.fate.unwrap_or_default(),
            refund_id: self.refund_id,
            parts: self.parts.unwrap_or_default(),
            parts_went: self.parts_went.unwrap_or_default(),
        });
        let row = Row {
            booking_id: self.booking_id,
            user_id: self.user_id,
            show_id: self.show_id,
            seat_nos: self.seat_nos,
            returned_nos: self.returned_nos,
            amount: self.amount,
            currency: self.currency,
            state: self.state,
            reason: self.reason,
            step: self.step,
            step_ending: self.step_ending,
            hold_id: self.hold_id,
            fence: self.fence,
            hold_attempt: self.hold_attempt,
            expires_at: self.expires_at,
            session_payment_id: self.session_payment_id,
            payment_url: self.payment_url,
            created_at: self.created_at,
            pay_until: self.pay_until,
        };
        (row, payment)
    }
}

/// A booking whose rows can't be understood.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) key: Key,
    pub(crate) why: Corrupt,
}

/// The booking of these rows, one for each payment.
pub(super) fn joined(rows: Vec<RowWithPayment>) -> Result<Option<Stored>, Error> {
    let mut payments = Vec::new();
    let mut first = None;
    for joined in rows {
        let (row, payment) = joined.split();
        payments.extend(payment.map(payments::from_row).transpose()?);
        first.get_or_insert(row);
    }
    let Some(row) = first else { return Ok(None) };
    let (created_at, pay_until) = (row.created_at, row.pay_until);
    let mut booking = from_row(row)?;
    booking.payments = payments;
    Ok(Some(Stored {
        booking,
        created_at,
        pay_until,
    }))
}

pub(super) async fn with_payments(
    connection: &mut PgConnection,
    rows: Vec<Row>,
) -> Result<Vec<Stored>, Error> {
    let read = each_with_payments(connection, rows).await?.into_iter();
    read.map(|read| read.map_err(|unreadable| Error::from(unreadable.why)))
        .collect()
}

/// Each for itself: one that can't be read spoils no other.
pub(super) async fn each_with_payments(
    connection: &mut PgConnection,
    rows: Vec<Row>,
) -> Result<Vec<Result<Stored, Unreadable>>, Error> {
    let shows: Vec<Uuid> = rows.iter().map(|row| row.show_id).collect();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.booking_id).collect();
    let mut payments = payments::of(connection, &shows, &ids).await?;
    let mut stored = |row: Row| {
        let (created_at, pay_until) = (row.created_at, row.pay_until);
        let mut booking = from_row(row)?;
        let paid = payments.remove(&booking.id);
        booking.payments = paid.transpose()?.unwrap_or_default();
        Ok(Stored {
            booking,
            created_at,
            pay_until,
        })
    };
    let read = rows.into_iter().map(|row| {
        let key = Key {
            show_id: ShowId::from_uuid(row.show_id),
            booking_id: BookingId::from_uuid(row.booking_id),
        };
        stored(row).map_err(|why| Unreadable { key, why })
    });
    Ok(read.collect())
}

fn from_row(row: Row) -> Result<Booking, Corrupt> {
    let bad = |what: String| corrupt("bookings", what);
    let reason = row
        .reason
        .map(|code| Reason::from_code(&code).ok_or_else(|| bad(format!("reason {code}"))))
        .transpose()?;
    let session = match (row.session_payment_id, row.payment_url) {
        (Some(id), Some(url)) => Some(Session {
            payment_id: PaymentId::from_uuid(id),
            url,
        }),
        _ => None,
    };
    Ok(Booking {
        id: BookingId::from_uuid(row.booking_id),
        user_id: UserId::from_uuid(row.user_id),
        show_id: ShowId::from_uuid(row.show_id),
        seats: to_seats(&row.seat_nos),
        returned: to_seats(&row.returned_nos),
        total: Money {
            amount: row.amount,
            currency: row
                .currency
                .parse()
                .map_err(|_| bad(format!("currency {}", row.currency)))?,
        },
        state: row
            .state
            .parse()
            .map_err(|_| bad(format!("state {}", row.state)))?,
        reason,
        step: step_from(&row.step, row.step_ending.as_deref())
            .ok_or_else(|| bad(format!("step {} {:?}", row.step, row.step_ending)))?,
        hold: HeldAs {
            hold_id: HoldId::from_uuid(row.hold_id),
            fence: Fence::from_i64(row.fence).map_err(|_| bad(format!("fence {}", row.fence)))?,
            attempt: u32::try_from(row.hold_attempt).map_err(|error| bad(error.to_string()))?,
        },
        expires_at: to_cluster_time(row.expires_at),
        session,
        payments: Vec::new(),
    })
}

const ENDINGS: [(Ending, &str); 4] = [
    (Ending::Expired, "EXPIRED"),
    (Ending::Cancelled, "CANCELLED"),
    (Ending::PaymentFailed, "PAYMENT_FAILED"),
    (Ending::Ended, "ENDED"),
];

pub(super) fn step_columns(step: Step) -> (&'static str, Option<&'static str>) {
    match step {
        Step::Idle => ("IDLE", None),
        Step::Releasing(ending) => {
            let text = ENDINGS
                .iter()
                .find(|(known, _)| *known == ending)
                .map(|(_, text)| *text);
            ("RELEASING", text)
        }
        Step::Committing => ("COMMITTING", None),
        Step::Holding => ("HOLDING", None),
        Step::Returning => ("RETURNING", None),
    }
}

fn step_from(step: &str, ending: Option<&str>) -> Option<Step> {
    match (step, ending) {
        ("IDLE", None) => Some(Step::Idle),
        ("COMMITTING", None) => Some(Step::Committing),
        ("HOLDING", None) => Some(Step::Holding),
        ("RETURNING", None) => Some(Step::Returning),
        ("RELEASING", Some(text)) => ENDINGS
            .iter()
            .find(|(_, known)| *known == text)
            .map(|(end, _)| Step::Releasing(*end)),
        _ => None,
    }
}
