//! A piece of somebody's catalogue, under the ids that its source gave.
//!
//! Always holds: our ids follow from owner, source, kind and external id, so things can refer to
//! others that were never looked up, and the same piece again is the same things. Values passed the
//! bounds of [`crate::fields`]; no external id is there twice in a kind.

use chrono::{DateTime, Utc};
use holdfast_types::{Currency, EventId, PerformerId, PlanId, ShowId, UserId, VenueId};
use uuid::Uuid;

use crate::{
    hall::Hall,
    model::{Event, Rules, Venue},
    prices::PriceRange,
};

/// Things that are taken over together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) source: String,
    pub(crate) venues: Vec<External<Venue>>,
    pub(crate) performers: Vec<External<Performer>>,
    pub(crate) events: Vec<External<BilledEvent>>,
    pub(crate) shows: Vec<External<ImportedShow>>,
}

/// Something with its source's id of it.
#[derive(Debug)]
pub(crate) struct External<T> {
    pub(crate) external_id: String,
    pub(crate) value: T,
}

#[derive(Debug)]
pub(crate) struct Performer {
    pub(crate) performer_id: PerformerId,
    pub(crate) name: String,
}

/// An event whose performers are named by id only.
#[derive(Debug)]
pub(crate) struct BilledEvent {
    pub(crate) event: Event,
    pub(crate) bill: Vec<PerformerId>,
}

#[derive(Debug)]
pub(crate) struct ImportedShow {
    pub(crate) show_id: ShowId,
    pub(crate) event_id: EventId,
    pub(crate) venue_id: VenueId,
    pub(crate) hall: Hall,
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) time_to_be_announced: bool,
    pub(crate) currency: Currency,
    pub(crate) price_range: Option<PriceRange>,
    pub(crate) sale_starts_at: Option<DateTime<Utc>>,
    pub(crate) sale_ends_at: Option<DateTime<Utc>>,
    pub(crate) rules: Rules,
    pub(crate) announced: bool,
}

impl ImportedShow {
    pub(crate) fn plan_id(&self) -> PlanId {
        plan_id(self.venue_id, self.hall)
    }
}

/// The plan of a hall at a venue.
pub(crate) fn plan_id(venue_id: VenueId, hall: Hall) -> PlanId {
    Uuid::new_v5(&venue_id.as_uuid(), hall.to_string().as_bytes()).into()
}

/// Our ids of one owner's things of one source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids<'a> {
    pub(crate) owner_id: UserId,
    pub(crate) source: &'a str,
}

impl Ids<'_> {
    pub(crate) fn venue(self, external_id: &str) -> VenueId {
        self.of("venue", external_id).into()
    }

    pub(crate) fn performer(self, external_id: &str) -> PerformerId {
        self.of("performer", external_id).into()
    }

    pub(crate) fn event(self, external_id: &str) -> EventId {
        self.of("event", external_id).into()
    }

    pub(crate) fn show(self, external_id: &str) -> ShowId {
        self.of("show", external_id).into()
    }

    // NUL is in neither: `fields` refuses control characters.
    fn of(self, kind: &str, external_id: &str) -> Uuid {
        let name = format!("{kind}\0{}\0{external_id}", self.source);
        Uuid::new_v5(&self.owner_id.as_uuid(), name.as_bytes())
    }
}
