//! Where the seats of a show are, and which stretches of them are free: what is chosen from.
//!
//! Always holds: everything here follows from the layout and from which seats are available, so
//! neither snapshots nor hashes have it; a change of some seats costs by their number and by the
//! length of the stretches they are in, never by the size of the show. A **segment** is a piece of
//! a row without aisle, of one section and one price category, of seats that are offered together;
//! a **stretch** is a longest piece of a segment whose seats are free. Some 3 bytes a seat besides
//! the layout's 12.
//!
//! Leaves to `choose` which stretch is best, and to `lone` the rule of the lone seat.

mod bits;
mod choose;
mod lone;

use std::ops::Range;

use holdfast_types::SeatNo;
use imbl::{OrdMap, OrdSet, Vector};

use self::bits::Bits;
pub(crate) use self::choose::Wanted;
use crate::{
    LayoutSeat, SeatKind,
    limits::{SEGMENT_SEATS_MAX, ZONES_PER_SHOW_MAX},
};

/// Seats that are offered together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Offer {
    /// To everyone.
    Plain,
    /// Accessible places and their companions' seats: to those who ask for them.
    KeptBack,
    /// Places of an area: by number.
    Standing,
}

impl Offer {
    const fn of(kind: SeatKind) -> Self {
        match kind {
            SeatKind::Plain => Self::Plain,
            SeatKind::Accessible | SeatKind::Companion => Self::KeptBack,
            SeatKind::Standing => Self::Standing,
        }
    }
}

/// What the seats of a segment have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Zone {
    offer: Offer,
    section_no: u16,
    category_no: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    first: u32,
    seats: u16,
    zone_no: u16,
}

impl Segment {
    const fn range(self) -> Range<u32> {
        self.first..self.first + self.seats as u32
    }
}

/// A free stretch as it is looked for: by where, by how long, then from the focus outwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    /// Each stands under its own zone and under that of everything that is offered like it.
    zone_no: u16,
    class: u8,
    /// The lowest of its seats'.
    rank: u16,
    first: u32,
}

/// Stands for every zone of plain seats.
const ALL_PLAIN: u16 = u16::MAX;
/// Stands for every zone of seats kept back.
const ALL_KEPT_BACK: u16 = u16::MAX - 1;

/// Classes of length: exact where most ask, wider above.
const CLASSES: u8 = 11;

/// Lengths up to this have a class of their own.
const EXACT_MAX: u32 = 8;

/// The class of stretches of `seats`; a longer one is never of a lower class.
const fn class_of(seats: u32) -> u8 {
    match seats {
        0..=EXACT_MAX => seats as u8,
        9..=16 => 9,
        17..=32 => 10,
        _ => CLASSES,
    }
}

/// The class that has stretches of `seats` only, if there is one.
fn exact_class_of(seats: u32) -> Option<u8> {
    (seats <= EXACT_MAX).then_some(class_of(seats))
}

/// A layout that can't be told apart in sections and areas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadLayout;

/// The seats of a show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    layout: Vector<LayoutSeat>,
    free: Bits,
    segments: Vector<Segment>,
    zones: Vector<Zone>,
    zone_nos: OrdMap<Zone, u16>,
    /// Each standing section's places.
    areas: OrdMap<u16, Range<u32>>,
    stretches: OrdSet<Stretch>,
}

/// Reading.
impl Places {
    pub(crate) const fn layout(&self) -> &Vector<LayoutSeat> {
        &self.layout
    }

    fn len(&self) -> u32 {
        u32::try_from(self.layout.len()).expect("a layout never exceeds its seat count, a u32")
    }

    fn seat(&self, seat_no: u32) -> &LayoutSeat {
        self.layout
            .get(seat_no as usize)
            .expect("only seats of the layout are asked for")
    }

    /// Whether all of these seats of the layout are available.
    pub(crate) fn are_free(&self, seat_nos: &[SeatNo]) -> bool {
        seat_nos.iter().all(|seat_no| self.free.get(seat_no.0))
    }

    /// Whether the same is free in both, and is found the same way.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        self.free == other.free
            && self.segments == other.segments
            && self.zones == other.zones
            && self.areas == other.areas
            && self.stretches == other.stretches
    }

    fn segment_of(&self, seat_no: u32) -> Segment {
        let found = self
            .segments
            .binary_search_by_key(&seat_no, |segment| segment.first);
        let index = found.unwrap_or_else(|after| after - 1);
        self.segments[index]
    }

    fn zone(&self, segment: Segment) -> Zone {
        self.zones[usize::from(segment.zone_no)]
    }

    /// The free stretches of `segment` that have a seat of `range` or touch one.
    fn stretches_at(&self, segment: Segment, range: &Range<u32>) -> Vec<Range<u32>> {
        let whole = segment.range();
        let mut found = Vec::new();
        let mut at = self.free.start_of(whole.start, range.start);
        let end = (range.end + 1).min(whole.end);
        while at < end {
            let first = self.free.find(at..end, true);
            if first == end {
                break;
            }
            let after = self.free.find(first..whole.end, false);
            found.push(first..after);
            at = after;
        }
        found
    }

    fn lowest_rank(&self, range: &Range<u32>) -> u16 {
        let seats = range.start as usize..range.end as usize;
        let seats = self.layout.focus().narrow(seats);
        seats.into_iter().map(|seat| seat.rank).min().unwrap_or(0)
    }
}

