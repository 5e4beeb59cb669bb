//! Choosing seats: the lowest free ones of an area, and the best available.
//!
//! Always holds: what is chosen is a function of layout and free seats alone; a choice looks at a
//! bounded number of stretches for each block, at each zone once, however many blocks it is made of, and
//! from behaviour 2 on at a bounded number of seats.
//!
//! The best block of `n` seats: of the stretches that have room for it and that are asked for, the
//! one that comes nearest to its section's focus (the lowest rank of its seats; then the lowest
//! number), and in it the `n` neighbours with the lowest sum of ranks (then the lowest number).
//! Where no seat may be left alone, stretches that are longer than the block by just one come last,
//! and so do blocks that leave one alone, which count in rows that offer no other way. All seats of a block are of one section and one price category. Of seats kept back a block
//! has at least one accessible place.

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

use holdfast_types::SeatNo;

use super::{
    ALL_KEPT_BACK, ALL_PLAIN, CLASSES, EXACT_MAX, Offer, Places, Stretch, class_of, exact_class_of,
};
use crate::{SeatKind, limits::STRETCHES_EXAMINED_MAX};

/// What a best choice has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) count: u32,
    /// Sorted; empty for any.
    pub(crate) sections: &'a [u16],
    /// Sorted; empty for any.
    pub(crate) categories: &'a [u16],
    /// Side by side.
    pub(crate) adjacent: bool,
    /// From the seats kept back.
    pub(crate) accessible: bool,
    /// The show's rule.
    pub(crate) no_lone_seat: bool,
    /// Seats of stretches that are looked at; then there is nothing more to choose.
    pub(crate) seats_walked_max: usize,
}

/// What is left of the seats, and first stretches of zones, that may be looked at.
struct Walk(usize);

impl Walk {
    /// `None` if it was used up before.
    fn take(&mut self, seats: usize) -> Option<()> {
        let left = self.0;
        self.0 = left.saturating_sub(seats);
        (left > 0).then_some(())
    }
}

/// Which blocks count by what they leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lone {
    /// All.
    Ignored,
    /// Those that leave no seat alone, in stretches where that is likely.
    NoneLeft,
    /// Those too of rows that offer no other way.
    NoOtherWay,
}

/// Before every stretch of this zone and class.
const fn first_of(zone_no: u16, class: u8) -> Stretch {
    Stretch {
        zone_no,
        class,
        rank: 0,
        first: 0,
    }
}

impl Places {
    pub(crate) fn has_area(&self, section_no: u16) -> bool {
        self.areas.contains_key(&section_no)
    }

    /// The lowest `count` free places of an area, in ascending order.
    ///
    /// # Errors
    /// How many free ones there are, if those are too few.
    pub(crate) fn lowest_of_area(&self, section_no: u16, count: u32) -> Result<Vec<SeatNo>, u32> {
        let area = self.areas.get(&section_no).ok_or(0_u32)?;
        let mut chosen = Vec::new();
        let mut at = area.start;
        for _ in 0..count {
            at = self.free.find(at..area.end, true);
            if at == area.end {
                return Err(self.free.count(area.clone()));
            }
            chosen.push(SeatNo(at));
            at += 1;
        }
        Ok(chosen)
    }

    /// The best available seats, in ascending order; `None` if there are none such. Seats that
    /// needn't be side by side are taken in blocks all the same, the largest that there is first.
    pub(crate) fn best_available(&self, wanted: &Wanted<'_>) -> Option<Vec<SeatNo>> {
        let zones = self.zones_of(wanted);
        let mut walk = Walk(wanted.seats_walked_max);
        if wanted.adjacent {
            let heads = self.heads(&zones, wanted.count);
            let block = self.best_block(wanted, &heads, wanted.count, &mut walk)?;
            return Some(block.map(SeatNo).collect());
        }
        let mut left = self.clone();
        let mut heads = left.heads(&zones, 1);
        let mut chosen: Vec<SeatNo> = Vec::new();
        let (mut missing, mut size) = (wanted.count, wanted.count);
        // No block is longer than the longest stretch, where that is known.
        let longest = heads.iter().map(|head| u32::from(head.class)).max();
        size = size.min(longest.filter(|class| *class <= EXACT_MAX).unwrap_or(size));
        // Each turn makes one of the two smaller.
        while missing > 0 && size > 0 {
            size = size.min(missing);
            match left.best_block(wanted, &heads, size, &mut walk) {
                Some(block) => {
                    let zone_no = left.segment_of(block.start).zone_no;
                    let seats: Vec<SeatNo> = block.map(SeatNo).collect();
                    left.set_free(&seats, false);
                    // One zone of all, or what stands for them all.
                    let changed = if zones.contains(&zone_no) {
                        zone_no
                    } else {
                        zones[0]
                    };
                    heads.retain(|head| head.zone_no != changed);
                    heads.extend(left.heads(&[changed], 1));
                    missing -= size;
                    chosen.extend(seats);
                }
                None => size -= 1,
            }
        }
        chosen.sort_unstable();
        (missing == 0).then_some(chosen)
    }

