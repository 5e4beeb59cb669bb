//! The `holdfast` program: every role of a process, the supervisor of a system on one machine,
//! and the commands for whoever runs one.
//!
//! In reading order: `cli` says what may be asked; `serve` runs roles; `up` runs everything, with
//! `supervisor`, `postgres`, `database` and `certs` below it; `callers` is who may call what; `commands` talk to a running system, found
//! through `run_file`, as its `operator`. `discovery` reads catalogues of others and
//! `made_up` invents them; `upserts` hands them over in batches.
//!
//! Always holds: this crate alone depends on all the others; what a service does is the service's.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod callers;
mod certs;
mod child;
mod cli;
mod commands;
mod currencies;
mod data_dir;
mod database;
mod discovery;
mod error;
mod made_up;
mod open_files;
mod operator;
mod ports;
mod postgres;
mod run_file;
mod secrets;
mod serve;
mod settings;
mod supervisor;
mod up;
mod upserts;

use std::{future::Future, io::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;

use crate::{
    cli::{
        Certs, Cli, Cluster, Command, Db, Demo, Events, Identity, Import, Lockstore, Organisation,
        Refund, Search, Show, User,
    },
    data_dir::DataDir,
    error::Error,
};

/// Does what the command line says; errors are printed, one line or a list, and become the exit
/// code.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            error.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Error> {
    match cli.command {
        Command::Serve(args) => serve::run(args),
        // Its children are told to end with the thread that started them: that must be this one.
        Command::Up(args) => on_this_thread(up::run(args)),
        Command::Postgres(args) => on_this_thread(async { Ok(postgres::run_wrapper(args).await?) }),
        Command::Import(Import::Plan(args)) => on_this_thread(commands::import_plan(args)),
        Command::Import(Import::Discovery(args)) => {
            on_this_thread(commands::import_discovery(args))
        }
        Command::Cluster(Cluster::Status(args)) => on_this_thread(commands::cluster_status(args)),
        Command::Cluster(Cluster::Audit(args)) => on_this_thread(commands::cluster_audit(args)),
        Command::Cluster(Cluster::Expiry(args)) => on_this_thread(commands::cluster_expiry(args)),
        Command::Cluster(Cluster::Note(args)) => on_this_thread(commands::cluster_note(args)),
        Command::Cluster(Cluster::Acts(args)) => on_this_thread(commands::cluster_acts(args)),
        Command::Lockstore(Lockstore::Rebuild(args)) => {
            on_this_thread(commands::lockstore_rebuild(args))
        }
        Command::Db(Db::Init(args)) => on_this_thread(commands::db_init(args)),
        Command::Certs(Certs::Init(args)) => commands::certs_init(args),
        Command::Certs(Certs::Issue(args)) => commands::certs_issue(args),
        Command::Certs(Certs::Show(args)) => commands::certs_show(args),
        Command::Certs(Certs::Callers(args)) => commands::certs_callers(&args),
        Command::Identity(Identity::RotateKeys(args)) => {
            on_this_thread(commands::rotate_keys(args))
        }
        Command::User(User::Audit(args)) => on_this_thread(commands::user_audit(args)),
        Command::User(User::Grant(args)) => on_this_thread(commands::user_grant(args)),
        Command::User(User::Revoke(args)) => on_this_thread(commands::user_revoke(args)),
        Command::User(User::Disable(args)) => on_this_thread(commands::user_disable(args)),
        Command::User(User::Enable(args)) => on_this_thread(commands::user_enable(args)),
        Command::Organisation(Organisation::Members(args)) => {
            on_this_thread(commands::organisation_members(args))
        }
        Command::Organisation(Organisation::Appoint(args)) => {
            on_this_thread(commands::organisation_appoint(args))
        }
        Command::Search(Search::Status(args)) => on_this_thread(commands::search_status(args)),
        Command::Search(Search::Rebuild(args)) => on_this_thread(commands::search_rebuild(args)),
        Command::Search(Search::Check(args)) => on_this_thread(commands::search_check(args)),
        Command::Show(Show::Refund(args)) => on_this_thread(commands::show_refund(args)),
        Command::Refund(Refund::Waiting(args)) => on_this_thread(commands::refund_waiting(args)),
        Command::Refund(Refund::Settle(args)) => on_this_thread(commands::refund_settle(args)),
        Command::Events(Events::Parked(args)) => on_this_thread(commands::events_parked(args)),
        Command::Events(Events::Inspect(args)) => on_this_thread(commands::events_inspect(args)),
        Command::Events(Events::Replay(args)) => on_this_thread(commands::events_replay(args)),
        Command::Completions(args) => {
            commands::completions(&args);
            Ok(())
        }
        Command::Demo(args) => match args.what {
            None => on_this_thread(commands::demo(DataDir::choose(args.dir.data_dir)?)),
            Some(Demo::Catalogue(args)) => on_this_thread(commands::demo_catalogue(args)),
        },
    }
}

fn on_this_thread(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start a runtime")?;
    runtime.block_on(work)
}

fn complain(error: &Error) {
    // Nobody may read it any more; the exit code tells, too.
    let _ = writeln!(std::io::stderr(), "holdfast: {error}");
}
