//! From what a file says of an event to what we take over, every field checked.
//!
//! Always holds: what comes out is within the bounds of catalog-svc (`catalog-svc/src/grpc`), so
//! that a mistake is told with its place in the file; reading goes on after a mistake, so that all
//! of an event are told together. White space in names is one space.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use holdfast_types::{Currency, text::is_unseen};

use super::{
    notes::{Mistake, Notes},
    raw, shift,
};

const NAME_BYTES_MAX: usize = 400;
const CITY_BYTES_MAX: usize = 200;
const POSTAL_CODE_BYTES_MAX: usize = 40;
const ADDRESS_BYTES_MAX: usize = 600;
const DESCRIPTION_BYTES_MAX: usize = 20_000;
const CLASSIFICATION_BYTES_MAX: usize = 120;
/// Of a status that we don't know, which is told. Known ones have up to eleven.
const STATUS_CHARS_MAX: usize = 40;
/// Longer bills are cut: who comes after the fiftieth is on no poster either.
const PERFORMERS_MAX: usize = 50;
/// As catalog-svc.
const PRICE_MAX: i64 = 1_000_000_000;

/// What a file says of one event: in our words, an event and its show.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Performance {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) classification: Option<Classification>,
    pub(super) performers: Vec<Performer>,
    pub(super) venue: Venue,
    pub(super) start: Start,
    pub(super) sale_starts_at: Option<DateTime<Utc>>,
    pub(super) sale_ends_at: Option<DateTime<Utc>>,
    pub(super) prices: Option<Prices>,
    pub(super) status: Status,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Classification {
    pub(super) segment: String,
    pub(super) genre: String,
    pub(super) sub_genre: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Performer {
    pub(super) id: String,
    pub(super) name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Venue {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) address: String,
    pub(super) postal_code: String,
    pub(super) city: String,
    pub(super) region: String,
    pub(super) country: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) time_zone: Tz,
}

/// When it starts, at the event's own zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    /// Midnight where the time is to be announced.
    pub(super) local: NaiveDateTime,
    pub(super) zone: Tz,
    pub(super) time_to_be_announced: bool,
}

/// In minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prices {
    pub(super) currency: Currency,
    pub(super) min: i64,
    pub(super) max: i64,
}

/// What the file says about the sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    /// `onsale`, or nothing.
    OnSale,
    /// `offsale`: over, or not begun.
    OffSale,
    /// Cancelled, postponed, whatever comes.
    Other(String),
}

/// What came of an event.
#[derive(Debug, PartialEq)]
pub(super) enum Reading {
    Performance(Box<Performance>),
    /// An event or a venue that is made for testing, by its id.
    Test(String),
    /// Not even the day is known.
    NoDate(String),
    Mistakes(Vec<Mistake>),
}

/// Reads an event.
pub(super) fn read(event: raw::Event) -> Reading {
    let mut notes = Notes::default();
    let id = notes.id("id", event.id.as_deref());
    let embedded = event.embedded.unwrap_or_default();
    let venue = embedded.venues.and_then(|venues| venues.into_iter().next());
    let is_test = |test: Option<bool>| test == Some(true);
    if is_test(event.test) || venue.as_ref().is_some_and(|venue| is_test(venue.test)) {
        return Reading::Test(id.unwrap_or_default());
    }
    let dates = event.dates.unwrap_or_default();
    let start = dates.start.unwrap_or_default();
    if start.local_date.is_none() && start.date_time.is_none() {
        return Reading::NoDate(id.unwrap_or_default());
    }

    let title = notes.name("name", event.name.as_deref(), NAME_BYTES_MAX);
    let description = description(
        &[event.description, event.info, event.please_note],
        &mut notes,
    );
    let classification = classification(event.classifications.unwrap_or_default(), &mut notes);
    let performers = performers(embedded.attractions.unwrap_or_default(), &mut notes);
    let zones = zones(dates.timezone.as_deref(), venue.as_ref(), &mut notes);
    let venue = match venue {
        Some(venue) => self::venue(venue, zones.map(|(_, zone)| zone), &mut notes),
        None => {
            notes.add("_embedded.venues", "the event has no venue");
            None
        }
    };
    let start = zones.and_then(|(zone, _)| self::start(&start, zone, &mut notes));
    let (sale_starts_at, sale_ends_at) = sale(event.sales.unwrap_or_default(), &mut notes);
    let prices = prices(&event.price_ranges.unwrap_or_default(), &mut notes);
    let performance = (|| {
        Some(Performance {
            id: id?,
            title: title?,
            description,
            classification,
            performers,
            venue: venue?,
            start: start?,
            sale_starts_at,
            sale_ends_at,
            prices,
            status: status(dates.status.and_then(|status| status.code)),
        })
    })();
    match performance {
        Some(performance) if notes.0.is_empty() => Reading::Performance(Box::new(performance)),
        _ => Reading::Mistakes(notes.0),
    }
}

