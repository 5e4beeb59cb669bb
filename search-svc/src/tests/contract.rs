//! One suite for every engine: against tantivy, and against a Meilisearch 1.50 as it was recorded; and against
//! the one that `MEILI_URL` (with `MEILI_API_KEY`) names, whose indexes `holdfast-contract*` are used up. With
//! `UPDATE_RECORDING=1` that one is recorded.

use holdfast_mesh::config::Secret;

use super::{
    looser,
    recording::{Recorded, Recorder},
    shows::{DAY_MS, START_MS, all, day, fill, found, near, puts, show, text},
};
use crate::{
    document::{Changes, Document},
    embedded::Embedded,
    facet::{Counts, Facet},
    fold,
    index::{Error, Index, Total},
    meili::{Keys, Meili},
    place::Place,
    query::{Price, Query, Sort},
    suggest::{Begun, suggest},
};

/// No shows.
const NONE: [u8; 0] = [];

#[tokio::test]
async fn tantivy_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let index = Embedded::open(&dir.path().join("index")).unwrap();
    keeps_the_contract(&index).await;
    japanese_is_taken_apart(&index).await;
}

/// The index of a Meilisearch that is recorded.
const RECORDED: &str = "holdfast-contract";

#[tokio::test]
async fn meilisearch_as_it_was_recorded_keeps_the_contract() {
    let (recorded, url) = Recorded::start().await;
    let index = meilisearch(&url, RECORDED);
    keeps_the_contract(&index).await;
    index.delete(RECORDED).await.unwrap();
    recorded.came();
}

#[tokio::test]
async fn meilisearch_keeps_the_contract() {
    let Ok(url) = std::env::var("MEILI_URL") else {
        eprintln!("skipped: MEILI_URL names no Meilisearch; one that was recorded is tested");
        return;
    };
    if std::env::var("UPDATE_RECORDING").is_ok() {
        let (recorder, url) = Recorder::start(&url).await;
        let index = meilisearch(&url, RECORDED);
        keeps_the_contract(&index).await;
        index.delete(RECORDED).await.unwrap();
        recorder.save();
    }
    let name = format!("{RECORDED}-{}", std::process::id());
    let index = meilisearch(&url, &name);
    keeps_the_contract(&index).await;
    japanese_is_taken_apart(&index).await;
    index.delete(&name).await.unwrap();
}

fn meilisearch(url: &str, name: &str) -> Meili {
    let key = Secret::new(std::env::var("MEILI_API_KEY").unwrap_or_default());
    let keys = Keys {
        all: &key,
        search: &key,
    };
    Meili::new(url, keys, name).unwrap()
}

async fn keeps_the_contract(index: &impl Index) {
    nothing_is_found_before_there_is_an_index(index).await;
    what_is_shown_comes_back_as_it_was_put(index).await;
    words_are_found_folded_begun_and_misspelt(index).await;
    all_words_must_be_there(index).await;
    better_matches_come_first(index).await;
    text_has_no_operators(index).await;
    filters_narrow_what_is_found(index).await;
    places_are_found_within_a_radius(index).await;
    orders_hold(index).await;
    pages_have_each_show_once(index).await;
    changes_are_found_when_they_are_written(index).await;
    another_index_takes_the_place_of_the_first(index).await;
    what_a_person_meant_comes_first(index).await;
    narrow_categories_are_found_by_broad_ones(index).await;
    countries_days_and_sales_narrow(index).await;
    prices_narrow_and_order(index).await;
    all_that_is_found_is_counted(index).await;
    cities_count_together_however_they_are_written(index).await;
    names_are_suggested_while_somebody_types(index).await;
    what_the_index_has_is_told_in_order(index).await;
    looser::what_nothing_fits_is_taken_more_loosely(index).await;
}

