//! What a show's seats are called, kept in memory: the store knows them by number only.
//!
//! Always holds: a published show's seats never change, so nothing is dropped but for room.

use std::{sync::Arc, time::Duration};

use holdfast_proto::catalog::v1 as pb;
use holdfast_types::ShowId;
use moka::future::Cache;

use crate::{call::Call, server::App};

/// Seats kept over all shows: some hundred bytes each.
const SEATS_KEPT_MAX: u64 = 1_000_000;

/// How long the catalogue may take. Longer, and the rest of the request is left for who asks, to
/// read elsewhere.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Labels and sections of one show, by seat number.
#[derive(Debug)]
pub(crate) struct Layout {
    labels: Vec<Box<str>>,
    /// Index of the section of each seat.
    section_of: Vec<u32>,
    sections: Vec<Box<str>>,
}

impl Layout {
    /// `None` if the seats aren't numbered from 0 without a gap, in order.
    fn of(map: pb::GetSeatMapResponse) -> Option<Self> {
        let mut layout = Self {
            labels: Vec::with_capacity(map.seats.len()),
            section_of: Vec::with_capacity(map.seats.len()),
            sections: Vec::new(),
        };
        for (expected, seat) in (0..).zip(map.seats) {
            if seat.seat_no != expected {
                return None;
            }
            // The seats of a section are mostly neighbours, and there are few sections.
            let mut known = layout.sections.iter();
            let section = match known.rposition(|name| **name == *seat.section) {
                Some(index) => index,
                None => {
                    layout.sections.push(seat.section.into());
                    layout.sections.len() - 1
                }
            };
            layout.labels.push(seat.label.into());
            layout.section_of.push(u32::try_from(section).ok()?);
        }
        Some(layout)
    }

    pub(crate) fn seat_count(&self) -> usize {
        self.labels.len()
    }

    /// Label and section of every seat, in seat order.
    pub(crate) fn seats(&self) -> impl Iterator<Item = (&str, &str)> {
        let sections = self.section_of.iter();
        let sections = sections.map(|index| &*self.sections[*index as usize]);
        self.labels.iter().map(|label| &**label).zip(sections)
    }
}

/// Those of the shows that were asked for.
pub(crate) struct Layouts(Cache<ShowId, Arc<Layout>>);

impl Layouts {
    pub(crate) fn new() -> Self {
        let weight = |_: &ShowId, layout: &Arc<Layout>| {
            u32::try_from(layout.seat_count()).unwrap_or(u32::MAX)
        };
        Self(
            Cache::builder()
                .max_capacity(SEATS_KEPT_MAX)
                .weigher(weight)
                .build(),
        )
    }

    /// A show's, read when first needed; `None` if it can't be, at least not in [`WAIT_MAX`].
    pub(crate) async fn get(&self, app: &App, call: &Call, show_id: ShowId) -> Option<Arc<Layout>> {
        let load = async {
            let request = pb::GetSeatMapRequest {
                show_id: show_id.to_bytes().to_vec(),
            };
            let mut catalog = app.catalog.clone();
            match catalog.get_seat_map(call.request(request)).await {
                Ok(map) => Layout::of(map.into_inner()).map(Arc::new),
                Err(status) => {
                    tracing::debug!(show.id = %show_id, %status, "a seat map wasn't read");
                    None
                }
            }
        };
        let found = self.0.optionally_get_with(show_id, load);
        tokio::time::timeout(WAIT_MAX, found).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(seats: &[(u32, &str, &str)]) -> pb::GetSeatMapResponse {
        let seats = seats.iter().map(|(seat_no, label, section)| pb::Seat {
            seat_no: *seat_no,
            label: (*label).to_owned(),
            section: (*section).to_owned(),
            ..pb::Seat::default()
        });
        pb::GetSeatMapResponse {
            seats: seats.collect(),
            ..pb::GetSeatMapResponse::default()
        }
    }

    #[test]
    fn seats_are_found_by_number_with_their_sections() {
        let seats = [(0, "A-1", "A"), (1, "B-1", "B"), (2, "A-2", "A")];
        let layout = Layout::of(map(&seats)).expect("is numbered");
        let expected = [("A-1", "A"), ("B-1", "B"), ("A-2", "A")];
        assert_eq!(layout.seats().collect::<Vec<_>>(), expected);
        assert_eq!(layout.sections.len(), 2);
    }

    #[test]
    fn gap_in_the_numbers_is_not_believed() {
        assert!(Layout::of(map(&[(0, "A-1", "A"), (2, "A-2", "A")])).is_none());
    }
}