    /// The zones to look in; one that stands for all where all are meant.
    fn zones_of(&self, wanted: &Wanted<'_>) -> Vec<u16> {
        let (offer, all) = if wanted.accessible {
            (Offer::KeptBack, ALL_KEPT_BACK)
        } else {
            (Offer::Plain, ALL_PLAIN)
        };
        if wanted.sections.is_empty() && wanted.categories.is_empty() {
            return vec![all];
        }
        let is_one_of = |list: &[u16], no| list.is_empty() || list.binary_search(no).is_ok();
        (0_u16..)
            .zip(self.zones.iter())
            .filter(|(_, zone)| {
                zone.offer == offer
                    && is_one_of(wanted.sections, &zone.section_no)
                    && is_one_of(wanted.categories, &zone.category_no)
            })
            .map(|(zone_no, _)| zone_no)
            .collect()
    }

    /// The first stretch of each zone and class, where there may be room for `count`.
    fn heads(&self, zones: &[u16], count: u32) -> Vec<Stretch> {
        let mut heads = Vec::new();
        for zone_no in zones {
            let mut class = class_of(count);
            // One look finds the next class that has any.
            while class <= CLASSES
                && let Some(head) = self.next_stretch(first_of(*zone_no, class), CLASSES)
            {
                heads.push(head);
                class = head.class + 1;
            }
        }
        heads
    }

    /// The first stretch from `at` on in its zone, up to those of `class`.
    fn next_stretch(&self, at: Stretch, class: u8) -> Option<Stretch> {
        let after = first_of(at.zone_no, class + 1);
        self.stretches.range(at..after).next().copied()
    }

    fn best_block(
        &self,
        wanted: &Wanted<'_>,
        heads: &[Stretch],
        count: u32,
        walk: &mut Walk,
    ) -> Option<Range<u32>> {
        if wanted.no_lone_seat && !wanted.accessible {
            self.first_block(wanted, heads, (count, Lone::NoneLeft), walk)
                .or_else(|| self.first_block(wanted, heads, (count, Lone::NoOtherWay), walk))
        } else {
            self.first_block(wanted, heads, (count, Lone::Ignored), walk)
        }
    }

    /// The best block of the first stretch that has one.
    fn first_block(
        &self,
        wanted: &Wanted<'_>,
        heads: &[Stretch],
        (count, lone): (u32, Lone),
        walk: &mut Walk,
    ) -> Option<Range<u32>> {
        // To put them in order costs about as much as to look at a seat each.
        walk.take(heads.len())?;
        let skipped = (lone == Lone::NoneLeft)
            .then(|| exact_class_of(count + 1))
            .flatten();
        let may_have =
            |head: &&Stretch| head.class >= class_of(count) && Some(head.class) != skipped;
        // The nearest to the focus comes first.
        let order = |head: Stretch| Reverse((head.rank, head.first, head.zone_no, head.class));
        let heads = heads.iter().filter(may_have).copied();
        let mut nearest: BinaryHeap<_> = heads.map(order).collect();
        for _ in 0..STRETCHES_EXAMINED_MAX {
            let Reverse((rank, first, zone_no, class)) = nearest.pop()?;
            let block = self.block_in(first, wanted, (count, lone), walk)?;
            if block.is_some() {
                return block;
            }
            let after = Stretch {
                zone_no,
                class,
                rank,
                first: first + 1,
            };
            nearest.extend(self.next_stretch(after, class).map(order));
        }
        None
    }

    /// The best block of `count` in the stretch that begins at `first`, if there is one; `None` if as
    /// many seats were looked at before as may be.
    fn block_in(
        &self,
        first: u32,
        wanted: &Wanted<'_>,
        (count, lone): (u32, Lone),
        walk: &mut Walk,
    ) -> Option<Option<Range<u32>>> {
        let whole = self.segment_of(first).range();
        let end = self.free.find(first..whole.end, false);
        walk.take((end - first) as usize)?;
        if lone == Lone::NoneLeft && end - first == count + 1 {
            return Some(None);
        }
        let seats: Vec<(u16, SeatKind)> = self
            .layout
            .focus()
            .narrow(first as usize..end as usize)
            .into_iter()
            .map(|seat| (seat.rank, seat.kind))
            .collect();
        // One step a seat, however large the block is.
        let accessible = |seat: &(u16, SeatKind)| u32::from(seat.1 == SeatKind::Accessible);
        let of = |seats: &[(u16, SeatKind)]| {
            let ranks: u32 = seats.iter().map(|(rank, _)| u32::from(*rank)).sum();
            (ranks, seats.iter().map(accessible).sum::<u32>())
        };
        let size = count as usize;
        let best = |fits: &dyn Fn(&Range<u32>) -> bool| {
            let mut best: Option<(u32, Range<u32>)> = None;
            let (mut ranks, mut places) = of(seats.get(..size)?);
            let moves = seats
                .iter()
                .zip(seats.iter().skip(size).map(Some).chain([None]));
            for (first, (leaves, comes)) in (first..).zip(moves) {
                let is_better = best.as_ref().is_none_or(|(lowest, _)| ranks < *lowest);
                let is_asked_for = !wanted.accessible || places > 0;
                let block = first..first + count;
                if is_better && is_asked_for && fits(&block) {
                    best = Some((ranks, block));
                }
                let Some(comes) = comes else { break };
                ranks = ranks - u32::from(leaves.0) + u32::from(comes.0);
                places = places - accessible(leaves) + accessible(comes);
            }
            best.map(|(_, block)| block)
        };
        if lone == Lone::Ignored {
            return Some(best(&|_| true));
        }
        let keeping = best(&|block| !self.leaves_one_alone(block));
        Some(match lone {
            Lone::NoOtherWay if keeping.is_none() => {
                let offers = self.row_offers_another_way(first, count);
                (!offers).then(|| best(&|_| true)).flatten()
            }
            _ => keeping,
        })
    }
}
