//! Attempts to collect money.

use std::time::Duration;

use chrono::{DateTime, Utc};
use holdfast_eventlog as outbox;
use holdfast_types::{BookingId, Money, PaymentId, PaymentState, ShowId, UserId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Error, ledger};
use crate::provider::Dispute;

/// A payment to be made.
#[derive(Debug, Clone)]
pub(crate) struct New {
    pub(crate) booking_id: BookingId,
    pub(crate) attempt: u32,
    pub(crate) user_id: UserId,
    pub(crate) show_id: ShowId,
    pub(crate) price: Money,
    pub(crate) description: String,
    pub(crate) pay_until: DateTime<Utc>,
    pub(crate) provider: &'static str,
    /// What asked for it (W3C).
    pub(crate) traceparent: Option<String>,
}

impl New {
    fn into_payment(
        self,
        payment_id: PaymentId,
        state: PaymentState,
        captured: Option<Money>,
    ) -> Payment {
        Payment {
            payment_id,
            booking_id: self.booking_id,
            state,
            price: self.price,
            description: self.description,
            pay_until: self.pay_until,
            provider: self.provider.to_owned(),
            session_id: None,
            payment_url: None,
            captured,
            refunded: 0,
            dispute: None,
            fee_known: false,
            traceparent: self.traceparent,
        }
    }
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    pub(crate) payment_id: PaymentId,
    pub(crate) booking_id: BookingId,
    pub(crate) state: PaymentState,
    pub(crate) price: Money,
    pub(crate) description: String,
    pub(crate) pay_until: DateTime<Utc>,
    pub(crate) provider: String,
    pub(crate) session_id: Option<String>,
    pub(crate) payment_url: Option<String>,
    /// What the provider collected, once it did; need not be the price.
    pub(crate) captured: Option<Money>,
    /// Minor units that went back.
    pub(crate) refunded: i64,
    /// How its dispute stands, if there is one.
    pub(crate) dispute: Option<Dispute>,
    /// Whether what the provider keeps of it is known.
    pub(crate) fee_known: bool,
    /// What asked for it (W3C).
    pub(crate) traceparent: Option<String>,
}

impl Payment {
    /// Whether money may still come.
    pub(crate) fn is_open(&self) -> bool {
        matches!(
            self.state,
            PaymentState::CreatingSession | PaymentState::SessionCreated
        )
    }
}

struct Row {
    payment_id: Uuid,
    booking_id: Uuid,
    state: String,
    amount: i64,
    currency: String,
    description: String,
    pay_until: DateTime<Utc>,
    provider: String,
    session_id: Option<String>,
    payment_url: Option<String>,
    captured_amount: Option<i64>,
    captured_currency: Option<String>,
    refunded: i64,
    dispute: Option<String>,
    fee_amount: Option<i64>,
    traceparent: Option<String>,
}

impl TryFrom<Row> for Payment {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let corrupt = |what: String| Error::Corrupt {
            table: "payments",
            what,
        };
        let captured = match (row.captured_amount, row.captured_currency) {
            (Some(amount), Some(currency)) => Some(Money {
                amount,
                currency: currency.parse().map_err(|_| corrupt(currency.clone()))?,
            }),
            _ => None,
        };
        let currency = row
            .currency
            .parse()
            .map_err(|_| corrupt(row.currency.clone()))?;
        Ok(Self {
            payment_id: row.payment_id.into(),
            booking_id: row.booking_id.into(),
            state: row.state.parse().map_err(|_| corrupt(row.state.clone()))?,
            price: Money {
                amount: row.amount,
                currency,
            },
            description: row.description,
            pay_until: row.pay_until,
            provider: row.provider,
            session_id: row.session_id,
            payment_url: row.payment_url,
            captured,
            refunded: row.refunded,
            dispute: row.dispute.as_deref().and_then(Dispute::from_column),
            fee_known: row.fee_amount.is_some(),
            traceparent: row.traceparent,
        })
    }
}

/// What came of [`insert`].
#[derive(Debug)]
pub(crate) enum Inserted {
    /// The booking's payment of this attempt, recorded now.
    New(Payment),
    /// It was recorded before.
    Known(Payment),
    /// Another attempt of the booking is still open.
    OtherOpen,
}

