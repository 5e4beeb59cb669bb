//! `holdfast up`: the whole system on this machine, with nothing configured.
//!
//! Always holds: one `up` a data directory; children end with it, in order when it is told to
//! stop and by the kernel's signal when it is killed; starting again goes on with the same data.

mod accounts;
mod children;
mod demo_events;
mod demo_show;
mod first_ticket;
mod launch;
mod layout;
mod lineage;
mod progress;

pub(crate) use accounts::ORGANISER_EMAIL;
pub(crate) use children::ALL_SERVICES;
pub(crate) use lineage::{booking_database, raise_for_rebuild};

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use futures::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    layout::{Layout, NODES},
    progress::Progress,
};
use crate::{
    certs::Folder,
    child,
    cli::{PortChoice, UpArgs},
    data_dir::DataDir,
    database,
    error::Error,
    open_files,
    operator::{As, Operator},
    ports::Ports,
    postgres,
    run_file::RunState,
    secrets::{DATABASE_ADMIN_PASSWORD, OPERATOR_TOKEN, Secrets},
    supervisor::{Board, Supervised, say},
};

/// How long any one part may take to be ready: a crash recovery of Postgres or a replay of the
/// store's log is the longest.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// The same where the lock store is to be loaded before: some minutes for a million seats.
const REBUILD_LIMIT: Duration = Duration::from_secs(3_600);
/// Between two looks at certificates, which are good for months.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Between two looks at what isn't ready yet.
const POLL: Duration = Duration::from_millis(100);
/// How often a process may die before it was ready for the first time: with the backoff, 6 s of a
/// port that another program is about to leave.
const DEATHS_MAX: u32 = 5;
/// How much of a log is shown when its process doesn't get ready.
const LOG_TAIL_LINES: usize = 20;
/// Nodes that the lock store needs: the loss of one stops nothing.
const MAJORITY: usize = (NODES / 2 + 1) as usize;
/// The process with the private Postgres.
const POSTGRES: &str = "postgres";
/// The database in the private Postgres.
const DATABASE: &str = "holdfast";

/// Runs until SIGINT, SIGTERM or SIGHUP, then stops everything.
///
/// # Errors
/// [`Error::DataDirInUse`]; whatever keeps a part from starting, with the end of its log.
pub(crate) async fn run(args: UpArgs) -> Result<(), Error> {
    child::end_with_parent(rustix::process::Signal::TERM)?;
    open_files::allow_most();
    let mut signals = Signals::new()?;
    let dir = DataDir::choose(args.dir.data_dir.clone())?;
    let lock = dir.lock()?;
    Folder::new(dir.tls()).ensure()?;
    let mut ports = Ports::new(args.ports == PortChoice::Auto, &dir);
    let layout = Layout::choose(&mut ports)?;
    ports.keep(&dir)?;
    let database_url = args.database_url.filter(|url| !url.is_empty());
    let board = Board::new(dir.clone(), layout.run_file(database_url.is_none()));
    let mut start = Start {
        dir: dir.clone(),
        ports,
        layout,
        board: Arc::clone(&board),
        groups: Vec::new(),
        ready_limit: READY_LIMIT,
    };
    board.update(|_| {});

    let ended = tokio::select! {
        started = start.everything(database_url, args.rebuild_lock_store) => started,
        () = signals.any() => Ok(()),
    };
    if ended.is_ok() && board.snapshot().state == RunState::Ready {
        tokio::select! { () = signals.any() => {} () = keep_certificates(&dir) => {} }
    }
    say("stopping");
    while let Some(group) = start.groups.pop() {
        join_all(group.into_iter().map(Supervised::stop)).await;
    }
    if let Err(e) = std::fs::remove_file(dir.run_file()) {
        say(&format!("run.json could not be removed: {e}"));
    }
    say("stopped");
    drop(lock);
    ended
}

/// Renews certificates in time, for children that start later. Never ends.
async fn keep_certificates(dir: &DataDir) {
    loop {
        tokio::time::sleep(DAY).await;
        if let Err(error) = Folder::new(dir.tls()).ensure() {
            say(&format!("warning: {error}"));
        }
    }
}

