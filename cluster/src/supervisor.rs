//! Keeps child processes running: starts them, writes what they say to a log, restarts a dead one
//! with backoff and says so, stops them in order.
//!
//! Always holds: children are started from the thread that polls [`Supervised`] (see `child`), and find
//! their certificates renewed; each is in a process group of its own, so that Ctrl-C in a terminal
//! reaches `up` alone, which then stops them in order; a child that ignores SIGTERM is killed after a
//! limit.

use std::{
    ffi::OsString,
    io::Write as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    certs::Folder,
    child::PARENT_PID_ENV,
    data_dir::DataDir,
    error::EXIT_CONFIG,
    run_file::{RunFile, RunProcess},
};

/// The first wait before a restart; doubles up to the largest.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// The longest wait before a restart: long enough not to burn a core, short enough to wait for.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A child that lived this long starts again at the shortest wait.
const STABLE_AFTER: Duration = Duration::from_secs(30);
/// How long a child may take to end after SIGTERM: longer than its own drain limit.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The program that runs, also where its file was replaced by a newer build meanwhile: a restart
/// must not mix versions.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// How to start a child.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// Its name in messages, `run.json` and the log's file name.
    pub(crate) name: String,
    /// Arguments to this very program.
    pub(crate) args: Vec<OsString>,
    /// The port of 127.0.0.1 where it answers `/readyz`.
    pub(crate) ops_port: Option<u16>,
    /// A file it writes its child's pid to on the first line, where the pid that counts is not its
    /// own (Postgres).
    pub(crate) pid_file: Option<PathBuf>,
}

impl Spec {
    /// Where it answers `/readyz`.
    pub(crate) fn ops_url(&self) -> Option<String> {
        self.ops_port.map(|port| format!("http://127.0.0.1:{port}"))
    }
}

/// What is known of all children; every change goes to `run.json`.
pub(crate) struct Board {
    dir: DataDir,
    run: Mutex<RunFile>,
    /// Set to a child's complaint when it can never start.
    pub(crate) hopeless: CancellationToken,
}

impl Board {
    /// With nothing started yet.
    pub(crate) fn new(dir: DataDir, run: RunFile) -> Arc<Self> {
        Arc::new(Self {
            dir,
            run: Mutex::new(run),
            hopeless: CancellationToken::new(),
        })
    }

    /// Changes `run.json`. A failure to write is said, and ends nothing.
    pub(crate) fn update(&self, change: impl FnOnce(&mut RunFile)) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut run);
        if let Err(e) = run.write(&self.dir) {
            say(&format!("run.json could not be written: {e:#}"));
        }
    }

    /// A copy of what is known now.
    pub(crate) fn snapshot(&self) -> RunFile {
        self.run
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_pid(&self, spec: &Spec, pid: Option<u32>) {
        self.update(|run| {
            let new = || RunProcess {
                pid,
                restarts: 0,
                ops_url: spec.ops_url(),
            };
            run.processes
                .entry(spec.name.clone())
                .or_insert_with(new)
                .pid = pid;
        });
    }

    fn count_restart(&self, name: &str) {
        self.update(|run| {
            if let Some(process) = run.processes.get_mut(name) {
                process.restarts += 1;
            }
        });
    }

    /// How often a process died so far.
    pub(crate) fn restarts(&self, name: &str) -> u32 {
        self.process(name).map_or(0, |p| p.restarts)
    }

    /// The pid of a process that lives.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        self.process(name)?.pid
    }

    fn process(&self, name: &str) -> Option<RunProcess> {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        run.processes.get(name).cloned()
    }
}

/// A line to whoever started the program. Nobody may be there any more (`holdfast up | head`),
/// which must not end a system that others use: a failure to write is nothing.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A child that is kept running until it is stopped.
pub(crate) struct Supervised {
    name: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervised {
    /// Starts the child and keeps it running. To be called on a current-thread runtime.
    pub(crate) fn start(spec: Spec, board: Arc<Board>) -> Self {
        let stop = CancellationToken::new();
        let name = spec.name.clone();
        let task = tokio::spawn(keep_running(spec, board, stop.clone()));
        Self { name, stop, task }
    }

    /// Ends the child: SIGTERM, and SIGKILL after a limit. Returns when it is gone.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(e) = self.task.await {
            say(&format!("{}: supervision failed: {e}", self.name));
        }
    }
}

