//! The public shapes of events, shows and seat maps, and how the catalogue's messages become them.

use chrono::{DateTime, FixedOffset};
use holdfast_proto::catalog::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    failure::ApiError,
    wire::{self, Money, required},
};

#[derive(Serialize, ToSchema)]
pub(crate) struct Event {
    pub(crate) event_id: Uuid,
    #[schema(example = "Summer Night Concert")]
    title: String,
    description: String,
    /// One of `categories`.
    #[schema(example = "music-rock")]
    category: String,
    /// What the category belongs to, the broadest first, and itself.
    #[schema(example = json!(["music", "music-rock"]))]
    category_path: Vec<String>,
    /// From broad to narrow; null where nobody said.
    #[schema(required = true)]
    classification: Option<Classification>,
    /// Who is on, in the order of the bill.
    performers: Vec<Performer>,
    /// A picture; null where there is none.
    #[schema(
        format = "uri",
        example = "https://images.example/concert.jpg",
        required = true
    )]
    image_url: Option<String>,
}

/// What kind of event, in the words of whoever classified it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Classification {
    #[schema(example = "Arts & Theatre")]
    segment: String,
    #[schema(example = "Classical", required = true)]
    genre: Option<String>,
    #[schema(example = "Opera", required = true)]
    sub_genre: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Performer {
    pub(crate) performer_id: Uuid,
    #[schema(example = "The Harbour Lights")]
    name: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct EventPage {
    #[serde(flatten)]
    event: Event,
    /// Its public shows, by time; at most 100.
    shows: Vec<Show>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Venue {
    pub(crate) venue_id: Uuid,
    #[schema(example = "Stadium")]
    name: String,
    address: String,
    #[schema(example = "Berlin")]
    city: String,
    #[schema(example = "14053", required = true)]
    postal_code: Option<String>,
    /// State, county, Land.
    #[schema(example = "Berlin", required = true)]
    region: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "DE")]
    country: String,
    #[schema(example = 52.5147)]
    latitude: f64,
    #[schema(example = 13.2395)]
    longitude: f64,
    /// IANA.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Price {
    #[schema(example = "Stalls")]
    category: String,
    price: Money,
}

/// From the cheapest seat to the dearest.
#[derive(Serialize, ToSchema)]
pub(crate) struct PriceRange {
    min: Money,
    max: Money,
}

/// A fee of a fixed amount.
#[derive(Serialize, ToSchema)]
pub(crate) struct Fee {
    #[schema(example = "Service fee")]
    name: String,
    per: FeePer,
    #[schema(example = 250)]
    amount: i64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
}

/// What a fee is for: each ticket, or the booking as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FeePer {
    Ticket,
    Booking,
}

/// What a hold in this show is bound by.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShowRules {
    /// How long a hold lasts, in seconds.
    #[schema(example = 600)]
    hold_ttl_s: u64,
    /// How long one may last with its extensions, in seconds.
    #[schema(example = 1800)]
    hold_total_s_max: u64,
    /// Seats one customer may hold and buy, altogether.
    #[schema(example = 10)]
    seats_per_customer_max: u32,
    late_money: LateMoney,
    /// No hold may leave a single seat free between taken ones, an aisle or its row's end, unless the row offers no other way.
    no_lone_seat: bool,
}

