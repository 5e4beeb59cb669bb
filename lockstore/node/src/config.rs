//! What a node must be told.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use holdfast_mesh as mesh;
use serde::{Deserialize, Serialize};

use crate::{Error, limits};

/// Shortest interval between snapshots, in entries: below it a node would only write snapshots.
const SNAPSHOT_LOGS_MIN: u64 = 10;
/// Most MiB of log between snapshots: a GiB, which takes minutes to apply.
const SNAPSHOT_LOG_MB_MAX: u64 = 1 << 10;
/// Fewest milliseconds of an election timeout; must be well over the heartbeat's 100.
const ELECTION_TIMEOUT_MS_MIN: u64 = 250;
/// Highest floor of free disk space in MiB: a TiB, beyond which it was given in another unit.
const FREE_SPACE_MB_MAX: u64 = 1 << 20;

/// One member of the cluster. Addresses may differ from run to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// From 1; never used again for another node.
    pub node_id: u64,
    /// URI of its peer plane, `http://host:port`; `https` with TLS.
    pub peer_addr: String,
    /// URI of its client plane, as clients reach it.
    pub client_addr: String,
}

/// Configuration of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// This node, one of `members`.
    pub node_id: u64,
    /// The cluster's name; nodes of another are refused, and so is their data.
    pub cluster_id: String,
    /// Which life of the cluster, from 1 to 255: allocated outside, raised by a rebuild.
    pub lineage: u8,
    /// Where clients connect.
    pub listen_client: SocketAddr,
    /// Where peers connect.
    pub listen_peer: SocketAddr,
    /// This node's own folder.
    pub data_dir: PathBuf,
    /// Every member, this node included: the same ids on every node.
    pub members: Vec<Member>,
    /// Entries between snapshots.
    pub snapshot_logs_since_last: u64,
    /// MiB of log between snapshots, unless a third of the last snapshot is more: what a start after a
    /// kill applies besides, some ten thousand commands each.
    pub snapshot_log_mb: u64,
    /// Entries kept after a snapshot, for followers that are a little behind.
    pub snapshot_logs_kept: u64,
    /// The unit of an election: a leader's lease is twice this, and a follower stands when the
    /// lease has run out and one to two units more have passed, so three to four units after the
    /// leader's last word.
    pub election_timeout_ms_min: u64,
    /// Least disk space that must be free for the data directory, in MiB; 0 for no such floor. A node
    /// with less takes no writes and hands the leadership over, until a quarter more is free.
    pub free_space_min_mb: u64,
    /// Accepts addresses beyond loopback in the clear, where whoever reaches them may do everything.
    /// `--insecure` doesn't set it, and with `tls.dir` it isn't needed.
    pub insecure: bool,
}

impl Default for Config {
    /// One node on loopback.
    fn default() -> Self {
        Self {
            node_id: 1,
            cluster_id: "holdfast".to_owned(),
            lineage: 1,
            listen_client: (Ipv4Addr::LOCALHOST, 7101).into(),
            listen_peer: (Ipv4Addr::LOCALHOST, 7201).into(),
            data_dir: PathBuf::from("lockstore-1"),
            members: vec![Member {
                node_id: 1,
                peer_addr: "http://127.0.0.1:7201".to_owned(),
                client_addr: "http://127.0.0.1:7101".to_owned(),
            }],
            snapshot_logs_since_last: 50_000,
            snapshot_log_mb: 48,
            snapshot_logs_kept: 20_000,
            election_timeout_ms_min: 500,
            free_space_min_mb: 512,
            insecure: false,
        }
    }
}

