//! What becomes of a performance: its dates moved, its things as catalog-svc takes them, and whether
//! its show is put on sale or stays a draft, and why.
//!
//! Always holds: pure. A show that was moved is another show than the original and has another
//! external id (`G5diZfkn0B-bh+11y`), so that one that took place stays where it was when the next
//! is made.

use chrono::{DateTime, Utc};
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::limits::TIME_MS_MAX;

use super::{
    read::{Performance, Status},
    shift::{self, Shift},
};
use crate::currencies;

/// Why a show stays a draft.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draft {
    NoPrice,
    TimeToBeAnnounced,
    /// `offsale`, or the sale begins later or has ended.
    SaleNotOpen,
    /// Cancelled, postponed or whatever the file says.
    Status(String),
    Past,
}

impl Draft {
    pub(super) fn why(&self) -> String {
        match self {
            Self::NoPrice => "without a price range".into(),
            Self::TimeToBeAnnounced => "with the time to be announced".into(),
            Self::SaleNotOpen => "whose sale isn't open".into(),
            Self::Status(status) => format!("that the file calls {status:?}"),
            Self::Past => "of the past".into(),
        }
    }
}

/// A performance as it is taken over.
#[derive(Debug, PartialEq)]
pub(super) struct Planned {
    pub(super) venue: wire::UpsertVenue,
    pub(super) performers: Vec<wire::UpsertPerformer>,
    pub(super) event: wire::UpsertEvent,
    pub(super) show: wire::UpsertShow,
    pub(super) draft: Option<Draft>,
}

/// Why nothing can become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmovable {
    /// There is no such date.
    Calendar,
    /// There is, but catalog-svc wouldn't take it.
    OutOfRange,
}

impl Unmovable {
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Calendar => "can't be moved within the calendar",
            Self::OutOfRange => "is, after moving, not from 1970 to 2199",
        }
    }
}

/// Plans `performance` for a hall of so many seats.
pub(super) fn plan(
    performance: Performance,
    shift: Shift,
    hall_seats: u32,
    now: DateTime<Utc>,
) -> Result<Planned, Unmovable> {
    let start = &performance.start;
    let years = shift
        .years(start.local, start.zone, now)
        .ok_or(Unmovable::Calendar)?;
    let starts_at = shift::same_weekday(start.local, years)
        .and_then(|local| shift::instant(local, start.zone))
        .ok_or(Unmovable::Calendar)?;
    if !is_in_range(starts_at) {
        return Err(Unmovable::OutOfRange);
    }
    // A year less, so that the sale of a show that was moved just into the future is open.
    let begin = |at| shift::moved(at, start.zone, years.saturating_sub(1));
    let end = |at| shift::moved(at, start.zone, years);
    // Nobody needs the time of a sale that is out of range: it began long ago, or doesn't end.
    let in_range = |at: &DateTime<Utc>| is_in_range(*at);
    let sale_starts_at = performance.sale_starts_at.and_then(begin).filter(in_range);
    let sale_ends_at = performance.sale_ends_at.and_then(end).filter(in_range);

    let draft = draft(
        &performance,
        years,
        starts_at,
        (sale_starts_at, sale_ends_at),
        now,
    );
    let Performance {
        id,
        title,
        description,
        classification,
        performers,
        venue,
        start,
        prices,
        ..
    } = performance;
    let show_id = match years {
        0 => id.clone(),
        years => format!("{id}+{years}y"),
    };
    let currency = prices.map_or_else(
        || currencies::of_country(&venue.country).to_owned(),
        |prices| prices.currency.to_string(),
    );
    let show = wire::UpsertShow {
        external_id: show_id,
        event_external_id: id.clone(),
        venue_external_id: venue.id.clone(),
        hall_seats,
        starts_at_ms: starts_at.timestamp_millis(),
        time_to_be_announced: start.time_to_be_announced,
        currency,
        price_range: prices.map(|prices| wire::PriceRange {
            min: prices.min,
            max: prices.max,
        }),
        sale_starts_at_ms: sale_starts_at.map(|at| at.timestamp_millis()),
        sale_ends_at_ms: sale_ends_at.map(|at| at.timestamp_millis()),
        rules: None,
        announced: true,
    };
    let event = wire::Event {
        title,
        description,
        // It follows from the classification.
        category: String::new(),
        classification: classification.map(|words| wire::Classification {
            segment: words.segment,
            genre: words.genre,
            sub_genre: words.sub_genre,
        }),
        ..Default::default()
    };
    let venue_words = wire::Venue {
        venue_id: Vec::new(),
        name: venue.name,
        address: venue.address,
        city: venue.city,
        country: venue.country,
        latitude: venue.latitude,
        longitude: venue.longitude,
        time_zone: venue.time_zone.name().to_owned(),
        postal_code: venue.postal_code,
        region: venue.region,
        ..Default::default()
    };
    Ok(Planned {
        venue: wire::UpsertVenue {
            external_id: venue.id,
            venue: Some(venue_words),
        },
        event: wire::UpsertEvent {
            external_id: id,
            event: Some(event),
            performer_external_ids: performers.iter().map(|p| p.id.clone()).collect(),
        },
        performers: performers
            .into_iter()
            .map(|performer| wire::UpsertPerformer {
                external_id: performer.id,
                name: performer.name,
            })
            .collect(),
        show,
        draft,
    })
}

/// Whether catalog-svc takes such a time.
fn is_in_range(at: DateTime<Utc>) -> bool {
    (0..=TIME_MS_MAX).contains(&at.timestamp_millis())
}

/// Why it isn't put on sale, with what the source says first of one that is to come. What the file says of a sale long ago (`offsale`) doesn't count for a
/// show that was moved.
fn draft(
    performance: &Performance,
    years: u32,
    starts_at: DateTime<Utc>,
    sale: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    now: DateTime<Utc>,
) -> Option<Draft> {
    if starts_at <= now {
        return Some(Draft::Past);
    }
    if let Status::Other(status) = &performance.status {
        return Some(Draft::Status(status.clone()));
    }
    if performance.prices.is_none() {
        return Some(Draft::NoPrice);
    }
    if performance.start.time_to_be_announced {
        return Some(Draft::TimeToBeAnnounced);
    }
    if performance.status == Status::OffSale && years == 0 {
        return Some(Draft::SaleNotOpen);
    }
    let is_open = sale.0.is_none_or(|start| start <= now) && sale.1.is_none_or(|end| end > now);
    (!is_open).then_some(Draft::SaleNotOpen)
}
