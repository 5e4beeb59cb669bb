//! A whole system: one `holdfast up` on a data directory of its own.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Mutex, MutexGuard},
    task::LocalSet,
};

use crate::{
    Certificates, Database, EVERYWHERE, Expected, Look, Organiser, Rest, Store, said, until,
};

/// How long a start may take: `initdb`, elections, migrations, on a busy machine of two cores.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long an orderly stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long a killed process may take to be back.
const BACK_LIMIT: Duration = Duration::from_secs(60);
/// Lines of each log that a failure shows.
const TAIL_LINES: usize = 25;

/// One system at a time: several on two cores would only slow each other down past their limits.
/// Held by each test for as long as it runs.
pub async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// How to start a system.
#[derive(Debug, Clone)]
pub struct Options {
    /// The built `holdfast`: `env!("CARGO_BIN_EXE_holdfast")` of a test.
    pub program: PathBuf,
    /// Where the folder with its data is made, to be removed at the end. One that an unprivileged
    /// user can enter: Postgres isn't run as root.
    pub temp_root: PathBuf,
    /// More environment, e.g. `HOLDFAST__BOOKING__SWEEP_PERIOD_MS`.
    pub env: Vec<(String, String)>,
    /// Other ports than the well-known ones (`--ports auto`).
    pub other_ports: bool,
    /// Log lines at WARN or above that are no failure of this test, besides [`EVERYWHERE`].
    pub expected: Vec<Expected>,
}

impl Options {
    /// A new data folder and other ports.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            temp_root: PathBuf::from("/tmp"),
            env: Vec::new(),
            other_ports: true,
            expected: Vec::new(),
        }
    }

    /// With more log lines that are no failure.
    #[must_use]
    pub fn expecting(mut self, lines: &[Expected]) -> Self {
        self.expected.extend_from_slice(lines);
        self
    }
}

/// `run.json`, as a program of somebody else's would read it.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the program documents its file")]
pub struct RunFile {
    pub state: String,
    pub up_pid: u32,
    pub api_url: String,
    pub sandbox_url: String,
    pub services: BTreeMap<String, String>,
    pub lockstore: Vec<String>,
    pub postgres: Option<String>,
    pub demo_show_id: Option<String>,
    pub processes: BTreeMap<String, RunProcess>,
}

/// One process of `run.json`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the program documents its file")]
pub struct RunProcess {
    pub pid: Option<u32>,
    pub restarts: u32,
    pub ops_url: Option<String>,
}

/// A running system. Dropped, it is stopped.
pub struct System {
    options: Options,
    /// Removed at the end.
    dir: tempfile::TempDir,
    up: Option<Child>,
}

/// Starts a system, does `test` with it, and stops it; a failure shows the end of every log. `test`
/// may `spawn_local`.
///
/// # Panics
/// When the start or `test` fails, or a process said what wasn't expected of it.
pub async fn with_system(options: Options, test: impl AsyncFnOnce(&mut System) -> Result<()>) {
    let _turn = turn().await;
    let mut system = System::start(options)
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
    if let Err(error) = LocalSet::new().run_until(test(&mut system)).await {
        panic!("{error:#}");
    }
    let status = system.stop().await.unwrap_or_else(|e| panic!("{e:#}"));
    assert!(status.success(), "`up` ended with {status}");
    system.check_said().unwrap_or_else(|e| panic!("{e:#}"));
}