impl Config {
    /// Checks what can be checked without a disk or a network, for a process that has an identity
    /// (`tls`) or none.
    ///
    /// # Errors
    /// [`Error::Config`] names the key.
    pub fn validate(&self, tls: bool) -> Result<(), Error> {
        let bad = |key, why: String| Err(Error::Config { key, why });
        let ids: BTreeSet<u64> = self.members.iter().map(|member| member.node_id).collect();
        if ids.len() != self.members.len() || ids.contains(&0) {
            return bad(
                "members",
                "node ids start at 1 and none is there twice".to_owned(),
            );
        }
        if !ids.contains(&self.node_id) {
            return bad(
                "node_id",
                format!("{} is none of the members", self.node_id),
            );
        }
        if self.members.len() > limits::MEMBERS_MAX {
            return bad("members", format!("at most {}", limits::MEMBERS_MAX));
        }
        if self.cluster_id.is_empty() {
            return bad("cluster_id", "is empty".to_owned());
        }
        if self.lineage == 0 {
            return bad("lineage", "starts at 1".to_owned());
        }
        if self.snapshot_logs_since_last < SNAPSHOT_LOGS_MIN {
            return bad(
                "snapshot_logs_since_last",
                format!("at least {SNAPSHOT_LOGS_MIN}"),
            );
        }
        if !(1..=SNAPSHOT_LOG_MB_MAX).contains(&self.snapshot_log_mb) {
            return bad(
                "snapshot_log_mb",
                format!("from 1 to {SNAPSHOT_LOG_MB_MAX}"),
            );
        }
        if self.election_timeout_ms_min < ELECTION_TIMEOUT_MS_MIN {
            return bad(
                "election_timeout_ms_min",
                format!("at least {ELECTION_TIMEOUT_MS_MIN}"),
            );
        }
        if self.free_space_min_mb > FREE_SPACE_MB_MAX {
            return bad("free_space_min_mb", format!("at most {FREE_SPACE_MB_MAX}"));
        }
        for member in &self.members {
            for uri in [&member.peer_addr, &member.client_addr] {
                mesh::client::check(uri, tls).or_else(|why| bad("members", why.to_string()))?;
            }
        }
        for listen in [self.listen_client, self.listen_peer] {
            mesh::config::check_bind(listen, self.insecure || tls)
                .map_err(mesh::server::Error::from)?;
        }
        Ok(())
    }

    /// The member with this id.
    pub(crate) fn member(&self, node_id: u64) -> Option<&Member> {
        self.members.iter().find(|member| member.node_id == node_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_configuration_is_refused_by_the_name_of_the_key() {
        assert!(Config::default().validate(false).is_ok());
        let member = Config::default().members.remove(0);
        let cases = [
            (
                "node_id",
                Config {
                    node_id: 9,
                    ..Config::default()
                },
            ),
            (
                "members",
                Config {
                    members: vec![member.clone(), member],
                    ..Config::default()
                },
            ),
            (
                "members",
                Config {
                    members: vec![Member {
                        peer_addr: "https://127.0.0.1:7201".to_owned(),
                        ..Config::default().members.remove(0)
                    }],
                    ..Config::default()
                },
            ),
            (
                "cluster_id",
                Config {
                    cluster_id: String::new(),
                    ..Config::default()
                },
            ),
            (
                "lineage",
                Config {
                    lineage: 0,
                    ..Config::default()
                },
            ),
            (
                "snapshot_logs_since_last",
                Config {
                    snapshot_logs_since_last: 0,
                    ..Config::default()
                },
            ),
            (
                "snapshot_log_mb",
                Config {
                    snapshot_log_mb: 0,
                    ..Config::default()
                },
            ),
            (
                "election_timeout_ms_min",
                Config {
                    election_timeout_ms_min: 10,
                    ..Config::default()
                },
            ),
            (
                "free_space_min_mb",
                Config {
                    free_space_min_mb: 512 << 20,
                    ..Config::default()
                },
            ),
        ];
        for (wanted, config) in cases {
            assert!(
                matches!(config.validate(false), Err(Error::Config { key, .. }) if key == wanted),
                "{wanted}"
            );
        }
        let many = |count: u64| Config {
            members: (1..=count)
                .map(|node_id| Member {
                    node_id,
                    ..Config::default().members.remove(0)
                })
                .collect(),
            ..Config::default()
        };
        assert!(many(limits::MEMBERS_MAX as u64).validate(false).is_ok());
        let too_many = many(limits::MEMBERS_MAX as u64 + 1).validate(false);
        assert!(matches!(
            too_many,
            Err(Error::Config { key: "members", .. })
        ));
        let open = Config {
            listen_peer: ([0, 0, 0, 0], 7201).into(),
            ..Config::default()
        };
        assert!(matches!(open.validate(false), Err(Error::Server(_))));
        assert!(
            Config {
                insecure: true,
                ..open
            }
            .validate(false)
            .is_ok()
        );
    }
}
