//! The process between `up` and Postgres: Postgres can't be told to end with its parent, this can.
//!
//! It starts the server as its own user, hands on what the server says, and stops it fast
//! (SIGINT: open transactions are rolled back, a checkpoint is written) when it is told to stop or
//! when `up` is gone. A server that a killed wrapper left behind is stopped first.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use super::{Account, Binaries};
use crate::child;

/// How long a fast stop may take before an immediate one (which recovery repairs): under `up`'s
/// own limit for this process.
const FAST_STOP_LIMIT: Duration = Duration::from_secs(12);
/// How long an immediate stop may take.
const IMMEDIATE_STOP_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at whether a left-behind server is gone.
const POLL: Duration = Duration::from_millis(50);
/// Connections of all services, the CLI and tests together.
const CONNECTIONS_MAX: u32 = 200;

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WrapperArgs {
    /// The server's data folder.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Its port on 127.0.0.1.
    #[arg(long)]
    pub(crate) port: u16,
}

/// Runs the server until it ends or this process is told to stop.
///
/// # Errors
/// The server can't be started, or ended by itself.
pub(crate) async fn run(args: WrapperArgs) -> anyhow::Result<()> {
    child::end_with_parent(Signal::TERM)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let binaries = Binaries::find(&args.data)?;
    let account = Account::find()?;
    stop_left_behind(&args.data).await?;

    let mut command = account.command(&binaries.program("postgres"));
    command.arg("-D").arg(&args.data).stdin(Stdio::null());
    // A signal to this process's group must not reach the server, which would stop another way.
    command.process_group(0);
    for (key, value) in [
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", args.port.to_string()),
        ("unix_socket_directories", String::new()),
        ("max_connections", CONNECTIONS_MAX.to_string()),
        ("shared_buffers", "64MB".to_owned()),
        ("password_encryption", "scram-sha-256".to_owned()),
        ("logging_collector", "off".to_owned()),
    ] {
        command.arg("-c").arg(format!("{key}={value}"));
    }
    let mut server = Command::from(command)
        .spawn()
        .context("can't start postgres")?;
    let pid = server
        .id()
        .and_then(pid_of)
        .context("postgres ended at once")?;

    tokio::select! {
        status = server.wait() => bail!("postgres ended: {}", status?),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    for (stop, limit) in [
        (Signal::INT, FAST_STOP_LIMIT),
        (Signal::QUIT, IMMEDIATE_STOP_LIMIT),
    ] {
        // It may end between the look and the signal; `wait` tells.
        let _ = kill_process(pid, stop);
        if let Ok(status) = tokio::time::timeout(limit, server.wait()).await {
            status?;
            return Ok(());
        }
    }
    server.kill().await.context("can't kill postgres")
}

/// Stops a server that still runs on `data` though its wrapper is gone. Whether it is one is told
/// by the working directory, which Postgres sets to its data folder: a pid may have been reused.
async fn stop_left_behind(data: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let Some(number) = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse::<u32>().ok())
    else {
        return Ok(());
    };
    let (Some(pid), Ok(data)) = (pid_of(number), data.canonicalize()) else {
        return Ok(());
    };
    let is_ours = || fs::read_link(format!("/proc/{number}/cwd")).is_ok_and(|cwd| cwd == data);
    for (stop, limit) in [
        (Signal::INT, FAST_STOP_LIMIT),
        (Signal::QUIT, IMMEDIATE_STOP_LIMIT),
    ] {
        if !is_ours() {
            return Ok(());
        }
        let _ = kill_process(pid, stop);
        let end = Instant::now() + limit;
        while Instant::now() < end && test_kill_process(pid).is_ok() {
            tokio::time::sleep(POLL).await;
        }
    }
    if is_ours() {
        bail!(
            "an earlier postgres (pid {number}) on {} doesn't stop",
            data.display()
        );
    }
    Ok(())
}

fn pid_of(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}
