//! SQL over schema `sandbox`, and nothing else.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

/// A session as stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Session {
    pub(super) session_id: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) description: String,
    pub(super) reference: String,
    pub(super) status: String,
    pub(super) expires_at: DateTime<Utc>,
    /// `PROCESSING` ends as this.
    pub(super) settles_as: Option<String>,
    pub(super) duplicate: bool,
    pub(super) declines: i32,
    pub(super) dispute: Option<String>,
    /// Of a paid one.
    pub(super) fee: Option<i64>,
    /// Webhooks of what happens to it now go out so much later.
    pub(super) webhook_delay_s: f64,
    /// Its time to be paid in, or to be processed in, has passed.
    pub(super) due: bool,
}

/// A session to be stored.
pub(super) struct New<'a> {
    pub(super) session_id: &'a str,
    pub(super) idempotency_key: &'a str,
    pub(super) amount: i64,
    pub(super) currency: &'a str,
    pub(super) description: &'a str,
    pub(super) reference: &'a str,
    pub(super) expires_at: DateTime<Utc>,
}

/// Stores a session, unless its key is taken or its time is over; returns the key's, if any.
pub(super) async fn insert_session(
    connection: &mut PgConnection,
    new: &New<'_>,
) -> Result<Option<Session>, sqlx::Error> {
    let inserted = sqlx::query!(
        "INSERT INTO sandbox.sessions
             (session_id, idempotency_key, amount, currency, description, reference, status,
              expires_at)
         SELECT $1, $2, $3, $4, $5, $6, 'OPEN', $7 WHERE $7 > now()
         ON CONFLICT DO NOTHING",
        new.session_id,
        new.idempotency_key,
        new.amount,
        new.currency,
        new.description,
        new.reference,
        new.expires_at
    )
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Some(Session {
            session_id: new.session_id.to_owned(),
            amount: new.amount,
            currency: new.currency.to_owned(),
            description: new.description.to_owned(),
            reference: new.reference.to_owned(),
            status: "OPEN".to_owned(),
            expires_at: new.expires_at,
            settles_as: None,
            duplicate: false,
            declines: 0,
            dispute: None,
            fee: None,
            webhook_delay_s: 0.0,
            due: false,
        }));
    }
    let session_id = sqlx::query_scalar!(
        "SELECT session_id FROM sandbox.sessions WHERE idempotency_key = $1",
        new.idempotency_key
    )
    .fetch_optional(&mut *connection)
    .await?;
    match session_id {
        Some(session_id) => lock_session(connection, &session_id).await,
        None => Ok(None),
    }
}

/// A session, locked until the transaction ends.
pub(super) async fn lock_session(
    connection: &mut PgConnection,
    session_id: &str,
) -> Result<Option<Session>, sqlx::Error> {
    sqlx::query_file_as!(Session, "src/sandbox/lock_session.sql", session_id)
        .fetch_optional(connection)
        .await
}

/// A session as it stands.
pub(super) async fn read_session(
    pool: &PgPool,
    session_id: &str,
) -> Result<Option<Session>, sqlx::Error> {
    sqlx::query_file_as!(Session, "src/sandbox/read_session.sql", session_id)
        .fetch_optional(pool)
        .await
}

/// A session with what became of its money.
pub(super) struct Listed {
    pub(super) session_id: String,
    amount: i64,
    currency: String,
    reference: String,
    status: String,
    expires_at: DateTime<Utc>,
    dispute: Option<String>,
    pub(super) paid_at: Option<DateTime<Utc>>,
    pub(super) refunded: i64,
}

impl Listed {
    /// As far as the API shows it.
    pub(super) fn into_session(self) -> Session {
        Session {
            session_id: self.session_id,
            amount: self.amount,
            currency: self.currency,
            description: String::new(),
            reference: self.reference,
            status: self.status,
            expires_at: self.expires_at,
            settles_as: None,
            duplicate: false,
            declines: 0,
            dispute: self.dispute,
            fee: None,
            webhook_delay_s: 0.0,
            due: false,
        }
    }
}

