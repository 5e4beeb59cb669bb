//! How a cluster begins, exactly once.
//!
//! Every new data directory has a random incarnation. The member with the lowest id waits until
//! every other answers and has nothing, keeps the list of all incarnations as the cluster's
//! founders, and only then makes the first membership. The others learn the founders from it
//! before they take part. Always holds: a node takes part only if the founders name its own
//! incarnation, so one that comes back empty is found out and refused; until it knows, it neither
//! votes nor takes entries.

use std::time::{Duration, Instant};

use holdfast_proto::lockstore::v1 as pb;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    config::Config,
    identity::{NOTE_FOUNDING, log_folder},
    limits,
    peers::Peers,
    raft::log_store::LogStore,
    status::StatusSource,
};

/// How often a node that waits says for whom.
const REPEAT_AFTER: Duration = Duration::from_secs(5);

/// What there is to go by.
pub(crate) struct Founding<'a> {
    pub(crate) config: &'a Config,
    pub(crate) log: &'a LogStore,
    pub(crate) peers: &'a Peers,
    pub(crate) status: &'a StatusSource,
}

impl Founding<'_> {
    /// Waits until this node may take part; `false` if told to stop before that.
    ///
    /// # Errors
    /// [`Error::LostState`] if it must not.
    pub(crate) async fn wait(&self, shutdown: &CancellationToken) -> Result<bool, Error> {
        let path = log_folder(&self.config.data_dir);
        let kept: Option<pb::Founding> =
            self.log.note(NOTE_FOUNDING).map_err(|error| Error::Log {
                path: path.clone(),
                source: Box::new(error),
            })?;
        if let Some(kept) = kept {
            self.status.set_founders(kept.founders);
            return Ok(true);
        }
        tracing::info!("waiting for the other members, to found the cluster with them");
        let mut said = Instant::now();
        loop {
            if said.elapsed() > REPEAT_AFTER {
                said = Instant::now();
                self.say_who_is_missing().await;
            }
            if let Some(founders) = self.founders().await? {
                let founding = pb::Founding { founders };
                self.log
                    .set_note(NOTE_FOUNDING, &founding)
                    .await
                    .map_err(|source| Error::Io { path, source })?;
                self.status.set_founders(founding.founders);
                return Ok(true);
            }
            tokio::select! {
                () = tokio::time::sleep(limits::FOUNDING_POLL) => {}
                () = shutdown.cancelled() => return Ok(false),
            }
        }
    }

    async fn say_who_is_missing(&self) {
        for (peer_id, answer) in self.peers.statuses().await {
            if let Err(status) = answer {
                tracing::warn!(
                    peer = peer_id,
                    why = status.message(),
                    "still waiting for a member"
                );
            }
        }
    }

    /// The founders, if they can be known yet.
    async fn founders(&self) -> Result<Option<Vec<pb::Founder>>, Error> {
        let own = pb::Founder {
            node_id: self.config.node_id,
            incarnation: self.status.incarnation.clone(),
        };
        let mut founders = vec![own.clone()];
        for (peer_id, answer) in self.peers.statuses().await {
            // One that doesn't answer may know anything: nobody is founded without it.
            let Ok(peer) = answer else { continue };
            if peer.founders.contains(&own) {
                return Ok(Some(peer.founders));
            }
            if !peer.founders.is_empty() {
                return Err(Error::LostState {
                    node_id: own.node_id,
                    peer_id,
                });
            }
            founders.push(pb::Founder {
                node_id: peer_id,
                incarnation: peer.incarnation,
            });
        }
        let lowest = self
            .config
            .members
            .iter()
            .map(|member| member.node_id)
            .min();
        let all = founders.len() == self.config.members.len();
        Ok((all && lowest == Some(own.node_id)).then_some(founders))
    }
}
