//! Takes files over: reads them once to see that they are good, and once more to hand them on.
//!
//! Always holds: a few hundred events are in memory, and a hash of each id that was read; of a thing
//! that comes more than once the first is taken, so the same files again change nothing.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    hash::{BuildHasher as _, RandomState},
    io::Read,
    path::PathBuf,
};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use holdfast_proto::catalog::v1::{UpsertCatalogueRequest, UpsertedShow};
use holdfast_types::ShowState;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::{
    document::{self, At, Broken, Found},
    notes::Mistake,
    plan::{self, Draft, Planned},
    read::{self, Reading},
    shift::Shift,
};
use crate::{
    error::Error,
    operator::Operator,
    upserts::{Counts, Published, Upserts},
};

/// Mistakes and skipped ids that are listed; more are counted.
const LISTED_MAX: usize = 20;
/// Shows of a batch; with its other things it is well below what catalog-svc takes.
const BATCH_SHOWS_MAX: usize = 400;
/// Items of a batch, short of what catalog-svc takes by more than one event can add.
const BATCH_ITEMS_MAX: usize = 1_900;
/// Events that were read and wait for a batch.
const READ_AHEAD: usize = 400;
/// Reasons that are told apart, of which the files' words are a part; others are counted together.
const REASONS_MAX: usize = 50;
const OTHER_REASONS: &str = "for other reasons";

/// Something to read from its begin, more than once.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    File(PathBuf),
    /// What the program has in itself, and what it is called.
    BuiltIn(&'static str, &'static [u8]),
}

impl Input {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::BuiltIn(name, _) => (*name).to_owned(),
        }
    }

    /// In bytes; 0 where nobody knows.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::File(path) => std::fs::metadata(path).map_or(0, |about| about.len()),
            Self::BuiltIn(_, bytes) => bytes.len() as u64,
        }
    }

    fn open(&self) -> Result<Box<dyn Read + Send>, Error> {
        match self {
            Self::File(path) => {
                let can_not = || format!("can't read {}", path.display());
                // Before it is opened: a pipe that nobody writes to would keep us waiting.
                let about = std::fs::metadata(path).with_context(can_not)?;
                if !about.is_file() {
                    let why = format!("{} is no regular file, which is read twice", path.display());
                    return Err(Error::Refused(why));
                }
                Ok(Box::new(File::open(path).with_context(can_not)?))
            }
            Self::BuiltIn(_, bytes) => Ok(Box::new(*bytes)),
        }
    }
}

/// How files are taken over.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) source: String,
    pub(crate) shift: Shift,
    pub(crate) hall_seats: u32,
    /// Whether shows that can be sold are put on sale.
    pub(crate) publish: bool,
    pub(crate) now: DateTime<Utc>,
}

/// What reading found.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Good ones.
    pub(crate) events: u64,
    pub(crate) tests: Listed,
    pub(crate) without_date: Listed,
    /// With mistakes.
    pub(crate) bad: u64,
    pub(crate) mistakes: Listed,
}

/// Texts, of which the first are kept.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) first: Vec<String>,
    pub(crate) count: u64,
}

impl Listed {
    fn add(&mut self, text: String) {
        self.count += 1;
        if self.first.len() < LISTED_MAX {
            self.first.push(text);
        }
    }

    /// How many aren't listed.
    pub(crate) fn more(&self) -> u64 {
        self.count - self.first.len() as u64
    }
}

/// Reads every input to its end. `progress` counts bytes.
///
/// # Errors
/// A file that can't be read or isn't what it should be, with the place.
pub(crate) fn check(
    inputs: &[Input],
    options: &Options,
    progress: &ProgressBar,
) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    for input in inputs {
        let name = input.name();
        let read = document::read(progress.wrap_read(input.open()?), &mut |at, found| {
            let id = match &found {
                Ok(event) => event.id.clone().unwrap_or_default(),
                Err(unreadable) => unreadable.id.clone(),
            };
            match read_and_plan(found, options) {
                Outcome::Planned(_) => checked.events += 1,
                Outcome::Test(id) => checked.tests.add(id),
                Outcome::NoDate(id) => checked.without_date.add(id),
                Outcome::Mistakes(mistakes) => {
                    checked.bad += 1;
                    for mistake in mistakes {
                        checked.mistakes.add(told(&name, &at, &id, &mistake));
                    }
                }
            }
            true
        });
        read.map_err(|broken| Error::Refused(unreadable(&name, &broken)))?;
    }
    Ok(checked)
}

