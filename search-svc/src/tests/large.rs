//! How the embedded index does with many shows. Not a test of right or wrong: run by name, with
//! `SHOWS` to say how many (a million where it isn't set).

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use holdfast_types::ShowId;
use uuid::Uuid;

use super::shows::{DAY_MS, START_MS, all, near, puts, show, text};
use crate::{
    document::Document,
    embedded::Embedded,
    facet::Facet,
    fold,
    index::Index,
    query::{Query, Sort},
    suggest::{Begun, suggest},
};

/// As many as come in one page of the catalogue.
const PAGE: u32 = 500;
const SEARCHES: u32 = 200;

const FIRST: [&str; 16] = [
    "Summer", "Winter", "Royal", "Electric", "Silent", "Golden", "Midnight", "Velvet", "Crystal",
    "Urban", "Lunar", "Solar", "Desert", "Ocean", "Mountain", "Paper",
];
const SECOND: [&str; 16] = [
    "Night",
    "Festival",
    "Orchestra",
    "Tigers",
    "Parade",
    "Quartet",
    "Circus",
    "Symphony",
    "Marathon",
    "Opera",
    "Ballet",
    "Derby",
    "Carnival",
    "Gala",
    "Sessions",
    "Musical",
];
const CATEGORIES: [&str; 5] = ["music", "sport", "theatre", "comedy", "family"];

/// A generator of numbers, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }
}

fn made(number: u32, numbers: &mut Numbers) -> Document {
    let artist = format!("Artist{}", numbers.below(20_000));
    let title = format!("{artist}: {} {}", numbers.of(&FIRST), numbers.of(&SECOND));
    let city = numbers.below(3_000);
    let (latitude, longitude) = (
        (city * 37 % 130) as f64 - 60.0,
        (city * 91 % 360) as f64 - 180.0,
    );
    let mut made = show(0, &title)
        .at(&format!("City{city}"), latitude, longitude)
        .in_category(numbers.of(&CATEGORIES))
        .described("An evening with everything that belongs to it, for one night only.");
    made.show_id = ShowId::from_uuid(Uuid::from_u128(
        u128::from(number) << 64 | u128::from(number),
    ));
    made.shown.show_id = made.show_id.to_bytes().to_vec();
    made.shown.venue_name = format!("Venue {}", numbers.below(20_000));
    made.shown.starts_at_ms = START_MS + numbers.below(365) as i64 * DAY_MS;
    made
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            of if of.is_dir() => bytes_below(&entry.path()),
            of => of.len(),
        })
        .sum()
}

#[tokio::test]
#[ignore = "takes minutes; says how long"]
async fn a_million_shows() {
    let count: u32 = std::env::var("SHOWS").map_or(1_000_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let index = Embedded::open(dir.path()).unwrap();
    let mut numbers = Numbers(1);
    let begun = Instant::now();
    index.begin_next().await.unwrap();
    for first in (0..count).step_by(PAGE as usize) {
        let page: Vec<Document> = (first..count.min(first + PAGE))
            .map(|number| made(number, &mut numbers))
            .collect();
        index.fill_next(page).await.unwrap();
    }
    index.swap().await.unwrap();
    let megabytes = bytes_below(dir.path()) / 1_000_000;
    println!(
        "{count} shows: built in {:.1?}, {megabytes} MB",
        begun.elapsed()
    );

    let begun = Instant::now();
    index
        .write(puts([made(count, &mut numbers)]))
        .await
        .unwrap();
    println!("one show more: found after {:.1?}", begun.elapsed());

    let limited = |query: Query| Query { limit: 20, ..query };
    let city = |numbers: &mut Numbers| Some(format!("city{}", numbers.below(3_000)));
    for (what, mut make) in [
        (
            "an artist",
            Box::new(|n: &mut Numbers| text(&format!("artist{}", n.below(20_000))))
                as Box<dyn FnMut(&mut Numbers) -> Query>,
        ),
        (
            "two words, one misspelt",
            Box::new(|n: &mut Numbers| text(&format!("{} orchesta", n.of(&FIRST)))),
        ),
        (
            "a beginning",
            Box::new(|n: &mut Numbers| text(&n.of(&SECOND)[..3])),
        ),
        (
            "a word that a sixteenth has",
            Box::new(|n: &mut Numbers| text(n.of(&SECOND))),
        ),
        (
            "a city's month",
            Box::new(move |n: &mut Numbers| Query {
                city: city(n),
                from_ms: START_MS + 30 * DAY_MS,
                to_ms: Some(START_MS + 60 * DAY_MS),
                ..all()
            }),
        ),
        (
            "50 km around",
            Box::new(|n: &mut Numbers| {
                let city = n.below(3_000);
                near(
                    (city * 37 % 130) as f64 - 60.0,
                    (city * 91 % 360) as f64 - 180.0,
                    50_000,
                )
            }),
        ),
        (
            "50 km around, counted",
            Box::new(|n: &mut Numbers| {
                let city = n.below(3_000);
                Query {
                    facets: vec![Facet::Category, Facet::City],
                    ..near(
                        (city * 37 % 130) as f64 - 60.0,
                        (city * 91 % 360) as f64 - 180.0,
                        50_000,
                    )
                }
            }),
        ),
        (
            "a word that a sixteenth has, counted",
            Box::new(|n: &mut Numbers| Query {
                facets: vec![Facet::Category, Facet::City],
                ..text(n.of(&SECOND))
            }),
        ),
        (
            "all by date, counted",
            Box::new(|_: &mut Numbers| Query {
                facets: vec![Facet::Category, Facet::City],
                ..all()
            }),
        ),
        (
            "all by date",
            Box::new(|_: &mut Numbers| Query {
                sort: Sort::Date,
                ..all()
            }),
        ),
    ] {
        let mut times = Vec::new();
        for _ in 0..SEARCHES {
            let query = limited(make(&mut numbers));
            let begun = Instant::now();
            index.search(&query).await.unwrap();
            times.push(begun.elapsed());
        }
        times.sort();
        let at = |percent: usize| -> Duration { times[times.len() * percent / 100] };
        println!("{what}: p50 {:.1?}, p95 {:.1?}", at(50), at(95));
    }
    for letters in [1, 3, 6] {
        let mut times = Vec::new();
        for _ in 0..SEARCHES {
            let word = numbers.of(&SECOND);
            let begun = Begun {
                words: fold::words(&word[..letters.min(word.len())]),
                text: word[..letters.min(word.len())].to_owned(),
                from_ms: 0,
            };
            let asked = Instant::now();
            suggest(&index, &begun, 10).await.unwrap();
            times.push(asked.elapsed());
        }
        times.sort();
        let at = |percent: usize| -> Duration { times[times.len() * percent / 100] };
        println!(
            "suggestions for {letters} letters: p50 {:.1?}, p95 {:.1?}",
            at(50),
            at(95)
        );
    }
}
