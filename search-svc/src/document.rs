//! A show as it is indexed.
//!
//! Always holds: what is here passed the catalogue's bounds again, because an engine may refuse a
//! whole batch for one value it can't take.

use chrono::{DateTime, Datelike, NaiveDate, Weekday};
use chrono_tz::Tz;
use holdfast_proto::{catalog::v1 as catalog, search::v1::FoundShow};
use holdfast_types::{EventId, ShowId, VenueId};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::place::Place;

/// Raised whenever a document is indexed in another way: an index of another version is built anew.
pub(crate) const SCHEMA_VERSION: u32 = 3;

/// A show.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) show_id: ShowId,
    /// What the event says of itself, what kind it is said to be, and when it is, in words.
    pub(crate) description: String,
    pub(crate) place: Place,
    /// The day of the venue's calendar that it begins on ([`day_number`]).
    pub(crate) day: i32,
    pub(crate) sale: Sale,
    /// All that is answered when it is found, without a distance.
    pub(crate) shown: FoundShow,
}

/// When a show that is on sale can be bought, milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sale {
    pub(crate) from_ms: i64,
    /// Not then any more.
    pub(crate) until_ms: i64,
}

impl Sale {
    /// A time that nobody reaches, exact where numbers are floating-point.
    const NEVER: i64 = 1 << 53;

    pub(crate) fn new(from_ms: Option<i64>, until_ms: Option<i64>) -> Self {
        Self {
            from_ms: from_ms.unwrap_or(0),
            until_ms: until_ms.unwrap_or(Self::NEVER),
        }
    }
}

/// What an index is to have, and no longer to have. Neither names a show twice, nor do both.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) puts: Vec<Document>,
    pub(crate) removes: Vec<ShowId>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.removes.is_empty()
    }
}

/// A show that can't be one.
#[derive(Debug, thiserror::Error)]
#[error("the catalogue gave a show whose {what} can't be read")]
pub(crate) struct Unreadable {
    what: &'static str,
}

impl Unreadable {
    pub(crate) const ID: Self = Self { what: "id" };
}

impl Document {
    /// From the catalogue.
    pub(crate) fn of(show: catalog::Show) -> Result<Self, Unreadable> {
        let unreadable = |what| Unreadable { what };
        let show_id = ShowId::from_slice(&show.show_id).map_err(|_| Unreadable::ID)?;
        let event = show.event.ok_or(unreadable("event"))?;
        let venue = show.venue.ok_or(unreadable("venue"))?;
        EventId::from_slice(&event.event_id).map_err(|_| unreadable("event id"))?;
        VenueId::from_slice(&venue.venue_id).map_err(|_| unreadable("venue id"))?;
        let place = Place::new(venue.latitude, venue.longitude).ok_or(unreadable("place"))?;
        let date = date_at(show.starts_at_ms, &venue.time_zone).ok_or(unreadable("time"))?;
        let category_path = category_path(&event);
        let mut words = vec![event.description];
        if let Some(kind) = event.classification {
            words.extend([kind.segment, kind.genre, kind.sub_genre]);
        }
        words.push(in_words(date));
        let amounts = || show.prices.iter().map(|price| price.amount);
        let range = show.price_range;
        Ok(Self {
            show_id,
            description: words.join("\n"),
            place,
            day: day_number(date),
            sale: Sale::new(show.sale_starts_at_ms, show.sale_ends_at_ms),
            shown: FoundShow {
                show_id: show.show_id,
                event_id: event.event_id,
                title: event.title,
                category: event.category,
                venue_id: venue.venue_id,
                venue_name: venue.name,
                city: venue.city,
                country: venue.country,
                latitude: venue.latitude,
                longitude: venue.longitude,
                time_zone: venue.time_zone,
                starts_at_ms: show.starts_at_ms,
                state: show.state,
                currency: show.currency,
                // What seats cost; without it, as an import has it, what is said.
                price_from: range.map(|range| range.min).or_else(|| amounts().min()),
                price_max: range.map(|range| range.max).or_else(|| amounts().max()),
                performers: event.performers.into_iter().map(|one| one.name).collect(),
                category_path,
                distance_m: None,
                highlights: Vec::new(),
            },
        })
    }

