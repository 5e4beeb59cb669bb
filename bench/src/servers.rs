//! Processes of the systems that are compared, on loopback, each in a folder of its own.
//!
//! Always holds: a process ends when its handle is dropped; what it said is in its folder.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long a server may take until it answers.
pub const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a server may take to stop by itself.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// Lines of a log that a failure shows.
const TAIL_LINES: usize = 10;

/// A running server.
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with all it says in `log`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(mut command: Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("can't start {command:?}"))?;
        Ok(Self { child, log })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// It can't be.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// # Errors
    /// It has ended; with the end of its log.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
            bail!("it ended with {status}:\n{tail}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its number may be another's by now.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // SIGINT: what all of them take for a stop, Postgres for a quick one.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let end = Instant::now() + STOP_LIMIT;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK_PERIOD);
        }
        // Errors mean that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until `answers` gives something, while all of `servers` run.
///
/// # Errors
/// One ended, or none answered within the limit.
pub async fn until_up<T, E: std::fmt::Display>(
    servers: &mut [Server],
    answers: impl AsyncFn() -> Result<T, E>,
) -> Result<T> {
    let end = Instant::now() + START_LIMIT;
    loop {
        for server in &mut *servers {
            server.check()?;
        }
        match answers().await {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() >= end => {
                bail!("no answer within {} s: {error:#}", START_LIMIT.as_secs())
            }
            Err(_) => tokio::time::sleep(LOOK_PERIOD).await,
        }
    }
}

/// Ports that nobody listens on now.
///
/// # Errors
/// There are none.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are bound before the first is let go, so that none comes twice.
    let bound: Vec<TcpListener> = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&bound) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// The first line that `program --version` (or another flag) prints.
///
/// # Errors
/// It isn't installed.
pub fn version(program: &Path, flag: &str) -> Result<String> {
    let output = Command::new(program).arg(flag).output().with_context(|| {
        format!(
            "{} can't be run; `make bench-holds` installs what is missing",
            program.display()
        )
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
