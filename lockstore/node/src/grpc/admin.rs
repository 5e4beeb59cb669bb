//! `AdminService`: the operator's view.

use std::sync::Arc;

use holdfast_proto::lockstore::v1::{self as pb, admin_service_server::AdminService};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::failure;
use crate::{config::Config, peers::Peers, status::StatusSource};

/// What the admin plane needs.
pub(crate) struct Admin {
    pub(crate) config: Arc<Config>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) status: Arc<StatusSource>,
    /// Places for questions: [`crate::limits::STATUSES_IN_FLIGHT_MAX`].
    pub(crate) asking: Semaphore,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(
        &self,
        _request: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::GetStatusResponse>, Status> {
        let _place = failure::place(&self.asking)?;
        let mut statuses = self.peers.statuses().await;
        let own = self.status.own();
        statuses.insert(self.config.node_id, Ok(own.clone()));
        let furthest = statuses
            .values()
            .flatten()
            .filter_map(|status| status.last_log.map(|last| last.index))
            .max()
            .unwrap_or_default();
        let members = self.config.members.iter().map(|member| {
            let known = pb::MemberStatus {
                node_id: member.node_id,
                client_addr: member.client_addr.clone(),
                peer_addr: member.peer_addr.clone(),
                ..Default::default()
            };
            let Some(Ok(status)) = statuses.get(&member.node_id) else {
                return known;
            };
            pb::MemberStatus {
                reachable: true,
                role: status.role,
                last_log: status.last_log,
                applied: status.applied,
                lag_entries: furthest
                    - status
                        .applied
                        .map_or(0, |applied| applied.index)
                        .min(furthest),
                state_hash: status.state_hash.clone(),
                short_of_space: status.short_of_space,
                free_bytes: status.free_bytes,
                ..known
            }
        });
        Ok(Response::new(pb::GetStatusResponse {
            node_id: own.node_id,
            role: own.role,
            term: own.term,
            leader_id: own.leader_id,
            lineage: self.config.lineage.into(),
            cluster_id: self.config.cluster_id.clone(),
            last_log: own.last_log,
            applied: own.applied,
            purged: own.purged,
            snapshot: own.snapshot,
            cluster_time_ms: own.cluster_time_ms,
            state_hash: own.state_hash,
            members: members.collect(),
        }))
    }
}
