//! `holdfast cluster expiry`, `note` and `acts`: what operators set for the whole lock store, and the
//! record of it.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use holdfast_mesh::client::Channel;
use holdfast_proto::{
    lockstore::v1::{
        self as pb, AdminRecordRequest, ExpiryState, GetStatusRequest, ListActsRequest, NodeRole,
        OperatorAct, Refusal, RequestInfo, SetConfigRequest,
        admin_service_client::AdminServiceClient,
    },
    part,
};
use serde::Serialize;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use crate::{
    cli::{ClusterActsArgs, ClusterExpiryArgs, ClusterNoteArgs, ClusterSource, Expiry, Output},
    data_dir::DataDir,
    error::Error,
    operator::channel_to,
    run_file::RunFile,
    supervisor::say,
};

type Admin = AdminServiceClient<Channel>;

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// How long a leader is looked for that answers: longer than an election takes.
const LIMIT: Duration = Duration::from_secs(20);
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// How far ahead a request's deadline lies in cluster time: every try is over by then.
const NOT_AFTER_AHEAD_MS: u64 = 40_000;

/// What is printed. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Serialize)]
struct Act {
    revision: String,
    /// Cluster time, RFC 3339, UTC.
    at: String,
    operator: String,
    /// `pause expiry`, `resume expiry` or `note`.
    act: &'static str,
    text: String,
}

impl From<OperatorAct> for Act {
    fn from(act: OperatorAct) -> Self {
        let at = i64::try_from(act.at_ms).ok();
        let at = at.and_then(DateTime::from_timestamp_millis);
        let kind = match act.expiry() {
            ExpiryState::Paused => "pause expiry",
            ExpiryState::Running => "resume expiry",
            ExpiryState::Unspecified => "note",
        };
        Self {
            revision: act.revision.to_string(),
            at: at.map_or_else(
                || act.at_ms.to_string(),
                |at| at.to_rfc3339_opts(SecondsFormat::Millis, true),
            ),
            operator: act.operator,
            act: kind,
            text: act.text,
        }
    }
}

/// Pauses or resumes the ending of holds by time.
///
/// # Errors
/// [`Error::Unreachable`] if no leader answers; [`Error::Refused`] names a bad field.
pub(crate) async fn cluster_expiry(args: ClusterExpiryArgs) -> Result<(), Error> {
    let store = Store::of(&args.source)?;
    let expiry = match args.to {
        Expiry::Pause => ExpiryState::Paused,
        Expiry::Resume => ExpiryState::Running,
    };
    let (operator, reason) = (by(args.by), args.reason);
    let id = uuid::Uuid::now_v7();
    let answer = store.ask("set expiry", |mut admin, now_ms| {
        let request = SetConfigRequest {
            request: Some(request(id, now_ms)),
            operator: operator.clone(),
            reason: reason.clone(),
            expiry: expiry.into(),
        };
        async move { admin.set_config(timed(request)).await }
    });
    use pb::set_config_response::Outcome;
    let set = match answer.await?.outcome {
        Some(Outcome::Set(set)) => set,
        Some(Outcome::Refusal(refusal)) => return Err(refused(&refusal)),
        None => return Err(empty()),
    };
    let now = if set.expiry() == ExpiryState::Paused {
        "expiry is paused: no hold ends by time until `holdfast cluster expiry resume`"
    } else {
        "expiry runs: holds end when their time is over"
    };
    let before = if set.already { " (as before)" } else { "" };
    say(&format!("{now}{before}"));
    Ok(())
}

/// Records what an operator did.
///
/// # Errors
/// As [`cluster_expiry`].
pub(crate) async fn cluster_note(args: ClusterNoteArgs) -> Result<(), Error> {
    let store = Store::of(&args.source)?;
    let (operator, text) = (by(args.by), args.text);
    let id = uuid::Uuid::now_v7();
    let answer = store.ask("record a note", |mut admin, now_ms| {
        let request = AdminRecordRequest {
            request: Some(request(id, now_ms)),
            operator: operator.clone(),
            text: text.clone(),
        };
        async move { admin.admin_record(timed(request)).await }
    });
    use pb::admin_record_response::Outcome;
    match answer.await?.outcome {
        Some(Outcome::Recorded(recorded)) => {
            say(&format!("recorded as {}", recorded.revision));
            Ok(())
        }
        Some(Outcome::Refusal(refusal)) => Err(refused(&refusal)),
        None => Err(empty()),
    }
}

