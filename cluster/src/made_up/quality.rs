//! How good search is: two hundred questions to a made-up catalogue, each with the shows that whoever
//! asks it means. `data/search/queries.tsv` has them, `docs/search.md` what came out.
//!
//! Always holds: what is meant follows from what shows say of themselves, never from what an engine
//! finds.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use chrono::{DateTime, Datelike as _, NaiveDate};
use chrono_tz::Tz;
use holdfast_mesh::config::Secret;
use holdfast_proto::{
    catalog::v1::{Classification, Event, Performer, Show, Venue},
    search::v1::SearchShowsRequest,
};
use search_svc::Trial;

use super::{Catalogue, dice::Dice};

mod away;

const SEED: u64 = 1;
/// Of another catalogue with questions of its own, at which nobody looked when the engine's weights were
/// set.
const SEED_UNSEEN: u64 = 2;
const SHOWS: u64 = 10_000;

/// Results that count.
const FIRST: usize = 5;

const QUERIES: &str = "data/search/queries.tsv";
const PAGE: &str = "docs/search.md";
const TABLE_BEGINS: &str = "<!-- quality: written by UPDATE_DOCS=1 -->\n";
const TABLE_ENDS: &str = "<!-- /quality -->";
const NOT_MEASURED: &str = "not measured here";

/// Below these something broke.
const RECALL_MIN: f64 = 0.95;
const RANK_MIN: f64 = 0.95;

/// How much of either Meilisearch may have more, of any kind of question.
const BEHIND_MAX: f64 = 0.02;

/// Names that aren't there and find something only because words are taken more loosely: above it that
/// is no help any more.
const MISTAKEN_MAX: usize = 2;

/// Kinds of questions, and how many there are of each.
const KINDS: [(&str, u64); 13] = [
    ("performer", 10),
    ("performer, misspelt", 25),
    ("performer, misspelt twice", 20),
    ("performer, half typed", 20),
    ("performer, misspelt and half typed", 15),
    ("performer, without spaces", 10),
    ("performer, with words that no show has", 10),
    ("title", 10),
    ("performer and city", 25),
    ("performer and month", 15),
    ("venue", 10),
    ("genre and city", 10),
    ("city in another script", 20),
];

/// Cities by other names, as people there write them.
const CITIES: [(&str, &str); 20] = [
    ("東京", "Tokyo"),
    ("大阪", "Osaka"),
    ("横浜", "Yokohama"),
    ("北京", "Beijing"),
    ("上海", "Shanghai"),
    ("深圳", "Shenzhen"),
    ("成都", "Chengdu"),
    ("香港", "Hong Kong"),
    ("台北", "Taipei"),
    ("서울", "Seoul"),
    ("부산", "Busan"),
    ("москва", "Moscow"),
    ("МОСКВА", "Moscow"),
    ("Αθήνα", "Athens"),
    ("القاهرة", "Cairo"),
    ("بغداد", "Baghdad"),
    ("تهران", "Tehran"),
    ("दिल्ली", "Delhi"),
    ("मुंबई", "Mumbai"),
    ("กรุงเทพ", "Bangkok"),
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// What people write around a name.
const AROUND: [&str; 5] = [
    "tickets for {}",
    "{} tickets",
    "when does {} play",
    "{} near me",
    "buy {} seats",
];

/// A question, and the numbers of the shows that are meant.
#[derive(Debug, PartialEq)]
struct Query {
    kind: String,
    text: String,
    meant: BTreeSet<u64>,
}

fn root(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2027, 1, 1).unwrap()
}

/// The catalogue as search is told of it; a show's id is its number.
fn shows(seed: u64) -> Vec<Show> {
    let (mut venues, mut performers, mut events) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut shows = Vec::new();
    for batch in Catalogue::new(seed, first_day(), SHOWS) {
        for venue in batch.venues {
            let id = (1 << 96) + venues.len() as u128;
            let words = Venue {
                venue_id: id.to_be_bytes().to_vec(),
                ..venue.venue.unwrap()
            };
            venues.insert(venue.external_id, words);
        }
        for performer in batch.performers {
            performers.insert(performer.external_id, performer.name);
        }
        for event in batch.events {
            let id = (2 << 96) + events.len() as u128;
            let bill = event.performer_external_ids.iter();
            let bill = bill.map(|id| Performer {
                performer_id: vec![1; 16],
                name: performers[id].clone(),
                ..Default::default()
            });
            let words = Event {
                event_id: id.to_be_bytes().to_vec(),
                performers: bill.collect(),
                ..event.event.unwrap()
            };
            events.insert(event.external_id, words);
        }
        for show in batch.shows {
            shows.push(Show {
                show_id: id_of(shows.len() as u64).to_vec(),
                event: Some(events[&show.event_external_id].clone()),
                venue: Some(venues[&show.venue_external_id].clone()),
                starts_at_ms: show.starts_at_ms,
                state: "DRAFT".to_owned(),
                currency: show.currency,
                price_range: show.price_range,
                announced: true,
                ..Default::default()
            });
        }
    }
    shows
}

