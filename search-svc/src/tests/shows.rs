//! Shows and questions that tests put and ask.

use holdfast_proto::search::v1::FoundShow;
use holdfast_types::ShowId;

use crate::{
    document::{Changes, Document},
    fold,
    index::Index,
    place::Place,
    query::{Near, Query, Sort, WORDS_MAX},
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
            distance_m: None,
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
        self
    }

    pub(crate) fn described(mut self, description: &str) -> Self {
        self.description = description.to_owned();
        self
    }
}

/// For all shows, by date.
pub(crate) fn all() -> Query {
    Query {
        words: Vec::new(),
        text: String::new(),
        category: None,
        city: None,
        from_ms: 0,
        to_ms: None,
        near: None,
        sort: Sort::Date,
        offset: 0,
        limit: 100,
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