/// Changing.
impl Places {
    /// These and more seats, free ones, after them.
    ///
    /// # Errors
    /// [`BadLayout`] if there are too many sections and categories, or an area's places aren't one
    /// after another.
    pub(crate) fn with(&self, seats: &[LayoutSeat]) -> Result<Self, BadLayout> {
        let mut longer = self.clone();
        longer.append(seats)?;
        Ok(longer)
    }

    /// After an error it is of no use any more.
    fn append(&mut self, seats: &[LayoutSeat]) -> Result<(), BadLayout> {
        let changed = self.segments.len().saturating_sub(1);
        // It may go on.
        if let Some(last) = self.segments.last().copied() {
            self.unlist(last, &last.range());
        }
        for seat in seats {
            self.push(seat)?;
        }
        for index in changed..self.segments.len() {
            let segment = self.segments[index];
            self.list(segment, &segment.range());
        }
        Ok(())
    }

    fn push(&mut self, seat: &LayoutSeat) -> Result<(), BadLayout> {
        let seat_no = self.len();
        let zone = Zone {
            offer: Offer::of(seat.kind),
            section_no: seat.section_no,
            category_no: seat.category_no,
        };
        let zone_no = self.zone_no(zone)?;
        let joined = self
            .layout
            .last()
            .is_some_and(|previous| previous.row_no == seat.row_no && !previous.gap_after);
        if zone.offer == Offer::Standing {
            let area = self
                .areas
                .entry(seat.section_no)
                .or_insert(seat_no..seat_no);
            if area.end != seat_no {
                return Err(BadLayout);
            }
            area.end = seat_no + 1;
        }
        match self.segments.last().copied() {
            Some(last) if joined && last.zone_no == zone_no && last.seats < SEGMENT_SEATS_MAX => {
                let longer = Segment {
                    seats: last.seats + 1,
                    ..last
                };
                self.segments.set(self.segments.len() - 1, longer);
            }
            _ => self.segments.push_back(Segment {
                first: seat_no,
                seats: 1,
                zone_no,
            }),
        }
        self.layout.push_back(*seat);
        self.free.push(true);
        Ok(())
    }

    fn zone_no(&mut self, zone: Zone) -> Result<u16, BadLayout> {
        if let Some(zone_no) = self.zone_nos.get(&zone) {
            return Ok(*zone_no);
        }
        let zone_no = u16::try_from(self.zones.len()).map_err(|_| BadLayout)?;
        if self.zones.len() >= ZONES_PER_SHOW_MAX {
            return Err(BadLayout);
        }
        self.zones.push_back(zone);
        self.zone_nos.insert(zone, zone_no);
        Ok(zone_no)
    }

    /// Makes seats of the layout free, or not; `seat_nos` are in ascending order.
    pub(crate) fn set_free(&mut self, seat_nos: &[SeatNo], free: bool) {
        let together = seat_nos.chunk_by(|a, b| a.0 + 1 == b.0);
        for seats in together {
            let (Some(first), Some(last)) = (seats.first(), seats.last()) else {
                continue;
            };
            let mut at = first.0;
            while at <= last.0 {
                let segment = self.segment_of(at);
                assert!(
                    segment.range().contains(&at),
                    "only seats of the layout change"
                );
                let end = (last.0 + 1).min(segment.range().end);
                self.set_range(segment, at..end, free);
                at = end;
            }
        }
    }

    fn set_range(&mut self, segment: Segment, range: Range<u32>, free: bool) {
        if self.free.find(range.clone(), !free) == range.end {
            return;
        }
        self.unlist(segment, &range);
        for seat_no in range.clone() {
            self.free.set(seat_no, free);
        }
        self.list(segment, &range);
    }

    /// Takes the stretches of `segment` at `range` out of what is looked for.
    fn unlist(&mut self, segment: Segment, range: &Range<u32>) {
        for stretch in self.entries(segment, range) {
            self.stretches.remove(&stretch);
        }
    }

    fn list(&mut self, segment: Segment, range: &Range<u32>) {
        for stretch in self.entries(segment, range) {
            self.stretches.insert(stretch);
        }
    }

    fn entries(&self, segment: Segment, range: &Range<u32>) -> Vec<Stretch> {
        let all = match self.zone(segment).offer {
            Offer::Plain => ALL_PLAIN,
            Offer::KeptBack => ALL_KEPT_BACK,
            Offer::Standing => return Vec::new(),
        };
        let mut entries = Vec::new();
        for stretch in self.stretches_at(segment, range) {
            let seats = stretch.end - stretch.start;
            let (class, rank) = (class_of(seats), self.lowest_rank(&stretch));
            entries.extend([all, segment.zone_no].map(|zone_no| Stretch {
                zone_no,
                class,
                rank,
                first: stretch.start,
            }));
        }
        entries
    }
}
