//! The index in a Meilisearch server.
//!
//! Always holds: a change counts when the server says that its task succeeded; a question that the
//! server can't answer is told apart into "no index", "down" and "refused". Its tasks run in the
//! order in which they were handed in, so a later change is never undone by an earlier one.
//! Leaves to others: ranking, typos and accents, which are the server's.

mod http;
mod wire;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use holdfast_mesh::config::Secret;
use holdfast_proto::search::v1::FoundShow;
use holdfast_types::ShowId;
use meilisearch_sdk::{
    client::{Client, SwapIndexes},
    documents::{DocumentDeletionQuery, DocumentsQuery},
    errors::{Error as MeiliError, ErrorCode, ErrorType, MeilisearchError},
    search::{MatchingStrategies, SearchQuery, Selectors},
    task_info::TaskInfo,
    tasks::Task,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

#[cfg(test)]
pub(crate) use self::wire::schema_mark;
use self::{
    http::Http,
    wire::{Compared, Named, Stored},
};
use crate::{
    Error as ServeError,
    document::{Changes, Document},
    index::{Error, Found, Index, Total},
    query::Query,
    suggest::{Begun, Kind, NAMES_MAX},
};

/// How often a task is asked for: soon at first, since most take some milliseconds.
const TASK_POLL_MIN: Duration = Duration::from_millis(10);
const TASK_POLL_MAX: Duration = Duration::from_millis(250);

/// How long a task may take; the server may be busy with others.
const TASK_MAX: Duration = Duration::from_secs(120);

/// Tasks of the next index that nobody has asked for yet. The server joins those that wait into one
/// batch, which is what makes building fast.
const TASKS_IN_FLIGHT_MAX: usize = 16;

/// Hits looked at for names of a kind: several shows have the same.
const HITS_FOR_NAMES: usize = 100;

/// Documents read beyond those that are compared.
const IDS_BESIDE: usize = 16;

/// A server.
#[derive(Debug)]
pub(crate) struct Meili {
    client: Client<Http>,
    /// With the key that may search only, where there is one.
    searcher: Client<Http>,
    /// The index that is searched.
    live: String,
    /// The next one.
    next: String,
    /// Whether `live` was seen to be of the present schema. A missing index must not be written to:
    /// the server would make one of its own kind.
    is_built: AtomicBool,
    /// Tasks of `next` whose end wasn't seen.
    filling: Mutex<VecDeque<TaskInfo>>,
}

/// Keys of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys<'a> {
    /// May search, write and manage the indexes.
    pub(crate) all: &'a Secret,
    /// May search; where it is empty the other one does.
    pub(crate) search: &'a Secret,
}

impl Meili {
    /// Nothing is asked of the server yet.
    pub(crate) fn new(url: &str, keys: Keys<'_>, index: &str) -> Result<Self, ServeError> {
        let host = url.trim_end_matches('/');
        let client = |key| {
            let http = Http::new(key).map_err(ServeError::Http)?;
            Ok::<_, ServeError>(Client::new_with_client(host, None::<String>, http))
        };
        let to_search = if keys.search.is_empty() {
            keys.all
        } else {
            keys.search
        };
        Ok(Self {
            client: client(keys.all)?,
            searcher: client(to_search)?,
            live: index.to_owned(),
            next: format!("{index}_next"),
            is_built: AtomicBool::new(false),
            filling: Mutex::default(),
        })
    }

    /// Waits for the end of a task.
    async fn done(&self, task: TaskInfo) -> Result<(), Error> {
        let end = Instant::now() + TASK_MAX;
        let mut pause = TASK_POLL_MIN;
        loop {
            match self.client.get_task(&task).await.map_err(error)? {
                Task::Succeeded { .. } => return Ok(()),
                Task::Failed { content } => return Err(refusal(content.error)),
                Task::Enqueued { .. } | Task::Processing { .. } => {}
            }
            if Instant::now() >= end {
                let uid = task.task_uid;
                let why = format!("task {uid} isn't done after {} s", TASK_MAX.as_secs());
                return Err(Error::Away(why));
            }
            sleep(pause).await;
            pause = (pause * 2).min(TASK_POLL_MAX);
        }
    }

    /// Hands changes of an index in, at most two tasks.
    async fn hand_in(&self, index: &str, changes: Changes) -> Result<Vec<TaskInfo>, Error> {
        let index = self.client.index(index);
        let mut tasks = Vec::new();
        if !changes.puts.is_empty() {
            let documents: Vec<Stored> = changes.puts.into_iter().map(Stored::from).collect();
            tasks.push(index.add_documents(&documents, None).await.map_err(error)?);
        }
        if !changes.removes.is_empty() {
            let filter = wire::named(&changes.removes);
            let mut removal = DocumentDeletionQuery::new(&index);
            removal.with_filter(&filter);
            let task = index.delete_documents_with(&removal).await;
            tasks.push(task.map_err(error)?);
        }
        Ok(tasks)
    }