/// What came of an event.
enum Outcome {
    Planned(Box<Planned>),
    Test(String),
    NoDate(String),
    Mistakes(Vec<Mistake>),
}

fn read_and_plan(found: Found, options: &Options) -> Outcome {
    let event = match found {
        Ok(event) => event,
        Err(unreadable) => return Outcome::Mistakes(vec![unreadable.mistake]),
    };
    match read::read(event) {
        Reading::Test(id) => Outcome::Test(id),
        Reading::NoDate(id) => Outcome::NoDate(id),
        Reading::Mistakes(mistakes) => Outcome::Mistakes(mistakes),
        Reading::Performance(performance) => {
            match plan::plan(*performance, options.shift, options.hall_seats, options.now) {
                Ok(planned) => Outcome::Planned(Box::new(planned)),
                Err(unmovable) => Outcome::Mistakes(vec![Mistake {
                    field: "dates.start".into(),
                    why: unmovable.why().into(),
                }]),
            }
        }
    }
}

/// `FILE:LINE: PATH (event ID): what is wrong`.
fn told(file: &str, at: &At, id: &str, mistake: &Mistake) -> String {
    let (line, path, field) = (at.line, &at.path, &mistake.field);
    let is_dotted = !path.is_empty() && !field.is_empty();
    let dot = if is_dotted { "." } else { "" };
    format!(
        "{file}:{line}: {path}{dot}{field} (event {id:?}): {}",
        mistake.why
    )
}

fn unreadable(file: &str, broken: &Broken) -> String {
    let Broken { at, column, why } = broken;
    let line = at.line;
    let path = match at.path.as_str() {
        "" => String::new(),
        path => format!("{path}: "),
    };
    match column {
        0 => format!("{file}:{line}: {path}{why}"),
        column => format!("{file}:{line}:{column}: {path}{why}"),
    }
}

/// What came of an import.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) counts: Counts,
    /// On sale now, put there by this import or before.
    pub(crate) on_sale: u64,
    pub(crate) put_on_sale: u64,
    /// Why and how many.
    pub(crate) drafts: BTreeMap<String, u64>,
    /// On sale here, which the file speaks against: why and how many.
    pub(crate) contradicted: BTreeMap<String, u64>,
    /// Refused when they were to be put on sale: why and how many.
    pub(crate) refused: BTreeMap<String, u64>,
    /// That were read before.
    pub(crate) repeated: u64,
}

fn count(reasons: &mut BTreeMap<String, u64>, why: String) {
    let is_listed = reasons.len() < REASONS_MAX || reasons.contains_key(&why);
    let why = if is_listed { why } else { OTHER_REASONS.into() };
    *reasons.entry(why).or_default() += 1;
}

/// Hands every good event of the inputs over. `progress` counts bytes.
///
/// # Errors
/// What the services say; an input that broke since it was checked.
pub(crate) async fn import(
    operator: &Operator,
    inputs: Vec<Input>,
    options: Options,
    progress: &ProgressBar,
) -> Result<Report, Error> {
    let mut importing = Importing {
        upserts: Upserts::new(operator, &options.source)?,
        publish: options.publish,
        report: Report::default(),
    };
    let (sender, mut planned) = mpsc::channel(READ_AHEAD);
    let bar = progress.clone();
    let reading = tokio::task::spawn_blocking(move || read_all(&inputs, &options, &bar, &sender));
    let mut seen = Seen::default();
    let mut batch = Batch::default();
    while let Some(next) = planned.recv().await {
        if batch.is_full() {
            importing.hand_over(std::mem::take(&mut batch)).await?;
        }
        if !batch.add(next, &mut seen) {
            importing.report.repeated += 1;
        }
    }
    importing.hand_over(batch).await?;
    reading.await.context("reading broke")??;
    importing.report.counts = importing.upserts.counts();
    Ok(importing.report)
}

