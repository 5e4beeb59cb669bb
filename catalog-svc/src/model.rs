//! What the catalogue knows about: venues, events, shows. Plans are in [`crate::plan`].
//!
//! Always holds: values here passed the bounds of [`crate::fields`]; prices of a show are in
//! [`crate::prices`]. Leaves to others: storage, wire forms.

use chrono::{DateTime, Utc};
use holdfast_types::{
    Currency, DurationMs, EventId, LateMoney, PerformerId, PlanId, ShowId, ShowState, UserId,
    VenueId,
};

use crate::{
    fields::Fields,
    prices::{AskedPrices, ExactPrice, Fee, Price, PriceRange},
    version::Version,
};

/// A place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Venue {
    pub(crate) venue_id: VenueId,
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) city: String,
    /// ISO 3166-1 alpha-2.
    pub(crate) country: String,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    /// IANA.
    pub(crate) time_zone: String,
    /// Empty where nobody said.
    pub(crate) postal_code: String,
    /// State, county, Land; empty where nobody said.
    pub(crate) region: String,
}

/// Where a venue is, as people find it, and by which clock: once a show there was put on sale, this stays.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) city: String,
    pub(crate) country: String,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) time_zone: String,
}

impl Venue {
    pub(crate) fn place(&self) -> Place {
        Place {
            city: self.city.clone(),
            country: self.country.clone(),
            latitude: self.latitude,
            longitude: self.longitude,
            time_zone: self.time_zone.clone(),
        }
    }

    /// Another one whenever something of it is.
    pub(crate) fn version(&self) -> String {
        let words = [
            &self.name,
            &self.address,
            &self.city,
            &self.country,
            &self.time_zone,
            &self.postal_code,
            &self.region,
        ];
        let version = words.into_iter().fold(Version::default(), Version::with);
        [self.latitude, self.longitude]
            .into_iter()
            .fold(version, |version, degrees| {
                version.with(degrees.to_be_bytes())
            })
            .finish()
    }
}

/// What of a venue is to change; what isn't named stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct VenueChange {
    pub(crate) name: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) city: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
    pub(crate) time_zone: Option<String>,
    pub(crate) postal_code: Option<String>,
    pub(crate) region: Option<String>,
}

/// What is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) event_id: EventId,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) category: String,
    /// What the category belongs to, the broadest first, and itself; empty where nobody looked.
    pub(crate) category_path: Vec<String>,
    pub(crate) classification: Classification,
    /// In the order of the bill.
    pub(crate) performers: Vec<Performer>,
    /// A picture, https; empty for none.
    pub(crate) image_url: String,
}

impl Event {
    /// Whether just those are on, in that order.
    pub(crate) fn is_billed(&self, bill: &[PerformerId]) -> bool {
        let ids = self
            .performers
            .iter()
            .map(|performer| performer.performer_id);
        ids.eq(bill.iter().copied())
    }

    /// Another one whenever something of it is, names of performers and what its category belongs to
    /// apart: those are theirs.
    pub(crate) fn version(&self) -> String {
        let Classification {
            segment,
            genre,
            sub_genre,
        } = &self.classification;
        let words = [
            &self.title,
            &self.description,
            &self.category,
            segment,
            genre,
            sub_genre,
            &self.image_url,
        ];
        let version = words.into_iter().fold(Version::default(), Version::with);
        let performers = self.performers.iter();
        performers
            .fold(version, |version, performer| {
                version.with(performer.performer_id.to_bytes())
            })
            .finish()
    }
}

/// A kind of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Category {
    pub(crate) slug: String,
    /// What it belongs to; none for one of the broadest.
    pub(crate) parent: Option<String>,
    pub(crate) name: String,
}

/// What of an event is to change; what isn't named stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventChange {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) classification: Option<Classification>,
    pub(crate) performers: Option<Vec<PerformerId>>,
    pub(crate) image_url: Option<String>,
}

/// What kind of event, from broad to narrow; empty from where nobody said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Classification {
    pub(crate) segment: String,
    pub(crate) genre: String,
    pub(crate) sub_genre: String,
}

/// Who is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Performer {
    pub(crate) performer_id: PerformerId,
    pub(crate) name: String,
}

impl Performer {
    /// Another one whenever something of it is.
    pub(crate) fn version(&self) -> String {
        Version::default().with(&self.name).finish()
    }
}

/// How seats may be held, and how many one customer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) hold_ttl: DurationMs,
    pub(crate) hold_total_max: DurationMs,
    pub(crate) seats_per_customer_max: u32,
    /// What becomes of money that comes after its hold has ended.
    pub(crate) late_money: LateMoney,
    /// Nothing is held that leaves a single seat free in a row that offers another way.
    pub(crate) no_lone_seat: bool,
}

