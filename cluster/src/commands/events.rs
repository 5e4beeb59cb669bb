//! `holdfast events`: keys that a consumer of the event stream gave up on.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use holdfast_eventlog::Parked;
use serde::Serialize;

use crate::{
    cli::{EventsParkedArgs, EventsReplayArgs, Output},
    data_dir::DataDir,
    database::connect_as,
    error::Error,
    supervisor::say,
};

/// Whose database role is used: every service on the stream may see all of it.
pub(super) const AS_SERVICE: &str = "booking";

/// What is printed. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Serialize)]
struct Row {
    consumer: String,
    key: String,
    event_type: Option<String>,
    waiting: i64,
    tries: i32,
    error: String,
    /// RFC 3339, UTC.
    since: String,
}

impl From<Parked> for Row {
    fn from(parked: Parked) -> Self {
        Self {
            consumer: parked.consumer,
            key: parked.key,
            event_type: parked.event_type,
            waiting: parked.waiting,
            tries: parked.tries,
            error: parked.error,
            since: parked
                .since
                .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        }
    }
}

/// Lists parked keys, oldest first.
///
/// # Errors
/// No database answers.
pub(crate) async fn events_parked(args: EventsParkedArgs) -> Result<(), Error> {
    let pool = connect_as(&DataDir::choose(args.dir.data_dir)?, AS_SERVICE).await?;
    let parked = holdfast_eventlog::parked(&pool)
        .await
        .map_err(anyhow::Error::from)?;
    pool.close().await;
    let rows: Vec<Row> = parked.into_iter().map(Row::from).collect();
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&rows).map_err(anyhow::Error::from)?),
        Output::Table if rows.is_empty() => say("nothing is parked"),
        Output::Table => say(&table(rows)),
    }
    Ok(())
}

/// Lets a parked key go on.
///
/// # Errors
/// It isn't parked; no database answers.
pub(crate) async fn events_replay(args: EventsReplayArgs) -> Result<(), Error> {
    let pool = connect_as(&DataDir::choose(args.dir.data_dir)?, AS_SERVICE).await?;
    let was_parked = holdfast_eventlog::replay(&pool, &args.consumer, &args.key)
        .await
        .map_err(anyhow::Error::from)?;
    pool.close().await;
    let (consumer, key) = (args.consumer, args.key);
    if !was_parked {
        return Err(Error::Refused(format!(
            "{consumer} has parked no key {key}; `holdfast events parked` lists what there is"
        )));
    }
    say(&format!("{consumer} goes on with {key}"));
    Ok(())
}

fn table(rows: Vec<Row>) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "consumer", "key", "event", "waiting", "tries", "error", "since",
    ]);
    for row in rows {
        table.add_row([
            row.consumer,
            row.key,
            row.event_type.unwrap_or_else(|| "-".to_owned()),
            row.waiting.to_string(),
            row.tries.to_string(),
            row.error,
            row.since,
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(event_type: Option<&str>) -> Row {
        Row {
            consumer: "booking".to_owned(),
            key: "0192f0c1-0000-7000-8000-000000000001".to_owned(),
            event_type: event_type.map(str::to_owned),
            waiting: 3,
            tries: 9,
            error: "the provider refuses".to_owned(),
            since: "2026-11-26T14:00:00Z".to_owned(),
        }
    }

    #[test]
    fn table_of_parked_keys() {
        insta::assert_snapshot!(table(vec![row(Some("PaymentSucceeded")), row(None)]));
    }

    #[test]
    fn json_of_parked_keys() {
        insta::assert_json_snapshot!([row(Some("PaymentSucceeded")), row(None)]);
    }
}