struct Signals([Signal; 3]);

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("can't listen for signals");
        Ok(Self([
            on(SignalKind::interrupt())?,
            on(SignalKind::terminate())?,
            on(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [a, b, c] = &mut self.0;
        tokio::select! { _ = a.recv() => {} _ = b.recv() => {} _ = c.recv() => {} }
    }
}

/// What was started so far, in groups that can be stopped together, to be stopped in reverse.
struct Start {
    dir: DataDir,
    /// Holds the ports of what isn't started yet.
    ports: Ports,
    layout: Layout,
    board: Arc<Board>,
    groups: Vec<Vec<Supervised>>,
    /// How long a group may take to be ready.
    ready_limit: Duration,
}

impl Start {
    async fn everything(
        &mut self,
        database_url: Option<String>,
        rebuild: bool,
    ) -> Result<(), Error> {
        say(&format!(
            "Holdfast {}, data in {}",
            env!("CARGO_PKG_VERSION"),
            self.dir.root().display()
        ));
        let mut secrets = Secrets::open(&self.dir)?;
        let database = match database_url {
            Some(url) => self.database_of_others(&url).await?,
            None => self.private_postgres(&mut secrets).await?,
        };
        let progress = Progress::start("database roles and schemas");
        database::init(&database, &mut secrets).await?;
        let (lineage, pending) =
            lineage::choose(&self.dir, &database, &mut secrets, rebuild).await?;
        progress.done("");
        if pending {
            say("the lock store is loaded with what the database knows before anything is served");
            self.ready_limit = REBUILD_LIMIT;
        }

        let configs =
            children::Configs::new(&self.dir, &self.layout, &database, &mut secrets, lineage)?;
        let (nodes, services) = (configs.nodes()?, configs.services()?);
        self.ports.release(self.layout.store_ports());
        self.launch("lock store, 3 nodes", nodes, MAJORITY).await?;
        self.ports.release(self.layout.service_ports());
        self.launch("services", vec![services], 1).await?;

        let progress = Progress::start("first accounts and the demo show");
        let token = secrets.get_or_make(OPERATOR_TOKEN)?;
        let operator =
            Operator::sign_in_at(&self.dir, self.board.snapshot(), &token, As::Operator).await?;
        accounts::ensure(&self.dir, &operator).await?;
        let organiser = Operator::sign_in_at(
            &self.dir,
            self.board.snapshot(),
            &token,
            As::Account(ORGANISER_EMAIL),
        )
        .await?;
        let demo = self.demo(&organiser).await;
        progress.done("");
        let progress = Progress::start("events of others");
        match demo_events::ensure(&organiser, chrono::Utc::now()).await {
            Ok(report) => {
                let drafts: u64 = report.drafts.values().sum();
                progress.done(&format!("({} on sale, {drafts} announced)", report.on_sale));
            }
            Err(error) => say(&format!("warning: they could not be imported: {error}")),
        }
        let run = self.board.snapshot();
        let (show_id, buy) = match demo {
            Ok((show_id, text)) => (Some(show_id.to_string()), text),
            // The rest of the system is good, and others' shows may be on sale.
            Err(error) => {
                say(&format!("warning: there is no demo show: {error}"));
                (None, String::new())
            }
        };
        say(&format!(
            "{}{buy}",
            first_ticket::addresses(&self.dir, &run)
        ));
        // Last, so that whoever waits for it finds all of this said.
        self.board.update(|run| {
            run.demo_show_id = show_id;
            run.state = RunState::Ready;
        });
        Ok(())
    }

    /// The demo show and the lines that buy a ticket of it.
    async fn demo(&self, organiser: &Operator) -> Result<(uuid::Uuid, String), Error> {
        let show = demo_show::ensure(organiser, chrono::Utc::now()).await?;
        let show_id = uuid::Uuid::from_slice(&show.show_id)
            .context("catalog-svc gave a show without an id")?;
        let api = self.board.snapshot().api_url;
        let text = first_ticket::buying(&api, organiser, &show, show_id).await?;
        Ok((show_id, text))
    }

    async fn database_of_others(&mut self, url: &str) -> Result<PgConnectOptions, Error> {
        let options: PgConnectOptions = url.parse().map_err(|_| {
            Error::Config(
                "DATABASE_URL: not of the form postgres://user:password@host:port/database".into(),
            )
        })?;
        let progress = Progress::start("Postgres of DATABASE_URL");
        self.ports.release([self.layout.postgres]);
        let limit = Duration::from_secs(10);
        let wrong_password = "DATABASE_URL has the wrong user or password";
        database::wait_until_up(&options, limit, wrong_password, || None).await?;
        progress.done("");
        Ok(options)
    }

    async fn private_postgres(&mut self, secrets: &mut Secrets) -> Result<PgConnectOptions, Error> {
        let data = self.dir.postgres();
        let binaries = postgres::Binaries::find(&data)?;
        let account = postgres::Account::find()?;
        account.check_reach(self.dir.root())?;
        let password = secrets.get_or_make(DATABASE_ADMIN_PASSWORD)?;
        let progress = Progress::start(&format!("Postgres {}", binaries.major));
        postgres::initialise(&data, &binaries, &account, &password)?;
        let spec = children::postgres(&data, self.layout.postgres);
        self.ports.release([self.layout.postgres]);
        self.groups
            .push(vec![Supervised::start(spec, Arc::clone(&self.board))]);
        let server = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.layout.postgres)
            .username(postgres::SUPERUSER)
            .password(&password)
            .ssl_mode(PgSslMode::Disable);
        let admin = server.clone().database("postgres");
        let hopeless = || {
            let dying = self.board.restarts(POSTGRES) >= DEATHS_MAX;
            dying.then(|| format!("died {DEATHS_MAX} times"))
        };
        let wrong_password = "secrets.toml doesn't fit this data";
        database::wait_until_up(&admin, READY_LIMIT, wrong_password, hopeless)
            .await
            .map_err(|e| self.with_log(POSTGRES, e))?;
        database::ensure_database(&admin, DATABASE).await?;
        progress.done(&format!("on {}", layout::address(self.layout.postgres)));
        Ok(server.database(DATABASE))
    }

    fn with_log(&self, process: &str, error: anyhow::Error) -> anyhow::Error {
        let tail = self.dir.log_tail(process, LOG_TAIL_LINES);
        anyhow!(
            "{error:#}\nthe end of {}:\n{tail}",
            self.dir.log_file(process).display()
        )
    }
}
