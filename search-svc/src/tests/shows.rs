//! Shows and questions that tests put and ask.

use chrono::DateTime;
use holdfast_proto::search::v1::FoundShow;
use holdfast_types::ShowId;

use crate::{
    document::{Changes, Document, Sale, day_number},
    fold,
    index::Index,
    place::Place,
    query::{Near, Query, Sort, Spelling, WORDS_MAX, pairs},
};

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Some day; the shows of tests are on the days after it.
pub(crate) const START_MS: i64 = 1_800_000_000_000;

/// A show in Berlin on the day of its number.
pub(crate) fn show(number: u8, title: &str) -> Document {
    let show_id = ShowId::from_bytes([number; 16]);
    let place = Place::new(52.52, 13.405).unwrap();
    Document {
        show_id,
        description: String::new(),
        place,
        day: day(number.into()),
        sale: Sale::new(None, None),
        shown: FoundShow {
            show_id: show_id.to_bytes().to_vec(),
            event_id: vec![100; 16],
            title: title.to_owned(),
            category: "music".to_owned(),
            venue_id: vec![101; 16],
            venue_name: "Waldbühne".to_owned(),
            city: "Berlin".to_owned(),
            country: "DE".to_owned(),
            latitude: place.latitude(),
            longitude: place.longitude(),
            time_zone: "Europe/Berlin".to_owned(),
            starts_at_ms: START_MS + i64::from(number) * DAY_MS,
            state: "ON_SALE".to_owned(),
            currency: "EUR".to_owned(),
            price_from: Some(1500),
            price_max: Some(4500),
            performers: Vec::new(),
            category_path: vec!["music".to_owned()],
            distance_m: None,
            highlights: Vec::new(),
        },
    }
}

impl Document {
    pub(crate) fn at(mut self, city: &str, latitude: f64, longitude: f64) -> Self {
        self.place = Place::new(latitude, longitude).unwrap();
        self.shown.city = city.to_owned();
        self.shown.latitude = latitude;
        self.shown.longitude = longitude;
        self
    }

    pub(crate) fn in_category(mut self, category: &str) -> Self {
        self.shown.category = category.to_owned();
        self.shown.category_path = vec![category.to_owned()];
        self
    }

    /// From broad to narrow.
    pub(crate) fn of_kind(mut self, path: &[&str]) -> Self {
        self.shown.category = (*path.last().unwrap()).to_owned();
        self.shown.category_path = path.iter().map(|one| (*one).to_owned()).collect();
        self
    }

    pub(crate) fn with(mut self, performers: &[&str]) -> Self {
        self.shown.performers = performers.iter().map(|one| (*one).to_owned()).collect();
        self
    }

    pub(crate) fn in_venue(mut self, venue: &str) -> Self {
        self.shown.venue_name = venue.to_owned();
        self
    }

    pub(crate) fn in_country(mut self, country: &str) -> Self {
        self.shown.country = country.to_owned();
        self
    }

    pub(crate) fn in_state(mut self, state: &str) -> Self {
        self.shown.state = state.to_owned();
        self
    }

    /// On sale from then until then.
    pub(crate) fn sold_from(mut self, from_ms: Option<i64>, until_ms: Option<i64>) -> Self {
        self.sale = Sale::new(from_ms, until_ms);
        self
    }

    /// From the lowest to the highest price; none without prices.
    pub(crate) fn priced(mut self, currency: &str, prices: Option<(i64, i64)>) -> Self {
        self.shown.currency = currency.to_owned();
        self.shown.price_from = prices.map(|(from, _)| from);
        self.shown.price_max = prices.map(|(_, max)| max);
        self
    }

    pub(crate) fn described(mut self, description: &str) -> Self {
        self.description = description.to_owned();
        self
    }
}

/// That many days after [`START_MS`], which isn't near midnight in Berlin.
pub(crate) fn day(number: i32) -> i32 {
    let start = DateTime::from_timestamp_millis(START_MS).unwrap();
    day_number(start.date_naive()) + number
}

/// For all shows, by date.
pub(crate) fn all() -> Query {
    Query {
        words: Vec::new(),
        text: String::new(),
        pairs: Vec::new(),
        spelling: Spelling::Usual,
        category: None,
        city: None,
        country: None,
        from_ms: 0,
        to_ms: None,
        from_day: None,
        to_day: None,
        price: None,
        on_sale_at_ms: None,
        near: None,
        sort: Sort::Date,
        facets: Vec::new(),
        offset: 0,
        after: None,
        limit: 100,
        known: Vec::new(),
        last_is_begun: true,
    }
}

/// For some words, by relevance.
pub(crate) fn text(text: &str) -> Query {
    let mut words = fold::words(text);
    words.truncate(WORDS_MAX);
    let sort = if words.is_empty() {
        Sort::Date
    } else {
        Sort::Relevance
    };
    Query {
        pairs: pairs(&words),
        words,
        text: fold::plain(text, WORDS_MAX),
        sort,
        ..all()
    }
}

pub(crate) fn near(latitude: f64, longitude: f64, radius_m: u32) -> Query {
    let place = Place::new(latitude, longitude).unwrap();
    Query {
        near: Some(Near { place, radius_m }),
        sort: Sort::Distance(place),
        ..all()
    }
}

pub(crate) fn puts(puts: impl Into<Vec<Document>>) -> Changes {
    Changes {
        puts: puts.into(),
        removes: Vec::new(),
    }
}

/// Numbers of the shows that are found, in their order.
pub(crate) async fn found(index: &impl Index, query: &Query) -> Vec<u8> {
    let found = index.search(query).await.unwrap();
    found.shows.iter().map(|show| show.show_id[0]).collect()
}

/// The index that is searched has exactly `shows`.
pub(crate) async fn fill(index: &impl Index, shows: impl Into<Vec<Document>>) {
    index.begin_next().await.unwrap();
    index.write_next(puts(shows)).await.unwrap();
    index.swap().await.unwrap();
}
