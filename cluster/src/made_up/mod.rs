//! A large made-up catalogue: venues in real cities, performers, events, and shows with dates and
//! prices.
//!
//! Always holds: pure; each thing follows from the seed and its own number (and shows' dates from
//! the first day), so nothing is kept, and a smaller catalogue is the begin of a larger one. Words
//! are ours; cities are GeoNames' (`data/geo/README.md`).
//! Leaves to others: handing it over (`upserts`), and what of it is put on sale: all of it is
//! announced drafts, which anybody can see and nobody can buy yet.

mod cities;
mod dice;
mod names;
#[cfg(test)]
mod quality;
mod shows;
#[cfg(test)]
mod tests;

use chrono::NaiveDate;
use holdfast_proto::catalog::v1::UpsertCatalogueRequest;

use self::{cities::Cities, dice::Dice};

/// Shows of one event.
const SHOWS_PER_EVENT: u64 = 4;
/// Events of one performer.
const EVENTS_PER_PERFORMER: u64 = 3;
/// Venues that there are to choose from.
const VENUES: u64 = 20_000;
/// Shows of one batch: with its events, performers and at most as many new venues it is within
/// what catalog-svc takes.
const BATCH_SHOWS: u64 = 800;
/// Shows that a catalogue may have.
pub(crate) const SHOWS_MAX: u64 = 10_000_000;

/// Which catalogue, and how far it was given out.
pub(crate) struct Catalogue {
    seed: u64,
    first_day: NaiveDate,
    shows: u64,
    cities: Cities,
    next_show: u64,
    /// Venues that an earlier batch has.
    given_venues: Vec<bool>,
}

impl Catalogue {
    /// `shows` shows within a year from `first_day`.
    pub(crate) fn new(seed: u64, first_day: NaiveDate, shows: u64) -> Self {
        Self {
            seed,
            first_day,
            shows,
            cities: Cities::read(),
            next_show: 0,
            given_venues: vec![false; VENUES as usize],
        }
    }

    /// Whose ids these are: another seed or first day is another catalogue.
    pub(crate) fn source(&self) -> String {
        format!("made-up/{}/{}", self.seed, self.first_day)
    }

    fn dice(&self, kind: &str, number: u64) -> Dice {
        Dice::of(self.seed, kind, number)
    }
}

/// Batches in order, each with all that its shows refer to and no earlier one has.
impl Iterator for Catalogue {
    type Item = UpsertCatalogueRequest;

    fn next(&mut self) -> Option<UpsertCatalogueRequest> {
        let first = self.next_show;
        let end = (first + BATCH_SHOWS).min(self.shows);
        if first >= end {
            return None;
        }
        self.next_show = end;
        let mut batch = UpsertCatalogueRequest::default();
        for number in first..end {
            let event = number / SHOWS_PER_EVENT;
            if number.is_multiple_of(SHOWS_PER_EVENT) {
                if event.is_multiple_of(EVENTS_PER_PERFORMER) {
                    let performer = self.performer(event / EVENTS_PER_PERFORMER);
                    batch.performers.push(performer);
                }
                batch.events.push(self.event(event));
            }
            let venue = self.venue_of(number);
            let given = &mut self.given_venues[venue as usize];
            if !std::mem::replace(given, true) {
                batch.venues.push(self.venue(venue).upsert(venue));
            }
            batch.shows.push(self.show(number));
        }
        Some(batch)
    }
}
