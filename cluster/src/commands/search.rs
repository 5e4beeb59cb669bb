//! `holdfast search`: the index, and having it built anew.

use std::time::Duration;

use holdfast_proto::search::v1::{
    GetIndexStatusRequest, GetIndexStatusResponse, RebuildIndexRequest,
};
use tokio::time::Instant;

use crate::{
    cli::DataDirArg,
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

/// Prints how the index is.
///
/// # Errors
/// Nothing running.
pub(crate) async fn search_status(args: DataDirArg) -> Result<(), Error> {
    let operator = Operator::sign_in(&DataDir::choose(args.data_dir)?, As::Operator).await?;
    say(&text(&status(&operator).await?));
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

async fn status(operator: &Operator) -> Result<GetIndexStatusResponse, Error> {
    let request = operator.request(GetIndexStatusRequest {});
    let answer = operator.search()?.get_index_status(request).await;
    let answer =
        answer.map_err(|status| Error::from_status("look at the search index", &status))?;
    Ok(answer.into_inner())
}

fn text(status: &GetIndexStatusResponse) -> String {
    let index = match (status.searchable, status.building) {
        (true, false) => "there".to_owned(),
        (true, true) => format!("there, another is being built: {} shows", status.shows_read),
        (false, true) => format!("being built: {} shows", status.shows_read),
        (false, false) => "not there".to_owned(),
    };
    let behind = match status.lag_ms {
        0 => "nothing".to_owned(),
        ms => format!("{ms} ms"),
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
        let mut status = GetIndexStatusResponse {
            engine: "tantivy".to_owned(),
            searchable: true,
            ..Default::default()
        };
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
    }
}