fn description(parts: &[Option<String>], notes: &mut Notes) -> String {
    let parts: Vec<&str> = parts.iter().flatten().map(|part| part.trim()).collect();
    let text = parts.join("\n\n").replace(is_unseen, "");
    let is_refused = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.len() > DESCRIPTION_BYTES_MAX {
        let why = format!("is longer than {DESCRIPTION_BYTES_MAX} bytes, with info and pleaseNote");
        notes.add("description", why);
    } else if text.chars().any(is_refused) {
        notes.add(
            "description",
            "has a control character, or info or pleaseNote has",
        );
    }
    text
}

/// The primary one, else the first. The API's word for "nobody said" is left out.
fn classification(
    mut listed: Vec<raw::Classification>,
    notes: &mut Notes,
) -> Option<Classification> {
    let index = listed
        .iter()
        .position(|classification| classification.primary == Some(true))
        .unwrap_or(0);
    if listed.is_empty() {
        return None;
    }
    let chosen = listed.swap_remove(index);
    let mut word = |name: &str, named: Option<raw::Named>| {
        let field = format!("classifications[{index}].{name}.name");
        let text = named.and_then(|named| named.name);
        let text = notes.text(&field, text.as_deref(), CLASSIFICATION_BYTES_MAX);
        text.filter(|text| text != "Undefined").unwrap_or_default()
    };
    let segment = word("segment", chosen.segment);
    let genre = word("genre", chosen.genre);
    let sub_genre = word("subGenre", chosen.sub_genre);
    if segment.is_empty() {
        return None;
    }
    // Nothing narrow without the broader.
    let sub_genre = if genre.is_empty() {
        String::new()
    } else {
        sub_genre
    };
    Some(Classification {
        segment,
        genre,
        sub_genre,
    })
}

/// Each once, in the order of the bill.
fn performers(listed: Vec<raw::Attraction>, notes: &mut Notes) -> Vec<Performer> {
    let mut performers: Vec<Performer> = Vec::new();
    for (index, attraction) in listed.into_iter().take(PERFORMERS_MAX).enumerate() {
        let field = |name: &str| format!("_embedded.attractions[{index}].{name}");
        let id = notes.id(&field("id"), attraction.id.as_deref());
        let name = notes.name(&field("name"), attraction.name.as_deref(), NAME_BYTES_MAX);
        let Some((id, name)) = id.zip(name) else {
            continue;
        };
        if !performers.iter().any(|performer| performer.id == id) {
            performers.push(Performer { id, name });
        }
    }
    performers
}

/// The event's zone and the venue's; each stands in for the other.
fn zones(
    of_event: Option<&str>,
    venue: Option<&raw::Venue>,
    notes: &mut Notes,
) -> Option<(Tz, Tz)> {
    let of_venue = venue.and_then(|venue| venue.timezone.as_deref());
    let venue_field = "_embedded.venues[0].timezone";
    match (of_event, of_venue) {
        (None, None) => {
            let why = format!("is missing, and so is {venue_field}");
            notes.add("dates.timezone", why);
            None
        }
        (Some(zone), None) => notes.zone("dates.timezone", zone).map(|zone| (zone, zone)),
        (None, Some(zone)) => notes.zone(venue_field, zone).map(|zone| (zone, zone)),
        (Some(event), Some(venue)) => {
            let event = notes.zone("dates.timezone", event);
            event.zip(notes.zone(venue_field, venue))
        }
    }
}

fn venue(venue: raw::Venue, zone: Option<Tz>, notes: &mut Notes) -> Option<Venue> {
    let field = |name: &str| format!("_embedded.venues[0].{name}");
    let named = |named: Option<raw::Named>| named.and_then(|named| named.name);
    let address = venue.address.unwrap_or_default();
    let lines: Vec<String> = [address.line1, address.line2]
        .into_iter()
        .flatten()
        .collect();
    let location = venue.location.unwrap_or_default();
    let id = notes.id(&field("id"), venue.id.as_deref());
    let name = notes.name(&field("name"), venue.name.as_deref(), NAME_BYTES_MAX);
    let city = notes.name(
        &field("city.name"),
        named(venue.city).as_deref(),
        CITY_BYTES_MAX,
    );
    let region = notes.text(
        &field("state.name"),
        named(venue.state).as_deref(),
        CITY_BYTES_MAX,
    );
    let code = venue.country.and_then(|country| country.country_code);
    let country = country(&field("country.countryCode"), code, notes);
    let address = notes.text(
        &field("address"),
        Some(lines.join(", ").as_str()),
        ADDRESS_BYTES_MAX,
    );
    let postal_code = notes.text(
        &field("postalCode"),
        venue.postal_code.as_deref(),
        POSTAL_CODE_BYTES_MAX,
    );
    let latitude = degrees(&field("location.latitude"), location.latitude, 90.0, notes);
    let longitude = degrees(
        &field("location.longitude"),
        location.longitude,
        180.0,
        notes,
    );
    Some(Venue {
        id: id?,
        name: name?,
        address: address?,
        postal_code: postal_code?,
        city: city?,
        region: region?,
        country: country?,
        latitude: latitude?,
        longitude: longitude?,
        time_zone: zone?,
    })
}

