//! `holdfast user audit EMAIL`

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use holdfast_proto::identity::v1::{Activity, AuditAccountRequest};
use uuid::Uuid;

use crate::{
    cli::AuditArgs,
    data_dir::DataDir,
    error::Error,
    operator::{As, Operator},
    supervisor::say,
};

/// Entries asked for at once.
const PAGE: u32 = 100;

/// Prints what happened to an account, newest first, one entry a line.
///
/// # Errors
/// An unknown account, nothing running.
pub(crate) async fn user_audit(args: AuditArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let operator = Operator::sign_in(&dir, As::Operator).await?;
    let mut identity = operator.identity()?;
    let (mut left, mut cursor) = (args.limit, String::new());
    while left > 0 {
        let request = operator.request(AuditAccountRequest {
            email: args.email.clone(),
            limit: left.min(PAGE),
            cursor,
        });
        let answer = identity.audit_account(request).await;
        let answer = answer
            .map_err(|status| Error::from_status("read what happened to the account", &status))?
            .into_inner();
        for entry in &answer.activity {
            say(&line(entry, &answer.user_id)?);
        }
        if answer.next_cursor.is_empty() {
            break;
        }
        left -= left.min(PAGE);
        cursor = answer.next_cursor;
    }
    Ok(())
}

fn line(entry: &Activity, user_id: &[u8]) -> anyhow::Result<String> {
    let at: DateTime<Utc> = DateTime::from_timestamp_millis(entry.at_ms).unwrap_or_default();
    let actor = Uuid::from_slice(&entry.actor_id).context("an entry without who did it")?;
    let by = match actor {
        actor if actor.as_bytes() == user_id => String::new(),
        actor if actor.is_nil() => " by an operator".to_owned(),
        actor => format!(" by {actor}"),
    };
    let with = |word: &str, text: &str| match text {
        "" => String::new(),
        text => format!(" {word} {text}"),
    };
    let organisation = Uuid::from_slice(&entry.organisation_id);
    let organisation = organisation.map_or(String::new(), |id| id.to_string());
    Ok(format!(
        "{} {}{}{}{by}{}",
        at.format("%Y-%m-%d %H:%M:%S UTC"),
        entry.action,
        with("as", &entry.role),
        with("in", &organisation),
        with("from", &entry.client_address),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_and_where_from_and_by_whom_else() {
        let entry = |actor: u8, role: &str, client: &str| Activity {
            at_ms: 1_784_138_400_250,
            action: "signed_in".to_owned(),
            actor_id: vec![actor; 16],
            client_address: client.to_owned(),
            role: role.to_owned(),
            organisation_id: Vec::new(),
        };
        let line = |entry: Activity| line(&entry, &[1; 16]).unwrap();
        let at = "2026-07-15 18:00:00 UTC";
        assert_eq!(
            line(entry(1, "", "192.0.2.1")),
            format!("{at} signed_in from 192.0.2.1")
        );
        let by = format!("{at} signed_in as staff by an operator");
        assert_eq!(line(entry(0, "staff", "")), by);
    }
}