fn id_of(show: u64) -> [u8; 16] {
    u128::from(show).to_be_bytes()
}

fn number_of(show_id: &[u8]) -> u64 {
    u128::from_be_bytes(show_id.try_into().unwrap()) as u64
}

/// What questions are made of.
struct Said<'a> {
    performer: &'a str,
    title: &'a str,
    genre: &'a str,
    venue: &'a str,
    city: &'a str,
    month: &'static str,
}

fn said(show: &Show) -> Said<'_> {
    let (event, venue) = (show.event.as_ref().unwrap(), show.venue.as_ref().unwrap());
    let zone: Tz = venue.time_zone.parse().unwrap();
    let day = DateTime::from_timestamp_millis(show.starts_at_ms).unwrap();
    Said {
        performer: &event.performers[0].name,
        title: &event.title,
        genre: event
            .classification
            .as_ref()
            .map_or("", |Classification { genre, .. }| genre),
        venue: &venue.name,
        city: &venue.city,
        month: MONTHS[day.with_timezone(&zone).month0() as usize],
    }
}

fn queries(seed: u64, shows: &[Show]) -> Vec<Query> {
    let all: Vec<Said<'_>> = shows.iter().map(said).collect();
    let meant = |is_meant: &dyn Fn(&Said<'_>) -> bool| -> BTreeSet<u64> {
        let numbered = (0..).zip(&all);
        let numbers = numbered.filter(|(_, show)| is_meant(show));
        numbers.map(|(number, _)| number).collect()
    };
    let mut queries = Vec::new();
    for (kind, count) in KINDS {
        let mut dice = Dice::of(seed, kind, 0);
        for number in 0..count {
            let show = &all[dice.below(SHOWS) as usize];
            let of_performer = |other: &Said<'_>| other.performer == show.performer;
            let (text, meant) = match kind {
                "performer" => (show.performer.to_owned(), meant(&of_performer)),
                "performer, misspelt" => (
                    misspelt(show.performer, number, &mut dice),
                    meant(&of_performer),
                ),
                "performer, misspelt twice" => (
                    misspelt_twice(show.performer, number, &mut dice),
                    meant(&of_performer),
                ),
                "performer, half typed" => (half(show.performer), meant(&of_performer)),
                "performer, misspelt and half typed" => (
                    half(&misspelt(show.performer, number, &mut dice)),
                    meant(&of_performer),
                ),
                "performer, without spaces" => (
                    show.performer.replace(' ', "").to_lowercase(),
                    meant(&of_performer),
                ),
                "performer, with words that no show has" => (
                    AROUND[number as usize % AROUND.len()].replace("{}", show.performer),
                    meant(&of_performer),
                ),
                "title" => (
                    show.title.to_lowercase(),
                    meant(&|other| other.title == show.title),
                ),
                "performer and city" => (
                    format!("{} {}", show.performer, show.city).to_lowercase(),
                    meant(&|other| of_performer(other) && other.city == show.city),
                ),
                "venue" => (
                    show.venue.to_owned(),
                    meant(&|other| other.venue == show.venue),
                ),
                "genre and city" => (
                    format!("{} {}", show.genre, show.city),
                    meant(&|other| other.genre == show.genre && other.city == show.city),
                ),
                "performer and month" => (
                    format!("{} {}", show.performer, show.month),
                    meant(&|other| of_performer(other) && other.month == show.month),
                ),
                _ => {
                    let (asked, city) = CITIES[number as usize];
                    let there = meant(&|other| other.city == city);
                    match number % 2 {
                        0 => (asked.to_owned(), there),
                        // And who is on there.
                        _ => {
                            let nth = dice.below(there.len() as u64) as usize;
                            let show = &all[*there.iter().nth(nth).unwrap() as usize];
                            let text = format!("{} {asked}", show.performer);
                            let is_meant = |other: &Said<'_>| {
                                other.city == city && other.performer == show.performer
                            };
                            (text, meant(&is_meant))
                        }
                    }
                }
            };
            queries.push(Query {
                kind: kind.to_owned(),
                text,
                meant,
            });
        }
    }
    queries
}

/// One mistake in the longest word: two letters swapped, one left out, one twice, one wrong.
fn misspelt(name: &str, number: u64, dice: &mut Dice) -> String {
    let longest = name.split(' ').max_by_key(|word| word.chars().count());
    let word: Vec<char> = longest.unwrap_or_default().chars().collect();
    let mut wrong = word.clone();
    let at = 1 + dice.below(word.len() as u64 - 2) as usize;
    match number % 4 {
        0 => wrong.swap(at, at + 1),
        1 => drop(wrong.remove(at)),
        2 => wrong.insert(at, word[at]),
        _ => wrong[at] = if word[at] == 'e' { 'a' } else { 'e' },
    }
    let (word, wrong): (String, String) = (word.iter().collect(), wrong.iter().collect());
    name.replacen(&word, &wrong, 1).to_lowercase()
}