/// Up to `limit` sessions, newest first, from the one after `after` on; none after one that isn't there.
pub(super) async fn list_sessions(
    pool: &PgPool,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        r#"SELECT s.session_id, s.amount, s.currency, s.reference, s.status, s.expires_at, s.dispute,
             c.captured_at AS "paid_at?",
             (SELECT coalesce(sum(r.amount), 0)::bigint FROM sandbox.refunds r
              WHERE r.session_id = s.session_id) AS "refunded!"
           FROM sandbox.sessions s LEFT JOIN sandbox.charges c USING (session_id)
           WHERE $1::text IS NULL OR (s.created_at, s.session_id) <
               (SELECT l.created_at, l.session_id FROM sandbox.sessions l WHERE l.session_id = $1)
           ORDER BY s.created_at DESC, s.session_id DESC LIMIT $2"#,
        after,
        limit
    )
    .fetch_all(pool)
    .await
}

/// Whether there is such a session.
pub(super) async fn exists(pool: &PgPool, session_id: Option<&str>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM sandbox.sessions WHERE session_id = $1) AS "there!""#,
        session_id
    )
    .fetch_one(pool)
    .await
}

/// Whether the time of any session has come.
pub(super) async fn any_due(pool: &PgPool) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM sandbox.sessions WHERE status = 'OPEN' AND expires_at <= now())
            OR EXISTS (SELECT FROM sandbox.sessions
                       WHERE status = 'PROCESSING' AND settles_at <= now()) AS "any!""#
    )
    .fetch_one(pool)
    .await
}

/// Up to `limit` sessions whose time has come and nobody else is at.
pub(super) async fn due_sessions(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT session_id FROM sandbox.sessions
         WHERE (status = 'OPEN' AND expires_at <= now())
            OR (status = 'PROCESSING' AND settles_at <= now())
         LIMIT $1 FOR UPDATE SKIP LOCKED",
        limit
    )
    .fetch_all(connection)
    .await
}

/// The money of a session that was paid.
pub(super) struct Charge<'a> {
    pub(super) charge_id: &'a str,
    /// What is kept of it.
    pub(super) fee: i64,
}