fn country(field: &str, code: Option<String>, notes: &mut Notes) -> Option<String> {
    let is_code = |code: &String| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
    let code = code.filter(is_code);
    if code.is_none() {
        notes.add(
            field,
            "must be two upper-case letters of ISO 3166-1, e.g. US",
        );
    }
    code
}

fn degrees(field: &str, value: Option<raw::Degrees>, max: f64, notes: &mut Notes) -> Option<f64> {
    let (number, shown) = match value {
        None => {
            notes.add(field, "is missing");
            return None;
        }
        Some(raw::Degrees::Number(number)) => (Some(number), number.to_string()),
        Some(raw::Degrees::Text(text)) => (text.trim().parse().ok(), text),
    };
    let number = number.filter(|number: &f64| number.is_finite() && number.abs() <= max);
    if number.is_none() {
        notes.add(
            field,
            format!("{shown:?} is out of range: must be from -{max} to {max}"),
        );
    }
    number
}

fn start(start: &raw::Start, zone: Tz, notes: &mut Notes) -> Option<Start> {
    let is = |flag: Option<bool>| flag == Some(true);
    let at = notes.time("dates.start.dateTime", start.date_time.as_deref());
    // Of what was read: a stand-in for a time that the source doesn't have is none.
    let has_no_time = start.local_time.is_none() && at.is_none();
    let time_to_be_announced = is(start.time_tba)
        || is(start.date_tba)
        || is(start.date_tbd)
        || is(start.no_specific_time)
        || has_no_time;
    let date = start.local_date.as_deref().map(|text| {
        let date = text.parse::<NaiveDate>().ok();
        if date.is_none() {
            let why = format!("{text:?} is no date, e.g. 2027-07-28");
            notes.add("dates.start.localDate", why);
        }
        date
    });
    let time = start.local_time.as_deref().map(|text| {
        let time = text.parse::<NaiveTime>().ok();
        if time.is_none() {
            let why = format!("{text:?} is no time of day, e.g. 19:30:00");
            notes.add("dates.start.localTime", why);
        }
        time
    });
    // The instant says what the clock at the venue does; date and time stand in for it.
    let local = match (at, date) {
        (Some(at), _) => Some(at.with_timezone(&zone).naive_local()),
        (None, Some(date)) => date.map(|date| date.and_time(time.flatten().unwrap_or_default())),
        (None, None) => None,
    };
    let local = local.map(|local| match time_to_be_announced {
        true => date
            .flatten()
            .unwrap_or(local.date())
            .and_time(NaiveTime::MIN),
        false => local,
    });
    let is_placed = local.is_some_and(|local| shift::instant(local, zone).is_some());
    if !is_placed && notes.0.is_empty() {
        notes.add("dates.start", "is out of the calendar");
    }
    Some(Start {
        local: local?,
        zone,
        time_to_be_announced,
    })
}

fn sale(sales: raw::Sales, notes: &mut Notes) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let sale = sales.public.unwrap_or_default();
    let start = notes.time(
        "sales.public.startDateTime",
        sale.start_date_time.as_deref(),
    );
    let end = notes.time("sales.public.endDateTime", sale.end_date_time.as_deref());
    if start.zip(end).is_some_and(|(start, end)| end <= start) {
        notes.add(
            "sales.public.endDateTime",
            "must be later than startDateTime",
        );
    }
    (start, end)
}

/// The standard prices, else the first listed.
fn prices(listed: &[raw::PriceRange], notes: &mut Notes) -> Option<Prices> {
    let standard = |range: &raw::PriceRange| range.kind.as_deref() == Some("standard");
    let index = listed.iter().position(standard).unwrap_or(0);
    let range = listed.get(index)?;
    let field = |name: &str| format!("priceRanges[{index}].{name}");
    let code = range.currency.as_deref().unwrap_or_default();
    let known = code
        .parse::<Currency>()
        .ok()
        .and_then(|currency| Some((currency, currency.minor_digits()?)));
    let Some((currency, digits)) = known else {
        notes.add(
            &field("currency"),
            format!("{code:?} is no currency of ISO 4217"),
        );
        return None;
    };
    // A range with one end is one price.
    let (min, max) = match (range.min, range.max) {
        (Some(min), Some(max)) => (min, max),
        (Some(price), None) | (None, Some(price)) => (price, price),
        (None, None) => {
            notes.add(&field("min"), "is missing, and so is max");
            return None;
        }
    };
    let mut minor = |name: &str, units: f64| {
        let amount = (units * f64::from(10_u32.pow(digits))).round();
        if (0.0..=PRICE_MAX as f64).contains(&amount) {
            return Some(amount as i64);
        }
        let why = format!("{units} is out of range: must be from 0 to {PRICE_MAX} minor units");
        notes.add(&field(name), why);
        None
    };
    let (min, max) = minor("min", min).zip(minor("max", max))?;
    if min > max {
        notes.add(&field("max"), "must not be less than min");
        return None;
    }
    Some(Prices { currency, min, max })
}

fn status(code: Option<String>) -> Status {
    match code.as_deref() {
        None | Some("onsale") => Status::OnSale,
        Some("offsale") => Status::OffSale,
        Some(code) => Status::Other(code.chars().take(STATUS_CHARS_MAX).collect()),
    }
}
