//! `holdfast.payment.v1.PaymentService`: decode, use case, encode.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use holdfast_mesh::{Failure, auth::Verifier};
use holdfast_proto::payment::v1::{
    ListPaymentsRequest, ListPaymentsResponse, Payment, ReceiveWebhookRequest,
    ReceiveWebhookResponse, payment_service_server::PaymentService,
};
use holdfast_types::{BookingId, ErrorCode};
use tonic::{Request, Response, Status};

use crate::{
    app::{self, App, Received},
    provider::{self, Dispute, Provider, WebhookError},
    store::{self, payments},
};

/// Who may see payments: the operators, since a payment's booking may be of anybody's show.
const MAY_LIST: [&str; 2] = ["admin", "staff"];

/// When to come again after the database was away.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The service, for any provider.
pub(crate) struct Service<P> {
    pub(crate) app: Arc<App<P>>,
    /// Checks who asks for payments; webhooks are signed instead.
    pub(crate) verifier: Verifier,
}

#[tonic::async_trait]
impl<P: Provider> PaymentService for Service<P> {
    async fn receive_webhook(
        &self,
        request: Request<ReceiveWebhookRequest>,
    ) -> Result<Response<ReceiveWebhookResponse>, Status> {
        let ReceiveWebhookRequest {
            provider,
            signature,
            body,
        } = request.into_inner();
        if provider != P::NAME {
            let failure = Failure::new(ErrorCode::NotFound, "no such payment provider");
            return Err(failure.into());
        }
        match app::receive_webhook(&self.app, &signature, &body, SystemTime::now()).await {
            Ok(received) => {
                let duplicate = received == Received::Duplicate;
                Ok(Response::new(ReceiveWebhookResponse { duplicate }))
            }
            Err(error) => Err(failure(&error).into()),
        }
    }

    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        let claims = self.verifier.authenticate(request.metadata()).await?;
        if !MAY_LIST.iter().any(|role| claims.has_role(role)) {
            let failure = Failure::new(ErrorCode::Forbidden, "payments are shown to operators");
            return Err(failure.into());
        }
        let booking_id = BookingId::from_slice(&request.get_ref().booking_id)
            .map_err(|error| Failure::invalid("booking_id", error.to_string()))?;
        let payments = payments::of_booking(&self.app.pool, booking_id)
            .await
            .map_err(|error| stored(&error))?;
        let payments = payments.into_iter().map(encode).collect();
        Ok(Response::new(ListPaymentsResponse { payments }))
    }
}

fn failure(error: &app::Error) -> Failure {
    match error {
        app::Error::Webhook(refused @ WebhookError::Signature) => {
            Failure::new(ErrorCode::Unauthorized, refused.to_string())
        }
        app::Error::Webhook(refused @ (WebhookError::Body | WebhookError::Mode)) => {
            Failure::invalid("body", refused.to_string())
        }
        app::Error::Store(error) => stored(error),
        app::Error::Provider(provider::Error::Unknown(why) | provider::Error::Elsewhere(why)) => {
            tracing::warn!(why, "a webhook's matter can't be asked about now");
            Failure::new(
                ErrorCode::Unavailable,
                "how it stands can't be asked right now; send it again",
            )
            .with_retry_after(RETRY_AFTER)
        }
        other => Failure::internal(other),
    }
}

fn stored(error: &store::Error) -> Failure {
    if error.is_away() {
        tracing::warn!(%error, "the database is away");
        Failure::new(
            ErrorCode::Unavailable,
            "payments can't be reached right now; try again",
        )
        .with_retry_after(RETRY_AFTER)
    } else {
        Failure::internal(error)
    }
}

fn encode(payment: payments::Payment) -> Payment {
    Payment {
        payment_id: payment.payment_id.to_bytes().to_vec(),
        booking_id: payment.booking_id.to_bytes().to_vec(),
        state: payment.state.to_string(),
        amount: payment.price.amount,
        currency: payment.price.currency.to_string(),
        refunded: payment.refunded,
        provider: payment.provider,
        payment_url: payment.payment_url.unwrap_or_default(),
        captured: payment.captured.map_or(0, |captured| captured.amount),
        captured_currency: payment
            .captured
            .map(|captured| captured.currency.to_string())
            .unwrap_or_default(),
        dispute: payment.dispute.map_or("", Dispute::as_str).to_owned(),
    }
}
