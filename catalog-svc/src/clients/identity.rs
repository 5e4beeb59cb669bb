//! The public keys of access tokens, from identity-svc.

use std::time::Duration;

use holdfast_mesh::{auth::Verifier, client::Channel, deadline::Deadline};
use holdfast_proto::identity::v1::{
    GetJwksRequest, identity_service_client::IdentityServiceClient,
};
use tonic::Request;

/// How long the keys may take to come; a call that needs them has its own deadline.
const KEYS_MAX: Duration = Duration::from_secs(2);

/// Checks tokens against the keys that identity-svc publishes.
pub(crate) fn verifier(identity: Channel) -> Verifier {
    let client = IdentityServiceClient::new(identity);
    Verifier::new(move || {
        let mut client = client.clone();
        async move {
            let mut request = Request::new(GetJwksRequest {});
            Deadline::after(KEYS_MAX).apply(&mut request);
            Ok(client.get_jwks(request).await?.into_inner().jwks)
        }
    })
}