async fn nothing_is_found_before_there_is_an_index(index: &impl Index) {
    assert!(!index.is_built().await.unwrap());
    let refused = index.search(&all()).await;
    assert!(matches!(refused, Err(Error::NotBuilt)), "{refused:?}");
    let refused = index.write(puts([show(1, "Early")])).await;
    assert!(matches!(refused, Err(Error::NotBuilt)), "{refused:?}");
    assert!(index.swap().await.is_err(), "there is nothing to swap with");
    assert!(!index.is_built().await.unwrap());

    index.begin_next().await.unwrap();
    let refused = index.search(&all()).await;
    assert!(matches!(refused, Err(Error::NotBuilt)), "{refused:?}");
    assert!(matches!(index.shows().await, Err(Error::NotBuilt)));
    index.swap().await.unwrap();
    assert!(index.is_built().await.unwrap());
    assert_eq!(index.shows().await.unwrap(), 0);
    assert_eq!(found(index, &all()).await, NONE);
}

async fn what_is_shown_comes_back_as_it_was_put(index: &impl Index) {
    let mut free = show(2, "Frei \"und\" draußen \\ 東京").at("São Paulo", -23.5505, -46.6333);
    free.shown.price_from = None;
    let shows = [show(1, "Concert"), free];
    fill(index, shows.clone()).await;
    assert_eq!(index.shows().await.unwrap(), 2);
    let answer = index.search(&all()).await.unwrap();
    assert!(!answer.more);
    for (there, put) in answer.shows.iter().zip(&shows) {
        assert_eq!(*there, put.shown);
    }
    assert_eq!(answer.shows.len(), 2);
}

async fn words_are_found_folded_begun_and_misspelt(index: &impl Index) {
    let shows = [
        show(1, "Taylor Swift | The Eras Tour"),
        show(2, "Café Tacvba en vivo"),
        show(3, "東京事変 live"),
        show(4, "Кино"),
        show(5, "Łódź Straßenfest 2027"),
    ];
    fill(index, shows).await;
    for (words, expected) in [
        ("taylor swift", 1),
        ("TAYLOR", 1),
        ("tylor swfit", 1),
        ("ta", 1),
        ("eras to", 1),
        ("cafe tacvba", 2),
        ("CAFÉ TACVBÁ", 2),
        ("cafe\u{301}", 2),
        ("tacbva", 2),
        ("東京", 3),
        ("東京事変", 3),
        ("кино", 4),
        ("КИНО", 4),
        ("straßenfest", 5),
        ("2027", 5),
    ] {
        let numbers = found(index, &text(words)).await;
        assert_eq!(numbers.first(), Some(&expected), "{words}: {numbers:?}");
    }
    for words in ["zzzzqqqq", "2028", "taylor tacvba", "кинокино"] {
        assert_eq!(found(index, &text(words)).await, NONE, "{words}");
    }
}

async fn all_words_must_be_there(index: &impl Index) {
    let shows = [
        show(1, "Opera Gala"),
        show(2, "Opera for Children").described("With a gala buffet."),
        show(3, "Gala Dinner").at("Opera City", 1.0, 1.0),
        show(4, "Opera"),
    ];
    fill(index, shows).await;
    let mut numbers = found(index, &text("opera gala")).await;
    assert_eq!(numbers[0], 1);
    numbers.sort();
    assert_eq!(numbers, [1, 2, 3], "title, description and city count");
    assert_eq!(
        found(index, &text("waldbuhne dinner")).await,
        [3],
        "the venue, too"
    );
}

async fn better_matches_come_first(index: &impl Index) {
    let shows = [
        show(1, "Something else").described("Not quite Hamilton."),
        show(2, "Hamiltonians"),
        show(3, "Hamilton"),
        show(4, "Hamilton"),
    ];
    fill(index, shows).await;
    let numbers = found(index, &text("hamilton")).await;
    assert_eq!(
        numbers[..2],
        [3, 4],
        "exact in the title first, the sooner first: {numbers:?}"
    );
    assert_eq!(numbers.len(), 4);
}

