//! Each thing from its number.

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::Currency;

use super::{Catalogue, EVENTS_PER_PERFORMER, SHOWS_PER_EVENT, VENUES, cities::City, names};
use crate::{currencies, discovery};

/// Days that shows are spread over.
const DAYS: u64 = 365;
/// Seats of halls, small ones more often.
const HALLS: [u32; 16] = [
    1_000, 1_000, 1_000, 1_000, 1_500, 1_500, 2_000, 2_000, 2_500, 4_000, 6_000, 10_000, 15_000,
    25_000, 50_000, 100_000,
];
/// Minutes after midnight that shows begin at.
const BEGINS: [u32; 8] = [900, 1_080, 1_140, 1_170, 1_200, 1_200, 1_200, 1_230];
/// What the cheapest seat costs, in dollars of about 2026.
const CHEAPEST: (i64, i64) = (12, 70);
/// How much dearer the dearest is, in tenths.
const DEAREST_TENTHS: (i64, i64) = (15, 45);
/// Of a hundred shows, how many have no price yet, and how many no time of day.
const UNPRICED_PERCENT: u64 = 3;
const UNTIMED_PERCENT: u64 = 4;
/// Days before a show that its sale begins.
const SALE_DAYS: (i64, i64) = (60, 300);
/// When sales begin, in minutes after midnight.
const SALE_BEGINS: u32 = 10 * 60;
/// How far from the middle of its city a venue is, in hundredths of a degree.
const OUTSKIRTS: i64 = 4;

/// A venue with its hall.
pub(super) struct Venue {
    pub(super) city: City,
    pub(super) hall_seats: u32,
    words: wire::Venue,
}

impl Venue {
    pub(super) fn upsert(self, number: u64) -> wire::UpsertVenue {
        wire::UpsertVenue {
            external_id: format!("v{number}"),
            venue: Some(self.words),
        }
    }
}

impl Catalogue {
    pub(super) fn venue(&self, number: u64) -> Venue {
        let mut dice = self.dice("venue", number);
        let city = self.cities.pick(&mut dice).clone();
        let hall_seats = HALLS[dice.below(HALLS.len() as u64) as usize];
        let mut near = |degrees: f64, max: f64| {
            let off = dice.between(-OUTSKIRTS * 100, OUTSKIRTS * 100) as f64 / 10_000.0;
            // To a metre: sums of decimals have noise behind that.
            let near = ((degrees + off) * 1e5).round() / 1e5;
            near.clamp(-max, max)
        };
        let latitude = near(city.latitude, 90.0);
        let longitude = near(city.longitude, 180.0);
        let words = wire::Venue {
            venue_id: Vec::new(),
            name: names::venue(city.name, hall_seats, &mut dice),
            address: names::address(&mut dice),
            city: city.name.to_owned(),
            country: city.country.to_owned(),
            latitude,
            longitude,
            time_zone: city.time_zone.name().to_owned(),
            postal_code: format!("{:05}", dice.between(1_000, 99_999)),
            ..Default::default()
        };
        Venue {
            city,
            hall_seats,
            words,
        }
    }

    pub(super) fn performer(&self, number: u64) -> wire::UpsertPerformer {
        wire::UpsertPerformer {
            external_id: format!("p{number}"),
            name: self.performer_name(number),
        }
    }

    fn kind_of(&self, performer: u64) -> &'static names::Kind {
        names::kind(&mut self.dice("kind", performer))
    }

    fn performer_name(&self, number: u64) -> String {
        let mut dice = self.dice("performer", number);
        let city = self.cities.pick(&mut dice).name;
        names::performer(self.kind_of(number), city, &mut dice)
    }

    pub(super) fn event(&self, number: u64) -> wire::UpsertEvent {
        let performer = number / EVENTS_PER_PERFORMER;
        let kind = self.kind_of(performer);
        let name = self.performer_name(performer);
        let mut dice = self.dice("event", number);
        let guests = self.cities.pick(&mut dice).name;
        let genre = dice.pick(kind.genres);
        let title = names::title(kind, &name, guests, &mut dice);
        let event = wire::Event {
            event_id: Vec::new(),
            description: format!("{genre} with {name}. Made up, to try large catalogues with."),
            title,
            classification: Some(wire::Classification {
                segment: kind.segment.to_owned(),
                genre: genre.to_owned(),
                sub_genre: String::new(),
            }),
            ..Default::default()
        };
        wire::UpsertEvent {
            external_id: format!("e{number}"),
            event: Some(event),
            performer_external_ids: vec![format!("p{performer}")],
        }
    }

    pub(super) fn venue_of(&self, show: u64) -> u64 {
        self.dice("place", show).below(VENUES)
    }

    pub(super) fn show(&self, number: u64) -> wire::UpsertShow {
        let venue_no = self.venue_of(number);
        let Venue {
            city, hall_seats, ..
        } = self.venue(venue_no);
        let mut dice = self.dice("show", number);
        let date = after(self.first_day, dice.below(DAYS));
        let time_to_be_announced = dice.percent(UNTIMED_PERCENT);
        let begins = BEGINS[dice.below(BEGINS.len() as u64) as usize];
        let begins = if time_to_be_announced { 0 } else { begins };
        let starts_at_ms = instant_ms(at(date, begins), city.time_zone);
        let sale_days = dice.between(SALE_DAYS.0, SALE_DAYS.1).unsigned_abs();
        let sale_date = date.checked_sub_days(Days::new(sale_days)).unwrap_or(date);
        let currency = currencies::of_country(city.country);
        let is_unpriced = dice.percent(UNPRICED_PERCENT);
        let cheapest = dice.between(CHEAPEST.0, CHEAPEST.1);
        let dearest = cheapest * dice.between(DEAREST_TENTHS.0, DEAREST_TENTHS.1) / 10;
        let price_range = wire::PriceRange {
            min: price(cheapest, currency),
            max: price(dearest, currency),
        };
        wire::UpsertShow {
            external_id: format!("s{number}"),
            event_external_id: format!("e{}", number / SHOWS_PER_EVENT),
            venue_external_id: format!("v{venue_no}"),
            hall_seats,
            starts_at_ms,
            time_to_be_announced,
            currency: currency.to_owned(),
            price_range: (!is_unpriced).then_some(price_range),
            sale_starts_at_ms: Some(instant_ms(at(sale_date, SALE_BEGINS), city.time_zone)),
            sale_ends_at_ms: Some(starts_at_ms),
            rules: None,
            announced: true,
        }
    }
}

/// So many dollars in minor units of a currency, in its round numbers.
fn price(dollars: i64, currency: &str) -> i64 {
    let digits = currency
        .parse::<Currency>()
        .ok()
        .and_then(|currency| currency.minor_digits())
        .unwrap_or(2);
    let units = match currencies::dollar_tenths(currency) {
        // A dollar is a hundred or more: prices are in hundreds.
        tenths @ 1_000.. => dollars * tenths / 1_000 * 100,
        tenths => dollars * tenths / 10,
    };
    units.max(1) * 10_i64.pow(digits)
}

fn after(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(day)
}

fn at(date: NaiveDate, minutes: u32) -> NaiveDateTime {
    let time = NaiveTime::from_num_seconds_from_midnight_opt(minutes * 60, 0);
    date.and_time(time.unwrap_or_default())
}

fn instant_ms(local: NaiveDateTime, zone: Tz) -> i64 {
    discovery::instant(local, zone).map_or(0, |at| at.timestamp_millis())
}
