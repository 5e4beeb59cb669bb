//! `holdfast cluster status`: each node is asked for itself, so that a node cut off from the
//! others is seen as what it believes to be.

use std::time::Duration;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use futures::future::join_all;
use holdfast_mesh::client::Channel;
use holdfast_proto::{
    lockstore::v1::{
        ExpiryState, GetStatusRequest, GetStatusResponse, LogPosition, NodeRole,
        admin_service_client::AdminServiceClient,
    },
    part,
};
use serde::Serialize;

use crate::{
    cli::{ClusterStatusArgs, Output},
    data_dir::DataDir,
    error::Error,
    operator::channel_to,
    run_file::RunFile,
    supervisor::say,
};

/// How long one node may take; it asks its peers, with a limit of its own.
const NODE_LIMIT: Duration = Duration::from_secs(5);

/// What is printed. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Serialize)]
struct Status {
    /// The leader by the highest term that a node told of; none where no node knows one.
    leader_id: Option<u64>,
    nodes: Vec<Node>,
}

#[derive(Debug, Serialize)]
struct Node {
    address: String,
    /// Why it didn't answer; the rest is then absent.
    error: Option<String>,
    #[serde(flatten)]
    status: Option<NodeStatus>,
}

#[derive(Debug, Serialize)]
struct NodeStatus {
    node_id: u64,
    role: String,
    term: u64,
    leader_id: Option<u64>,
    lineage: u32,
    last_log: Option<u64>,
    applied: Option<u64>,
    purged: Option<u64>,
    snapshot: Option<u64>,
    cluster_time_ms: u64,
    state_hash: String,
    /// No hold ends by time, as far as it has applied.
    expiry_paused: bool,
    /// The newest behaviour of the log that it knows; none of a node that doesn't say.
    behaviour: Option<u32>,
}

/// Prints the state of each node.
///
/// # Errors
/// [`Error::Unreachable`] if no node answers.
pub(crate) async fn cluster_status(args: ClusterStatusArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.source.dir.data_dir)?;
    let endpoints = match args.source.endpoint {
        given if !given.is_empty() => given,
        _ => RunFile::read(&dir)?.lockstore,
    };
    let channels = endpoints
        .into_iter()
        .map(|address| Ok((channel_to(&dir, &address, part::LOCKSTORE)?, address)))
        .collect::<Result<Vec<_>, Error>>()?;
    let asked = channels
        .into_iter()
        .map(|(channel, address)| ask(channel, address));
    let nodes = join_all(asked).await;
    if nodes.iter().all(|node| node.status.is_none()) {
        let why = nodes
            .iter()
            .map(|n| format!("{}: {}", n.address, n.error.as_deref().unwrap_or("?")))
            .collect::<Vec<_>>();
        return Err(Error::Unreachable {
            what: "any lock-store node".into(),
            why: why.join("; "),
        });
    }
    let newest = nodes
        .iter()
        .filter_map(|n| n.status.as_ref())
        .filter(|s| s.leader_id.is_some())
        .max_by_key(|s| s.term);
    let status = Status {
        leader_id: newest.and_then(|s| s.leader_id),
        nodes,
    };
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&status).map_err(anyhow::Error::from)?),
        Output::Table => say(&table(&status)),
    }
    Ok(())
}

async fn ask(channel: Channel, address: String) -> Node {
    let answer = async {
        let mut request = tonic::Request::new(GetStatusRequest {});
        request.set_timeout(NODE_LIMIT);
        let answer = AdminServiceClient::new(channel).get_status(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| match status.code() {
                tonic::Code::Unavailable => "doesn't answer".to_owned(),
                code => format!("{code:?}: {}", status.message()),
            })
    };
    match tokio::time::timeout(NODE_LIMIT, answer)
        .await
        .unwrap_or_else(|_| Err("doesn't answer".into()))
    {
        Ok(status) => Node {
            address,
            error: None,
            status: Some(NodeStatus::from(status)),
        },
        Err(error) => Node {
            address,
            error: Some(error),
            status: None,
        },
    }
}