async fn text_has_no_operators(index: &impl Index) {
    let shows = [show(1, "Black Tie Gala"), show(2, "White Night")];
    fill(index, shows).await;
    // As punctuation these count for nothing, and the words for what they are.
    for words in [
        "\"black\" gala",
        "black -gala",
        "+black gala*",
        "title:black",
        "(black",
        "black\\",
        "black^9 ~",
    ] {
        let numbers = found(index, &text(words)).await;
        let expected: &[u8] = if words.contains("title") || words.contains('9') {
            &[]
        } else {
            &[1]
        };
        assert_eq!(numbers, expected, "{words}");
    }
    assert_eq!(found(index, &text("black OR white")).await, NONE);
    assert_eq!(found(index, &text("NOT black")).await, NONE);
    assert_eq!(
        found(index, &text("-- \"\" !")).await,
        [1, 2],
        "is no text at all"
    );
}

async fn filters_narrow_what_is_found(index: &impl Index) {
    let shows = [
        show(1, "Concert").at("L’Aquila", 42.35, 13.4),
        show(2, "Match")
            .in_category("sport")
            .at("São Paulo", -23.55, -46.63),
        show(3, "Concert").at("Sao Paulo", -23.5, -46.6),
        show(4, "Play")
            .in_category("theatre")
            .at("New York", 40.7, -74.0),
    ];
    fill(index, shows).await;
    let category = |category: &str| Query {
        category: Some(category.to_owned()),
        ..all()
    };
    assert_eq!(found(index, &category("music")).await, [1, 3]);
    assert_eq!(found(index, &category("musi")).await, NONE);
    assert_eq!(
        found(index, &category("a\" OR category != \"b")).await,
        NONE
    );
    assert_eq!(found(index, &category("music\\")).await, NONE);

    let city = |city: &str| Query {
        city: Some(crate::fold::key(city)),
        ..all()
    };
    assert_eq!(found(index, &city("são paulo")).await, [2, 3]);
    assert_eq!(found(index, &city("L'AQUILA")).await, [1]);
    assert_eq!(found(index, &city("York")).await, NONE, "the whole name");
    assert_eq!(found(index, &city("x\" OR city_key != \"x")).await, NONE);

    let times = |from: i64, to: Option<i64>| Query {
        from_ms: START_MS + from * DAY_MS,
        to_ms: to.map(|to| START_MS + to * DAY_MS),
        ..all()
    };
    assert_eq!(
        found(index, &times(2, None)).await,
        [2, 3, 4],
        "from then on"
    );
    assert_eq!(
        found(index, &times(2, Some(4))).await,
        [2, 3],
        "but not at the end"
    );
    assert_eq!(found(index, &times(5, None)).await, NONE);

    let both = Query {
        category: Some("music".to_owned()),
        city: Some("sao paulo".to_owned()),
        ..text("concert")
    };
    assert_eq!(found(index, &both).await, [3]);
}

async fn places_are_found_within_a_radius(index: &impl Index) {
    let shows = [
        show(1, "Mitte").at("Berlin", 52.52, 13.405),
        show(2, "Potsdam").at("Potsdam", 52.3906, 13.0645),
        show(3, "Hamburg").at("Hamburg", 53.5511, 9.9937),
        show(4, "Suva").at("Suva", -18.1416, 178.4419),
        show(5, "Apia").at("Apia", -13.8333, -171.7667),
        show(6, "Pole").at("Alert", 89.9, 100.0),
    ];
    fill(index, shows).await;
    assert_eq!(found(index, &near(52.52, 13.405, 1)).await, [1]);
    assert_eq!(found(index, &near(52.52, 13.405, 25_000)).await, [1]);
    assert_eq!(found(index, &near(52.52, 13.405, 30_000)).await, [1, 2]);
    assert_eq!(found(index, &near(52.39, 13.06, 300_000)).await, [2, 1, 3]);
    let pacific = near(-16.0, -179.9, 1_000_000);
    assert_eq!(found(index, &pacific).await, [4, 5], "over the date line");
    assert_eq!(
        found(index, &near(89.95, -80.0, 20_000)).await,
        [6],
        "over the pole"
    );
    let dated = Query {
        sort: Sort::Date,
        ..near(52.39, 13.06, 300_000)
    };
    assert_eq!(found(index, &dated).await, [1, 2, 3]);
    let worded = Query {
        words: vec!["hamburg".to_owned()],
        text: "hamburg".to_owned(),
        ..near(52.52, 13.405, 300_000)
    };
    assert_eq!(found(index, &worded).await, [3]);
}

