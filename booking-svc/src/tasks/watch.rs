//! Looks for money that is under way too long (BK-2): a payment that waits for a decision, or a
//! refund that payment-svc has not told the end of, for 15 minutes; and sooner, a payment that
//! waits on a booking with no open step, which no decision leaves behind. People must look. Refunds
//! were asked for again by then, several times, by this loop.
//!
//! Reads an index of payments under way only, which is near empty. What this service was never
//! told of shows by `holdfast cluster audit`, which reads every table and is left to people and tests.

use std::time::Duration;

use crate::{app::App, error::Error, metrics, store::payments};

/// How often; an alarm that comes a minute later is early enough.
pub(crate) const PERIOD: Duration = Duration::from_secs(60);

/// Payments named at once.
const NAMED_MAX: u32 = 100;

impl App {
    /// Counts the payments that are stuck, and names them in the log.
    pub(crate) async fn watch_payments(&self) -> Result<usize, Error> {
        let stuck = payments::stuck(&self.pool, NAMED_MAX).await?;
        for (booking_id, payment_id) in &stuck {
            tracing::error!(booking.id = %booking_id, payment.id = %payment_id, "a payment is stuck");
        }
        metrics::gauge(metrics::PAYMENTS_STUCK, stuck.len());
        Ok(stuck.len())
    }
}