async fn keep_running(spec: Spec, board: Arc<Board>, stop: CancellationToken) {
    let mut backoff = BACKOFF_MIN;
    let mut said_often = false;
    while !stop.is_cancelled() {
        let started = Instant::now();
        // A child whose own are good starts all the same.
        if let Err(e) = Folder::new(board.dir.tls()).ensure()
            && !said_often
        {
            say(&format!("warning: {e}"));
        }
        let why = match spawn(&spec, &board.dir) {
            Ok(mut child) => {
                announce_pid(&spec, &board, &child);
                tokio::select! {
                    () = stop.cancelled() => {
                        end(&spec.name, &mut child).await;
                        board.set_pid(&spec, None);
                        return;
                    }
                    status = child.wait() => {
                        if status.as_ref().is_ok_and(|s| s.code() == Some(i32::from(EXIT_CONFIG))) {
                            board.hopeless.cancel();
                        }
                        board.set_pid(&spec, None);
                        status.map_or_else(|e| e.to_string(), describe)
                    }
                }
            }
            Err(e) => format!("{e:#}"),
        };
        if stop.is_cancelled() {
            return;
        }
        if started.elapsed() >= STABLE_AFTER {
            backoff = BACKOFF_MIN;
        }
        // One that can't start for hours fills its log, not the terminal.
        let at_longest = backoff == BACKOFF_MAX;
        if !(at_longest && said_often) {
            say(&format!(
                "{} ended ({why}); starting it again {} {:.1} s, see {}",
                spec.name,
                if at_longest { "every" } else { "in" },
                backoff.as_secs_f32(),
                board.dir.log_file(&spec.name).display(),
            ));
        }
        said_often = at_longest;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff) => backoff = (backoff * 2).min(BACKOFF_MAX),
        }
        board.count_restart(&spec.name);
    }
}

/// Tells the pid; where the child's own child counts, as soon as the file names it.
fn announce_pid(spec: &Spec, board: &Arc<Board>, child: &Child) {
    board.set_pid(spec, child.id());
    let Some(path) = spec.pid_file.clone() else {
        return;
    };
    let (spec, board, wrapper) = (spec.clone(), Arc::clone(board), child.id());
    tokio::spawn(async move {
        // A few seconds cover the slowest start; after that the wrapper's own pid stays.
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let pid = text
                .lines()
                .next()
                .and_then(|line| line.trim().parse().ok());
            if board.snapshot().processes.get(&spec.name).map(|p| p.pid) != Some(wrapper) {
                return;
            }
            if pid.is_some_and(|pid| is_child_of(pid, wrapper)) {
                return board.set_pid(&spec, pid);
            }
        }
    });
}

/// Whether `/proc` says that `pid`'s parent is `parent`.
fn is_child_of(pid: u32, parent: Option<u32>) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.and_then(|text| text.trim().parse::<u32>().ok()) == parent && parent.is_some()
}

fn spawn(spec: &Spec, dir: &DataDir) -> anyhow::Result<Child> {
    let log = dir.open_log(&spec.name).context("can't open its log")?;
    Command::new(THIS_PROGRAM)
        .arg0("holdfast")
        .args(&spec.args)
        .env(PARENT_PID_ENV, std::process::id().to_string())
        .env_remove("DATABASE_URL")
        // What they say goes to a file, where colours are noise.
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::from(log.try_clone().context("can't open its log")?))
        .stderr(Stdio::from(log))
        .process_group(0)
        .spawn()
        .context("can't be started")
}

async fn end(name: &str, child: &mut Child) {
    let signal = |signal| {
        if let Some(pid) = child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
        {
            // It may have ended in this moment; `wait` below tells.
            let _ = kill_process(pid, signal);
        }
    };
    signal(Signal::TERM);
    if tokio::time::timeout(STOP_LIMIT, child.wait())
        .await
        .is_err()
    {
        say(&format!(
            "{name} did not stop within {} s and is killed",
            STOP_LIMIT.as_secs()
        ));
        if let Err(e) = child.kill().await {
            say(&format!("{name} could not be killed: {e}"));
        }
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