    /// Deletes an index; one that isn't there is as good.
    pub(crate) async fn delete(&self, index: &str) -> Result<(), Error> {
        let deleted = match self.client.delete_index(index).await {
            Ok(task) => self.done(task).await,
            Err(refused) => Err(error(refused)),
        };
        match deleted {
            Err(Error::NotBuilt) => Ok(()),
            deleted => deleted,
        }
    }

    async fn create(&self, index: &str) -> Result<(), Error> {
        let key = Some(wire::PRIMARY_KEY);
        let task = self.client.create_index(index, key).await.map_err(error)?;
        self.done(task).await
    }
}

impl Index for Meili {
    const ENGINE: &'static str = "meilisearch";

    // How many mistakes words may have is a setting of its index.
    const SPELLS_LOOSER: bool = false;

    async fn is_built(&self) -> Result<bool, Error> {
        let is_built = match self.client.index(&self.live).get_settings().await {
            Ok(settings) => wire::is_ours(&settings),
            Err(refused) => match error(refused) {
                Error::NotBuilt => false,
                error => return Err(error),
            },
        };
        self.is_built.store(is_built, Ordering::Relaxed);
        Ok(is_built)
    }

    async fn shows(&self) -> Result<u64, Error> {
        // There may be one that isn't ours, or an empty one that was to be swapped.
        if !self.is_built.load(Ordering::Relaxed) {
            return Err(Error::NotBuilt);
        }
        let stats = self.client.index(&self.live).get_stats().await;
        Ok(stats.map_err(error)?.number_of_documents as u64)
    }

    async fn search(&self, query: &Query) -> Result<Found, Error> {
        if !self.is_built.load(Ordering::Relaxed) {
            return Err(Error::NotBuilt);
        }
        let index = self.searcher.index(&self.live);
        let (words, filter) = (wire::words(query), wire::filter(query));
        let sort = wire::sort(query);
        let sort: Vec<&str> = sort.iter().map(String::as_str).collect();
        let mut search = SearchQuery::new(&index);
        search
            .with_query(&words)
            .with_filter(&filter)
            .with_offset(query.offset)
            // One more tells whether there are more.
            .with_limit(query.limit + 1)
            .with_attributes_to_retrieve(Selectors::Some(&wire::SHOWN))
            .with_matching_strategy(MatchingStrategies::ALL);
        if !sort.is_empty() {
            search.with_sort(&sort);
        }
        let counted: Vec<&str> = query
            .facets
            .iter()
            .map(|facet| wire::counted_in(*facet))
            .collect();
        if !counted.is_empty() {
            search.with_facets(Selectors::Some(&counted));
        }
        let results = index.execute_query::<Stored>(&search).await;
        let results = results.map_err(error)?;
        let total = results.estimated_total_hits.unwrap_or_default() as u64;
        let counted = results.facet_distribution.unwrap_or_default();
        let none = HashMap::new();
        let facets = query.facets.iter().map(|facet| {
            let values = counted.get(wire::counted_in(*facet));
            wire::counts(*facet, values.unwrap_or(&none))
        });
        let mut hits = results.hits;
        let more = hits.len() > query.limit;
        hits.truncate(query.limit);
        let shows = hits.into_iter().map(|hit| FoundShow::from(hit.result));
        Ok(Found {
            shows: shows.collect(),
            more,
            last: None,
            total: Total::Estimated(total),
            facets: facets.collect(),
            tag: Vec::new(),
            unchanged: false,
        })
    }

    async fn names(&self, kind: Kind, begun: &Begun) -> Result<Vec<String>, Error> {
        if !self.is_built.load(Ordering::Relaxed) {
            return Err(Error::NotBuilt);
        }
        let index = self.searcher.index(&self.live);
        let filter = wire::from(begun.from_ms);
        let attribute = [wire::named_in(kind)];
        let mut search = SearchQuery::new(&index);
        search
            .with_query(&begun.text)
            .with_filter(&filter)
            .with_limit(HITS_FOR_NAMES)
            .with_attributes_to_search_on(&attribute)
            .with_attributes_to_retrieve(Selectors::Some(&attribute))
            .with_matching_strategy(MatchingStrategies::ALL);
        let results = index.execute_query::<Named>(&search).await;
        let hits = results.map_err(error)?.hits.into_iter();
        let names = hits.flat_map(|hit| hit.result.of(kind));
        let mut seen = HashSet::new();
        let names = names.filter(|name| seen.insert(name.clone()));
        Ok(names.take(NAMES_MAX).collect())
    }

