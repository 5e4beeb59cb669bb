//! What the catalogue knows about: venues, events, shows. Plans are in [`crate::plan`].
//!
//! Always holds: values here passed the bounds of [`crate::fields`]; prices are sorted by
//! category and name none twice. Leaves to others: storage, wire forms.

use chrono::{DateTime, Utc};
use holdfast_types::{Currency, DurationMs, EventId, PlanId, ShowId, ShowState, UserId, VenueId};

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
}

/// What is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) event_id: EventId,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) category: String,
}

/// What a seat of a category costs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Price {
    pub(crate) category: String,
    /// Minor units of the show's currency; 0 is free.
    pub(crate) amount: i64,
}

/// How long seats may be held, and how many one customer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) hold_ttl: DurationMs,
    pub(crate) hold_total_max: DurationMs,
    pub(crate) seats_per_customer_max: u32,
}

/// A show as its organiser asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewShow {
    pub(crate) show_id: ShowId,
    pub(crate) event_id: EventId,
    pub(crate) plan_id: PlanId,
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) currency: Currency,
    pub(crate) prices: Vec<Price>,
    pub(crate) rules: Rules,
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
    pub(crate) prices: Vec<Price>,
    pub(crate) price_version: u32,
    pub(crate) rules: Rules,
}

impl Show {
    /// Whether anybody may see it.
    pub(crate) fn is_public(&self) -> bool {
        self.state != ShowState::Draft
    }

    /// What its organiser asked for.
    pub(crate) fn as_asked_for(&self) -> NewShow {
        NewShow {
            show_id: self.show_id,
            event_id: self.event.event_id,
            plan_id: self.plan_id,
            starts_at: self.starts_at,
            currency: self.currency,
            prices: self.prices.clone(),
            rules: self.rules,
        }
    }
}
