//! The other members: who they are and channels to them.
//!
//! Always holds: a channel connects when first used and again after it broke; a peer that went
//! silent is found out by pings within seconds.

use std::{collections::BTreeMap, time::Duration};

use futures::future;
use holdfast_mesh as mesh;
use holdfast_proto::{
    lockstore::v1::{self as pb, peer_service_client::PeerServiceClient},
    part,
};
use tonic::transport::{Channel, Endpoint};

use crate::{Error, config::Config, limits};

/// Peers are one hop away.
const CONNECT_MAX: Duration = Duration::from_millis(500);
const PING_AFTER: Duration = Duration::from_secs(3);
const PING_ANSWER_MAX: Duration = Duration::from_secs(2);
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const FRAME_BYTES: u32 = 64 << 10;

/// Channels to one member, a connection each.
pub(crate) struct Peer {
    pub(crate) append: Channel,
    /// Votes go here too: all are small.
    pub(crate) heartbeat: Channel,
    pub(crate) snapshot: Channel,
    /// Questions of operators must not be in the way of heartbeats.
    status: Channel,
}

/// Every other member.
pub(crate) struct Peers {
    from: pb::PeerAddress,
    by_id: BTreeMap<u64, Peer>,
}

impl Peers {
    /// Over TLS as `identity`, where there is one.
    ///
    /// # Errors
    /// [`Error::Address`] names an address that is none; [`Error::PeerTls`].
    pub(crate) fn new(
        config: &Config,
        identity: Option<&mesh::tls::Identity>,
    ) -> Result<Self, Error> {
        let mut by_id = BTreeMap::new();
        for member in config
            .members
            .iter()
            .filter(|member| member.node_id != config.node_id)
        {
            let channel = || channel(&member.peer_addr, identity);
            let peer = Peer {
                append: channel()?,
                heartbeat: channel()?,
                snapshot: channel()?,
                status: channel()?,
            };
            by_id.insert(member.node_id, peer);
        }
        let from = pb::PeerAddress {
            cluster_id: config.cluster_id.clone(),
            lineage: config.lineage.into(),
            group_id: limits::GROUP_ID,
            from_node_id: config.node_id,
            to_node_id: 0,
        };
        Ok(Self { from, by_id })
    }

    pub(crate) fn get(&self, node_id: u64) -> Option<&Peer> {
        self.by_id.get(&node_id)
    }

    pub(crate) fn address_to(&self, node_id: u64) -> pb::PeerAddress {
        pb::PeerAddress {
            to_node_id: node_id,
            ..self.from.clone()
        }
    }

    /// Whether a request that reached this node was meant for it.
    pub(crate) fn is_for_us(&self, address: &pb::PeerAddress) -> bool {
        let expected = pb::PeerAddress {
            from_node_id: address.from_node_id,
            to_node_id: self.from.from_node_id,
            ..self.from.clone()
        };
        *address == expected
    }

    /// Asks every peer who it is, all at once; those that don't answer in time are left out.
    pub(crate) async fn statuses(
        &self,
    ) -> BTreeMap<u64, Result<pb::GetPeerStatusResponse, tonic::Status>> {
        let asked = self.by_id.iter().map(|(node_id, peer)| async {
            let request = pb::GetPeerStatusRequest {
                address: Some(self.address_to(*node_id)),
            };
            let mut client = PeerServiceClient::new(peer.status.clone());
            let answer = client.get_peer_status(request);
            let status = match tokio::time::timeout(limits::PEER_STATUS_TIMEOUT, answer).await {
                Ok(answer) => answer.map(tonic::Response::into_inner),
                Err(_) => Err(tonic::Status::deadline_exceeded("no answer")),
            };
            (*node_id, status)
        });
        future::join_all(asked).await.into_iter().collect()
    }
}

fn channel(address: &str, identity: Option<&mesh::tls::Identity>) -> Result<Channel, Error> {
    let bad = || Error::Address {
        address: address.to_owned(),
    };
    mesh::client::check(address, identity.is_some()).map_err(|_| bad())?;
    let mut endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_| bad())?;
    if let Some(identity) = identity {
        endpoint = endpoint
            .tls_config(identity.client_config(part::LOCKSTORE))
            .map_err(Error::PeerTls)?;
    }
    Ok(endpoint
        .connect_timeout(CONNECT_MAX)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_ANSWER_MAX)
        .keep_alive_while_idle(true)
        .connect_lazy())
}
