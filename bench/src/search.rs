//! Search among many shows: how fast the index is built, what it takes, how long searches take while
//! nobody asked them before, and while many ask the same, and how soon a change is found.
//!
//! Always holds: a whole system is measured; distinct questions go to search-svc itself, popular ones
//! through the gateway, which keeps their answers for half a second, as the embedded index does while nothing
//! in them changes; a change is one when an organiser's call was answered, and is found when a search that
//! nobody asked before has it. The engine is the embedded one, or the Meilisearch that `MEILI_URL` names.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use holdfast_harness::{Certificates, Options, Organiser, Rest, System};
use holdfast_proto::search::v1::{
    FacetBy, Near, SearchShowsRequest, Sort, search_service_client::SearchServiceClient,
};
use serde::Serialize;
use tokio::{sync::Mutex, time::Instant};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::{
    environment::Environment,
    load::{self, Ended, Load, Measured},
    memory,
};

/// Words of made-up titles, venues and genres, some misspelt, some only begun.
const WORDS: [&str; 16] = [
    "night",
    "jazz",
    "sumer",
    "orchestra",
    "silent owls",
    "quartet",
    "golden",
    "comdey",
    "stadium",
    "wolves tour",
    "midnigth",
    "bal",
    "opera house",
    "live",
    "foxes",
    "concert",
];
/// City, country, position.
const CITIES: [(&str, &str, f64, f64); 8] = [
    ("Berlin", "DE", 52.52, 13.405),
    ("London", "GB", 51.51, -0.13),
    ("Tokyo", "JP", 35.69, 139.69),
    ("New York City", "US", 40.71, -74.01),
    ("São Paulo", "BR", -23.55, -46.64),
    ("Mumbai", "IN", 19.07, 72.88),
    ("Lagos", "NG", 6.45, 3.39),
    ("Istanbul", "TR", 41.01, 28.95),
];
/// 2026-12-01 and three years later; each distinct question begins, and ends, a second later than the one
/// before: what begins later alone could be told from an earlier answer.
const FIRST_S: i64 = 1_796_083_200;
const LAST_S: i64 = FIRST_S + 3 * 365 * 24 * 3600;
const DISTINCT_RATES: [u32; 2] = [50, 200];
const POPULAR_RATE: u32 = 1_000;
/// Questions that are asked there, the nth one nth as often as the first.
const POPULAR: usize = 2_000;
const CHANGES_RATE: u32 = 100;
/// Of the changes, every such one is looked for.
const LOOKED_FOR: u64 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(10);
const FOUND_WITHIN: Duration = Duration::from_secs(30);
/// Until all changes of the made-up catalogue are handled, at most.
const CATCH_UP_MAX: Duration = Duration::from_secs(900);
/// What waits to get into the stream gets there within it.
const CATCH_UP_LOOK: Duration = Duration::from_secs(1);
/// Events that are changed in turn.
const CHANGED: usize = 500;
/// What the embedded engine is called.
const EMBEDDED: &str = "tantivy";
/// Requests in flight at most.
const CLIENTS: usize = 256;
/// Organisers' connections.
const ORGANISERS: usize = 16;

/// What is measured.
#[derive(Debug)]
pub struct Plan {
    /// The program.
    pub holdfast: PathBuf,
    /// Where its data is kept.
    pub data_root: PathBuf,
    /// Made-up shows.
    pub shows: u32,
    /// Of each load.
    pub length: Duration,
}