    /// Another number wherever anything of it is another: what an index has of a show is compared by
    /// it.
    pub(crate) fn content(&self) -> u64 {
        let mut hash = Sha256::new();
        hash.update(SCHEMA_VERSION.to_be_bytes());
        hash.update(self.shown.encode_to_vec());
        hash.update(self.sale.from_ms.to_be_bytes());
        hash.update(self.sale.until_ms.to_be_bytes());
        hash.update(self.description.as_bytes());
        let hash = hash.finalize();
        u64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
    }
}

/// From broad to narrow, the last being the event's own.
fn category_path(event: &catalog::Event) -> Vec<String> {
    match event.category_path.is_empty() {
        // Of a catalogue of the release before.
        true => vec![event.category.clone()],
        false => event.category_path.clone(),
    }
}

/// A day as a number: days since the year 1 began.
pub(crate) fn day_number(day: NaiveDate) -> i32 {
    day.num_days_from_ce()
}

/// The date that it is then in a time zone; in UTC for one that this build's database hasn't.
fn date_at(ms: i64, time_zone: &str) -> Option<NaiveDate> {
    let time = DateTime::from_timestamp_millis(ms)?;
    Some(match time_zone.parse::<Tz>() {
        Ok(zone) => time.with_timezone(&zone).date_naive(),
        Err(_) => time.date_naive(),
    })
}

/// How people name a date when they search: its day of the week, its month, its year.
fn in_words(date: NaiveDate) -> String {
    let is_weekend = matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
    let weekend = if is_weekend { "weekend" } else { "" };
    format!("{} {weekend}", date.format("%A %B %Y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(show: &catalog::Show) -> Document {
        Document::of(show.clone()).expect("is one")
    }

    fn show() -> catalog::Show {
        catalog::Show {
            show_id: vec![1; 16],
            event: Some(catalog::Event {
                event_id: vec![2; 16],
                title: "Rhapsody".to_owned(),
                description: "Long.".to_owned(),
                category: "rock".to_owned(),
                category_path: vec!["music".to_owned(), "rock".to_owned()],
                classification: Some(catalog::Classification {
                    segment: "Music".to_owned(),
                    genre: "Rock".to_owned(),
                    sub_genre: String::new(),
                }),
                performers: vec![catalog::Performer {
                    performer_id: vec![3; 16],
                    name: "Queen".to_owned(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            venue: Some(catalog::Venue {
                venue_id: vec![4; 16],
                time_zone: "Asia/Tokyo".to_owned(),
                ..Default::default()
            }),
            // 2027-01-15T17:00:00Z, the 16th in Tokyo.
            starts_at_ms: 1_800_032_400_000,
            price_range: Some(catalog::PriceRange { min: 3, max: 9 }),
            ..Default::default()
        }
    }

    #[test]
    fn a_show_has_its_performers_prices_and_day() {
        let show = show();
        let document = shown(&show);
        assert_eq!(document.shown.performers, ["Queen"]);
        assert_eq!(
            document.description,
            "Long.\nMusic\nRock\n\nSaturday January 2027 weekend"
        );
        assert_eq!(document.shown.category_path, ["music", "rock"]);
        let day = NaiveDate::from_ymd_opt(2027, 1, 16).expect("is one");
        assert_eq!(document.day, day_number(day));
        let FoundShow {
            price_from,
            price_max,
            ..
        } = document.shown;
        assert_eq!((price_from, price_max), (Some(3), Some(9)));
        let price = |amount| catalog::Price {
            amount,
            ..Default::default()
        };
        let priced = catalog::Show {
            prices: vec![price(7), price(5)],
            price_range: None,
            ..show
        };
        let FoundShow {
            price_from,
            price_max,
            ..
        } = shown(&priced).shown;
        assert_eq!((price_from, price_max), (Some(5), Some(7)));
    }

    #[test]
    fn whatever_changes_is_another_content() {
        let first = shown(&show()).content();
        assert_eq!(shown(&show()).content(), first);
        let changes: [fn(&mut catalog::Show); 4] = [
            |show| show.state = "PAUSED".to_owned(),
            |show| show.price_range = None,
            |show| {
                let event = show.event.as_mut().expect("is there");
                event.description.push('!');
            },
            |show| show.venue.as_mut().expect("is there").city = "Tokyo".to_owned(),
        ];
        for change in changes {
            let mut other = show();
            change(&mut other);
            assert_ne!(shown(&other).content(), first);
        }
    }
}
