//! PostgreSQL: a conditional upsert of a hold's seats, committed only if it got them all. Default
//! durability: each commit is synced.

use std::{path::Path, process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};
use tokio_postgres::{Client, NoTls};

use super::{Distinct, HOLD_TTL_MS, Operation, RUSH_PARTY, RUSH_SEATS, Running, Work};
use crate::{
    load::Ended,
    servers::{Server, free_ports, until_up, version},
};

/// Connections, each with its backend: commits of as many are synced together.
const CONNECTIONS_MAX: usize = 64;

const SCHEMA: &str = "
CREATE TABLE seats (
    show integer, seat integer, holder integer NOT NULL, fence bigint NOT NULL, expires timestamptz NOT NULL,
    PRIMARY KEY (show, seat)
);
CREATE SEQUENCE fences CACHE 100;
CREATE FUNCTION hold(show_no integer, seat_nos integer[], holder_no integer, ttl interval) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    got integer;
    hold_fence bigint := nextval('fences');
BEGIN
    INSERT INTO seats AS s (show, seat, holder, fence, expires)
    SELECT show_no, seat_no, holder_no, hold_fence, now() + ttl FROM unnest(seat_nos) AS seat_no ORDER BY seat_no
    ON CONFLICT (show, seat) DO UPDATE
        SET holder = excluded.holder, fence = excluded.fence, expires = excluded.expires
        WHERE s.expires < now();
    GET DIAGNOSTICS got = ROW_COUNT;
    IF got < cardinality(seat_nos) THEN
        RAISE EXCEPTION 'taken' USING ERRCODE = 'HF001';
    END IF;
END $$;";

/// Blocks of a rush, best first: each a row, so that nobody waits for another's.
const BLOCKS: &str = "
CREATE TABLE blocks (block integer PRIMARY KEY, holder integer, fence bigint, expires timestamptz);
CREATE INDEX free_blocks ON blocks (block) WHERE holder IS NULL;
";
const BEST: &str = "
UPDATE blocks SET holder = $1, fence = nextval('fences'), expires = now() + $2 * interval '1 millisecond'
WHERE block = (
    SELECT block FROM blocks WHERE holder IS NULL ORDER BY block LIMIT 1 FOR UPDATE SKIP LOCKED
)";

/// What `hold` raises for a seat that isn't free.
const TAKEN: &str = "HF001";

/// A server of its own, to do `work` on. `bin` is the folder of its programs. As root it runs as the
/// user `postgres`, since it refuses to run as root.
///
/// # Errors
/// It doesn't start.
pub async fn start(dir: &Path, bin: &Path, work: Work) -> Result<Running> {
    let root = Command::new("id").arg("-u").output()?.stdout == b"0\n";
    if root {
        let owned = Command::new("chown").arg("postgres").arg(dir).status()?;
        ensure!(owned.success(), "can't give a folder to the user postgres");
    }
    let program = |name: &str| -> Command {
        let program = bin.join(name);
        let mut command = if root {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(dir);
        command
    };
    let data = dir.join("data");
    let made = program("initdb")
        .arg("-D")
        .arg(&data)
        .args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ])
        .output()?;
    ensure!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let [port] = free_ports()?;
    let mut command = program("postgres");
    command.arg("-D").arg(&data);
    for setting in [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        "max_connections=100".to_owned(),
        "shared_buffers=512MB".to_owned(),
        "max_wal_size=4GB".to_owned(),
    ] {
        command.args(["-c", &setting]);
    }
    let mut servers = [Server::start(command, dir.join("log"))?];
    let address = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    let connect = async || -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&address, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    };
    let first = until_up(&mut servers, connect).await.context("postgres")?;
    first.batch_execute(SCHEMA).await?;
    let mut clients = vec![Arc::new(first)];
    while clients.len() < CONNECTIONS_MAX {
        clients.push(Arc::new(connect().await?));
    }
    Ok(Running {
        version: version(&bin.join("postgres"), "--version")?,
        operation: match work {
            Work::Distinct(work) => holding(&clients, work).await?,
            Work::Rush => rushing(&clients).await?,
        },
        nodes: None,
        servers: servers.into(),
    })
}

async fn holding(clients: &[Arc<Client>], work: Distinct) -> Result<Operation> {
    let mut prepared = Vec::new();
    for client in clients {
        let statement = client
            .prepare("SELECT hold($1, $2, $3, $4 * interval '1 millisecond')")
            .await?;
        prepared.push((Arc::clone(client), statement));
    }
    Ok(Arc::new(move |nth| {
        let (client, statement) = prepared[nth % prepared.len()].clone();
        let work = work.clone();
        Box::pin(async move {
            let (show, seats) = work.next();
            let seats: Vec<i32> = seats.map(u32::cast_signed).collect();
            let (show, holder) = (show.cast_signed(), i32::try_from(nth)?);
            let ttl_ms = HOLD_TTL_MS as f64;
            let held = client
                .execute(&statement, &[&show, &seats, &holder, &ttl_ms])
                .await;
            match held {
                Ok(_) => Ok(Ended::Done),
                Err(error) if error.code().is_some_and(|code| code.code() == TAKEN) => {
                    Ok(Ended::Refused)
                }
                Err(error) => Err(error.into()),
            }
        })
    }))
}

async fn rushing(clients: &[Arc<Client>]) -> Result<Operation> {
    clients[0].batch_execute(BLOCKS).await?;
    let last = (RUSH_SEATS / RUSH_PARTY).cast_signed() - 1;
    let fill = "INSERT INTO blocks (block) SELECT generate_series(0, $1)";
    clients[0].execute(fill, &[&last]).await?;
    let mut prepared = Vec::new();
    for client in clients {
        prepared.push((Arc::clone(client), client.prepare(BEST).await?));
    }
    Ok(Arc::new(move |nth| {
        let (client, statement) = prepared[nth % prepared.len()].clone();
        Box::pin(async move {
            let (holder, ttl_ms) = (i32::try_from(nth)?, HOLD_TTL_MS as f64);
            let taken = client.execute(&statement, &[&holder, &ttl_ms]).await?;
            Ok(if taken == 1 {
                Ended::Done
            } else {
                Ended::Exhausted
            })
        })
    }))
}