/// Ends a locked session, with its charge if it was paid, and the webhook that tells of it.
pub(super) async fn end_session(
    connection: &mut PgConnection,
    session: &Session,
    charge: Option<Charge<'_>>,
    told: NewDelivery<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/sandbox/end_session.sql",
        session.session_id,
        session.status,
        session.amount,
        charge.as_ref().map(|charge| charge.charge_id),
        charge.map(|charge| charge.fee),
        told.event_id,
        told.body,
        told.copies,
        told.tells_of_dispute,
        told.delay_s
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How a paid session's dispute stands now.
pub(super) async fn set_dispute(
    connection: &mut PgConnection,
    session_id: &str,
    dispute: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE sandbox.sessions SET dispute = $2 WHERE session_id = $1",
        session_id,
        dispute
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A slow method is under way and ends in `delay_s` as `settles_as`.
pub(super) async fn set_processing(
    connection: &mut PgConnection,
    session_id: &str,
    delay_s: f64,
    settles_as: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE sandbox.sessions
         SET status = 'PROCESSING', settles_at = now() + make_interval(secs => $2),
             settles_as = $3
         WHERE session_id = $1",
        session_id,
        delay_s,
        settles_as
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A try to pay was declined, or the tester wants webhooks twice.
pub(super) async fn note(
    connection: &mut PgConnection,
    session_id: &str,
    declined: bool,
    duplicate: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE sandbox.sessions
         SET declines = declines + $2::int, duplicate = duplicate OR $3
         WHERE session_id = $1",
        session_id,
        i32::from(declined),
        duplicate
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A refund as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refund {
    pub(super) refund_id: String,
    pub(super) session_id: String,
    pub(super) amount: i64,
}

/// The refund of that key, if there is one.
pub(super) async fn refund_of_key(
    connection: &mut PgConnection,
    key: &str,
) -> Result<Option<Refund>, sqlx::Error> {
    sqlx::query_as!(
        Refund,
        "SELECT refund_id, session_id, amount FROM sandbox.refunds WHERE idempotency_key = $1",
        key
    )
    .fetch_optional(connection)
    .await
}

/// Minor units of a session that were sent back. Asked in a statement of its own once the session
/// is locked: one that waited for the lock would count as of before the wait.
pub(super) async fn refunded(
    connection: &mut PgConnection,
    session_id: &str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(sum(amount), 0)::bigint AS "refunded!"
           FROM sandbox.refunds WHERE session_id = $1"#,
        session_id
    )
    .fetch_one(connection)
    .await
}

/// Money going back; the caller has the session locked.
pub(super) async fn insert_refund(
    connection: &mut PgConnection,
    key: &str,
    refund: &Refund,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO sandbox.refunds (refund_id, idempotency_key, session_id, amount)
         VALUES ($1, $2, $3, $4)",
        refund.refund_id,
        key,
        refund.session_id,
        refund.amount
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A webhook to be sent.
pub(super) struct NewDelivery<'a> {
    pub(super) event_id: &'a str,
    pub(super) body: &'a [u8],
    /// How often.
    pub(super) copies: i32,
    pub(super) tells_of_dispute: bool,
    /// So much later than now.
    pub(super) delay_s: f64,
}

pub(super) async fn insert_delivery(
    connection: &mut PgConnection,
    new: NewDelivery<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO sandbox.webhook_deliveries (event_id, body, tells_of_dispute, next_at)
         SELECT $1, $2, $4, now() + make_interval(secs => $5) FROM generate_series(1, $3)",
        new.event_id,
        new.body,
        new.copies,
        new.tells_of_dispute,
        new.delay_s
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What was told of disputes between two times, each event once, the oldest first.
pub(super) async fn told_of_disputes(
    pool: &PgPool,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT body AS "body!" FROM (
               SELECT DISTINCT ON (event_id) delivery_id, body FROM sandbox.webhook_deliveries
               WHERE tells_of_dispute AND created_at >= $1 AND created_at <= $2
               ORDER BY event_id, delivery_id) AS told
           ORDER BY delivery_id LIMIT $3"#,
        since,
        until,
        limit
    )
    .fetch_all(pool)
    .await
}

/// A webhook under way.
pub(super) struct Delivery {
    pub(super) delivery_id: i64,
    pub(super) event_id: String,
    pub(super) body: Vec<u8>,
    /// This one included.
    pub(super) attempts: i32,
}

/// Takes up to `limit` webhooks that are due, for `lease_s`: one that isn't reported back by then
/// is due again.
pub(super) async fn take_deliveries(
    pool: &PgPool,
    limit: i64,
    lease_s: f64,
) -> Result<Vec<Delivery>, sqlx::Error> {
    sqlx::query_as!(
        Delivery,
        "UPDATE sandbox.webhook_deliveries d
         SET attempts = attempts + 1, next_at = now() + make_interval(secs => $2)
         FROM (SELECT delivery_id FROM sandbox.webhook_deliveries
               WHERE next_at <= now() ORDER BY next_at LIMIT $1
               FOR UPDATE SKIP LOCKED) AS due
         WHERE d.delivery_id = due.delivery_id
         RETURNING d.delivery_id, d.event_id, d.body, d.attempts",
        limit,
        lease_s
    )
    .fetch_all(pool)
    .await
}

/// What came of a delivery: no error means that it arrived; an error without a next time gives it up.
pub(super) struct Report {
    pub(super) delivery_id: i64,
    pub(super) error: Option<String>,
    pub(super) next_in_s: Option<f64>,
}

/// Reports deliveries.
pub(super) async fn report_deliveries(
    pool: &PgPool,
    reports: &[Report],
) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = reports.iter().map(|report| report.delivery_id).collect();
    let errors: Vec<Option<String>> = reports.iter().map(|report| report.error.clone()).collect();
    let next: Vec<Option<f64>> = reports.iter().map(|report| report.next_in_s).collect();
    sqlx::query!(
        "UPDATE sandbox.webhook_deliveries d
         SET next_at = now() + make_interval(secs => r.next_in_s), last_error = r.error,
             delivered_at = CASE WHEN r.error IS NULL THEN now() END
         FROM unnest($1::bigint[], $2::text[], $3::float8[]) AS r (delivery_id, error, next_in_s)
         WHERE d.delivery_id = r.delivery_id",
        &ids,
        &errors as &[Option<String>],
        &next as &[Option<f64>]
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes up to `limit` webhooks that arrived or were given up, written longer than `kept_s` ago;
/// returns how many.
pub(super) async fn forget_deliveries(
    pool: &PgPool,
    kept_s: f64,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "DELETE FROM sandbox.webhook_deliveries WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM sandbox.webhook_deliveries
             WHERE next_at IS NULL AND created_at < now() - make_interval(secs => $1)
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        kept_s,
        limit
    );
    Ok(done.execute(pool).await?.rows_affected())
}