async fn orders_hold(index: &impl Index) {
    let mut shows = Vec::new();
    for number in (1..=40).rev() {
        let longitude = f64::from(number) / 10.0;
        shows.push(show(number, "Tour").at("Somewhere", 0.0, longitude));
    }
    fill(index, shows).await;
    let by_date: Vec<u8> = (1..=40).collect();
    assert_eq!(found(index, &all()).await, by_date);
    assert_eq!(
        found(index, &text("tour")).await,
        by_date,
        "equal ones by date"
    );
    let from_the_east = Query {
        sort: Sort::Distance(Place::new(0.0, 5.0).unwrap()),
        ..text("tour")
    };
    let by_distance: Vec<u8> = (1..=40).rev().collect();
    assert_eq!(found(index, &from_the_east).await, by_distance);
}

async fn pages_have_each_show_once(index: &impl Index) {
    // Many at the same time, so that the order of equal ones counts.
    let shows: Vec<Document> = (1..=45)
        .map(|number| {
            let mut show = show(number, "Festival");
            show.shown.starts_at_ms = START_MS;
            show
        })
        .collect();
    fill(index, shows).await;
    for question in [all(), text("festival"), near(52.52, 13.405, 1_000)] {
        let (mut numbers, mut after) = (Vec::new(), None);
        for page in 0..5 {
            let query = Query {
                offset: page * 10,
                after,
                limit: 10,
                ..question.clone()
            };
            let answer = index.search(&query).await.unwrap();
            assert_eq!(answer.more, page < 4, "{page}");
            assert!(matches!(
                answer.total,
                Total::Exact(45) | Total::Estimated(_)
            ));
            after = answer.last;
            numbers.extend(answer.shows.iter().map(|show| show.show_id[0]));
        }
        assert_eq!(numbers.len(), 45);
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), 45, "each once");
        let beyond = Query {
            offset: 50,
            ..question.clone()
        };
        assert_eq!(found(index, &beyond).await, NONE);
    }
}

async fn changes_are_found_when_they_are_written(index: &impl Index) {
    fill(index, [show(1, "Opening"), show(2, "Closing")]).await;
    index
        .write(puts([show(2, "Farewell"), show(3, "Encore")]))
        .await
        .unwrap();
    assert_eq!(found(index, &text("closing")).await, NONE);
    assert_eq!(found(index, &text("farewell")).await, [2]);
    assert_eq!(found(index, &all()).await, [1, 2, 3]);
    let changes = Changes {
        puts: vec![show(1, "Reopening")],
        removes: vec![show(2, "").show_id, show(9, "").show_id],
    };
    index.write(changes).await.unwrap();
    assert_eq!(found(index, &text("reopening")).await, [1]);
    assert_eq!(found(index, &all()).await, [1, 3]);
    index.write(Changes::default()).await.unwrap();
    assert_eq!(found(index, &all()).await, [1, 3]);
}