/// All that one run found.
#[derive(Debug, Serialize)]
pub struct Report {
    environment: Environment,
    engine: String,
    shows: u32,
    rebuild_s: f64,
    shows_per_second: f64,
    /// From the begin of the building until no change of the catalogue waited any more.
    caught_up_s: f64,
    /// Of the embedded index.
    index_bytes: Option<u64>,
    /// Of the process that serves everything, before there were shows and with all in the index; most
    /// of the index itself is mapped files.
    services_mib_before: f64,
    services_mib_after: f64,
    /// Questions that nobody asked before, to search-svc.
    distinct: Vec<Measured>,
    /// Questions by Zipf's law, through the gateway: from when nobody asked any of them, and from when
    /// most were asked before.
    popular_first: Measured,
    popular: Measured,
    changes: Measured,
    fresh: Fresh,
    /// Both at once.
    popular_meanwhile: Measured,
    changes_meanwhile: Measured,
    fresh_meanwhile: Fresh,
}

/// From an organiser's answer until the change is found, in milliseconds.
#[derive(Debug, Serialize)]
struct Fresh {
    looked_for: u64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Report {
    fn print(&self) {
        println!(
            "{}, {} shows: built in {:.1} s ({:.0} a second), all changes handled after {:.1} s; services hold {:.0} MiB, {:.0} before",
            self.engine,
            self.shows,
            self.rebuild_s,
            self.shows_per_second,
            self.caught_up_s,
            self.services_mib_after,
            self.services_mib_before
        );
        if let Some(bytes) = self.index_bytes {
            println!("{:.1} MiB on disk", bytes as f64 / 1_048_576.0);
        }
        for measured in &self.distinct {
            told("distinct", measured);
        }
        told("Zipf, first asked", &self.popular_first);
        told("Zipf", &self.popular);
        told("changes", &self.changes);
        self.fresh.print();
        println!("both at once:");
        told("Zipf", &self.popular_meanwhile);
        told("changes", &self.changes_meanwhile);
        self.fresh_meanwhile.print();
    }
}

impl Fresh {
    fn print(&self) {
        println!(
            "found after: p50 {:.0} ms, p99 {:.0} ms (under 2000), max {:.0} ms, of {} looked for",
            self.p50_ms, self.p99_ms, self.max_ms, self.looked_for
        );
    }
}

fn told(what: &str, measured: &Measured) {
    println!(
        "{what}, {} a second: {:.0} done a second, p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms; {} failed, {} dropped",
        measured.rate.unwrap_or_default(),
        measured.per_second,
        measured.p50_ms,
        measured.p95_ms,
        measured.p99_ms,
        measured.failed,
        measured.dropped
    );
}

/// Starts a system and measures it.
///
/// # Errors
/// If it doesn't start or stop, or something isn't answered.
pub async fn measure(plan: &Plan, environment: Environment) -> Result<Report> {
    eprintln!("starting a system");
    let mut options = Options::new(&plan.holdfast);
    options.temp_root.clone_from(&plan.data_root);
    let mut system = System::start(options).await?;
    let services_mib_before = services_mib(&system)?;
    eprintln!("making up {} shows", plan.shows);
    system.cli(&["demo", "catalogue", "--shows", &plan.shows.to_string()])?;
    eprintln!("building the index");
    let begun = Instant::now();
    system.cli(&["search", "rebuild"])?;
    let rebuild_s = begun.elapsed().as_secs_f64();
    eprintln!("waiting until all changes are handled");
    let caught_up_s = catch_up(&system, begun).await?;
    let engine = status(&system)?["engine"].as_str().map(str::to_owned);
    let engine = engine.context("the status of search names no engine")?;
    let folder = system.dir().join("search");
    let index_bytes = (engine == EMBEDDED)
        .then(|| bytes_below(&folder))
        .transpose()?;
    let services_mib_after = services_mib(&system)?;

    let distinct_questions = Arc::new(AtomicU64::new(0));
    let mut distinct = Vec::new();
    for rate in DISTINCT_RATES {
        eprintln!("{rate} distinct questions a second");
        distinct.push(ask_distinct(&system, &distinct_questions, load(plan, rate)).await?);
    }
    eprintln!("{POPULAR_RATE} questions a second by Zipf's law");
    let asked = Arc::new(AtomicU64::new(1));
    let popular_first = ask_popular(&system, &asked, load(plan, POPULAR_RATE)).await?;
    let popular = ask_popular(&system, &asked, load(plan, POPULAR_RATE)).await?;
    eprintln!("{CHANGES_RATE} changes a second");
    let titles = Arc::new(AtomicU64::new(0));
    let (changes, fresh) = change(&system, &titles, load(plan, CHANGES_RATE)).await?;
    eprintln!("both at once");
    let (popular_meanwhile, (changes_meanwhile, fresh_meanwhile)) = tokio::try_join!(
        ask_popular(&system, &asked, load(plan, POPULAR_RATE)),
        change(&system, &titles, load(plan, CHANGES_RATE)),
    )?;
    let report = Report {
        environment,
        engine,
        shows: plan.shows,
        rebuild_s,
        shows_per_second: f64::from(plan.shows) / rebuild_s,
        caught_up_s,
        index_bytes,
        services_mib_before,
        services_mib_after,
        distinct,
        popular_first,
        popular,
        changes,
        fresh,
        popular_meanwhile,
        changes_meanwhile,
        fresh_meanwhile,
    };
    report.print();
    let status = system.stop().await.context("stopping the system")?;
    ensure!(status.success(), "the system ended with {status}");
    Ok(report)
}

/// Seconds since `begun`, when no change has waited for two looks.
async fn catch_up(system: &System, begun: Instant) -> Result<f64> {
    let mut quiet_since = None;
    while begun.elapsed() < CATCH_UP_MAX {
        let status = status(system)?;
        let waiting = status["changes_behind"].as_u64();
        let waiting = waiting.with_context(|| format!("no changes_behind in {status}"))?;
        quiet_since = match (waiting, quiet_since) {
            _ if status["behind_failure"] != "" => None,
            (0, None) => Some(begun.elapsed()),
            (0, Some(since)) => return Ok(Duration::as_secs_f64(&since)),
            _ => None,
        };
        tokio::time::sleep(CATCH_UP_LOOK).await;
    }
    anyhow::bail!("changes wait after {CATCH_UP_MAX:?} still")
}

fn status(system: &System) -> Result<serde_json::Value> {
    let status = system.cli(&["search", "status", "--output", "json"])?;
    Ok(serde_json::from_str(&status)?)
}

fn load(plan: &Plan, rate: u32) -> Load {
    Load {
        clients: CLIENTS,
        rate: Some(rate),
        length: plan.length,
    }
}

fn services_mib(system: &System) -> Result<f64> {
    let resident = memory::resident(system)?;
    let services = resident.get("all");
    services
        .copied()
        .with_context(|| format!("no process of the services among {resident:?}"))
}

fn bytes_below(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += match about.is_dir() {
            true => bytes_below(&entry.path())?,
            false => about.len(),
        };
    }
    Ok(bytes)
}

