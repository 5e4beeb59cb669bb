//! `holdfast search`: the index, and having it built anew.

use std::time::Duration;

use holdfast_proto::search::v1::{
    GetIndexStatusRequest, GetIndexStatusResponse, RebuildIndexRequest,
};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    cli::{DataDirArg, Output, SearchStatusArgs},
    data_dir::DataDir,
    error::Error,
    operator::{As, Operator},
    supervisor::say,
};

/// Between two looks at an index that is being built.
const POLL: Duration = Duration::from_millis(200);

/// Between two lines about it.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How long it is waited for; it goes on without us.
const REBUILD_MAX: Duration = Duration::from_secs(3_600);

/// What is printed. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Serialize)]
struct Status {
    engine: String,
    searchable: bool,
    building: bool,
    shows_read: u64,
    indexes_built: u64,
    lag_ms: u64,
    changes_behind: u64,
}

impl From<GetIndexStatusResponse> for Status {
    fn from(status: GetIndexStatusResponse) -> Self {
        Self {
            engine: status.engine,
            searchable: status.searchable,
            building: status.building,
            shows_read: status.shows_read,
            indexes_built: status.indexes_built,
            lag_ms: status.lag_ms,
            changes_behind: status.changes_behind,
        }
    }
}

/// Prints how the index is.
///
/// # Errors
/// Nothing running.
pub(crate) async fn search_status(args: SearchStatusArgs) -> Result<(), Error> {
    let operator = Operator::sign_in(&DataDir::choose(args.dir.data_dir)?, As::Operator).await?;
    let status = status(&operator).await?;
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&status).map_err(anyhow::Error::from)?),
        Output::Table => say(&text(&status)),
    }
    Ok(())
}

/// Has the index built anew and waits until it is.
///
/// # Errors
/// Nothing running; search only answers there; it takes longer than an hour.
pub(crate) async fn search_rebuild(args: DataDirArg) -> Result<(), Error> {
    let operator = Operator::sign_in(&DataDir::choose(args.data_dir)?, As::Operator).await?;
    let before = status(&operator).await?.indexes_built;
    let request = operator.request(RebuildIndexRequest {});
    let asked = operator.search()?.rebuild_index(request).await;
    asked.map_err(|status| Error::from_status("rebuild the index", &status))?;
    let begun = Instant::now();
    let mut told = begun;
    loop {
        let now = status(&operator).await?;
        if now.indexes_built > before {
            say(&format!(
                "{} shows indexed in {} ms",
                now.shows_read,
                begun.elapsed().as_millis()
            ));
            return Ok(());
        }
        if begun.elapsed() > REBUILD_MAX {
            let minutes = REBUILD_MAX.as_secs() / 60;
            let why = format!("not done after {minutes} minutes; see `holdfast search status`");
            return Err(Error::Failed(anyhow::anyhow!(why)));
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            say(&format!("{} shows so far", now.shows_read));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn status(operator: &Operator) -> Result<Status, Error> {
    let request = operator.request(GetIndexStatusRequest {});
    let answer = operator.search()?.get_index_status(request).await;
    let answer =
        answer.map_err(|status| Error::from_status("look at the search index", &status))?;
    Ok(answer.into_inner().into())
}

fn text(status: &Status) -> String {
    let index = match (status.searchable, status.building) {
        (true, false) => "there".to_owned(),
        (true, true) => format!("there, another is being built: {} shows", status.shows_read),
        (false, true) => format!("being built: {} shows", status.shows_read),
        (false, false) => "not there".to_owned(),
    };
    let behind = match (status.lag_ms, status.changes_behind) {
        (0, _) => "nothing".to_owned(),
        (ms, 0) => format!("{ms} ms"),
        (ms, 1) => format!("{ms} ms, 1 change"),
        (ms, changes) => format!("{ms} ms, {changes} changes"),
    };
    format!(
        "engine  {}\nindex   {index}\nbehind  {behind}",
        status.engine
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_told_in_words() {
        let mut status = Status::from(GetIndexStatusResponse {
            engine: "tantivy".to_owned(),
            searchable: true,
            ..Default::default()
        });
        assert_eq!(
            text(&status),
            "engine  tantivy\nindex   there\nbehind  nothing"
        );
        status.building = true;
        status.shows_read = 500;
        status.lag_ms = 12;
        assert_eq!(
            text(&status),
            "engine  tantivy\nindex   there, another is being built: 500 shows\nbehind  12 ms"
        );
        status.changes_behind = 1;
        assert!(text(&status).ends_with("behind  12 ms, 1 change"));
        status.changes_behind = 20_000;
        assert!(text(&status).ends_with("behind  12 ms, 20000 changes"));
    }

    #[test]
    fn the_status_as_json() {
        let status = Status::from(GetIndexStatusResponse {
            engine: "tantivy".to_owned(),
            searchable: true,
            building: true,
            shows_read: 500,
            indexes_built: 1,
            lag_ms: 12,
            changes_behind: 3,
        });
        insta::assert_json_snapshot!(status);
    }
}
