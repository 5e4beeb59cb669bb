//! `AdminService`: the operator's view, and what operators set for the whole store.

use std::sync::Arc;

use holdfast_mesh::deadline::Deadline;
use holdfast_proto::lockstore::v1::{self as pb, admin_service_server::AdminService};
use holdfast_types::{Lineage, ShowId};
use lockstore_core::Outcome;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::{
    answer,
    client::Decider,
    failure,
    read::{Consistency, Reader},
};
use crate::{
    codec::{self, Body},
    config::Config,
    limits,
    peers::Peers,
    status::StatusSource,
};

/// What the admin plane needs.
pub(crate) struct Admin {
    pub(crate) config: Arc<Config>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) status: Arc<StatusSource>,
    pub(crate) decider: Arc<Decider>,
    pub(crate) reader: Arc<Reader>,
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
                behaviour: self.status.behaviours.said_by(member.node_id),
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
                behaviour: Some(status.behaviour),
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
            expiry: codec::expiry_to_pb(self.decider.is_expiry_paused()).into(),
        }))
    }

    async fn set_config(
        &self,
        request: Request<pb::SetConfigRequest>,
    ) -> Result<Response<pb::SetConfigResponse>, Status> {
        use pb::set_config_response::Outcome as Answer;
        let reply = self.decider.decide(request, Body::SetConfig).await?;
        let outcome = match &reply.outcome {
            Outcome::ConfigSet {
                expiry_paused,
                already,
            } => Answer::Set(pb::ConfigSet {
                expiry: codec::expiry_to_pb(*expiry_paused).into(),
                already: *already,
            }),
            Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
            _ => return Err(failure::internal("SetConfig")),
        };
        let info = Some(answer::info(&reply));
        Ok(Response::new(pb::SetConfigResponse {
            info,
            outcome: Some(outcome),
        }))
    }

    async fn admin_record(
        &self,
        request: Request<pb::AdminRecordRequest>,
    ) -> Result<Response<pb::AdminRecordResponse>, Status> {
        use pb::admin_record_response::Outcome as Answer;
        let reply = self.decider.decide(request, Body::AdminRecord).await?;
        let outcome = match &reply.outcome {
            Outcome::Recorded { revision } => Answer::Recorded(pb::AdminRecorded {
                revision: revision.as_u64(),
            }),
            Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
            _ => return Err(failure::internal("AdminRecord")),
        };
        let info = Some(answer::info(&reply));
        Ok(Response::new(pb::AdminRecordResponse {
            info,
            outcome: Some(outcome),
        }))
    }

    async fn list_acts(
        &self,
        request: Request<pb::ListActsRequest>,
    ) -> Result<Response<pb::ListActsResponse>, Status> {
        let deadline = Deadline::of(&request);
        let asked = request.into_inner();
        let before = match asked.before_revision {
            0 => None,
            revision => {
                let before = codec::fence("before_revision", revision).map_err(failure::invalid)?;
                let lineage = Lineage(self.config.lineage);
                if before.lineage() != lineage {
                    return Err(failure::lineage_changed(lineage));
                }
                Some(before)
            }
        };
        let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
        if !(1..=limits::ACTS_LISTED_MAX).contains(&limit) {
            let why = format!("expected 1 to {}, got {limit}", limits::ACTS_LISTED_MAX);
            return Err(failure::invalid(codec::Field::new("limit", why)));
        }
        let read = self
            .reader
            .read(Consistency::Linearizable, deadline.remaining())
            .await?;
        let acts = read.view.state.operator_acts(before).take(limit);
        Ok(Response::new(pb::ListActsResponse {
            info: Some(read.info()),
            acts: acts
                .map(|(revision, act)| codec::act_to_pb(revision, act))
                .collect(),
        }))
    }

    async fn inspect_show(
        &self,
        request: Request<pb::InspectShowRequest>,
    ) -> Result<Response<pb::InspectShowResponse>, Status> {
        let deadline = Deadline::of(&request);
        let show_id = codec::id("show_id", &request.into_inner().show_id, ShowId::from_slice)
            .map_err(failure::invalid)?;
        let _place = failure::place(&self.asking)?;
        let read = self
            .reader
            .read(Consistency::Linearizable, deadline.remaining())
            .await?;
        let info = read.info();
        let state = read.view.state.clone();
        // What it costs is the show's size: others are served meanwhile.
        let inspected = tokio::task::spawn_blocking(move || codec::inspection(&state, show_id));
        let answer = inspected
            .await
            .map_err(|_| failure::internal("InspectShow"))?;
        Ok(Response::new(pb::InspectShowResponse {
            info: Some(info),
            ..answer
        }))
    }
}
