//! Three lock-store nodes, each a process, and nothing else of Holdfast.

use std::{fs, path::Path, process::Command, sync::Arc};

use anyhow::{Context, Result};
use holdfast_types::{DurationMs, HoldId, SeatNo, ShowId, UserId};
use lockstore_client::{Client, HoldOutcome, HoldSeats, Options, Selection};
use uuid::Uuid;

use super::{
    CONNECTIONS, HOLD_TTL_MS, Operation, Running, SEATS_PER_SHOW, Work,
    servers::{Server, free_ports, until_up, version},
};
use crate::{
    holds::{CALL_LIMIT, open_show},
    load::Ended,
};

/// Three nodes of their own, with as many shows as `work` may need.
///
/// # Errors
/// They don't start.
pub async fn start(dir: &Path, program: &Path, work: Work) -> Result<Running> {
    let ports: [u16; 9] = free_ports()?;
    let node = |nth: usize| [ports[3 * nth], ports[3 * nth + 1], ports[3 * nth + 2]];
    let members: String = (0..3)
        .map(|nth| {
            let [client, peer, _] = node(nth);
            format!(
                "[[lockstore.members]]\nnode_id = {}\nclient_addr = \"http://127.0.0.1:{client}\"\n\
                     peer_addr = \"http://127.0.0.1:{peer}\"\n",
                nth + 1
            )
        })
        .collect();
    let mut nodes = Vec::new();
    for nth in 0..3 {
        let [client, peer, ops] = node(nth);
        let config = format!(
            "[ops]\nlisten = \"127.0.0.1:{ops}\"\n[lockstore]\nnode_id = {}\ncluster_id = \"bench\"\n\
                 data_dir = \"{}\"\nlisten_client = \"127.0.0.1:{client}\"\n\
                 listen_peer = \"127.0.0.1:{peer}\"\n{members}",
            nth + 1,
            dir.join(format!("node-{}", nth + 1)).display()
        );
        let path = dir.join(format!("node-{}.toml", nth + 1));
        fs::write(&path, config)?;
        let mut command = Command::new(program);
        command.args(["serve", "lockstore", "--config"]).arg(&path);
        let log = dir.join(format!("node-{}.log", nth + 1));
        nodes.push(Server::start(command, log)?);
    }
    let endpoints = (0..3)
        .map(|nth| format!("http://127.0.0.1:{}", node(nth)[0]))
        .collect();
    let options = Options {
        channels_per_endpoint: CONNECTIONS,
        ..Options::default()
    };
    let client = Client::connect_with(endpoints, options);
    let asking = client.clone();
    until_up(&mut nodes, async || asking.time(CALL_LIMIT).await.map(drop))
        .await
        .context("lock store")?;
    Ok(Running {
        version: version(program, "--version")?,
        operation: holding(client, work).await?,
        _servers: nodes,
    })
}

async fn holding(client: Client, work: Work) -> Result<Operation> {
    let mut shows: Vec<ShowId> = Vec::new();
    for _ in 0..work.shows() {
        shows.push(open_show(&client, SEATS_PER_SHOW).await?);
    }
    let shows = Arc::new(shows);
    Ok(Arc::new(move |_| {
        let (client, shows, work) = (client.clone(), Arc::clone(&shows), work.clone());
        Box::pin(async move {
            let (show, seats) = work.next();
            let Some(show_id) = shows.get(show as usize) else {
                return Ok(Ended::Exhausted);
            };
            let request = HoldSeats {
                hold_id: HoldId::from_uuid(Uuid::new_v4()),
                show_id: *show_id,
                // A customer buys once: the cap is never met.
                holder: UserId::from_uuid(Uuid::new_v4()),
                selection: Selection::Seats(seats.map(SeatNo).collect()),
                ttl: DurationMs(HOLD_TTL_MS),
                price_version: 1,
                late_money: false,
            };
            let answer = client.hold(request, CALL_LIMIT).await?;
            Ok(match answer.outcome {
                HoldOutcome::Held { .. } => Ended::Done,
                HoldOutcome::Refused(_) => Ended::Refused,
            })
        })
    }))
}
