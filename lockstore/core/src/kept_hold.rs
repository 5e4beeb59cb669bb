//! A hold with the request that made it, as a show keeps them: live or ended, and as small as it can
//! be, since there may be millions.
//!
//! Always holds: a live hold's request isn't finished, an ended one's is; what a hold was granted as
//! can always be told, and how it stands while it lives.

use std::{num::NonZeroU64, sync::Arc};

use holdfast_types::{ClusterTime, DurationMs, Fence, HoldId, SeatNo, UserId};

use crate::{BodyHash, Hold, HoldEnd, hold::overdue_at};

/// 112 bytes, and 16 for sharing it: a size that allocators have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptHold {
    pub(crate) id: HoldId,
    pub(crate) holder: UserId,
    pub(crate) fence: Fence,
    pub(crate) granted_at: ClusterTime,
    pub(crate) body: BodyHash,
    pub(crate) not_after: ClusterTime,
    finished: Option<Finished>,
    seats: SeatSet,
    /// Spans from the grant, in milliseconds: to the end that was promised at first, to the one that
    /// is promised now, and to the latest that may be.
    granted_ms: u32,
    expires_ms: u32,
    extendable_ms: u32,
    price_version: u32,
}

/// How and until when: three bits of one, and the milliseconds of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Finished(NonZeroU64);

const END_BITS: u32 = 3;
const KEEP_UNTIL_MAX: u64 = u64::MAX >> END_BITS;

impl Finished {
    /// No time of the cluster is so late that it doesn't fit.
    fn new(end: HoldEnd, keep_until: ClusterTime) -> Self {
        let end = match end {
            HoldEnd::Expired => 1,
            HoldEnd::Released => 2,
            HoldEnd::Sold => 3,
            HoldEnd::Cancelled => 4,
        };
        let packed = keep_until.0.min(KEEP_UNTIL_MAX) << END_BITS | end;
        Self(NonZeroU64::new(packed).expect("no end is zero"))
    }

    const fn end(self) -> HoldEnd {
        match self.0.get() & ((1 << END_BITS) - 1) {
            1 => HoldEnd::Expired,
            2 => HoldEnd::Released,
            3 => HoldEnd::Sold,
            _ => HoldEnd::Cancelled,
        }
    }

    const fn keep_until(self) -> ClusterTime {
        ClusterTime(self.0.get() >> END_BITS)
    }
}

impl KeptHold {
    /// A live one, granted as `hold`; `None` if it promises more than any hold may.
    pub(crate) fn granted(hold: &Hold, body: BodyHash, not_after: ClusterTime) -> Option<Self> {
        let span = |to: ClusterTime| u32::try_from(to.0.checked_sub(hold.granted_at.0)?).ok();
        let granted_ms = span(hold.expires_at)?;
        Some(Self {
            id: hold.id,
            holder: hold.holder,
            fence: hold.fence,
            granted_at: hold.granted_at,
            body,
            not_after,
            finished: None,
            seats: SeatSet::new(&hold.seat_nos),
            granted_ms,
            expires_ms: granted_ms,
            extendable_ms: span(hold.extendable_until)?,
            price_version: hold.price_version,
        })
    }

    /// The hold as it stands, or as it was granted if it has ended.
    pub(crate) fn hold(&self) -> Hold {
        self.hold_until(self.expires_at())
    }

    /// The hold as it was granted.
    pub(crate) fn granted_hold(&self) -> Hold {
        self.hold_until(self.granted_expires_at())
    }

    fn hold_until(&self, expires_at: ClusterTime) -> Hold {
        Hold {
            id: self.id,
            holder: self.holder,
            fence: self.fence,
            seat_nos: self.seats.shared(),
            granted_at: self.granted_at,
            expires_at,
            extendable_until: self.extendable_until(),
            price_version: self.price_version,
        }
    }

    const fn after(&self, ms: u32) -> ClusterTime {
        self.granted_at.plus(DurationMs(ms as u64))
    }

    pub(crate) const fn granted_expires_at(&self) -> ClusterTime {
        self.after(self.granted_ms)
    }

    pub(crate) const fn expires_at(&self) -> ClusterTime {
        self.after(self.expires_ms)
    }

    pub(crate) const fn extendable_until(&self) -> ClusterTime {
        self.after(self.extendable_ms)
    }

    /// See [`Hold::overdue_at`].
    pub(crate) fn overdue_at(&self) -> ClusterTime {
        overdue_at(self.granted_at, self.expires_at())
    }

    pub(crate) const fn price_version(&self) -> u32 {
        self.price_version
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.finished.is_none()
    }

    /// How it ended; `None` while it lives.
    pub(crate) fn end(&self) -> Option<HoldEnd> {
        self.finished.map(Finished::end)
    }

    /// When its request may be forgotten; `None` while it lives.
    pub(crate) fn keep_until(&self) -> Option<ClusterTime> {
        self.finished.map(Finished::keep_until)
    }

    pub(crate) fn seat_count(&self) -> u32 {
        self.seats.len()
    }

    /// Its seats, in ascending order.
    pub(crate) fn seat_nos(&self) -> impl Iterator<Item = SeatNo> {
        self.seats.iter()
    }

    /// Moves the end that is promised; `false` if no hold may live that long.
    pub(crate) fn extend(&mut self, expires_at: ClusterTime) -> bool {
        let span = expires_at.0.checked_sub(self.granted_at.0);
        let Some(span) = span.and_then(|span| u32::try_from(span).ok()) else {
            return false;
        };
        self.expires_ms = span;
        true
    }