    async fn contents(
        &self,
        after: Option<ShowId>,
        up_to: Option<ShowId>,
        max: usize,
    ) -> Result<Vec<(ShowId, u64)>, Error> {
        let index = self.client.index(&self.live);
        let filter = wire::around(after, up_to);
        let mut query = DocumentsQuery::new(&index);
        // Others may begin with the same numbers.
        query
            .with_filter(&filter)
            .with_fields(wire::COMPARED)
            .with_sort(wire::BY_ID)
            .with_limit(max + IDS_BESIDE);
        let documents = query.execute::<Compared>().await.map_err(error)?.results;
        let mut contents: Vec<(ShowId, u64)> = documents
            .iter()
            .map(Compared::read)
            .filter(|(id, _)| after.is_none_or(|after| *id > after))
            .filter(|(id, _)| up_to.is_none_or(|up_to| *id <= up_to))
            .collect();
        contents.sort_unstable();
        contents.truncate(max);
        Ok(contents)
    }

    async fn write(&self, changes: Changes) -> Result<(), Error> {
        if !self.is_built.load(Ordering::Relaxed) {
            return Err(Error::NotBuilt);
        }
        for task in self.hand_in(&self.live, changes).await? {
            self.done(task).await?;
        }
        Ok(())
    }

    async fn begin_next(&self) -> Result<(), Error> {
        self.filling.lock().await.clear();
        self.delete(&self.next).await?;
        self.create(&self.next).await?;
        let settings = wire::settings();
        let task = self.client.index(&self.next).set_settings(&settings).await;
        self.done(task.map_err(error)?).await
    }

    async fn fill_next(&self, documents: Vec<Document>) -> Result<(), Error> {
        let changes = Changes {
            puts: documents,
            removes: Vec::new(),
        };
        self.write_next(changes).await
    }

    async fn write_next(&self, changes: Changes) -> Result<(), Error> {
        let tasks = self.hand_in(&self.next, changes).await?;
        let mut filling = self.filling.lock().await;
        filling.extend(tasks);
        while filling.len() > TASKS_IN_FLIGHT_MAX
            && let Some(task) = filling.pop_front()
        {
            self.done(task).await?;
        }
        Ok(())
    }

    async fn swap(&self) -> Result<(), Error> {
        let filling = std::mem::take(&mut *self.filling.lock().await);
        for task in filling {
            self.done(task).await?;
        }
        // The server swaps what is there only.
        match self.create(&self.live).await {
            Err(Error::Refused(why)) if why.contains(ALREADY_THERE) => {}
            created => created?,
        }
        let indexes = SwapIndexes {
            indexes: (self.live.clone(), self.next.clone()),
            rename: None,
        };
        let task = self.client.swap_indexes([&indexes]).await.map_err(error)?;
        self.done(task).await?;
        self.is_built.store(true, Ordering::Relaxed);
        if let Err(error) = self.delete(&self.next).await {
            tracing::warn!(%error, "the old search index wasn't deleted");
        }
        Ok(())
    }
}

/// The code of an index that is made a second time.
const ALREADY_THERE: &str = "index_already_exists";

fn error(error: MeiliError) -> Error {
    match error {
        MeiliError::Meilisearch(refused) => refusal(refused),
        // An answer that isn't Meilisearch's own, or none: a proxy, another server, a broken line.
        MeiliError::MeilisearchCommunication(_)
        | MeiliError::ParseError(_)
        | MeiliError::Timeout
        | MeiliError::Other(_) => Error::Away(text(&error)),
        error => Error::Refused(text(&error)),
    }
}

fn refusal(refused: MeilisearchError) -> Error {
    let text = refused.to_string();
    match (&refused.error_code, refused.error_type) {
        (ErrorCode::IndexNotFound, _) => Error::NotBuilt,
        // Its disk or itself, which it says with types that the library doesn't know, too (`system`, for more
        // questions at once than it takes); and a key that an operator will put right.
        (
            ErrorCode::NoSpaceLeftOnDevice
            | ErrorCode::TooManyOpenFiles
            | ErrorCode::IoError
            | ErrorCode::DatabaseSizeLimitReached,
            _,
        )
        | (_, ErrorType::Internal | ErrorType::Auth | ErrorType::Unknown) => Error::Away(text),
        _ => Error::Refused(text),
    }
}

/// An error with its causes.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