/// Records that money is wanted, in `state`; once for a booking and attempt. A session that has no
/// answer within `ask_in` is asked for again.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    new: &New,
    state: PaymentState,
    ask_in: Duration,
) -> Result<Inserted, Error> {
    let attempt = i32::try_from(new.attempt).map_err(|_| Error::Corrupt {
        table: "payments",
        what: "attempt".to_owned(),
    })?;
    let payment_id = PaymentId::from(Uuid::now_v7());
    // Either unique index may stand in the way; which one is seen by the read below.
    let inserted = sqlx::query_file!(
        "src/store/insert_payment.sql",
        payment_id.as_uuid(),
        new.booking_id.as_uuid(),
        attempt,
        new.user_id.as_uuid(),
        new.show_id.as_uuid(),
        state.as_str(),
        new.price.amount,
        new.price.currency.as_str(),
        new.description,
        new.pay_until,
        new.provider,
        new.traceparent,
        ask_in.as_secs_f64(),
    )
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        let captured = (state == PaymentState::Succeeded).then_some(new.price);
        return Ok(Inserted::New(
            new.clone().into_payment(payment_id, state, captured),
        ));
    }
    let payment_id = sqlx::query_scalar!(
        "SELECT payment_id FROM payment.payments WHERE booking_id = $1 AND attempt = $2",
        new.booking_id.as_uuid(),
        attempt
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(payment_id) = payment_id else {
        return Ok(Inserted::OtherOpen);
    };
    let payment = locked(connection, payment_id.into()).await?;
    let payment = payment.ok_or(Error::Database(sqlx::Error::RowNotFound))?;
    Ok(Inserted::Known(payment))
}

/// A payment, locked until the transaction ends.
pub(crate) async fn locked(
    connection: &mut PgConnection,
    payment_id: PaymentId,
) -> Result<Option<Payment>, Error> {
    let row = sqlx::query_file_as!(Row, "src/store/lock_payment.sql", payment_id.as_uuid());
    row.fetch_optional(connection)
        .await?
        .map(Payment::try_from)
        .transpose()
}

/// A booking's payments, in the order of attempts, at most 1,000.
pub(crate) async fn of_booking(
    pool: &PgPool,
    booking_id: BookingId,
) -> Result<Vec<Payment>, Error> {
    let rows = sqlx::query_file_as!(
        Row,
        "src/store/payments_of_booking.sql",
        booking_id.as_uuid()
    );
    rows.fetch_all(pool)
        .await?
        .into_iter()
        .map(Payment::try_from)
        .collect()
}

/// Records the provider's session, and tells `news`. False, and nothing is told, if the payment was past
/// that already.
pub(crate) async fn session_created(
    pool: &PgPool,
    payment_id: PaymentId,
    session_id: &str,
    url: &str,
    ask_in: Duration,
    news: outbox::Row,
) -> Result<bool, Error> {
    let done = sqlx::query_file!(
        "src/store/session_created.sql",
        payment_id.as_uuid(),
        session_id,
        url,
        ask_in.as_secs_f64(),
        news.id,
        news.event.topic,
        news.event.key,
        news.event.event_type,
        news.event.payload,
        news.traceparent
    );
    Ok(done.execute(pool).await?.rows_affected() == 1)
}

/// How a payment ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending<'a> {
    pub(crate) state: PaymentState,
    pub(crate) captured: Option<Money>,
    /// What the provider keeps, if it said so already.
    pub(crate) fee: Option<Money>,
    /// Its id and URL, if it is known.
    pub(crate) session: Option<(&'a str, &'a str)>,
    pub(crate) failure: Option<&'a str>,
}

/// Records a payment's end and tells `news`; the caller has it locked and knows the change is right. Captured
/// money is posted: the provider has it, and what it is for is undecided. When it is told of again and its fee
/// asked for comes with it.
pub(crate) async fn end(
    connection: &mut PgConnection,
    (payment_id, provider): (PaymentId, &str),
    ending: Ending<'_>,
    (tell_again_in, ask_fee_in): (Duration, Duration),
    news: outbox::Row,
) -> Result<(), Error> {
    let (session_id, url) = ending.session.unzip();
    sqlx::query_file!(
        "src/store/end_payment.sql",
        payment_id.as_uuid(),
        ending.state.as_str(),
        session_id,
        url,
        ending.failure,
        ending.captured.map(|captured| captured.amount),
        ending
            .captured
            .map(|captured| captured.currency.to_string()),
        ending.fee.map(|fee| fee.amount),
        ending.fee.map(|fee| fee.currency.to_string()),
        tell_again_in.as_secs_f64(),
        ask_fee_in.as_secs_f64(),
        news.id,
        news.event.topic,
        news.event.key,
        news.event.event_type,
        news.event.payload,
        news.traceparent,
        ledger::account_of(provider),
        ledger::UNDECIDED
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Seconds since the oldest payment that has no end was asked for; 0 with none.
pub(crate) async fn oldest_unfinished_s(pool: &PgPool) -> Result<f64, Error> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS "seconds!"
           FROM payment.payments WHERE state IN ('CREATING_SESSION', 'SESSION_CREATED')"#
    );
    Ok(seconds.fetch_one(pool).await?)
}

