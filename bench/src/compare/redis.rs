//! Redis: one Lua script a hold. With every write synced before its answer, or with nothing kept.

use std::{path::Path, process::Command, sync::Arc};

use anyhow::{Context, Result};
use redis::{AsyncCommands, Script, aio::MultiplexedConnection};

use super::{CONNECTIONS, Distinct, HOLD_TTL_MS, Operation, RUSH_PARTY, RUSH_SEATS, Running, Work};
use crate::{
    load::Ended,
    servers::{Server, free_ports, until_up, version},
};

const PROGRAM: &str = "redis-server";

/// Seats are keys; a hold is all or nothing and gets a number that rises, as a fence does.
const HOLD: &str = "
for i = 1, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
local fence = redis.call('INCR', 'fence')
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], ARGV[1] .. ':' .. fence, 'PX', ARGV[2])
end
return fence";

/// The best block left, and its seats as a hold's.
const BEST: &str = "
local block = redis.call('ZPOPMIN', KEYS[1])[1]
if not block then return 0 end
local fence = redis.call('INCR', 'fence')
for seat = block * ARGV[3], block * ARGV[3] + ARGV[3] - 1 do
  redis.call('SET', 'rush:' .. seat, ARGV[1] .. ':' .. fence, 'PX', ARGV[2])
end
return fence";
/// The blocks of a rush, best first.
const BLOCKS: &str = "blocks";

/// What of it is kept when the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// `appendfsync always`.
    All,
    /// No file at all.
    Nothing,
}

/// A server of its own, to do `work` on.
///
/// # Errors
/// It doesn't start.
pub async fn start(dir: &Path, keeping: Keeping, work: Work) -> Result<Running> {
    let [port] = free_ports()?;
    let mut command = Command::new(PROGRAM);
    command
        .args(["--bind", "127.0.0.1", "--save", ""])
        .args(["--port", &port.to_string()])
        .arg("--dir")
        .arg(dir);
    if keeping == Keeping::All {
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
    }
    let mut servers = [Server::start(command, dir.join("log"))?];
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connections = vec![
        until_up(&mut servers, async || {
            client.get_multiplexed_async_connection().await
        })
        .await
        .context(PROGRAM)?,
    ];
    while connections.len() < CONNECTIONS {
        connections.push(client.get_multiplexed_async_connection().await?);
    }
    Ok(Running {
        version: version(Path::new(PROGRAM), "--version")?,
        operation: match work {
            Work::Distinct(work) => holding(connections, work),
            Work::Rush => rushing(connections).await?,
        },
        nodes: None,
        servers: servers.into(),
    })
}

fn holding(connections: Vec<MultiplexedConnection>, work: Distinct) -> Operation {
    let script = Arc::new(Script::new(HOLD));
    Arc::new(move |client| {
        let mut connection = connections[client % connections.len()].clone();
        let (script, work) = (Arc::clone(&script), work.clone());
        Box::pin(async move {
            let (show, seats) = work.next();
            let mut call = script.prepare_invoke();
            for seat in seats {
                call.key(format!("{show}:{seat}"));
            }
            call.arg(client).arg(HOLD_TTL_MS);
            let fence: i64 = call.invoke_async(&mut connection).await?;
            Ok(if fence > 0 {
                Ended::Done
            } else {
                Ended::Refused
            })
        })
    })
}

async fn rushing(mut connections: Vec<MultiplexedConnection>) -> Result<Operation> {
    let blocks: Vec<(u32, u32)> = (0..RUSH_SEATS / RUSH_PARTY).map(|nth| (nth, nth)).collect();
    let (): () = connections[0].zadd_multiple(BLOCKS, &blocks).await?;
    let script = Arc::new(Script::new(BEST));
    Ok(Arc::new(move |client| {
        let mut connection = connections[client % connections.len()].clone();
        let script = Arc::clone(&script);
        Box::pin(async move {
            let mut call = script.key(BLOCKS);
            call.arg(client).arg(HOLD_TTL_MS).arg(RUSH_PARTY);
            let fence: i64 = call.invoke_async(&mut connection).await?;
            Ok(if fence > 0 {
                Ended::Done
            } else {
                Ended::Exhausted
            })
        })
    }))
}