async fn another_index_takes_the_place_of_the_first(index: &impl Index) {
    fill(index, [show(1, "Old"), show(2, "Older")]).await;
    index.begin_next().await.unwrap();
    index
        .write_next(puts([show(3, "New"), show(4, "Gone")]))
        .await
        .unwrap();
    let changes = Changes {
        puts: vec![show(3, "Newer")],
        removes: vec![show(4, "").show_id],
    };
    index.write_next(changes).await.unwrap();
    assert_eq!(found(index, &all()).await, [1, 2], "not yet");
    index.write(puts([show(2, "Oldest")])).await.unwrap();
    assert_eq!(found(index, &text("oldest")).await, [2]);
    index.swap().await.unwrap();
    assert_eq!(found(index, &all()).await, [3]);
    assert_eq!(found(index, &text("newer")).await, [3]);

    // One that was begun and left is gone when another is begun.
    index.begin_next().await.unwrap();
    index.write_next(puts([show(7, "Left")])).await.unwrap();
    index.begin_next().await.unwrap();
    index.write_next(puts([show(8, "Made")])).await.unwrap();
    index.swap().await.unwrap();
    assert_eq!(found(index, &all()).await, [8]);
    assert!(index.swap().await.is_err(), "that one is in its place");
    assert_eq!(found(index, &all()).await, [8]);
}

/// Shows of many kinds and scripts, and what of them a person meant.
async fn what_a_person_meant_comes_first(index: &impl Index) {
    let shows = [
        show(1, "Rhapsody Tour").with(&["Queen"]),
        show(2, "Dancing Night").described("Songs of Queen, by others."),
        show(3, "Queens of Comedy"),
        show(4, "東京事変ライブ")
            .with(&["東京事変"])
            .at("Tokyo", 35.68, 139.69),
        show(5, "ガンダム展").at("Osaka", 34.69, 135.5),
        show(6, "Кино")
            .with(&["Виктор Цой"])
            .at("Moscow", 55.75, 37.61),
        show(7, "Μίκης Θεοδωράκης").at("Athens", 37.98, 23.72),
        show(8, "أم كلثوم").at("Cairo", 30.04, 31.23),
        show(9, "방탄소년단 콘서트").at("Seoul", 37.56, 126.97),
        show(10, "Gig in the Park").at("New York City", 40.71, -74.0),
        show(11, "Soccer Cup Final").at("München", 48.13, 11.58),
        show(12, "Silent Owls and Paper Kites"),
        show(13, "The Paper Owls").with(&["The Paper Owls"]),
        show(14, "מופע חגיגי").at("Tel Aviv", 32.08, 34.78),
        show(15, "คอนเสิร์ตกรุงเทพ").at("Bangkok", 13.75, 100.5),
        show(16, "Metallica: M72 World Tour").with(&["Metallica"]),
        show(17, "Metal Night").described("Not Metallica."),
        show(18, "Cosplay").described("As in ゴジラ, and others."),
        show(19, "Film Night").with(&["ゴジラ"]),
        show(20, "Loud Night").with(&["Blink182"]),
        show(21, "Night Larks").described("Friday June 2027"),
        show(22, "Night Larks").described("Saturday weekend January 2027"),
    ];
    fill(index, shows).await;
    let mut missed = Vec::new();
    for (meant, words, first) in [
        ("the band", "queen", 1),
        ("the band, misspelt", "metalica", 16),
        ("the band, not yet typed out", "metall", 16),
        (
            "the band, letters swapped, and its tour",
            "metlalica wrold",
            16,
        ),
        ("those two words together", "paper owls", 13),
        ("those two, written as one", "silentowls", 12),
        ("one, written as two", "blink 182", 20),
        ("on a Saturday", "night larks saturday", 22),
        ("its name in Chinese characters", "東京事変", 4),
        ("the other kana", "がんだむ", 5),
        ("who is on, in the other kana", "ごじら", 19),
        ("in capitals", "КИНО", 6),
        ("a singer's first name", "виктор", 6),
        ("without its accents", "μικησ θεοδωρακησ", 7),
        ("without its hamza", "ام كلثوم", 8),
        ("with its vowels", "أُمّ كُلْثُوم", 8),
        ("the begin of a Korean word", "방탄", 9),
        ("a Hebrew word", "מופע", 14),
        ("a Thai word within a phrase", "กรุงเทพ", 15),
        ("a concert there", "concert nyc", 10),
        ("a city by its own name", "moskva", 6),
        ("a city by its English name", "munich", 11),
        ("a city in its script", "東京", 4),
        ("football, as elsewhere", "football", 11),
    ] {
        let numbers = found(index, &text(words)).await;
        if numbers.first() != Some(&first) {
            missed.push(format!("{meant}: {words}: {numbers:?}, not {first}"));
        }
    }
    assert_eq!(missed, [""; 0]);
    let numbers = found(index, &text("queen")).await;
    let described = numbers.iter().position(|number| *number == 2);
    assert!(described > Some(0), "after the band: {numbers:?}");
}