/// What becomes of money that comes after its hold has ended: `rebook` holds the same seats again and sells
/// them, and refunds it where they can't be had; `refund` refunds it at once.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LateMoney {
    Rebook,
    Refund,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Show {
    pub(crate) show_id: Uuid,
    event: Event,
    venue: Venue,
    /// With the venue's offset.
    #[schema(example = "2026-07-15T20:00:00+02:00")]
    starts_at: DateTime<FixedOffset>,
    /// The venue's, IANA.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// The day is known, the time of day isn't: `starts_at` is the day's begin.
    time_to_be_announced: bool,
    /// DRAFT (announced, and nothing for sale yet), ON_SALE, PAUSED, CLOSED, CANCELLED.
    #[schema(example = "ON_SALE")]
    state: String,
    /// When the sale begins, with the venue's offset: before it, and from `sale_ends_at` on, no seats can be
    /// held, whatever `state` is.
    #[schema(example = "2026-03-01T10:00:00+01:00", required = true)]
    sale_starts_at: Option<DateTime<FixedOffset>>,
    #[schema(example = "2026-07-15T18:00:00+02:00", required = true)]
    sale_ends_at: Option<DateTime<FixedOffset>>,
    #[schema(example = "EUR")]
    currency: String,
    /// Null where no prices are known yet.
    #[schema(required = true)]
    price_range: Option<PriceRange>,
    prices: Vec<Price>,
    /// What is paid besides what seats cost, in the order in which it is to be shown; no part of `price_range`.
    fees: Vec<Fee>,
    rules: ShowRules,
    #[schema(example = 738)]
    seat_count: u32,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SeatCategory {
    #[schema(example = "Stalls")]
    name: String,
    /// CSS hexadecimal.
    #[schema(example = "#F44336")]
    color: String,
    price: Money,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Seat {
    /// What `holds` takes.
    #[schema(example = "GROUND-3-A-7")]
    seat_id: String,
    /// Its place in the show's order, from 0.
    #[schema(example = 6)]
    seat_no: u32,
    #[schema(example = "GROUND-3")]
    section: String,
    #[schema(example = "A")]
    row: String,
    #[schema(example = "7")]
    number: String,
    #[schema(example = 120.5)]
    x: f64,
    #[schema(example = 64.0)]
    y: f64,
    #[schema(example = "Stalls")]
    category: String,
    /// What it costs, where that isn't what its category does; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Money, required = false)]
    price: Option<Money>,
    /// `standard`, `accessible` (a place for a wheelchair), `companion` (beside such a place; held only
    /// together with one).
    #[schema(example = "standard")]
    kind: String,
}

/// A standing area: `holds` takes places of it by its name and their number.
#[derive(Serialize, ToSchema)]
pub(crate) struct Area {
    /// Also its section's.
    #[schema(example = "GOLDEN")]
    name: String,
    /// What people read.
    #[schema(example = "Golden circle")]
    display_name: String,
    #[schema(example = 500)]
    capacity: u32,
    /// Of its places' `seat_no`s, which follow one another: in `availability` they stand where seats do.
    #[schema(example = 738)]
    first_seat_no: u32,
    #[schema(example = "Standing")]
    category: String,
    /// Of the box around its shape, before it is turned: the left upper corner.
    #[schema(example = 400.0)]
    x: f64,
    #[schema(example = 120.0)]
    y: f64,
    #[schema(example = 300.0)]
    width: f64,
    #[schema(example = 150.0)]
    height: f64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SeatMap {
    show_id: Uuid,
    #[schema(example = "EUR")]
    currency: String,
    /// Of the drawing that the seats' `x` and `y` are in.
    #[schema(example = 1200.0)]
    width: f64,
    #[schema(example = 800.0)]
    height: f64,
    categories: Vec<SeatCategory>,
    /// Those that people sit on.
    seats: Vec<Seat>,
    areas: Vec<Area>,
}

pub(crate) fn event(event: pb::Event) -> Result<Event, ApiError> {
    Ok(Event {
        event_id: wire::id(&event.event_id, "event_id")?,
        title: event.title,
        description: event.description,
        category: event.category,
        category_path: event.category_path,
        classification: event.classification.map(|words| Classification {
            segment: words.segment,
            genre: wire::optional(words.genre),
            sub_genre: wire::optional(words.sub_genre),
        }),
        performers: event
            .performers
            .into_iter()
            .map(performer)
            .collect::<Result<_, _>>()?,
        image_url: wire::optional(event.image_url),
    })
}

pub(crate) fn performer(performer: pb::Performer) -> Result<Performer, ApiError> {
    Ok(Performer {
        performer_id: wire::id(&performer.performer_id, "performer_id")?,
        name: performer.name,
    })
}

pub(crate) fn venue(venue: pb::Venue) -> Result<Venue, ApiError> {
    Ok(Venue {
        venue_id: wire::id(&venue.venue_id, "venue_id")?,
        name: venue.name,
        address: venue.address,
        city: venue.city,
        postal_code: wire::optional(venue.postal_code),
        region: wire::optional(venue.region),
        country: venue.country,
        latitude: venue.latitude,
        longitude: venue.longitude,
        time_zone: venue.time_zone,
    })
}

pub(crate) fn show(show: pb::Show) -> Result<Show, ApiError> {
    let venue = venue(required(show.venue, "venue")?)?;
    let rules = required(show.rules, "rules")?;
    let money = |amount| Money {
        amount,
        currency: show.currency.clone(),
    };
    let price = |price: pb::Price| Price {
        category: price.category,
        price: money(price.amount),
    };
    let fee = |fee: pb::Fee| Fee {
        name: fee.name,
        per: match fee.per_ticket {
            true => FeePer::Ticket,
            false => FeePer::Booking,
        },
        amount: fee.amount,
        currency: show.currency.clone(),
    };
    let local = |ms: Option<i64>| ms.map(|ms| wire::local(ms, &venue.time_zone)).transpose();
    Ok(Show {
        show_id: wire::id(&show.show_id, "show_id")?,
        event: event(required(show.event, "event")?)?,
        starts_at: wire::local(show.starts_at_ms, &venue.time_zone)?,
        time_zone: venue.time_zone.clone(),
        time_to_be_announced: show.time_to_be_announced,
        sale_starts_at: local(show.sale_starts_at_ms)?,
        sale_ends_at: local(show.sale_ends_at_ms)?,
        venue,
        state: show.state,
        price_range: show.price_range.map(|range| PriceRange {
            min: money(range.min),
            max: money(range.max),
        }),
        prices: show.prices.into_iter().map(price).collect(),
        fees: show.fees.into_iter().map(fee).collect(),
        rules: ShowRules {
            hold_ttl_s: rules.hold_ttl_ms / 1000,
            hold_total_s_max: rules.hold_total_ms_max / 1000,
            seats_per_customer_max: rules.seats_per_customer_max,
            late_money: match rules.late_money() {
                pb::LateMoney::Refund => LateMoney::Refund,
                pb::LateMoney::Unspecified | pb::LateMoney::Rebook => LateMoney::Rebook,
            },
            no_lone_seat: rules.no_lone_seat,
        },
        seat_count: show.seat_count,
        currency: show.currency,
    })
}

pub(crate) fn seat_map(map: pb::GetSeatMapResponse) -> Result<SeatMap, ApiError> {
    let category = |category: pb::Category| SeatCategory {
        name: category.name,
        color: category.color,
        price: Money {
            amount: category.price,
            currency: map.currency.clone(),
        },
    };
    let seat = |seat: pb::Seat| Seat {
        seat_id: seat.label,
        seat_no: seat.seat_no,
        section: seat.section,
        row: seat.row,
        number: seat.number,
        x: seat.x,
        y: seat.y,
        category: seat.category,
        price: seat.price.map(|amount| Money {
            amount,
            currency: map.currency.clone(),
        }),
        kind: match seat.kind.as_str() {
            // A catalogue of the release before says nothing.
            "" => "standard".to_owned(),
            kind => kind.to_ascii_lowercase(),
        },
    };
    let area = |area: pb::Area| Area {
        name: area.name,
        display_name: area.display_name,
        capacity: area.capacity,
        first_seat_no: area.first_seat_no,
        category: area.category,
        x: area.x,
        y: area.y,
        width: area.width,
        height: area.height,
    };
    let is_sat_on = |seat: &pb::Seat| seat.kind != "STANDING";
    Ok(SeatMap {
        show_id: wire::id(&map.show_id, "show_id")?,
        width: map.width,
        height: map.height,
        categories: map.categories.into_iter().map(category).collect(),
        seats: map.seats.into_iter().filter(is_sat_on).map(seat).collect(),
        areas: map.areas.into_iter().map(area).collect(),
        currency: map.currency,
    })
}

pub(crate) fn event_page(answer: pb::GetEventResponse) -> Result<EventPage, ApiError> {
    let shows = answer.shows.into_iter().map(show);
    Ok(EventPage {
        shows: shows.collect::<Result<_, _>>()?,
        event: event(required(answer.event, "event")?)?,
    })
}
