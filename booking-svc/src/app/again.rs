//! Money that nobody said the end of: refunds are asked for again until payment-svc says that the money
//! went, and payment-svc is told again what became of a payment when it asks.
//!
//! Always holds: a refund is asked for under the id it had, so money goes once; each further time comes
//! after twice the wait, up to `ASK_EVERY_MAX`, and none is the last while the money hasn't gone. What
//! is said again has the payment's own key, and so waits behind no event of its booking.

use std::time::Duration;

use booking_core::Fate;
use holdfast_types::{BookingId, PaymentId};

use super::{App, announce};
use crate::{
    error::Error,
    metrics,
    store::{bookings, refunds},
};

/// How long payment-svc has to say that money went before it is asked again: it sends what it has
/// recorded again by itself.
pub(super) const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Longest wait between two times: several fall into the 15 minutes that money has.
const ASK_EVERY_MAX: Duration = Duration::from_secs(5 * 60);

/// Refunds in one round, the longest due first; the rest waits for the next.
const BATCH_MAX: u32 = 200;

impl App {
    /// Asks again for refunds that payment-svc has not told the end of. Returns how many.
    pub(crate) async fn ask_refunds_again(&self) -> Result<usize, Error> {
        let mut transaction = holdfast_eventlog::begin(&self.pool).await?;
        let orders =
            refunds::take_unanswered(&mut transaction, BATCH_MAX, ASK_AGAIN_AFTER, ASK_EVERY_MAX)
                .await?;
        if orders.is_empty() {
            return Ok(0);
        }
        announce::refunds_requested_again(&mut transaction, &orders).await?;
        transaction.commit().await?;
        for order in &orders {
            metrics::counter(metrics::AGAIN, &[("kind", "refund")]);
            tracing::info!(
                booking.id = %order.booking_id, refund.id = %order.refund_id,
                "a refund has no end yet; asked for again"
            );
        }
        Ok(orders.len())
    }

    /// Says again what became of a payment; nothing while it isn't decided.
    pub(crate) async fn tell_fate_again(
        &self,
        booking_id: BookingId,
        payment_id: PaymentId,
    ) -> Result<(), Error> {
        let mut transaction = holdfast_eventlog::begin(&self.pool).await?;
        let booking = bookings::lock(&mut transaction, booking_id.into()).await?;
        let Some(booking) = booking else {
            return Ok(());
        };
        let mut payments = booking.payments.iter();
        let payment = payments.find(|known| known.payment_id == payment_id);
        match payment.map(|payment| payment.fate) {
            // Parts that go back are asked for by themselves.
            None | Some(Fate::Pending) => return Ok(()),
            Some(Fate::Kept) => announce::kept(&mut transaction, booking_id, payment_id).await?,
            Some(Fate::Refunding(refund_id) | Fate::Refunded(refund_id)) => {
                let Some(order) =
                    refunds::find(&mut transaction, booking.show_id, refund_id).await?
                else {
                    return Ok(());
                };
                announce::refunds_requested_again(&mut transaction, &[order]).await?;
            }
        }
        transaction.commit().await?;
        metrics::counter(metrics::AGAIN, &[("kind", "fate")]);
        Ok(())
    }
}
