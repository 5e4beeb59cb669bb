//! A show as it is indexed.
//!
//! Always holds: what is here passed the catalogue's bounds again, because an engine may refuse a
//! whole batch for one value it can't take.

use holdfast_proto::{catalog::v1 as catalog, search::v1::FoundShow};
use holdfast_types::{EventId, ShowId, VenueId};

use crate::place::Place;

/// Raised whenever a document is indexed in another way: an index of another version is built anew.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// A show.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) show_id: ShowId,
    /// Who is on, and what the event says of itself.
    pub(crate) description: String,
    pub(crate) place: Place,
    /// All that is answered when it is found, without a distance.
    pub(crate) shown: FoundShow,
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

impl Document {
    /// From the catalogue.
    pub(crate) fn of(show: catalog::Show) -> Result<Self, Unreadable> {
        let unreadable = |what| Unreadable { what };
        let show_id = ShowId::from_slice(&show.show_id).map_err(|_| unreadable("id"))?;
        let event = show.event.ok_or(unreadable("event"))?;
        let venue = show.venue.ok_or(unreadable("venue"))?;
        EventId::from_slice(&event.event_id).map_err(|_| unreadable("event id"))?;
        VenueId::from_slice(&venue.venue_id).map_err(|_| unreadable("venue id"))?;
        let mut words: Vec<&str> = event.performers.iter().map(|one| &*one.name).collect();
        words.push(&event.description);
        let description = words.join("\n");
        let place = Place::new(venue.latitude, venue.longitude).ok_or(unreadable("place"))?;
        Ok(Self {
            show_id,
            description,
            place,
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
                price_from: show.prices.iter().map(|price| price.amount).min(),
                distance_m: None,
            },
        })
    }
}