/// A show as its organiser asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewShow {
    pub(crate) show_id: ShowId,
    pub(crate) event_id: EventId,
    pub(crate) plan_id: PlanId,
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) currency: Currency,
    pub(crate) prices: AskedPrices,
    pub(crate) fees: Vec<Fee>,
    pub(crate) rules: Rules,
    pub(crate) sale: SaleDates,
    pub(crate) announced: bool,
}

/// When a sale begins and ends: outside of that nothing new is held, whatever the state is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SaleDates {
    pub(crate) starts_at: Option<DateTime<Utc>>,
    pub(crate) ends_at: Option<DateTime<Utc>>,
}

impl SaleDates {
    /// Notes under `field` an end that isn't after the beginning.
    pub(crate) fn check(&self, field: &str, fields: &mut Fields) {
        let is_wrong = |(starts_at, ends_at)| ends_at <= starts_at;
        if self.starts_at.zip(self.ends_at).is_some_and(is_wrong) {
            fields.note(field, "must be later than the sale's start");
        }
    }
}

/// What of a show is to change; what isn't named stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShowChange {
    pub(crate) starts_at: Option<DateTime<Utc>>,
    pub(crate) prices: Option<AskedPrices>,
    pub(crate) fees: Option<Vec<Fee>>,
    pub(crate) rules: Option<Rules>,
    pub(crate) sale_starts_at: Option<Option<DateTime<Utc>>>,
    pub(crate) sale_ends_at: Option<Option<DateTime<Utc>>>,
    pub(crate) announced: Option<bool>,
}

/// A show with what its page says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Show {
    pub(crate) show_id: ShowId,
    pub(crate) owner_id: UserId,
    pub(crate) event: Event,
    pub(crate) venue: Venue,
    pub(crate) plan_id: PlanId,
    pub(crate) seat_count: u32,
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) state: ShowState,
    pub(crate) currency: Currency,
    /// By category, sorted.
    pub(crate) prices: Vec<Price>,
    /// Of sections and seats, sorted; of shows in lists left out.
    pub(crate) exact_prices: Vec<ExactPrice>,
    /// Of all of those, if there are any.
    pub(crate) exact_sha256: Option<Vec<u8>>,
    /// What seats cost, where there are any of those.
    pub(crate) seat_prices: Option<PriceRange>,
    /// In the order in which they are shown.
    pub(crate) fees: Vec<Fee>,
    /// Of prices and fees.
    pub(crate) price_version: u32,
    pub(crate) rules: Rules,
    pub(crate) sale: SaleDates,
    /// Of the sale's dates, as far as booking-svc may know them.
    pub(crate) sale_version: u32,
    /// The day is known, the time of day isn't.
    pub(crate) time_to_be_announced: bool,
    /// Anybody may see the draft.
    pub(crate) announced: bool,
}

impl Show {
    /// Whether anybody may see it; `is_public` of the table says the same.
    pub(crate) fn is_public(&self) -> bool {
        self.announced || self.state != ShowState::Draft
    }

    /// From the cheapest seat to the dearest; none without prices.
    pub(crate) fn price_range(&self) -> Option<PriceRange> {
        let by_category = || PriceRange::of(self.prices.iter().map(|price| price.amount));
        self.seat_prices.or_else(by_category)
    }

    /// What its organiser asked for.
    pub(crate) fn as_asked_for(&self) -> NewShow {
        NewShow {
            show_id: self.show_id,
            event_id: self.event.event_id,
            plan_id: self.plan_id,
            starts_at: self.starts_at,
            currency: self.currency,
            prices: AskedPrices::of(&self.prices, &self.exact_prices),
            fees: self.fees.clone(),
            rules: self.rules,
            sale: self.sale,
            announced: self.announced,
        }
    }

    /// Another one whenever something is that [`ShowChange`] changes.
    pub(crate) fn version(&self) -> String {
        let ms = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp_millis());
        let version = Version::default()
            .number(self.starts_at.timestamp_millis())
            .number(self.rules.hold_ttl.0.cast_signed())
            .number(self.rules.hold_total_max.0.cast_signed())
            .number(self.rules.seats_per_customer_max.into())
            .maybe(ms(self.sale.starts_at))
            .maybe(ms(self.sale.ends_at))
            .number(self.announced.into())
            .number(self.time_to_be_announced.into());
        let prices = self.prices.iter();
        let version = prices.fold(version, |version, price| {
            version.with(&price.category).number(price.amount)
        });
        // Of a show without these the version is as it was before there were any.
        let exact = self.exact_sha256.iter();
        let version = exact.fold(version, Version::with);
        let fees = self.fees.iter();
        let version = fees.fold(version, |version, fee| {
            let version = version.with(&fee.name).number(fee.amount);
            version.number(fee.per_ticket.into())
        });
        let version = match self.rules.late_money {
            LateMoney::Rebook => version,
            LateMoney::Refund => version.with("late money"),
        };
        match self.rules.no_lone_seat {
            false => version,
            true => version.with("no lone seat"),
        }
        .finish()
    }
}