async fn narrow_categories_are_found_by_broad_ones(index: &impl Index) {
    let shows = [
        show(1, "Concert").of_kind(&["music", "rock"]),
        show(2, "Concert").of_kind(&["music", "jazz"]),
        show(3, "Play").of_kind(&["theatre"]),
    ];
    fill(index, shows).await;
    let category = |category: &str| Query {
        category: Some(category.to_owned()),
        facets: vec![Facet::Category],
        ..all()
    };
    assert_eq!(found(index, &category("music")).await, [1, 2]);
    assert_eq!(found(index, &category("jazz")).await, [2]);
    assert_eq!(found(index, &category("theatre")).await, [3]);
    let counts = index.search(&category("music")).await.unwrap().facets;
    assert_eq!(
        values(&counts[0]),
        [("music", 2), ("jazz", 1), ("rock", 1)],
        "a broad one counts all below it"
    );
}

async fn countries_days_and_sales_narrow(index: &impl Index) {
    let shows = [
        show(1, "Concert").in_state("PAUSED"),
        show(2, "Concert").in_country("FR"),
        show(3, "Concert").in_state("CANCELLED").in_country("FR"),
        show(4, "Concert"),
        show(5, "Concert").sold_from(Some(START_MS + 1), None),
        show(6, "Concert").sold_from(None, Some(START_MS)),
        show(7, "Concert").sold_from(Some(START_MS), Some(START_MS + 1)),
    ];
    fill(index, shows).await;
    let country = Query {
        country: Some("FR".to_owned()),
        ..all()
    };
    assert_eq!(found(index, &country).await, [2, 3]);
    let on_sale = Query {
        on_sale_at_ms: Some(START_MS),
        ..all()
    };
    assert_eq!(found(index, &on_sale).await, [2, 4, 7]);
    let both = Query {
        on_sale_at_ms: Some(START_MS),
        ..country
    };
    assert_eq!(found(index, &both).await, [2]);
    for (from_day, to_day, expected) in [
        (Some(2), Some(3), &[2, 3][..]),
        (Some(3), None, &[3, 4, 5, 6, 7]),
        (None, Some(1), &[1]),
        (Some(3), Some(2), &[]),
    ] {
        let days = Query {
            from_day: from_day.map(day),
            to_day: to_day.map(day),
            ..all()
        };
        assert_eq!(
            found(index, &days).await,
            expected,
            "{from_day:?} {to_day:?}"
        );
    }
}

