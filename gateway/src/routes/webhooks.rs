//! What payment providers call. The bytes go on unchanged, because the signature is over them.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use holdfast_proto::payment::v1 as pb;

use crate::{
    call::Call,
    extract::{PathId, RawBody},
    failure::ApiError,
    server::Shared,
};

/// A provider reports
///
/// Called by payment providers, with a signature of the body: Stripe's is in `stripe-signature`, another's
/// in `x-{provider}-signature`.
#[utoipa::path(
    post, path = "/payments/webhooks/{provider}", tag = "payments",
    params(
        ("provider" = String, Path, example = json!("sandbox")),
        ("x-sandbox-signature" = Option<String>, Header, description = "The sandbox provider's signature. Another's header has its own name in it: `x-{provider}-signature`."),
        ("stripe-signature" = Option<String>, Header, description = "Stripe's signature."),
    ),
    request_body(content_type = "application/octet-stream", description = "As the provider writes it."),
    responses((status = 204, description = "Recorded, now or before.")),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "UNAUTHORIZED", "NOT_FOUND"]))),
)]
pub(crate) async fn receive_webhook(
    State(app): State<Shared>,
    call: Call,
    PathId(provider): PathId<String>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<StatusCode, ApiError> {
    // A header that is missing or no text is an empty signature, which no provider's check accepts.
    let name = match provider.as_str() {
        "stripe" => "stripe-signature".to_owned(),
        other => format!("x-{other}-signature"),
    };
    let signature = headers.get(name).and_then(|value| value.to_str().ok());
    let request = pb::ReceiveWebhookRequest {
        signature: signature.unwrap_or_default().to_owned(),
        provider,
        body: body.into(),
    };
    app.payment
        .clone()
        .receive_webhook(call.request(request))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
