//! What happens to sessions, and the webhooks that tell of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Sandbox,
    store::{self, Refund, Session},
    wire,
};

/// Sessions ended in one transaction.
const DUE_BATCH: i64 = 64;

/// Transactions in one look; the rest waits for the next.
const DUE_BATCHES_MAX: usize = 16;

/// What a person does on the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Action {
    /// Pays; with a delay, by a method that captures only then.
    Pay { delay_s: Option<f64> },
    /// Is declined, and may try again; with a delay, learns it only then, and may not.
    Decline { delay_s: Option<f64> },
    /// Doesn't want to.
    Cancel,
    /// Has paid, and tells the bank that it wasn't them.
    Dispute,
    /// The bank has decided about that.
    CloseDispute { won: bool },
}

impl Action {
    /// What becomes of the session's dispute, if the action is about that.
    fn dispute(self, now: Option<&str>) -> Option<(&'static str, &'static str)> {
        match (self, now) {
            (Self::Dispute, None) => Some(("OPEN", "session.disputed")),
            (Self::CloseDispute { won: true }, Some("OPEN")) => {
                Some(("WON", "session.dispute_closed"))
            }
            (Self::CloseDispute { won: false }, Some("OPEN")) => {
                Some(("LOST", "session.dispute_closed"))
            }
            _ => None,
        }
    }
}

/// What the tester wants to go wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    /// Webhooks go out twice from here on.
    pub(super) duplicate: bool,
    /// Those of this action go out so much later.
    pub(super) webhook_delay_s: f64,
}

/// Why the API says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    UnknownSession,
    UnknownRefund,
    KeyReused,
    /// The session would be over before it began.
    Late,
    /// Never paid, or less is left of it.
    NothingToRefund,
}

const ID_PREFIX: &str = "cs_";
const ID_DIGITS: usize = 32;

