//! etcd, three members: a lease for each hold, then one transaction that puts its seats if none is
//! there.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use etcd_client::{Client, Compare, CompareOp, ConnectOptions, PutOptions, Txn, TxnOp};

use super::{CONNECTIONS, Distinct, HOLD_TTL_MS, Operation, RUSH_PARTY, RUSH_SEATS, Running, Work};
use crate::{
    load::Ended,
    servers::{Server, free_ports, until_up, version},
};

const PROGRAM: &str = "etcd";
/// How long one call may take before it counts as failed.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Three members of their own, to do `work` on.
///
/// # Errors
/// They don't start.
pub async fn start(dir: &Path, work: Work) -> Result<Running> {
    let ports: [u16; 6] = free_ports()?;
    let member = |nth: usize| (ports[2 * nth], ports[2 * nth + 1]);
    let uri = |port: u16| format!("http://127.0.0.1:{port}");
    let cluster = (0..3)
        .map(|nth| format!("m{nth}={}", uri(member(nth).1)))
        .collect::<Vec<_>>()
        .join(",");
    let mut members = Vec::new();
    for nth in 0..3 {
        let (client, peer) = (uri(member(nth).0), uri(member(nth).1));
        let mut command = Command::new(PROGRAM);
        command
            .args(["--name", &format!("m{nth}")])
            .arg("--data-dir")
            .arg(dir.join(format!("m{nth}")))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &cluster])
            .args(["--initial-cluster-state", "new"]);
        members.push(Server::start(command, dir.join(format!("m{nth}.log")))?);
    }
    let endpoints: Vec<String> = (0..3).map(|nth| uri(member(nth).0)).collect();
    let options = ConnectOptions::new().with_timeout(CALL_LIMIT);
    let connect = async || -> Result<Client, etcd_client::Error> {
        let mut client = Client::connect(&endpoints, Some(options.clone())).await?;
        client.put("up", "", None).await?;
        Ok(client)
    };
    let mut clients = vec![until_up(&mut members, connect).await.context(PROGRAM)?];
    while clients.len() < CONNECTIONS {
        clients.push(connect().await?);
    }
    Ok(Running {
        version: version(Path::new(PROGRAM), "--version")?,
        operation: match work {
            Work::Distinct(work) => holding(clients, work),
            Work::Rush => rushing(clients),
        },
        nodes: None,
        servers: members,
    })
}

fn holding(clients: Vec<Client>, work: Distinct) -> Operation {
    Arc::new(move |nth| {
        let mut client = clients[nth % clients.len()].clone();
        let work = work.clone();
        Box::pin(async move {
            let (show, seats) = work.next();
            let keys = seats.map(|seat| format!("{show}:{seat}")).collect();
            Ok(if hold(&mut client, nth, keys).await? {
                Ended::Done
            } else {
                Ended::Refused
            })
        })
    })
}

/// Everybody tries the blocks best first, each from the next that nobody here has tried: the store has
/// no way to choose, and this is what spares it all conflicts.
fn rushing(clients: Vec<Client>) -> Operation {
    let next = Arc::new(AtomicU32::new(0));
    Arc::new(move |nth| {
        let mut client = clients[nth % clients.len()].clone();
        let next = Arc::clone(&next);
        Box::pin(async move {
            let block = next.fetch_add(1, Ordering::Relaxed);
            if block >= RUSH_SEATS / RUSH_PARTY {
                return Ok(Ended::Exhausted);
            }
            let seats = block * RUSH_PARTY..(block + 1) * RUSH_PARTY;
            let keys = seats.map(|seat| format!("rush:{seat}")).collect();
            Ok(if hold(&mut client, nth, keys).await? {
                Ended::Done
            } else {
                Ended::Refused
            })
        })
    })
}

/// Puts all of `keys` under a lease if none is there; whether it did.
async fn hold(client: &mut Client, holder: usize, keys: Vec<String>) -> Result<bool> {
    let ttl_s = i64::try_from(HOLD_TTL_MS / 1000)?;
    let lease = client.lease_grant(ttl_s, None).await?.id();
    let free = |key: &String| Compare::create_revision(key.as_str(), CompareOp::Equal, 0);
    let put = |key: &String| {
        let options = PutOptions::new().with_lease(lease);
        TxnOp::put(key.as_str(), holder.to_string(), Some(options))
    };
    let transaction = Txn::new()
        .when(keys.iter().map(free).collect::<Vec<_>>())
        .and_then(keys.iter().map(put).collect::<Vec<_>>());
    Ok(client.txn(transaction).await?.succeeded())
}
