//! A booking ended: nobody should pay for it any more.

use holdfast_types::BookingId;

use super::{App, Error, publish, settle::settle};
use crate::{
    provider::{self, Provider, Session, Status},
    store::payments,
};

/// Cancels the booking's open session. If the provider says that it was paid, it was paid; if it
/// can't be cancelled just now (a slow method is under way), it stays open and its end will be
/// heard of: late money is the booking's to decide on. No refusal of the provider's is an error
/// here, because refunds of the booking come after this event and must not wait behind it.
pub(super) async fn end_session<P: Provider>(
    app: &App<P>,
    booking_id: BookingId,
) -> Result<(), Error> {
    let payments = payments::of_booking(&app.pool, booking_id).await?;
    for payment in payments.into_iter().filter(payments::Payment::is_open) {
        if payment.provider != P::NAME {
            tracing::error!(
                payment.id = %payment.payment_id, provider = payment.provider,
                "an ended booking's session is at a provider that isn't configured any more"
            );
            continue;
        }
        let Some(session_id) = payment.session_id else {
            return Err(Error::NoSessionYet);
        };
        let Some(session) = cancel(app, &session_id).await? else {
            continue;
        };
        let transaction = holdfast_eventlog::begin(&app.pool).await?;
        settle(transaction, payment.payment_id, &session).await?;
        publish::OUTBOX.wake();
    }
    Ok(())
}

/// Calls the session off and returns how it stands; none if the provider won't even say that,
/// which leaves it to the reconciler.
pub(super) async fn cancel<P: Provider>(
    app: &App<P>,
    session_id: &str,
) -> Result<Option<Session>, Error> {
    let cancelled = match app.provider.cancel_session(session_id).await {
        Err(provider::Error::Refused(why)) => {
            tracing::warn!(
                session.id = session_id,
                why,
                "the provider refused to cancel"
            );
            app.provider.session(session_id).await
        }
        other => other,
    };
    match cancelled {
        Ok(session) => Ok(Some(session)),
        Err(provider::Error::NoSession(why)) => {
            tracing::warn!(session.id = session_id, why, "nothing to cancel");
            Ok(Some(Session::none(Status::Cancelled)))
        }
        Err(provider::Error::Refused(why) | provider::Error::Elsewhere(why)) => {
            tracing::error!(
                session.id = session_id,
                why,
                "an ended booking's session is still open"
            );
            Ok(None)
        }
        Err(error @ provider::Error::Unknown(_)) => Err(error.into()),
    }
}
