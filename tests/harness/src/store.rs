//! The lock store, for assertions: linearizable reads from whichever node leads, over plain gRPC,
//! so that nothing of the services stands between.

use std::time::Duration;

use anyhow::{Result, bail};
use holdfast_proto::lockstore::v1::{
    GetShowRequest, GetStatusRequest, GetStatusResponse, SeatState,
    admin_service_client::AdminServiceClient, lock_store_service_client::LockStoreServiceClient,
};
use tonic::{Code, transport::Channel};
use uuid::Uuid;

use crate::{Certificates, Look, until};

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// How long the store may be without a leader.
const LEADER_LIMIT: Duration = Duration::from_secs(30);

/// The three nodes.
pub struct Store {
    endpoints: Vec<String>,
    certificates: Certificates,
}

impl Store {
    pub(crate) fn new(endpoints: Vec<String>, certificates: Certificates) -> Self {
        Self {
            endpoints,
            certificates,
        }
    }

    /// The state of every seat of a show, by seat number.
    ///
    /// # Errors
    /// No such show; no leader within the limit.
    pub async fn seats(&self, show: Uuid) -> Result<Vec<SeatState>> {
        until("the lock store to read a show", LEADER_LIMIT, async || {
            let mut seen = Vec::new();
            for endpoint in &self.endpoints {
                let request = GetShowRequest {
                    show_id: show.as_bytes().to_vec().into(),
                    consistency: None,
                };
                match LockStoreServiceClient::new(self.channel(endpoint)?)
                    .get_show(request)
                    .await
                {
                    Ok(answer) => {
                        let answer = answer.into_inner();
                        if !answer.found {
                            bail!("the lock store knows no show {show}");
                        }
                        let state =
                            |byte: &u8| SeatState::try_from(i32::from(*byte)).unwrap_or_default();
                        return Ok(Look::Found(answer.seat_states.iter().map(state).collect()));
                    }
                    Err(status)
                        if matches!(
                            status.code(),
                            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
                        ) =>
                    {
                        seen.push(format!("{endpoint}: {}", status.message()));
                    }
                    Err(status) => bail!("{endpoint}: {status}"),
                }
            }
            Ok(Look::NotYet(seen.join("; ")))
        })
        .await
    }

    /// Waits until all nodes have applied the same log and have the same hash of their state.
    ///
    /// # Errors
    /// They haven't within the limit.
    pub async fn wait_same_state(&self) -> Result<()> {
        until(
            "all nodes to have the same state",
            LEADER_LIMIT,
            async || {
                let mut seen = Vec::new();
                for endpoint in &self.endpoints {
                    let asked = AdminServiceClient::new(self.channel(endpoint)?)
                        .get_status(GetStatusRequest {})
                        .await;
                    seen.push(
                        asked
                            .map(tonic::Response::into_inner)
                            .map_err(|status| status.message().to_owned()),
                    );
                }
                let applied = |s: &GetStatusResponse| (s.applied, s.state_hash.clone());
                let first = seen.first().and_then(|s| s.as_ref().ok()).map(applied);
                let same =
                    first.is_some() && seen.iter().all(|s| s.as_ref().ok().map(applied) == first);
                Ok(if same {
                    Look::Found(())
                } else {
                    Look::NotYet(format!("{seen:?}"))
                })
            },
        )
        .await
    }

    fn channel(&self, endpoint: &str) -> Result<Channel> {
        Ok(Channel::from_shared(endpoint.to_owned())?
            .tls_config(self.certificates.of("operator", "lockstore")?)?
            .connect_timeout(CALL_LIMIT)
            .timeout(CALL_LIMIT)
            .connect_lazy())
    }
}
