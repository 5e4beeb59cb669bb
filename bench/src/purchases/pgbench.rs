//! The ratio to beat: what Postgres alone makes of a purchase's writes, driven by `pgbench` on the same
//! server with the same settings and tables, in a database of its own.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use holdfast_harness::System;
use serde::Serialize;

const DATABASE: &str = "purchases_of_pgbench";
const PREPARE: &str = include_str!("../../sql/prepare.sql");
const PURCHASE: &str = include_str!("../../sql/purchase.sql");
/// How the stream's relay moves an outbox.
const MOVE: &str = include_str!("../../../eventlog/src/move.sql");

/// Threads of `pgbench`.
const JOBS: &str = "1";

/// What `pgbench` reached.
#[derive(Debug, Serialize)]
pub struct PgBench {
    /// Its first word of itself.
    pub version: String,
    pub clients: usize,
    pub seconds: u64,
    pub purchases_per_s: f64,
    /// Transactions and written rows of a purchase, as in [`super::Purchases`].
    pub transactions: f64,
    pub rows_written: f64,
}

struct Server<'a> {
    bin: &'a Path,
    host: String,
    port: String,
    password: String,
}

impl Server<'_> {
    fn run(&self, program: &str, database: &str, args: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(self.bin.join(program))
            .args(["-h", &self.host, "-p", &self.port, "-U", "holdfast"])
            .args(args)
            .arg(database)
            .env("PGPASSWORD", &self.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {program}"))?;
        let mut stdin = child.stdin.take().context("no input")?;
        std::io::Write::write_all(&mut stdin, input.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let args = ["-qAt", "-v", "ON_ERROR_STOP=1"];
        self.run("psql", database, &args, sql)
    }

    fn count(&self, what: &str) -> Result<f64> {
        let sql = format!("SELECT {what} FROM pg_stat_database WHERE datname = '{DATABASE}'");
        let text = self.sql("holdfast", &sql)?;
        text.trim().parse().with_context(|| text.clone())
    }
}

fn script() -> String {
    ["booking", "payment"]
        .into_iter()
        .fold(PURCHASE.to_owned(), |script, schema| {
            let statement = MOVE.replace("{schema}", schema);
            let statement = statement
                .replace("$1", "1000")
                .replace("$2", &format!("'{schema}'"));
            script.replace(
                &format!("{{move {schema}}}"),
                &format!("{};", statement.trim_end()),
            )
        })
}

/// Buys with as many clients for `length`, beside a system without load.
///
/// # Errors
/// A program of Postgres's is missing, or says no.
pub fn run(system: &System, bin: &Path, clients: usize, length: Duration) -> Result<PgBench> {
    let address = system.run()?.postgres.context("no private Postgres")?;
    let (host, port) = address.rsplit_once(':').context("no port")?;
    let server = Server {
        bin,
        host: host.to_owned(),
        port: port.to_owned(),
        password: system.secret("database_admin_password")?,
    };
    let anew = format!("DROP DATABASE IF EXISTS {DATABASE};\nCREATE DATABASE {DATABASE};");
    server.sql("holdfast", &anew)?;
    let schema = server.run("pg_dump", "holdfast", &["--schema-only"], "")?;
    server.sql(DATABASE, &schema)?;
    // As a schema the stream has its tables, and no partitions in its list.
    let accounts = ["-a", "-t", "payment.accounts", "-t", "eventlog.partitions"];
    let rows = server.run("pg_dump", "holdfast", &accounts, "")?;
    server.sql(DATABASE, &rows)?;
    server.sql(DATABASE, PREPARE)?;

    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), script())?;
    let script = file.path().to_string_lossy().into_owned();
    let (count, seconds) = (clients.to_string(), length.as_secs().to_string());
    let args = [
        "-n", "-M", "prepared", "-f", &script, "-c", &count, "-j", JOBS, "-T", &seconds,
    ];
    let written = "tup_inserted + tup_updated + tup_deleted";
    let (transactions, rows_written) = (server.count("xact_commit")?, server.count(written)?);
    let said = server.run("pgbench", DATABASE, &args, "")?;
    let field = |name: &str| -> Result<f64> {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        word.and_then(|word| word.parse().ok())
            .with_context(|| format!("no {name} in {said}"))
    };
    let done = field("number of transactions actually processed: ")?;
    let failed = field("number of failed transactions: ")?;
    ensure!(failed == 0.0, "pgbench failed: {said}");
    Ok(PgBench {
        version: said.lines().next().unwrap_or_default().to_owned(),
        clients,
        seconds: length.as_secs(),
        purchases_per_s: field("tps = ")?,
        transactions: (server.count("xact_commit")? - transactions) / done,
        rows_written: (server.count(written)? - rows_written) / done,
    })
}
