//! `holdfast search`: the index, having it built anew, and comparing it with the catalogue.

use std::{collections::BTreeSet, time::Duration};

use holdfast_proto::search::v1::{
    CompareShowsRequest, CompareShowsResponse, GetIndexStatusRequest, GetIndexStatusResponse,
    RebuildIndexRequest,
};
use holdfast_types::ShowId;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    cli::{DataDirArg, Output, SearchCheckArgs, SearchStatusArgs},
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

/// How long its engine may be away meanwhile: it may be too busy with the index to answer now and then.
const ENGINE_AWAY_MAX: Duration = Duration::from_secs(30);

/// Differences that are looked at again; with more an index is to be built anew anyway.
const DIFFERENCES_MAX: usize = 5_000;

/// How often what differs is looked at again, and the pauses between: changes are found within two
/// seconds (SE-1), and a batch of them that came while all was compared somewhat later.
const LOOKS_MAX: u32 = 10;
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Shows that are compared at once.
const COMPARED_AT_ONCE: usize = 500;

/// Pages of the catalogue: ten times as many as any catalogue that is planned for has.
const PAGES_MAX: u32 = 200_000;

/// Shows that are named for each kind of difference.
const NAMED_MAX: usize = 10;

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
    shows: u64,
    buildings_failed: u64,
    last_failure: String,
    engine_failure: String,
    behind_failure: String,
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
            shows: status.shows,
            buildings_failed: status.buildings_failed,
            last_failure: status.last_failure,
            engine_failure: status.engine_failure,
            behind_failure: status.behind_failure,
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
/// Nothing running; search only answers there; its engine is away; it takes longer than an hour.
pub(crate) async fn search_rebuild(args: DataDirArg) -> Result<(), Error> {
    let operator = Operator::sign_in(&DataDir::choose(args.data_dir)?, As::Operator).await?;
    let first = status(&operator).await?;
    if !first.engine_failure.is_empty() {
        let why = format!("{}; nothing was asked for", first.engine_failure);
        return Err(Error::Failed(anyhow::anyhow!(why)));
    }
    let (before, about) = (first.indexes_built, first.shows);
    let request = operator.request(RebuildIndexRequest {});
    let asked = operator.search()?.rebuild_index(request).await;
    asked.map_err(|status| Error::from_status("rebuild the index", &status))?;
    let begun = Instant::now();
    let mut answered = begun;
    let (mut told, mut failed) = (begun, first.buildings_failed);
    loop {
        let now = status(&operator).await?;
        if now.engine_failure.is_empty() {
            answered = Instant::now();
        }
        if answered.elapsed() > ENGINE_AWAY_MAX {
            let why = format!(
                "{}; what was asked for goes on when it is back",
                now.engine_failure
            );
            return Err(Error::Failed(anyhow::anyhow!(why)));
        }
        if now.buildings_failed > failed {
            failed = now.buildings_failed;
            say(&format!("failed, begun again: {}", now.last_failure));
        }
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
            say(&so_far(now.shows_read, about));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// There may be more or fewer than when the last index was built.
fn so_far(read: u64, about: u64) -> String {
    if read > about {
        return format!("{read} shows so far");
    }
    format!("{read} shows of about {about} so far")
}

/// Compares the index with the catalogue.
///
/// # Errors
/// Nothing running; they differ, and go on to.
pub(crate) async fn search_check(args: SearchCheckArgs) -> Result<(), Error> {
    let operator = Operator::sign_in(&DataDir::choose(args.dir.data_dir)?, As::Operator).await?;
    let mut check = Check::default();
    let bar = bar(status(&operator).await?.shows);
    let mut after = Vec::new();
    for _ in 0..PAGES_MAX {
        let request = CompareShowsRequest {
            after_show_id: after,
            show_ids: Vec::new(),
        };
        let page = compare(&operator, request).await?;
        bar.inc(page.in_catalogue.into());
        check.take(&page)?;
        after = page.next_after_show_id;
        if after.is_empty() {
            break;
        }
    }
    bar.finish_and_clear();
    for _ in 0..LOOKS_MAX {
        if check.is_good() {
            break;
        }
        // What changed meanwhile is the same soon.
        tokio::time::sleep(LOOK_AGAIN).await;
        let suspects: Vec<ShowId> = check.suspects();
        check.forget();
        for ids in suspects.chunks(COMPARED_AT_ONCE) {
            let request = CompareShowsRequest {
                after_show_id: Vec::new(),
                show_ids: ids.iter().map(|id| id.to_bytes().to_vec()).collect(),
            };
            let page = compare(&operator, request).await?;
            check.note(&page)?;
        }
    }
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&check).map_err(anyhow::Error::from)?),
        Output::Table => say(&check.text()),
    }
    if check.is_good() {
        return Ok(());
    }
    let advice = "the index isn't what the catalogue is; `holdfast search rebuild` builds it anew";
    Err(Error::Failed(anyhow::anyhow!(advice)))
}