fn read_all(
    inputs: &[Input],
    options: &Options,
    progress: &ProgressBar,
    sender: &mpsc::Sender<Planned>,
) -> Result<(), Error> {
    for input in inputs {
        let source = progress.wrap_read(input.open()?);
        let read = document::read(
            source,
            &mut |_, found| match read_and_plan(found, options) {
                // Nobody takes it any more where handing over failed.
                Outcome::Planned(planned) => sender.blocking_send(*planned).is_ok(),
                Outcome::Test(_) | Outcome::NoDate(_) | Outcome::Mistakes(_) => true,
            },
        );
        read.map_err(|broken| Error::Refused(unreadable(&input.name(), &broken)))?;
    }
    Ok(())
}

/// What was read so far, in all batches, so that the first of two things with one id is taken
/// wherever the other is. A hash is 8 bytes; that two ids of ten million have the same is less
/// likely than one in a hundred thousand.
#[derive(Default)]
pub(super) struct Seen {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl Seen {
    fn is_new(&mut self, kind: &str, id: &str) -> bool {
        self.hashes.insert(self.hasher.hash_one((kind, id)))
    }
}

/// Things that are sent together, each once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) request: UpsertCatalogueRequest,
    /// Of each show.
    drafts: Vec<Option<Draft>>,
}

impl Batch {
    fn is_full(&self) -> bool {
        let UpsertCatalogueRequest {
            venues,
            performers,
            events,
            shows,
            ..
        } = &self.request;
        let items = venues.len() + performers.len() + events.len() + shows.len();
        shows.len() >= BATCH_SHOWS_MAX || items >= BATCH_ITEMS_MAX
    }

    /// False if its show was seen already.
    pub(super) fn add(&mut self, planned: Planned, seen: &mut Seen) -> bool {
        if !seen.is_new("show", &planned.show.external_id) {
            return false;
        }
        if seen.is_new("venue", &planned.venue.external_id) {
            self.request.venues.push(planned.venue);
        }
        for performer in planned.performers {
            if seen.is_new("performer", &performer.external_id) {
                self.request.performers.push(performer);
            }
        }
        if seen.is_new("event", &planned.event.external_id) {
            self.request.events.push(planned.event);
        }
        self.request.shows.push(planned.show);
        self.drafts.push(planned.draft);
        true
    }
}

struct Importing<'a> {
    upserts: Upserts<'a>,
    publish: bool,
    report: Report,
}

impl Importing<'_> {
    async fn hand_over(&mut self, batch: Batch) -> Result<(), Error> {
        if batch.drafts.is_empty() {
            return Ok(());
        }
        let shows = self.upserts.send(batch.request).await?;
        for (show, draft) in shows.into_iter().zip(batch.drafts) {
            match draft {
                None if self.publish && show.state == ShowState::Draft.as_str() => {
                    self.put_on_sale(show).await?;
                }
                draft => self.report.add(&show.state, draft.as_ref()),
            }
        }
        Ok(())
    }

    async fn put_on_sale(&mut self, show: UpsertedShow) -> Result<(), Error> {
        match self.upserts.publish(show.show_id).await? {
            Published::Done => {
                self.report.on_sale += 1;
                self.report.put_on_sale += 1;
            }
            Published::Refused(why) => count(&mut self.report.refused, why),
        }
        Ok(())
    }
}

impl Report {
    /// Adds a show that stays in the state it has; `draft` is why the file wouldn't have it sold.
    pub(super) fn add(&mut self, state: &str, draft: Option<&Draft>) {
        if state == ShowState::Draft.as_str() {
            let why = draft.map_or_else(|| "that wait to be put on sale".into(), Draft::why);
            count(&mut self.drafts, why);
        } else if state == ShowState::OnSale.as_str() {
            self.on_sale += 1;
            // That time has passed is nothing the source changed its mind about.
            if let Some(draft) = draft.filter(|draft| **draft != Draft::Past) {
                count(&mut self.contradicted, draft.why());
            }
        }
    }
}