async fn prices_narrow_and_order(index: &impl Index) {
    let shows = [
        show(1, "Concert").priced("EUR", Some((3_000, 9_000))),
        show(2, "Concert").priced("EUR", None),
        show(3, "Concert").priced("EUR", Some((1_000, 2_000))),
        show(4, "Concert").priced("JPY", Some((1_500, 2_500))),
        show(5, "Concert").priced("EUR", Some((0, 0))),
    ];
    fill(index, shows).await;
    let price = |min, max| Query {
        price: Some(Price {
            currency: "EUR".to_owned(),
            min,
            max,
        }),
        ..all()
    };
    assert_eq!(found(index, &price(None, None)).await, [1, 2, 3, 5]);
    assert_eq!(found(index, &price(None, Some(1_000))).await, [3, 5]);
    assert_eq!(found(index, &price(None, Some(999))).await, [5]);
    assert_eq!(found(index, &price(Some(2_000), None)).await, [1, 3]);
    assert_eq!(found(index, &price(Some(2_001), Some(5_000))).await, [1]);
    let cheapest = Query {
        sort: Sort::Price,
        ..price(None, None)
    };
    assert_eq!(
        found(index, &cheapest).await,
        [5, 3, 1, 2],
        "what has no price comes last"
    );
    let worded = Query {
        sort: Sort::Price,
        limit: 2,
        ..text("concert")
    };
    assert_eq!(found(index, &worded).await, [5, 3]);
}

async fn all_that_is_found_is_counted(index: &impl Index) {
    let mut shows = Vec::new();
    for number in 1..=30 {
        let city = ["Lyon", "Nice", "Bonn"][usize::from(number % 3)];
        let country = if city == "Bonn" { "DE" } else { "FR" };
        let title = if number <= 20 { "Concert" } else { "Play" };
        shows.push(show(number, title).at(city, 45.0, 5.0).in_country(country));
    }
    fill(index, shows).await;
    // What was changed since counts as it is now.
    index
        .write(puts([show(30, "Play")
            .at("Bonn", 45.0, 5.0)
            .in_state("CLOSED")]))
        .await
        .unwrap();
    let query = Query {
        facets: vec![Facet::City, Facet::Country, Facet::State],
        limit: 3,
        ..text("play")
    };
    let answer = index.search(&query).await.unwrap();
    assert_eq!((answer.shows.len(), answer.more), (3, true));
    let (Total::Exact(total) | Total::Estimated(total)) = answer.total;
    assert_eq!(total, 10);
    let facets: Vec<Facet> = answer.facets.iter().map(|counts| counts.facet).collect();
    assert_eq!(facets, query.facets);
    assert_eq!(
        values(&answer.facets[0]),
        [("Bonn", 4), ("Lyon", 3), ("Nice", 3)]
    );
    assert_eq!(values(&answer.facets[1]), [("FR", 6), ("DE", 4)]);
    assert_eq!(values(&answer.facets[2]), [("ON_SALE", 9), ("CLOSED", 1)]);
    assert!(answer.facets.iter().all(|counts| !counts.more));

    let around = Query {
        facets: vec![Facet::City],
        ..near(52.52, 13.405, 1_000)
    };
    let answer = index.search(&around).await.unwrap();
    assert_eq!(answer.facets[0].values, [], "nothing is there");
    assert!(index.search(&all()).await.unwrap().facets.is_empty());
}

async fn cities_count_together_however_they_are_written(index: &impl Index) {
    let shows = [
        show(1, "Concert").at("Sao Paulo", -23.5, -46.6),
        show(2, "Concert").at("São Paulo", -23.5, -46.6),
        show(3, "Concert"),
    ];
    fill(index, shows).await;
    let query = Query {
        facets: vec![Facet::City],
        ..all()
    };
    let answer = index.search(&query).await.unwrap();
    assert_eq!(values(&answer.facets[0]), [("São Paulo", 2), ("Berlin", 1)]);
}

fn values(counts: &Counts) -> Vec<(&str, u64)> {
    let values = counts.values.iter();
    values
        .map(|(value, shows)| (value.as_str(), *shows))
        .collect()
}