/// What came out. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Default, Serialize)]
struct Check {
    /// Shows of the catalogue, when they were read.
    in_catalogue: u64,
    in_index: u64,
    /// In the catalogue only, at every look.
    missing: BTreeSet<ShowId>,
    /// In the index only.
    superfluous: BTreeSet<ShowId>,
    /// In both, and not the same.
    differing: BTreeSet<ShowId>,
}

impl Check {
    fn take(&mut self, page: &CompareShowsResponse) -> Result<(), Error> {
        self.in_catalogue += u64::from(page.in_catalogue);
        self.in_index += u64::from(page.in_index);
        self.note(page)
    }

    fn note(&mut self, page: &CompareShowsResponse) -> Result<(), Error> {
        for (kind, ids) in [
            (&mut self.missing, &page.missing),
            (&mut self.superfluous, &page.superfluous),
            (&mut self.differing, &page.differing),
        ] {
            for id in ids {
                let id = ShowId::from_slice(id);
                let id =
                    id.map_err(|error| Error::Failed(anyhow::anyhow!("a show's id {error}")))?;
                kind.insert(id);
            }
        }
        let differences = self.suspects().len();
        if differences > DIFFERENCES_MAX {
            let why = format!(
                "over {DIFFERENCES_MAX} shows differ; `holdfast search rebuild` builds the index anew"
            );
            return Err(Error::Failed(anyhow::anyhow!(why)));
        }
        Ok(())
    }

    fn suspects(&self) -> Vec<ShowId> {
        let kinds = [&self.missing, &self.superfluous, &self.differing];
        kinds.into_iter().flatten().copied().collect()
    }

    fn forget(&mut self) {
        self.missing.clear();
        self.superfluous.clear();
        self.differing.clear();
    }

    fn is_good(&self) -> bool {
        self.suspects().is_empty()
    }

    fn text(&self) -> String {
        let kind = |ids: &BTreeSet<ShowId>| {
            let mut named: Vec<String> =
                ids.iter().take(NAMED_MAX).map(ShowId::to_string).collect();
            if ids.len() > NAMED_MAX {
                named.push(format!("{} more", ids.len() - NAMED_MAX));
            }
            match named.is_empty() {
                true => "none".to_owned(),
                false => format!("{}: {}", ids.len(), named.join(", ")),
            }
        };
        format!(
            "catalogue    {} shows\nindex        {} shows\nmissing      {}\nsuperfluous  {}\ndiffering    {}",
            self.in_catalogue,
            self.in_index,
            kind(&self.missing),
            kind(&self.superfluous),
            kind(&self.differing)
        )
    }
}

/// Shown where somebody looks (a terminal).
fn bar(shows: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} shows, {eta} left")
            .expect("the template is well-formed");
    ProgressBar::new(shows).with_style(style)
}

