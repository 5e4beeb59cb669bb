//! Money is wanted: record it, open a session at the provider, tell where to pay.
//!
//! May run again after any step: the payment's id is chosen in the first transaction and is the
//! provider's idempotency key.

use holdfast_mesh::trace::{self, FutureExt as _};
use holdfast_types::{PaymentId, PaymentState};

use super::{App, Error, asking, publish, said, settle::settle};
use crate::{
    metric,
    provider::{self, NewSession, Provider, Session, Status},
    store::payments::{self, Inserted, New, Payment},
};

pub(super) async fn create_session<P: Provider>(app: &App<P>, new: New) -> Result<(), Error> {
    let Some(payment) = record(app, &new).await? else {
        return Ok(());
    };
    ask(app, payment).await
}

/// Asks for the session of a payment that isn't known to have one: with the same idempotency key, so
/// that a lost answer is given again. Does nothing once it has.
pub(super) async fn create_again<P: Provider>(
    app: &App<P>,
    payment_id: PaymentId,
) -> Result<(), Error> {
    let mut transaction = holdfast_eventlog::begin(&app.pool).await?;
    let payment = payments::locked(&mut transaction, payment_id).await?;
    transaction.commit().await?;
    match payment {
        Some(payment) if payment.state == PaymentState::CreatingSession => ask(app, payment).await,
        _ => Ok(()),
    }
}

async fn ask<P: Provider>(app: &App<P>, payment: Payment) -> Result<(), Error> {
    let wanted = NewSession {
        payment_id: payment.payment_id.as_uuid(),
        price: payment.price,
        description: payment.description.clone(),
        expires_at: payment.pay_until,
    };
    let span = asking::<P>("create session");
    let created = app.provider.create_session(&wanted);
    let created = created.with_context(span.clone()).await;
    trace::finish(&span, created.as_ref().err().map(said), Vec::new);
    match created {
        Ok(session) => record_session(app, &payment, &session).await,
        Err(provider::Error::Refused(why) | provider::Error::NoSession(why)) => {
            refuse(app, &payment, why).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The payment, if a session is to be created for it.
async fn record<P: Provider>(app: &App<P>, new: &New) -> Result<Option<Payment>, Error> {
    if new.price.amount == 0 {
        record_free(app, new).await?;
        return Ok(None);
    }
    let mut connection = app.pool.acquire().await?;
    let state = PaymentState::CreatingSession;
    match payments::insert(&mut connection, new, state, app.reconcile_after).await? {
        Inserted::OtherOpen => Err(Error::OtherOpen),
        Inserted::Known(payment) | Inserted::New(payment) => {
            Ok((payment.state == state).then_some(payment))
        }
    }
}

/// Nothing is to be paid: no provider is asked.
async fn record_free<P>(app: &App<P>, new: &New) -> Result<(), Error> {
    let state = PaymentState::Succeeded;
    let mut transaction = holdfast_eventlog::begin(&app.pool).await?;
    match payments::insert(&mut transaction, new, state, app.reconcile_after).await? {
        Inserted::OtherOpen => return Err(Error::OtherOpen),
        Inserted::Known(_) => return Ok(()),
        Inserted::New(payment) => {
            let news = publish::succeeded(payment.booking_id, payment.payment_id, payment.price)?;
            publish::append(&mut transaction, news).await?;
        }
    }
    transaction.commit().await?;
    metric::settled(state, Some(new.price));
    publish::OUTBOX.wake();
    Ok(())
}

async fn record_session<P: Provider>(
    app: &App<P>,
    payment: &Payment,
    session: &Session,
) -> Result<(), Error> {
    let Session {
        session_id, url, ..
    } = session;
    let id = payment.payment_id;
    let news = publish::session_created(payment.booking_id, id, url)?;
    let after = app.reconcile_after;
    let created = payments::session_created(&app.pool, id, session_id, url, after, news).await?;
    publish::OUTBOX.wake();
    if created && session.status == Status::Open && session.dispute.is_none() {
        return Ok(());
    }
    // The repetition of a call whose answer was lost.
    let transaction = holdfast_eventlog::begin(&app.pool).await?;
    settle(transaction, id, session).await?;
    publish::OUTBOX.wake();
    Ok(())
}

async fn refuse<P: Provider>(app: &App<P>, payment: &Payment, why: String) -> Result<(), Error> {
    tracing::warn!(payment.id = %payment.payment_id, why, "the provider refused a session");
    let transaction = holdfast_eventlog::begin(&app.pool).await?;
    let session = Session::none(Status::Failed(why));
    settle(transaction, payment.payment_id, &session).await?;
    publish::OUTBOX.wake();
    Ok(())
}