async fn names_are_suggested_while_somebody_types(index: &impl Index) {
    let mut shows = vec![
        show(1, "Rhapsody Tour").with(&["Queen", "Adam Lambert"]),
        show(2, "Queen Symphonic").with(&["Philharmonic"]),
        show(3, "Night of Musicals").in_venue("Queen's Hall"),
        show(4, "Opera Gala").at("Queenstown", -45.0, 168.6),
        show(5, "Über den Wolken").with(&["Reinhard Mey"]),
        show(6, "東京事変ライブ"),
    ];
    // Many of one name are one suggestion.
    shows.extend((10..40).map(|number| show(number, "Metal Hammer Festival")));
    fill(index, shows).await;
    let mut of_queen = suggested(index, "que", 10).await;
    of_queen.sort();
    assert_eq!(
        of_queen,
        [
            "city Queenstown",
            "performer Queen",
            "title Queen Symphonic",
            "venue Queen's Hall"
        ],
        "and nobody who is on with them"
    );
    assert_eq!(suggested(index, "que", 2).await.len(), 2);
    for (words, expected) in [
        ("adam", "performer Adam Lambert"),
        ("lam", "performer Adam Lambert"),
        ("lambret", "performer Adam Lambert"),
        ("uber", "title Über den Wolken"),
        ("wolken u", "title Über den Wolken"),
        ("metal ham", "title Metal Hammer Festival"),
    ] {
        assert_eq!(suggested(index, words, 10).await, [expected], "{words}");
    }
    assert_eq!(suggested(index, "zzzz", 10).await, [""; 0]);
    let over = Begun {
        words: fold::words("que"),
        text: "que".to_owned(),
        from_ms: START_MS + 100 * DAY_MS,
    };
    let suggestions = suggest(index, &over, 10).await.unwrap();
    assert!(suggestions.is_empty(), "they are over");
}

/// Names are found by parts of them, for which Meilisearch takes a dictionary; the one that was recorded is built
/// without it.
async fn japanese_is_taken_apart(index: &impl Index) {
    looser::who_asks_in_japanese_is_answered(index).await;
    let shows = [
        show(1, "Solo").with(&["Queen"]),
        show(2, "東京事変ライブ").with(&["東京事変"]),
    ];
    fill(index, shows).await;
    assert_eq!(found(index, &text("事変")).await, [2]);
    assert_eq!(
        suggested(index, "事変", 10).await,
        ["performer 東京事変", "title 東京事変ライブ"]
    );
}

async fn suggested(index: &impl Index, words: &str, limit: usize) -> Vec<String> {
    let begun = Begun {
        words: fold::words(words),
        text: fold::plain(words, 10),
        from_ms: START_MS,
    };
    let suggestions = suggest(index, &begun, limit).await.unwrap();
    let told = suggestions.iter().map(|suggestion| {
        let parts = suggestion.parts.iter();
        let text: String = parts.map(|part| part.text.as_str()).collect();
        format!("{} {text}", suggestion.kind)
    });
    told.collect()
}

async fn what_the_index_has_is_told_in_order(index: &impl Index) {
    let shows: Vec<Document> = (1..=5).map(|number| show(number, "Opening")).collect();
    fill(index, shows.clone()).await;
    let changed = show(4, "Closing");
    let changes = Changes {
        puts: vec![changed.clone()],
        removes: vec![shows[1].show_id],
    };
    index.write(changes).await.unwrap();
    let content = |show: &Document| (show.show_id, show.content());
    let [one, three, four, five] = [&shows[0], &shows[2], &changed, &shows[4]].map(content);
    let has = async |after: Option<u8>, up_to: Option<u8>, max| {
        let id = |number: Option<u8>| number.map(|number| show(number, "").show_id);
        index.contents(id(after), id(up_to), max).await.unwrap()
    };
    assert_eq!(has(None, None, 10).await, [one, three, four, five]);
    assert_eq!(has(Some(1), Some(4), 10).await, [three, four]);
    assert_eq!(has(Some(2), None, 2).await, [three, four]);
    assert_eq!(has(Some(5), None, 10).await, []);
}