impl System {
    /// Runs `holdfast up` and waits until it says that all is ready.
    ///
    /// # Errors
    /// It ended, or took too long; with the end of every log.
    pub async fn start(options: Options) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("holdfast-test-")
            .tempdir_in(&options.temp_root)?;
        let mut system = Self {
            options,
            dir,
            up: None,
        };
        system.restart().await?;
        Ok(system)
    }

    /// Runs `holdfast up` again after [`System::stop`] or the like, and waits until it is ready.
    ///
    /// # Errors
    /// As [`System::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.restart_with(&[]).await
    }

    /// The same with more arguments.
    ///
    /// # Errors
    /// As [`System::start`].
    pub async fn restart_with(&mut self, args: &[&str]) -> Result<()> {
        ensure!(self.up.is_none(), "it runs already");
        // All that was ever said is kept, as the logs are.
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir().join("up.out"))
            .context("can't write up.out")?;
        let mut command = self.command();
        command.arg("up").args(args);
        if self.options.other_ports {
            command.args(["--ports", "auto"]);
        }
        // As a shell starts it: what a terminal sends reaches it and not the tests.
        command.process_group(0);
        // A killed test ends what it started, too.
        command.env("HOLDFAST_PARENT_PID", std::process::id().to_string());
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn();
        let child =
            child.with_context(|| format!("can't start {}", self.options.program.display()))?;
        let pid = child.id();
        self.up = Some(child);
        let started = until("`holdfast up` to be ready", START_LIMIT, async || {
            if let Some(status) = self.up.as_mut().and_then(|up| up.try_wait().ok().flatten()) {
                bail!("`holdfast up` ended with {status}");
            }
            Ok(match self.run() {
                Ok(run) if run.state == "ready" && run.up_pid == pid => Look::Found(()),
                Ok(run) => Look::NotYet(format!("state {}", run.state)),
                Err(e) => Look::NotYet(format!("{e:#}")),
            })
        });
        started.await.with_context(|| self.tails())
    }

    /// The program, to run with this system's data directory and without the tester's settings.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.options.program);
        command
            .env_remove("DATABASE_URL")
            .env("HOLDFAST_DATA_DIR", self.dir());
        command.envs(
            self.options
                .env
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str())),
        );
        command
    }

    /// Runs a command of the program to its end; gives its standard output.
    ///
    /// # Errors
    /// Another exit code than 0, with all it said.
    pub fn cli(&self, args: &[&str]) -> Result<String> {
        let output = self.command().args(args).stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "holdfast {args:?} ended with {}:\n{text}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(text)
    }

    /// `cluster audit` of the running system, with what is under way for `grace_s` or longer as a finding:
    /// its exit code and what it said. Others go on meanwhile.
    ///
    /// # Errors
    /// It said no JSON.
    pub async fn audit(&self, grace_s: u32) -> Result<(Option<i32>, Value)> {
        let mut command = self.command();
        let grace = grace_s.to_string();
        command.args(["cluster", "audit", "--json", "--grace", &grace]);
        command.stdin(Stdio::null());
        let output = tokio::process::Command::from(command).output().await?;
        let said = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
        Ok((output.status.code(), said))
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What runs where.
    ///
    /// # Errors
    /// No `run.json`.
    pub fn run(&self) -> Result<RunFile> {
        let text = fs::read(self.dir().join("run.json")).context("no run.json")?;
        serde_json::from_slice(&text).context("run.json can't be read")
    }

    /// A value of `secrets.toml`.
    ///
    /// # Errors
    /// No such value.
    pub fn secret(&self, name: &str) -> Result<String> {
        let text = fs::read_to_string(self.dir().join("secrets.toml"))?;
        let table: BTreeMap<String, String> = toml::from_str(&text)?;
        table
            .get(name)
            .cloned()
            .with_context(|| format!("secrets.toml has no {name}"))
    }

    /// The certificates that it made for itself.
    pub fn certificates(&self) -> Certificates {
        Certificates::new(self.dir().join("tls"))
    }

    /// The REST API.
    ///
    /// # Errors
    /// No `run.json`.
    pub fn rest(&self) -> Result<Rest> {
        Rest::new(&self.run()?.api_url)
    }

    /// The demo organiser, over gRPC.
    ///
    /// # Errors
    /// Sign-in fails.
    pub async fn organiser(&self) -> Result<Organiser> {
        Organiser::sign_in(
            &self.run()?,
            &self.certificates(),
            &self.secret("operator_token")?,
        )
        .await
    }

    /// The private Postgres, as its superuser.
    ///
    /// # Errors
    /// It doesn't answer.
    pub async fn database(&self) -> Result<Database> {
        let address = self.run()?.postgres.context("no private Postgres")?;
        Database::connect(&address, &self.secret("database_admin_password")?).await
    }

    /// The lock store.
    ///
    /// # Errors
    /// No `run.json`.
    pub fn store(&self) -> Result<Store> {
        Ok(Store::new(self.run()?.lockstore, self.certificates()))
    }

    /// `lockstore-1` … of the node that leads, by the CLI's own word.
    ///
    /// # Errors
    /// None leads within the limit.
    pub async fn leader(&self) -> Result<String> {
        until("a leader of the lock store", BACK_LIMIT, async || {
            let text = match self.cli(&["cluster", "status", "-o", "json"]) {
                Ok(text) => text,
                Err(e) => return Ok(Look::NotYet(format!("{e:#}"))),
            };
            let status: Value = serde_json::from_str(&text)?;
            Ok(match status["leader_id"].as_u64() {
                Some(id) => Look::Found(format!("lockstore-{id}")),
                None => Look::NotYet(text),
            })
        })
        .await
    }

    /// SIGKILL to a process of `run.json`. Returns how often it had been restarted before.
    ///
    /// # Errors
    /// It isn't there.
    pub fn kill(&self, process: &str) -> Result<u32> {
        let found = self
            .run()?
            .processes
            .get(process)
            .cloned()
            .with_context(|| format!("no process {process}"))?;
        let pid = found
            .pid
            .with_context(|| format!("{process} doesn't run"))?;
        signal(pid, Signal::KILL)?;
        Ok(found.restarts)
    }

    /// Waits until a process that was killed is back and ready.
    ///
    /// # Errors
    /// It isn't, within the limit.
    pub async fn wait_back(&self, process: &str, restarts_before: u32) -> Result<()> {
        let rest = self.rest()?;
        let what = format!("{process} to be back");
        let back = until(&what, BACK_LIMIT, async || {
            let Some(now) = self.run()?.processes.get(process).cloned() else {
                bail!("no process {process}")
            };
            if now.restarts <= restarts_before || now.pid.is_none() {
                return Ok(Look::NotYet(format!("{now:?}")));
            }
            Ok(match &now.ops_url {
                Some(url) => match rest.get_status(&format!("{url}/readyz")).await {
                    Ok(200) => Look::Found(()),
                    seen => Look::NotYet(format!("readyz: {seen:?}")),
                },
                None => match self.database().await {
                    Ok(_) => Look::Found(()),
                    Err(e) => Look::NotYet(format!("{e:#}")),
                },
            })
        });
        back.await.with_context(|| self.tails())
    }

    /// Ctrl-C: SIGINT to the process group of `up`; waits for its end.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.stop_with(|up| Ok(kill_process_group(up, Signal::INT)?))
            .await
    }

    /// SIGTERM to `up` alone, as a service manager sends it; waits for its end.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.stop_with(|up| Ok(kill_process(up, Signal::TERM)?))
            .await
    }

    async fn stop_with(&mut self, send: impl FnOnce(Pid) -> Result<()>) -> Result<ExitStatus> {
        let mut up = self.up.take().context("it doesn't run")?;
        send(pid_of(up.id())?)?;
        let ended = until("`holdfast up` to stop", STOP_LIMIT, async || {
            Ok(up
                .try_wait()?
                .map_or_else(|| Look::NotYet("still there".into()), Look::Found))
        })
        .await;
        if ended.is_err() {
            self.up = Some(up);
        }
        ended.with_context(|| self.tails())
    }

    /// SIGKILL to `up` alone.
    ///
    /// # Errors
    /// It doesn't run.
    pub fn kill_up(&mut self) -> Result<()> {
        let mut up = self.up.take().context("it doesn't run")?;
        up.kill()?;
        up.wait()?;
        Ok(())
    }

    /// Checks that no process said anything at WARN or above but what is expected. To be asked
    /// when all have stopped.
    ///
    /// # Errors
    /// One did, with the line.
    pub fn check_said(&self) -> Result<()> {
        let expected: Vec<Expected> = EVERYWHERE
            .iter()
            .chain(&self.options.expected)
            .copied()
            .collect();
        said::check(self.dir(), &expected)
    }

    /// The end of everything that was said.
    pub fn tails(&self) -> String {
        let mut files: Vec<PathBuf> = fs::read_dir(self.dir().join("logs"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .collect();
        files.sort();
        files.insert(0, self.dir().join("up.out"));
        let mut text = String::from("logs:");
        for file in files {
            let content = fs::read(&file).unwrap_or_default();
            let content = String::from_utf8_lossy(&content);
            let lines: Vec<&str> = content.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
            text.push_str(&format!("\n--- {}\n{tail}", file.display()));
        }
        text
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tails());
        }
        let Some(mut up) = self.up.take() else { return };
        // Errors mean that it is gone already.
        let _ = signal(up.id(), Signal::TERM);
        let end = Instant::now() + STOP_LIMIT;
        while Instant::now() < end && matches!(up.try_wait(), Ok(None)) {
            std::thread::sleep(crate::POLL);
        }
        let _ = up.kill();
        let _ = up.wait();
    }
}

fn pid_of(number: u32) -> Result<Pid> {
    Pid::from_raw(i32::try_from(number)?).context("no pid")
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = pid_of(pid)?;
    kill_process(pid, signal).with_context(|| format!("can't signal {pid:?}"))
}

/// Whether a process is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}