impl From<GetStatusResponse> for NodeStatus {
    fn from(s: GetStatusResponse) -> Self {
        let index = |position: Option<LogPosition>| position.map(|p| p.index);
        let own = s.members.iter().find(|m| m.node_id == s.node_id);
        Self {
            behaviour: own.and_then(|m| m.behaviour),
            node_id: s.node_id,
            role: s
                .role()
                .as_str_name()
                .trim_start_matches("NODE_ROLE_")
                .to_owned(),
            term: s.term,
            leader_id: (s.leader_id != 0).then_some(s.leader_id),
            lineage: s.lineage,
            last_log: index(s.last_log),
            applied: index(s.applied),
            purged: index(s.purged),
            snapshot: index(s.snapshot),
            cluster_time_ms: s.cluster_time_ms,
            expiry_paused: s.expiry() == ExpiryState::Paused,
            state_hash: s
                .state_hash
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }
    }
}

fn table(status: &Status) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "node",
        "address",
        "role",
        "term",
        "leader",
        "lineage",
        "last log",
        "applied",
        "purged",
        "snapshot",
        "behaviour",
        "state hash",
    ]);
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let furthest = status
        .nodes
        .iter()
        .filter_map(|n| n.status.as_ref()?.applied)
        .max();
    for node in &status.nodes {
        match &node.status {
            Some(s) => {
                let lag = furthest.zip(s.applied).map_or(0, |(most, own)| most - own);
                let applied = if lag == 0 {
                    number(s.applied)
                } else {
                    format!("{} (-{lag})", number(s.applied))
                };
                table.add_row([
                    s.node_id.to_string(),
                    node.address.clone(),
                    s.role.to_lowercase(),
                    s.term.to_string(),
                    number(s.leader_id),
                    s.lineage.to_string(),
                    number(s.last_log),
                    applied,
                    number(s.purged),
                    number(s.snapshot),
                    number(s.behaviour.map(u64::from)),
                    s.state_hash.get(..12).unwrap_or("-").to_owned(),
                ]);
            }
            None => {
                let error = node.error.clone().unwrap_or_default();
                table.add_row(["?".to_owned(), node.address.clone(), error]);
            }
        }
    }
    let leader = match status.leader_id {
        Some(leader) => format!("node {leader} leads"),
        None => "no node leads: seats can't be held".to_owned(),
    };
    let roles: [NodeRole; 2] = [NodeRole::Leader, NodeRole::Follower];
    let up = status
        .nodes
        .iter()
        .filter_map(|n| n.status.as_ref())
        .filter(|s| roles.iter().any(|r| r.as_str_name().ends_with(&s.role)))
        .count();
    let mut known = status.nodes.iter().filter_map(|n| n.status.as_ref());
    let paused = known.any(|s| Some(s.node_id) == status.leader_id && s.expiry_paused);
    let expiry = if paused {
        "\nexpiry is paused: no hold ends by time (see `holdfast cluster acts`)"
    } else {
        ""
    };
    format!(
        "{table}\n{leader}; {up} of {} nodes up{expiry}",
        status.nodes.len()
    )
}

#[cfg(test)]
mod tests {
    use holdfast_proto::lockstore::v1::MemberStatus;

    use super::*;

    #[test]
    fn table_shows_leader_lag_and_who_does_not_answer() {
        let node = |id, applied| Node {
            address: format!("http://127.0.0.1:710{id}"),
            error: None,
            status: Some(NodeStatus::from(GetStatusResponse {
                node_id: id,
                role: if id == 1 {
                    NodeRole::Leader
                } else {
                    NodeRole::Follower
                }
                .into(),
                term: 3,
                leader_id: 1,
                lineage: 1,
                applied: Some(LogPosition {
                    term: 3,
                    index: applied,
                }),
                state_hash: vec![0xab; 16].into(),
                expiry: ExpiryState::Paused.into(),
                members: vec![MemberStatus {
                    node_id: id,
                    behaviour: (id == 1).then_some(1),
                    ..Default::default()
                }],
                ..Default::default()
            })),
        };
        let dead = Node {
            address: "http://127.0.0.1:7103".into(),
            error: Some("doesn't answer".into()),
            status: None,
        };
        let text = table(&Status {
            leader_id: Some(1),
            nodes: vec![node(1, 12), node(2, 10), dead],
        });
        insta::assert_snapshot!(text);
    }
}