/// How a payment's dispute stands now; the caller has it locked and knows the change is right.
pub(crate) async fn set_dispute(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    dispute: Dispute,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE payment.payments SET dispute = $2, disputed_at = coalesce(disputed_at, now())
         WHERE payment_id = $1",
        payment_id.as_uuid(),
        dispute.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Nothing of its money is undecided any more: nobody need be told of it again.
pub(crate) async fn decided(
    connection: &mut PgConnection,
    payment_id: PaymentId,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE payment.payments SET tell_at = NULL WHERE payment_id = $1",
        payment_id.as_uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Captured money that nobody said the ending of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undecided {
    pub(crate) payment_id: PaymentId,
    pub(crate) booking_id: BookingId,
    pub(crate) captured: Money,
    /// Since it was captured.
    pub(crate) age: Duration,
}

/// Takes up to `limit` payments that are due to be told again, longest due first, and puts off the
/// next time by twice as long as before (between `after` and `after_max`).
pub(crate) async fn take_undecided(
    connection: &mut PgConnection,
    limit: i64,
    after: Duration,
    after_max: Duration,
) -> Result<Vec<Undecided>, Error> {
    let rows = sqlx::query_file!(
        "src/store/take_undecided.sql",
        limit,
        after.as_secs_f64(),
        after_max.as_secs_f64()
    );
    let rows = rows.fetch_all(connection).await?;
    rows.into_iter()
        .map(|row| {
            let currency = row.captured_currency.parse().map_err(|_| Error::Corrupt {
                table: "payments",
                what: row.captured_currency.clone(),
            })?;
            Ok(Undecided {
                payment_id: row.payment_id.into(),
                booking_id: row.booking_id.into(),
                captured: Money {
                    amount: row.captured_amount,
                    currency,
                },
                age: Duration::from_secs_f64(row.age_s),
            })
        })
        .collect()
}

/// Seconds since the oldest money that is undecided was captured; 0 with none.
pub(crate) async fn oldest_undecided_s(pool: &PgPool) -> Result<f64, Error> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT coalesce(extract(epoch FROM now() - min(updated_at)), 0)::float8 AS "seconds!"
           FROM payment.payments WHERE tell_at IS NOT NULL"#
    );
    Ok(seconds.fetch_one(pool).await?)
}

/// A session nobody has heard of for a while, or one that isn't known to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silent {
    pub(crate) payment_id: Uuid,
    /// None: it was asked for, and no answer was recorded.
    pub(crate) session_id: Option<String>,
    /// The time to pay is over, so nobody should.
    pub(crate) overdue: bool,
}

/// Which sessions are looked for, and when again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Silence {
    pub(crate) provider: &'static str,
    /// At most so many.
    pub(crate) limit: i64,
    pub(crate) after: Duration,
    pub(crate) after_max: Duration,
    /// How long after the time to pay it counts as over.
    pub(crate) overdue_after: Duration,
}

/// Takes sessions that are due to be asked about or asked for, longest due first, and puts off the next
/// time by twice as long as before (between `after` and `after_max`).
pub(crate) async fn take_silent(pool: &PgPool, silence: Silence) -> Result<Vec<Silent>, Error> {
    let rows = sqlx::query_file_as!(
        Silent,
        "src/store/take_silent.sql",
        silence.limit,
        silence.after.as_secs_f64(),
        silence.after_max.as_secs_f64(),
        silence.provider,
        silence.overdue_after.as_secs_f64()
    );
    Ok(rows.fetch_all(pool).await?)
}

/// What the provider keeps of a payment; the caller has it locked and posts it.
pub(crate) async fn set_fee(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    fee: Money,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE payment.payments SET fee_amount = $2, fee_currency = $3, fee_at = NULL
         WHERE payment_id = $1",
        payment_id.as_uuid(),
        fee.amount,
        fee.currency.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes up to `limit` payments of a provider whose fee is due to be asked for, and puts off the next
/// time by twice as long as before (between `after` and `after_max`); with their sessions.
pub(crate) async fn take_without_fee(
    pool: &PgPool,
    provider: &str,
    limit: i64,
    after: Duration,
    after_max: Duration,
) -> Result<Vec<(PaymentId, String)>, Error> {
    let rows = sqlx::query_file!(
        "src/store/take_without_fee.sql",
        limit,
        after.as_secs_f64(),
        after_max.as_secs_f64(),
        provider
    );
    let rows = rows.fetch_all(pool).await?;
    let known = rows
        .into_iter()
        .map(|row| Some((row.payment_id.into(), row.session_id?)));
    Ok(known.flatten().collect())
}