fn service(system: &System) -> Result<SearchServiceClient<Channel>> {
    let uri = system.run()?.services["search"].clone();
    let certificates: Certificates = system.certificates();
    let channel = certificates.channel(&uri, "gateway", "search")?;
    Ok(SearchServiceClient::new(channel))
}

/// The nth question's word: of every third one letter is another, in some 2,800 ways.
fn typed(nth: u64) -> String {
    let word = WORDS[nth as usize % WORDS.len()];
    let dice = rolled(nth) as usize;
    let wrong = (nth.is_multiple_of(3)).then(|| dice % word.len());
    let letter = char::from(b'a' + (dice >> 32) as u8 % 26);
    let letters = word.chars().enumerate();
    letters
        .map(|(at, c)| if Some(at) == wrong { letter } else { c })
        .collect()
}

/// The nth question: words, places, filters and facets in turns.
fn question(nth: u64) -> SearchShowsRequest {
    let word = typed(nth);
    let (city, country, latitude, longitude) = CITIES[nth as usize / 7 % CITIES.len()];
    let from_ms = Some((FIRST_S + nth as i64) * 1_000);
    let to_ms = Some((LAST_S + nth as i64) * 1_000);
    let facets = vec![FacetBy::Category.into(), FacetBy::City.into()];
    let near = Near {
        latitude,
        longitude,
        radius_m: 50_000,
    };
    let all = SearchShowsRequest {
        from_ms,
        to_ms,
        limit: 20,
        ..SearchShowsRequest::default()
    };
    let worded = SearchShowsRequest {
        q: word.clone(),
        ..all.clone()
    };
    match nth % 8 {
        0 => worded,
        1 => SearchShowsRequest { facets, ..worded },
        2 => SearchShowsRequest {
            city: city.to_owned(),
            category: "music".to_owned(),
            facets,
            ..all
        },
        3 => SearchShowsRequest {
            near: Some(near),
            sort: Sort::Distance.into(),
            ..worded
        },
        4 => SearchShowsRequest {
            near: Some(near),
            facets,
            ..all
        },
        5 => SearchShowsRequest {
            country: country.to_owned(),
            from_date: "2027-06-01".to_owned(),
            to_date: "2027-08-31".to_owned(),
            facets,
            ..worded
        },
        6 => SearchShowsRequest {
            q: format!("{word} {city}"),
            ..all
        },
        // Nothing but a day to begin at: all shows are counted.
        _ => SearchShowsRequest { facets, ..all },
    }
}