/// Whether it is of the form that [`create`] makes; another is nobody's, and isn't looked for.
fn is_session_id(text: &str) -> bool {
    text.strip_prefix(ID_PREFIX).is_some_and(|digits| {
        digits.len() == ID_DIGITS
            && digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// Opens a session, or finds the one that its key opened.
pub(super) async fn create(
    sandbox: &Sandbox,
    key: &str,
    wanted: &wire::NewSession,
    expires_at: DateTime<Utc>,
) -> Result<Result<Session, Refused>, sqlx::Error> {
    let new = store::New {
        session_id: &format!("{ID_PREFIX}{}", Uuid::new_v4().simple()),
        idempotency_key: key,
        amount: wanted.amount,
        currency: &wanted.currency,
        description: &wanted.description,
        reference: &wanted.reference,
        expires_at,
    };
    let mut connection = sandbox.pool.acquire().await?;
    let Some(session) = store::insert_session(&mut connection, &new).await? else {
        return Ok(Err(Refused::Late));
    };
    drop(connection);
    let same = session.amount == wanted.amount
        && session.currency == wanted.currency
        && session.description == wanted.description
        && session.reference == wanted.reference
        && session.expires_at == expires_at;
    if !same {
        return Ok(Err(Refused::KeyReused));
    }
    if session.due
        && let Some(ended) = look(sandbox, &session.session_id).await?
    {
        return Ok(Ok(ended));
    }
    Ok(Ok(session))
}

/// How a session stands now; none if there is no such.
pub(super) async fn look(
    sandbox: &Sandbox,
    session_id: &str,
) -> Result<Option<Session>, sqlx::Error> {
    if !is_session_id(session_id) {
        return Ok(None);
    }
    match store::read_session(&sandbox.pool, session_id).await? {
        Some(session) if session.due => change(sandbox, session_id, None, Faults::default()).await,
        known => Ok(known),
    }
}

/// Sessions in one page of a list.
const LISTED_MAX: i64 = 50;

/// Sessions after `after`, newest first, with what became of their money. What is due is ended by its own
/// loop.
pub(super) async fn list(
    sandbox: &Sandbox,
    after: Option<&str>,
) -> Result<Result<wire::Sessions, Refused>, sqlx::Error> {
    if after.is_some_and(|id| !is_session_id(id)) {
        return Ok(Err(Refused::UnknownSession));
    }
    let listed = store::list_sessions(&sandbox.pool, after, LISTED_MAX).await?;
    if listed.is_empty() && after.is_some() && !store::exists(&sandbox.pool, after).await? {
        return Ok(Err(Refused::UnknownSession));
    }
    let is_full = i64::try_from(listed.len()) == Ok(LISTED_MAX);
    let next_cursor = listed.last().filter(|_| is_full);
    let next_cursor = next_cursor.map(|last| last.session_id.clone());
    let base = sandbox.base().await;
    let items = listed.into_iter().map(|listed| wire::ListedSession {
        paid_at_ms: listed.paid_at.map(|at| at.timestamp_millis()),
        refunded: listed.refunded,
        session: describe(&listed.into_session(), base),
    });
    Ok(Ok(wire::Sessions {
        items: items.collect(),
        next_cursor,
    }))
}

/// Does `action` to a session that is open, or disputes one that is paid, and does nothing to another;
/// returns how it stands then.
pub(super) async fn act(
    sandbox: &Sandbox,
    session_id: &str,
    action: Action,
    faults: Faults,
) -> Result<Option<Session>, sqlx::Error> {
    change(sandbox, session_id, Some(action), faults).await
}

async fn change(
    sandbox: &Sandbox,
    session_id: &str,
    action: Option<Action>,
    faults: Faults,
) -> Result<Option<Session>, sqlx::Error> {
    if !is_session_id(session_id) {
        return Ok(None);
    }
    let mut transaction = holdfast_eventlog::begin(&sandbox.pool).await?;
    let Some(session) = store::lock_session(&mut transaction, session_id).await? else {
        return Ok(None);
    };
    let mut session = end_if_due(sandbox, &mut transaction, session).await?;
    session.webhook_delay_s = faults.webhook_delay_s;
    if let Some(action) = action
        && session.status == "OPEN"
    {
        let declined = action == Action::Decline { delay_s: None };
        if declined || faults.duplicate {
            store::note(&mut transaction, session_id, declined, faults.duplicate).await?;
        }
        session.duplicate |= faults.duplicate;
        session.declines += i32::from(declined);
        session = apply(sandbox, &mut transaction, session, action).await?;
    }
    if let Some(action) = action
        && session.status == "PAID"
        && let Some((dispute, event_type)) = action.dispute(session.dispute.as_deref())
    {
        store::set_dispute(&mut transaction, session_id, dispute).await?;
        session.dispute = Some(dispute.to_owned());
        tell(sandbox, &mut transaction, &session, event_type).await?;
    }
    transaction.commit().await?;
    sandbox.webhook_written.notify_one();
    Ok(Some(session))
}

async fn apply(
    sandbox: &Sandbox,
    connection: &mut PgConnection,
    session: Session,
    action: Action,
) -> Result<Session, sqlx::Error> {
    let (delay_s, settles_as) = match action {
        Action::Pay {
            delay_s: Some(delay_s),
        } => (delay_s, "PAID"),
        Action::Decline {
            delay_s: Some(delay_s),
        } => (delay_s, "FAILED"),
        Action::Pay { delay_s: None } => return end(sandbox, connection, session, "PAID").await,
        Action::Cancel => return end(sandbox, connection, session, "CANCELLED").await,
        Action::Dispute | Action::CloseDispute { .. } => return Ok(session),
        Action::Decline { delay_s: None } => {
            tell(sandbox, connection, &session, "session.declined").await?;
            return Ok(session);
        }
    };
    store::set_processing(connection, &session.session_id, delay_s, settles_as).await?;
    let session = Session {
        status: "PROCESSING".to_owned(),
        ..session
    };
    tell(sandbox, connection, &session, "session.processing").await?;
    Ok(session)
}

/// Ends every session whose time has come, at most `DUE_BATCHES_MAX` batches in one look.
pub(super) async fn end_due(sandbox: &Sandbox) -> Result<(), sqlx::Error> {
    for _ in 0..DUE_BATCHES_MAX {
        if !store::any_due(&sandbox.pool).await? {
            return Ok(());
        }
        let mut transaction = holdfast_eventlog::begin(&sandbox.pool).await?;
        let due = store::due_sessions(&mut transaction, DUE_BATCH).await?;
        for session_id in &due {
            if let Some(session) = store::lock_session(&mut transaction, session_id).await? {
                end_if_due(sandbox, &mut transaction, session).await?;
            }
        }
        transaction.commit().await?;
        sandbox.webhook_written.notify_one();
    }
    Ok(())
}

async fn end_if_due(
    sandbox: &Sandbox,
    connection: &mut PgConnection,
    session: Session,
) -> Result<Session, sqlx::Error> {
    if !session.due {
        return Ok(session);
    }
    let status = session
        .settles_as
        .clone()
        .unwrap_or_else(|| "EXPIRED".to_owned());
    end(sandbox, connection, session, &status).await
}

async fn end(
    sandbox: &Sandbox,
    connection: &mut PgConnection,
    session: Session,
    status: &str,
) -> Result<Session, sqlx::Error> {
    let fee = (status == "PAID").then(|| sandbox.config.fee_of(session.amount));
    let charge_id = format!("ch_{}", Uuid::new_v4().simple());
    let charge_id = &charge_id;
    let charge = fee.map(|fee| store::Charge { charge_id, fee });
    let session = Session {
        status: status.to_owned(),
        fee,
        due: false,
        ..session
    };
    let event_type = format!("session.{}", status.to_lowercase());
    let event = event(sandbox, &session, &event_type).await;
    let body = serde_json::to_vec(&event).expect("strings and numbers serialise");
    let told = delivery(&session, &event, &body);
    store::end_session(connection, &session, charge, told).await?;
    Ok(session)
}

/// Writes the webhook of an event, in the transaction of the event.
async fn tell(
    sandbox: &Sandbox,
    connection: &mut PgConnection,
    session: &Session,
    event_type: &str,
) -> Result<(), sqlx::Error> {
    let event = event(sandbox, session, event_type).await;
    let body = serde_json::to_vec(&event).expect("strings and numbers serialise");
    store::insert_delivery(connection, delivery(session, &event, &body)).await
}

async fn event(sandbox: &Sandbox, session: &Session, event_type: &str) -> wire::Event {
    wire::Event {
        id: format!("evt_{}", Uuid::new_v4().simple()),
        event_type: event_type.to_owned(),
        session: describe(session, sandbox.base().await),
    }
}

fn delivery<'a>(
    session: &Session,
    event: &'a wire::Event,
    body: &'a [u8],
) -> store::NewDelivery<'a> {
    store::NewDelivery {
        event_id: &event.id,
        body,
        copies: if session.duplicate { 2 } else { 1 },
        tells_of_dispute: matches!(
            event.event_type.as_str(),
            "session.disputed" | "session.dispute_closed"
        ),
        delay_s: session.webhook_delay_s,
    }
}

/// The session as the API shows it.
pub(super) fn describe(session: &Session, base: &str) -> wire::Session {
    wire::Session {
        id: session.session_id.clone(),
        url: format!("{base}/pay/{}", session.session_id),
        status: wire::Status::from_column(&session.status)
            .expect("a CHECK constraint names the same states"),
        amount: session.amount,
        currency: session.currency.clone(),
        reference: session.reference.clone(),
        expires_at_ms: session.expires_at.timestamp_millis(),
        dispute: session
            .dispute
            .as_deref()
            .and_then(wire::Dispute::from_column),
        fee: session.fee,
    }
}

/// Sends money back, once for a key.
pub(super) async fn refund(
    sandbox: &Sandbox,
    key: &str,
    wanted: &wire::NewRefund,
) -> Result<Result<Refund, Refused>, sqlx::Error> {
    if !is_session_id(&wanted.session_id) {
        return Ok(Err(Refused::UnknownSession));
    }
    let mut transaction = holdfast_eventlog::begin(&sandbox.pool).await?;
    // The lock makes copies of one request wait for each other.
    let session = store::lock_session(&mut transaction, &wanted.session_id).await?;
    let Some(session) = session else {
        return Ok(Err(Refused::UnknownSession));
    };
    if let Some(known) = store::refund_of_key(&mut transaction, key).await? {
        let same = known.session_id == wanted.session_id && known.amount == wanted.amount;
        return Ok(if same {
            Ok(known)
        } else {
            Err(Refused::KeyReused)
        });
    }
    let left = session.amount - store::refunded(&mut transaction, &wanted.session_id).await?;
    if session.status != "PAID" || left < wanted.amount {
        return Ok(Err(Refused::NothingToRefund));
    }
    let refund = Refund {
        refund_id: format!("re_{}", Uuid::new_v4().simple()),
        session_id: wanted.session_id.clone(),
        amount: wanted.amount,
    };
    store::insert_refund(&mut transaction, key, &refund).await?;
    transaction.commit().await?;
    Ok(Ok(refund))
}
