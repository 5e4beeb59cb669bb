//! What identity-svc is asked: how accounts stand.

use holdfast_mesh::{client::Channel, deadline::Deadline};
use holdfast_proto::identity::v1::{
    ReadStandingsRequest, identity_service_client::IdentityServiceClient,
};
use holdfast_types::UserId;
use tonic::Request;

use crate::{
    app::closing_accounts::Standings,
    error::{Error, unavailable},
};

/// Where accounts are.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    client: IdentityServiceClient<Channel>,
}

impl Identity {
    pub(crate) fn new(identity: Channel) -> Self {
        Self {
            client: IdentityServiceClient::new(identity),
        }
    }

    /// How these accounts stand.
    pub(crate) async fn standings(
        &self,
        users: Vec<UserId>,
        deadline: Deadline,
    ) -> Result<Standings, Error> {
        let user_ids = users.iter().map(|id| id.to_bytes().to_vec()).collect();
        let mut request = Request::new(ReadStandingsRequest { user_ids });
        deadline.apply(&mut request);
        let answer = self.client.clone().read_standings(request).await;
        let answer = answer.map_err(|status| {
            tracing::warn!(%status, "identity-svc doesn't say how accounts stand");
            unavailable()
        })?;
        let answer = answer.into_inner();
        // Only what was asked about.
        let among = |told: Vec<Vec<u8>>| -> Vec<UserId> {
            let is_told = |id: &UserId| told.iter().any(|told| *told == id.to_bytes());
            users.iter().copied().filter(is_told).collect()
        };
        Ok(Standings {
            deleted: among(answer.deleted),
            closed: among(answer.closed),
        })
    }
}
