//! Choosing seats and the lone-seat rule, written down again as plainly as possible: every block of
//! a show is looked at, and the whole show before and after.

use lockstore_core::{BestAvailable, LayoutSeat, SeatKind};

fn is_plain(seat: LayoutSeat) -> bool {
    seat.kind == SeatKind::Plain
}

fn is_kept_back(seat: LayoutSeat) -> bool {
    matches!(seat.kind, SeatKind::Accessible | SeatKind::Companion)
}

fn joined(layout: &[LayoutSeat], left: usize) -> bool {
    left + 1 < layout.len()
        && layout[left].row_no == layout[left + 1].row_no
        && !layout[left].gap_after
}

/// The longest pieces of neighbours that satisfy `fits` each, and `alike` by pairs.
fn pieces(
    layout: &[LayoutSeat],
    fits: impl Fn(usize) -> bool,
    alike: impl Fn(usize, usize) -> bool,
) -> Vec<Vec<usize>> {
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    for n in (0..layout.len()).filter(|n| fits(*n)) {
        match pieces.last_mut() {
            Some(piece)
                if piece.last() == Some(&(n.wrapping_sub(1)))
                    && joined(layout, n - 1)
                    && alike(n - 1, n) =>
            {
                piece.push(n);
            }
            _ => pieces.push(vec![n]),
        }
    }
    pieces
}

fn plain_stretches(layout: &[LayoutSeat], free: &[bool]) -> Vec<Vec<usize>> {
    pieces(layout, |n| free[n] && is_plain(layout[n]), |_, _| true)
}

fn row_offers(layout: &[LayoutSeat], free: &[bool], row_no: u32, seats: usize) -> bool {
    plain_stretches(layout, free).iter().any(|stretch| {
        layout[stretch[0]].row_no == row_no
            && (stretch.len() == seats || stretch.len() >= seats + 2)
    })
}

fn without(free: &[bool], taken: &[usize]) -> Vec<bool> {
    let mut after = free.to_vec();
    taken.iter().for_each(|n| after[*n] = false);
    after
}

/// Seats that taking `taken` leaves alone and that weren't before.
fn newly_alone(layout: &[LayoutSeat], free: &[bool], taken: &[usize]) -> Vec<usize> {
    let alone = |free: &[bool]| -> Vec<usize> {
        let stretches = plain_stretches(layout, free).into_iter();
        stretches.filter(|s| s.len() == 1).flatten().collect()
    };
    let before = alone(free);
    let mut after = alone(&without(free, taken));
    after.retain(|n| !before.contains(n));
    after
}

pub(crate) fn left_alone(layout: &[LayoutSeat], free: &[bool], taken: &[usize]) -> Vec<usize> {
    let mut alone = newly_alone(layout, free, taken);
    alone.retain(|n| {
        let row_no = layout[*n].row_no;
        let in_row = |n: &&usize| layout[**n].row_no == row_no && is_plain(layout[**n]);
        row_offers(layout, free, row_no, taken.iter().filter(in_row).count())
    });
    alone
}

pub(crate) fn lowest_of_area(
    layout: &[LayoutSeat],
    free: &[bool],
    section_no: u16,
    count: usize,
) -> Result<Vec<usize>, usize> {
    let is_of =
        |n: &usize| layout[*n].kind == SeatKind::Standing && layout[*n].section_no == section_no;
    let mut places: Vec<usize> = (0..layout.len())
        .filter(is_of)
        .filter(|n| free[*n])
        .collect();
    if places.len() < count {
        return Err(places.len());
    }
    places.truncate(count);
    Ok(places)
}

fn best_block(
    layout: &[LayoutSeat],
    free: &[bool],
    best: &BestAvailable,
    count: usize,
    no_lone_seat: bool,
) -> Option<Vec<usize>> {
    let is_offered = |n: usize| {
        let seat = layout[n];
        let offered = if best.accessible {
            is_kept_back(seat)
        } else {
            is_plain(seat)
        };
        offered
            && free[n]
            && (best.sections.is_empty() || best.sections.contains(&seat.section_no))
            && (best.categories.is_empty() || best.categories.contains(&seat.category_no))
    };
    let alike = |a: usize, b: usize| {
        let of = |n: usize| (layout[n].section_no, layout[n].category_no);
        of(a) == of(b)
    };
    let mut stretches = pieces(layout, is_offered, alike);
    let rank = |n: &usize| layout[*n].rank;
    stretches.sort_by_key(|stretch| (stretch.iter().map(rank).min(), stretch[0]));
    let blocks = |stretch: &[usize]| -> Vec<Vec<usize>> {
        let mut blocks: Vec<Vec<usize>> = stretch.windows(count).map(<[usize]>::to_vec).collect();
        if best.accessible {
            let accessible = |n: &usize| layout[*n].kind == SeatKind::Accessible;
            blocks.retain(|block| block.iter().any(accessible));
        }
        blocks.sort_by_key(|block| block.iter().map(|n| u32::from(rank(n))).sum::<u32>());
        blocks
    };
    let all = || stretches.iter();
    if !no_lone_seat || best.accessible {
        return all().find_map(|stretch| blocks(stretch).into_iter().next());
    }
    let keeps = |block: &Vec<usize>| newly_alone(layout, free, block).is_empty();
    let keeping = all()
        .filter(|stretch| stretch.len() != count + 1)
        .find_map(|stretch| blocks(stretch).into_iter().find(keeps));
    let has_other_way =
        |stretch: &[usize]| row_offers(layout, free, layout[stretch[0]].row_no, count);
    keeping.or_else(|| {
        all().find_map(|stretch| {
            let blocks = blocks(stretch);
            let keeping = blocks.iter().find(|block| keeps(block));
            match keeping {
                None if !has_other_way(stretch) => blocks.first().cloned(),
                keeping => keeping.cloned(),
            }
        })
    })
}

pub(crate) fn best_available(
    layout: &[LayoutSeat],
    free: &[bool],
    best: &BestAvailable,
    no_lone_seat: bool,
) -> Option<Vec<usize>> {
    let count = best.count as usize;
    if best.adjacent {
        return best_block(layout, free, best, count, no_lone_seat);
    }
    let mut chosen: Vec<usize> = Vec::new();
    let mut free = free.to_vec();
    while chosen.len() < count {
        let sizes = (1..=count - chosen.len()).rev();
        let mut blocks =
            sizes.filter_map(|size| best_block(layout, &free, best, size, no_lone_seat));
        let block = blocks.next()?;
        free = without(&free, &block);
        chosen.extend(block);
    }
    chosen.sort_unstable();
    Some(chosen)
}