async fn compare(
    operator: &Operator,
    request: CompareShowsRequest,
) -> Result<CompareShowsResponse, Error> {
    let request = operator.request(request);
    let answer = operator.search()?.compare_shows(request).await;
    let answer = answer.map_err(|status| Error::from_status("compare the index", &status))?;
    Ok(answer.into_inner())
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
        _ if !status.engine_failure.is_empty() => {
            format!("not known: {}", status.engine_failure)
        }
        (true, false) => "there".to_owned(),
        (true, true) => format!("there, another is being built: {} shows", status.shows_read),
        (false, true) => format!("being built: {} shows", status.shows_read),
        (false, false) => "not there".to_owned(),
    };
    let behind = match (status.lag_ms, status.changes_behind) {
        _ if !status.behind_failure.is_empty() => {
            format!("not known: {}", status.behind_failure)
        }
        (0, _) => "nothing".to_owned(),
        (ms, 0) => format!("{ms} ms"),
        (ms, 1) => format!("{ms} ms, 1 change"),
        (ms, changes) => format!("{ms} ms, {changes} changes"),
    };
    let mut text = format!(
        "engine  {}\nindex   {index}\nbehind  {behind}",
        status.engine
    );
    if !status.last_failure.is_empty() {
        let (times, why) = (status.buildings_failed, &status.last_failure);
        text.push_str(&format!("\nfailed  {times} times, the last: {why}"));
    }
    text
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
        status.buildings_failed = 2;
        status.last_failure = "the disk is full".to_owned();
        assert!(text(&status).ends_with("\nfailed  2 times, the last: the disk is full"));
        status.engine_failure = "search engine: no answer".to_owned();
        status.behind_failure = "the event stream is down".to_owned();
        let told = "index   not known: search engine: no answer\nbehind  not known: the event stream is down";
        assert!(text(&status).contains(told), "{}", text(&status));
    }

    #[test]
    fn progress_is_told_beside_what_there_was() {
        assert_eq!(so_far(500, 1_000), "500 shows of about 1000 so far");
        assert_eq!(so_far(1_500, 1_000), "1500 shows so far");
    }

    #[test]
    fn what_differs_is_told_and_looked_at_again() {
        let id = |byte: u8| vec![byte; 16];
        let mut check = Check::default();
        let good = CompareShowsResponse {
            in_catalogue: 2,
            in_index: 2,
            ..Default::default()
        };
        check.take(&good).unwrap();
        assert!(check.is_good());
        insta::assert_snapshot!(check.text(), @r"
        catalogue    2 shows
        index        2 shows
        missing      none
        superfluous  none
        differing    none
        ");
        let bad = CompareShowsResponse {
            in_catalogue: 12,
            in_index: 3,
            missing: (0..12).map(id).collect(),
            superfluous: vec![id(20)],
            differing: vec![id(21), id(22)],
            ..Default::default()
        };
        check.take(&bad).unwrap();
        assert_eq!((check.in_catalogue, check.in_index), (14, 5));
        assert_eq!(check.suspects().len(), 15);
        assert!(
            check.text().contains("2 more\nsuperfluous  1: 14141414-"),
            "{}",
            check.text()
        );
        check.forget();
        check.note(&good).unwrap();
        assert!(check.is_good(), "it is the same now");
        assert_eq!(check.in_catalogue, 14, "and was counted once");

        let far = CompareShowsResponse {
            missing: (0..=5_000_u128).map(|n| n.to_be_bytes().to_vec()).collect(),
            ..Default::default()
        };
        let refused = check.note(&far).unwrap_err().to_string();
        assert!(refused.contains("over 5000 shows differ"), "{refused}");
        let broken = CompareShowsResponse {
            missing: vec![vec![1]],
            ..Default::default()
        };
        assert!(Check::default().note(&broken).is_err());
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
            shows: 1_000,
            buildings_failed: 1,
            last_failure: "the disk is full".to_owned(),
            engine_failure: String::new(),
            behind_failure: String::new(),
        });
        insta::assert_json_snapshot!(status);
    }
}
