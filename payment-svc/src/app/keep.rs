//! A booking is confirmed: its payment's money has its ending.

use holdfast_types::{BookingId, PaymentId};

use super::{App, Error};
use crate::store::{ledger, payments};

/// Posts what is undecided of the payment as sold; changes nothing when it comes again, or after the
/// money was asked back.
pub(super) async fn keep<P>(
    app: &App<P>,
    booking_id: BookingId,
    payment_id: PaymentId,
) -> Result<(), Error> {
    let mut transaction = holdfast_eventlog::begin(&app.pool).await?;
    let payment = payments::locked(&mut transaction, payment_id).await?;
    let payment = payment.ok_or(Error::NotThatPayment("there is none of that id"))?;
    if payment.booking_id != booking_id {
        return Err(Error::NotThatPayment("it is another booking's"));
    }
    let captured = payment.captured;
    let captured = captured.ok_or(Error::NotThatPayment("it brought no money"))?;
    ledger::post_sale(&mut transaction, payment_id, captured.currency).await?;
    transaction.commit().await?;
    Ok(())
}