    /// It ended, or, if it had, its request is kept until another time.
    pub(crate) fn finish(&mut self, end: HoldEnd, keep_until: ClusterTime) {
        self.finished = Some(Finished::new(end, keep_until));
        self.expires_ms = self.granted_ms;
    }
}

/// Seats, in the least memory that they fit in. Most holds are of a few, or of neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SeatSet {
    Neighbours { first: u32, count: u32 },
    Few { seats: [SeatNo; 3], count: u8 },
    Many(Arc<Vec<SeatNo>>),
}

impl SeatSet {
    fn new(seat_nos: &[SeatNo]) -> Self {
        let next = |pair: &[SeatNo]| pair[0].0.checked_add(1) == Some(pair[1].0);
        let is_run = seat_nos.windows(2).all(next) && seat_nos.last() < Some(&SeatNo(u32::MAX));
        match seat_nos {
            [first, ..] if is_run => Self::Neighbours {
                first: first.0,
                count: u32::try_from(seat_nos.len()).expect("a show has fewer seats"),
            },
            [a, b, c] => Self::Few {
                seats: [*a, *b, *c],
                count: 3,
            },
            [a, b] => Self::Few {
                seats: [*a, *b, SeatNo(0)],
                count: 2,
            },
            _ => Self::Many(Arc::new(seat_nos.to_vec())),
        }
    }

    fn len(&self) -> u32 {
        match self {
            Self::Neighbours { count, .. } => *count,
            Self::Few { count, .. } => u32::from(*count),
            Self::Many(seats) => u32::try_from(seats.len()).expect("a show has fewer seats"),
        }
    }

    /// All of them, in one allocation.
    fn shared(&self) -> Arc<[SeatNo]> {
        match self {
            Self::Neighbours { first, count } => (*first..*first + *count).map(SeatNo).collect(),
            Self::Few { seats, count } => Arc::from(&seats[..usize::from(*count)]),
            Self::Many(seats) => Arc::from(&seats[..]),
        }
    }

    fn iter(&self) -> impl Iterator<Item = SeatNo> {
        let (run, list) = match self {
            Self::Neighbours { first, count } => (*first..*first + *count, &[][..]),
            Self::Few { seats, count } => (0..0, &seats[..usize::from(*count)]),
            Self::Many(seats) => (0..0, &seats[..]),
        };
        run.map(SeatNo).chain(list.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::Lineage;

    use super::*;

    fn hold(seat_nos: &[u32]) -> Hold {
        Hold {
            id: HoldId::from_bytes([1; 16]),
            holder: UserId::from_bytes([2; 16]),
            fence: Fence::new(Lineage(1), 3, 4),
            seat_nos: seat_nos.iter().copied().map(SeatNo).collect(),
            granted_at: ClusterTime(1_000),
            expires_at: ClusterTime(2_000),
            extendable_until: ClusterTime(5_000),
            price_version: 6,
        }
    }

    fn kept(hold: &Hold) -> Option<KeptHold> {
        KeptHold::granted(hold, BodyHash(7), ClusterTime(8))
    }

    #[test]
    fn it_is_as_small_as_it_says_and_says_what_it_was_made_of() {
        assert_eq!(size_of::<KeptHold>(), 112);
        let many: Vec<u32> = (0..64).map(|n| 2 * n).collect();
        let max = u32::MAX;
        let seats: [&[u32]; 9] = [
            &[7],
            &[7, 8, 9, 10],
            &[1, 3],
            &[1, 3, 5],
            &[3, 1, 2],
            &[1, 2, 3, 5],
            &[max - 1, max],
            &[max, 0],
            &many,
        ];
        for seat_nos in seats {
            let hold = hold(seat_nos);
            let kept = kept(&hold).expect("it promises little");
            assert_eq!(kept.hold(), hold);
            assert_eq!(kept.seat_count() as usize, seat_nos.len());
            assert_eq!(kept.overdue_at(), hold.overdue_at());
        }
    }

    #[test]
    fn extended_and_ended_it_still_says_what_it_was_granted_as() {
        let hold = hold(&[1]);
        let mut kept = kept(&hold).expect("it promises little");
        assert!(kept.extend(ClusterTime(4_000)));
        assert_eq!(kept.hold().expires_at, ClusterTime(4_000));
        assert_eq!(kept.granted_hold(), hold);
        assert!(kept.is_live() && kept.end().is_none() && kept.keep_until().is_none());
        for end in [
            HoldEnd::Expired,
            HoldEnd::Released,
            HoldEnd::Sold,
            HoldEnd::Cancelled,
        ] {
            for keep_until in [0, 9, KEEP_UNTIL_MAX].map(ClusterTime) {
                kept.finish(end, keep_until);
                assert_eq!(kept.end(), Some(end));
                assert_eq!(kept.keep_until(), Some(keep_until));
                assert_eq!(kept.hold(), hold);
            }
        }
    }

    #[test]
    fn promise_that_no_show_makes_is_not_kept() {
        let long = u64::from(u32::MAX) + 1;
        let (granted_at, early) = (ClusterTime(1_000), ClusterTime(999));
        for (expires_at, extendable_until) in [
            (
                granted_at.plus(DurationMs(long)),
                granted_at.plus(DurationMs(long)),
            ),
            (granted_at, granted_at.plus(DurationMs(long))),
            (early, granted_at),
            (granted_at, early),
        ] {
            let hold = Hold {
                expires_at,
                extendable_until,
                ..hold(&[1])
            };
            assert_eq!(kept(&hold), None);
        }
        let mut kept = kept(&hold(&[1])).expect("it promises little");
        assert!(!kept.extend(early));
        assert!(!kept.extend(granted_at.plus(DurationMs(long))));
    }
}