/// Lists what operators set and did, newest first.
///
/// # Errors
/// As [`cluster_expiry`].
pub(crate) async fn cluster_acts(args: ClusterActsArgs) -> Result<(), Error> {
    let store = Store::of(&args.source)?;
    let request = ListActsRequest {
        before_revision: args.before,
        limit: args.limit,
    };
    let answer = store.ask("list acts", |mut admin, _| async move {
        admin.list_acts(timed(request)).await
    });
    let acts: Vec<Act> = answer.await?.acts.into_iter().map(Act::from).collect();
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&acts).map_err(anyhow::Error::from)?),
        Output::Table if acts.is_empty() => say("nothing is recorded"),
        Output::Table => say(&table(acts)),
    }
    Ok(())
}

/// The nodes there are.
struct Store {
    nodes: Vec<Channel>,
}

impl Store {
    fn of(source: &ClusterSource) -> Result<Self, Error> {
        let dir = DataDir::choose(source.dir.data_dir.clone())?;
        let endpoints = if source.endpoint.is_empty() {
            RunFile::read(&dir)?.lockstore
        } else {
            source.endpoint.clone()
        };
        let nodes = endpoints
            .iter()
            .map(|address| channel_to(&dir, address, part::LOCKSTORE))
            .collect::<Result<_, _>>()?;
        Ok(Self { nodes })
    }

    /// Asks the leader, told its cluster time, until it answers. A try again is the same request.
    async fn ask<T, F>(&self, what: &str, ask: impl Fn(Admin, u64) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let begun = Instant::now();
        let mut why = "no node leads".to_owned();
        while begun.elapsed() < LIMIT {
            for node in &self.nodes {
                let mut admin = Admin::new(node.clone());
                let status = match admin.get_status(timed(GetStatusRequest {})).await {
                    Ok(status) => status.into_inner(),
                    Err(status) => {
                        why = status.message().to_owned();
                        continue;
                    }
                };
                if status.role() != NodeRole::Leader {
                    continue;
                }
                match ask(admin, status.cluster_time_ms).await {
                    Ok(answer) => return Ok(answer.into_inner()),
                    // Nothing that a wait of ours mends.
                    Err(status) if is_upgrading(&status) => {
                        return Err(Error::Refused(format!("{what}: {}", status.message())));
                    }
                    Err(status) if passes(status.code()) => why = status.message().to_owned(),
                    Err(status) => return Err(Error::from_status(what, &status)),
                }
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
        Err(Error::Unreachable {
            what: "the leader of the lock store".to_owned(),
            why,
        })
    }
}

/// Whether it is worth another try.
fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled
    )
}

fn is_upgrading(status: &Status) -> bool {
    let details = status.get_error_details();
    let info = details.error_info();
    info.is_some_and(|info| info.reason == "UPGRADING")
}

fn timed<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(CALL_LIMIT);
    request
}

fn request(id: uuid::Uuid, now_ms: u64) -> RequestInfo {
    RequestInfo {
        id: id.into_bytes().to_vec().into(),
        not_after_ms: now_ms.saturating_add(NOT_AFTER_AHEAD_MS),
    }
}

/// Who asks: the one that is named, else the user who is signed in at this machine.
fn by(named: Option<String>) -> String {
    let user = || std::env::var("USER").ok().filter(|user| !user.is_empty());
    named.or_else(user).unwrap_or_else(|| "operator".to_owned())
}

fn refused(refusal: &Refusal) -> Error {
    let reason = refusal.reason().as_str_name();
    let reason = reason.trim_start_matches("REFUSAL_REASON_");
    Error::Refused(format!("the lock store refuses: {reason}"))
}

fn empty() -> Error {
    Error::Refused("the lock store answered nothing".to_owned())
}

fn table(acts: Vec<Act>) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["revision", "at", "operator", "act", "text"]);
    for act in acts {
        table.add_row([
            act.revision,
            act.at,
            act.operator,
            act.act.to_owned(),
            act.text,
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_what_was_done_when_and_by_whom() {
        let act = |revision, expiry: ExpiryState, text: &str| OperatorAct {
            revision,
            at_ms: 1_800_000_000_123,
            operator: "ada".to_owned(),
            text: text.to_owned(),
            expiry: expiry.into(),
        };
        let acts = [
            act(98_304, ExpiryState::Running, "the clock is right again"),
            act(65_536, ExpiryState::Paused, "a clock was wrong"),
            act(32_768, ExpiryState::Unspecified, "moved node 3"),
        ];
        insta::assert_snapshot!(table(acts.map(Act::from).into()));
    }
}