/// A mistake in each of the two longest words, of which one is at its first letter every other time.
fn misspelt_twice(name: &str, number: u64, dice: &mut Dice) -> String {
    let once = misspelt(name, number, dice);
    let mut words: Vec<String> = once.split(' ').map(str::to_owned).collect();
    let wrong = |word: &String| !name.to_lowercase().contains(word.as_str());
    let longest = words
        .iter_mut()
        .filter(|word| !wrong(word))
        .max_by_key(|word| word.chars().count());
    if let Some(word) = longest {
        let letters = word.chars();
        *word = match number % 2 {
            0 => letters.skip(1).collect(),
            _ => letters
                .flat_map(|c| {
                    if "aeiou".contains(c) {
                        vec![c, c]
                    } else {
                        vec![c]
                    }
                })
                .collect(),
        };
    }
    words.join(" ")
}

/// The last word is only begun.
fn half(name: &str) -> String {
    let (before, last) = name.rsplit_once(' ').unwrap_or(("", name));
    let letters = last.chars().count().div_ceil(2).max(3);
    let begun: String = last.chars().take(letters).collect();
    format!("{before} {begun}").trim().to_owned()
}

fn as_text(queries: &[Query]) -> String {
    let mut text = "kind\tquery\tshows\n".to_owned();
    for Query {
        kind,
        text: asked,
        meant,
    } in queries
    {
        let shows: Vec<String> = meant.iter().map(u64::to_string).collect();
        writeln!(text, "{kind}\t{asked}\t{}", shows.join(",")).unwrap();
    }
    text
}

fn from_text(text: &str) -> Vec<Query> {
    let lines = text.lines().skip(1);
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let shows = fields[2].split(',').map(|number| number.parse().unwrap());
            Query {
                kind: fields[0].to_owned(),
                text: fields[1].to_owned(),
                meant: shows.collect(),
            }
        })
        .collect()
}

fn is_writing() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

#[test]
fn the_questions_are_those_of_the_catalogue() {
    let text = as_text(&queries(SEED, &shows(SEED)));
    if is_writing() {
        fs::create_dir_all(root(QUERIES).parent().unwrap()).unwrap();
        fs::write(root(QUERIES), &text).unwrap();
    }
    let there = fs::read_to_string(root(QUERIES)).unwrap();
    assert!(there == text, "{QUERIES} is out of date (`make fix`)");
    let queries = from_text(&there);
    assert_eq!(queries.len(), 200);
    for query in queries {
        assert!(!query.meant.is_empty(), "nobody means {query:?}");
    }
}

/// Recall among the first, and the mean of one by the place of the first show that is meant.
#[derive(Debug, Default, Clone, Copy)]
struct Quality {
    queries: u32,
    recall: f64,
    rank: f64,
}

impl Quality {
    fn add(&mut self, recall: f64, rank: f64) {
        self.queries += 1;
        self.recall += recall;
        self.rank += rank;
    }

    fn means(self) -> (f64, f64) {
        let queries = f64::from(self.queries);
        (self.recall / queries, self.rank / queries)
    }

    fn cells(self) -> String {
        let (recall, rank) = self.means();
        format!("{recall:.3} | {rank:.3}")
    }
}

/// By kind, and all of them under an empty one.
async fn measured(trial: &Trial, queries: Vec<Query>) -> BTreeMap<String, Quality> {
    let mut by_kind: BTreeMap<String, Quality> = BTreeMap::new();
    for query in queries {
        let request = SearchShowsRequest {
            q: query.text.clone(),
            from_ms: Some(0),
            limit: 20,
            ..Default::default()
        };
        let found = trial.search(request).await.unwrap().shows;
        let found: Vec<u64> = found.iter().map(|show| number_of(&show.show_id)).collect();
        let first = found.iter().take(FIRST);
        let hits = first.filter(|show| query.meant.contains(show)).count();
        let recall = hits as f64 / query.meant.len().min(FIRST) as f64;
        let place = found.iter().position(|show| query.meant.contains(show));
        let rank = place.map_or(0.0, |place| 1.0 / (place + 1) as f64);
        for kind in [&*query.kind, ""] {
            by_kind
                .entry(kind.to_owned())
                .or_default()
                .add(recall, rank);
        }
    }
    by_kind
}