/// Fails where so much failed that the others say nothing.
fn answered(measured: Measured) -> Result<Measured> {
    ensure!(
        measured.failed * 100 <= measured.done,
        "{} failed, {} were done: {}",
        measured.failed,
        measured.done,
        measured.first_failure.as_deref().unwrap_or_default()
    );
    Ok(measured)
}

async fn ask_distinct(system: &System, asked: &Arc<AtomicU64>, load: Load) -> Result<Measured> {
    let (service, asked) = (service(system)?, Arc::clone(asked));
    let measured = load::run(load, move |_| {
        let mut service = service.clone();
        let request = question(asked.fetch_add(1, Ordering::Relaxed));
        async move {
            service.search_shows(request).await?;
            Ok(Ended::Done)
        }
    });
    answered(measured.await?)
}

/// A number from 0 below [`POPULAR`], the nth one nth as often as the first: the inverse of the
/// continuous law, which is near enough.
fn popular(dice: u64) -> usize {
    let share = (dice >> 11) as f64 / (1_u64 << 53) as f64;
    (((POPULAR + 1) as f64).powf(share) as usize).clamp(1, POPULAR) - 1
}

/// `SplitMix64`.
fn rolled(nth: u64) -> u64 {
    let mut z = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

async fn ask_popular(system: &System, asked: &Arc<AtomicU64>, load: Load) -> Result<Measured> {
    let (rest, asked) = (system.rest()?, Arc::clone(asked));
    let measured = load::run(load, move |_| {
        let rest: Rest = rest.clone();
        let number = popular(rolled(asked.fetch_add(1, Ordering::Relaxed)));
        let word = WORDS[number % WORDS.len()].replace(' ', "%20");
        let (city, ..) = CITIES[number / WORDS.len() % CITIES.len()];
        let day = 1 + number / (WORDS.len() * CITIES.len()) % 28;
        // Half of them ask for what is to come from now on, which is another time each time.
        let mut path = match number % 2 {
            0 => format!("/search?q={word}&from=2027-01-{day:02}&facets=category,city"),
            _ => format!("/search?q={word}&limit={}&facets=category,city", 10 + day),
        };
        if !number.is_multiple_of(3) {
            path.push_str(&format!("&city={}", city.replace(' ', "%20")));
        }
        async move {
            let (status, _) = rest.get_bytes(&path).await?;
            ensure!(status == 200, "GET {path} is answered {status}");
            Ok(Ended::Done)
        }
    });
    answered(measured.await?)
}

/// Changes titles, and looks for some of them.
async fn change(system: &System, titles: &Arc<AtomicU64>, load: Load) -> Result<(Measured, Fresh)> {
    let mut found = service(system)?;
    let mut shows = VecDeque::new();
    let mut cursor = String::new();
    let mut events = std::collections::BTreeSet::new();
    while shows.len() < CHANGED {
        let request = SearchShowsRequest {
            limit: 100,
            cursor,
            ..SearchShowsRequest::default()
        };
        let page = found.search_shows(request).await?.into_inner();
        let others = page.shows.into_iter();
        for show in others.filter(|show| show.state == "DRAFT") {
            if events.insert(show.event_id) {
                shows.push_back(Uuid::from_slice(&show.show_id)?);
            }
        }
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    ensure!(!shows.is_empty(), "no shows whose titles can be changed");
    let mut organisers = Vec::new();
    for _ in 0..ORGANISERS {
        organisers.push(Mutex::new(system.organiser().await?));
    }
    let organisers: Arc<Vec<Mutex<Organiser>>> = Arc::new(organisers);
    let shows: Arc<[Uuid]> = shows.into_iter().collect();
    let (asked, run) = (Arc::clone(titles), std::process::id());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let changing = load::run(load, move |client| {
        let (organisers, shows, tell) = (Arc::clone(&organisers), Arc::clone(&shows), tell.clone());
        let nth = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            let show = shows[nth as usize % shows.len()];
            // Digits aren't taken for misspelt.
            let word = format!("fresh{run}x{nth}");
            let mut organiser = organisers[client % ORGANISERS].lock().await;
            organiser.retitle(show, &word).await?;
            if nth.is_multiple_of(LOOKED_FOR) {
                let _ = tell.send((word, Instant::now()));
            }
            Ok(Ended::Done)
        }
    });
    let looking = async {
        let mut looks = tokio::task::JoinSet::new();
        while let Some((word, changed)) = told.recv().await {
            looks.spawn(found_after(found.clone(), word, changed));
        }
        let mut times = Histogram::<u64>::new(3)?;
        while let Some(time) = looks.join_next().await {
            times.record(u64::try_from(time??.as_micros()).unwrap_or(u64::MAX))?;
        }
        Ok::<_, anyhow::Error>(times)
    };
    let (changes, times) = tokio::try_join!(changing, looking)?;
    let changes = answered(changes)?;
    let ms = |us: u64| us as f64 / 1_000.0;
    let fresh = Fresh {
        looked_for: times.len(),
        p50_ms: ms(times.value_at_quantile(0.5)),
        p99_ms: ms(times.value_at_quantile(0.99)),
        max_ms: ms(times.max()),
    };
    Ok((changes, fresh))
}

async fn found_after(
    mut service: SearchServiceClient<Channel>,
    word: String,
    changed: Instant,
) -> Result<Duration> {
    loop {
        let request = SearchShowsRequest {
            q: word.clone(),
            limit: 1,
            ..SearchShowsRequest::default()
        };
        let page = service.search_shows(request).await?.into_inner();
        if page.total > 0 {
            return Ok(changed.elapsed());
        }
        let waited = changed.elapsed();
        ensure!(waited < FOUND_WITHIN, "{word} isn't found after {waited:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_question_is_asked_most_and_all_are() {
        let mut counts = vec![0_u32; POPULAR];
        for nth in 0..400_000 {
            counts[popular(rolled(nth))] += 1;
        }
        assert!(counts[0] > 3 * counts[4], "{:?}", &counts[..5]);
        assert!(counts.iter().all(|count| *count > 0));
    }

    #[test]
    fn questions_are_distinct() {
        let asked: std::collections::HashSet<String> = (0..10_000)
            .map(|nth| format!("{:?}", question(nth)))
            .collect();
        assert_eq!(asked.len(), 10_000);
    }
}