/// The cells of Meilisearch by row: live where `MEILI_URL` names one, else those that are there.
async fn of_meilisearch(there: &str) -> BTreeMap<String, String> {
    if let Ok(url) = std::env::var("MEILI_URL") {
        let key = Secret::new(std::env::var("MEILI_API_KEY").unwrap_or_default());
        let mut cells = BTreeMap::new();
        for (seed, queries) in asked() {
            let trial = Trial::meilisearch(&url, &key, "holdfast-quality", shows(seed));
            let measured = measured(&trial.await.unwrap(), queries).await;
            cells.extend(rows(seed, measured).map(|(row, quality)| (row, quality.cells())));
        }
        return cells;
    }
    eprintln!("skipped: MEILI_URL names no Meilisearch; its column stays as it is");
    let rows = there.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (row, last) = (cells.get(1)?, cells.get(5..7)?);
        Some(((*row).to_owned(), last.join(" | ")))
    });
    rows.collect()
}

/// What is asked of each catalogue.
fn asked() -> [(u64, Vec<Query>); 2] {
    let seen = from_text(&fs::read_to_string(root(QUERIES)).unwrap());
    let unseen = queries(SEED_UNSEEN, &shows(SEED_UNSEEN));
    [(SEED, seen), (SEED_UNSEEN, unseen)]
}

/// What is measured by row of the table; of the unseen catalogue all together.
fn rows(seed: u64, measured: BTreeMap<String, Quality>) -> impl Iterator<Item = (String, Quality)> {
    measured.into_iter().filter_map(move |(kind, quality)| {
        let row = match (seed, kind.as_str()) {
            (SEED, "") => ALL.to_owned(),
            (SEED, _) => kind,
            (_, "") => ALL_UNSEEN.to_owned(),
            _ => return None,
        };
        Some((row, quality))
    })
}

const ALL: &str = "**all**";
const ALL_UNSEEN: &str = "all, of another catalogue";

fn table(tantivy: &BTreeMap<String, Quality>, meilisearch: &BTreeMap<String, String>) -> String {
    let mut table = "\
        | what is asked | queries | tantivy: recall at 5 | MRR | Meilisearch: recall at 5 | MRR |\n\
        |---|---|---|---|---|---|\n"
        .to_owned();
    let kinds = KINDS.iter().map(|(kind, _)| *kind);
    for row in kinds.chain([ALL, ALL_UNSEEN]) {
        let quality = tantivy[row];
        let none = format!("{NOT_MEASURED} | {NOT_MEASURED}");
        let other = meilisearch.get(row).unwrap_or(&none);
        let (queries, cells) = (quality.queries, quality.cells());
        writeln!(table, "| {row} | {queries} | {cells} | {other} |").unwrap();
    }
    table
}

#[tokio::test]
async fn what_is_meant_is_found_and_the_page_says_how_well() {
    let mut tantivy = BTreeMap::new();
    let mut mistaken = away::Mistaken::default();
    for (seed, queries) in asked() {
        let dir = tempfile::tempdir().unwrap();
        let trial = Trial::embedded(dir.path(), shows(seed)).await.unwrap();
        tantivy.extend(rows(seed, measured(&trial, queries).await));
        if seed == SEED {
            mistaken = away::mistaken(&trial).await;
        }
    }
    let page = fs::read_to_string(root(PAGE)).unwrap();
    let (head, rest) = page.split_once(TABLE_BEGINS).unwrap();
    let (there, tail) = rest.split_once(TABLE_ENDS).unwrap();
    let meilisearch = of_meilisearch(there).await;
    let table = table(&tantivy, &meilisearch);
    let table = format!("{table}\n{}", mistaken.told());
    println!("{table}");
    if is_writing() {
        let page = [head, TABLE_BEGINS, &table, TABLE_ENDS, tail].concat();
        fs::write(root(PAGE), page).unwrap();
    } else {
        assert!(there == table, "{PAGE} is out of date (`make fix`)");
    }
    for row in [ALL, ALL_UNSEEN] {
        let (recall, rank) = tantivy[row].means();
        assert!(
            recall >= RECALL_MIN && rank >= RANK_MIN,
            "{row}: {recall} {rank}"
        );
    }
    let mut compared = 0;
    for (row, cells) in &meilisearch {
        let Some(quality) = tantivy.get(row) else {
            continue;
        };
        let figures: Vec<f64> = cells.split(" | ").flat_map(str::parse).collect();
        let (recall, rank) = quality.means();
        assert_eq!(figures.len(), 2, "{row}: {cells}");
        assert!(
            recall >= figures[0] - BEHIND_MAX && rank >= figures[1] - BEHIND_MAX,
            "{row}: {recall} {rank}, and Meilisearch {cells}"
        );
        compared += 1;
    }
    assert_eq!(compared, KINDS.len() + 2, "{meilisearch:?}");
    assert!(mistaken.names_loosely <= MISTAKEN_MAX, "{mistaken:?}");
    assert_eq!(mistaken.no_words, 0);
}
