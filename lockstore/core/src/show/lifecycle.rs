//! What happens to a show's seats and its memory, each as a whole: what `judge` decides on, and
//! what time does.
//!
//! Always holds: seats, hold or sale, and the hold's request change together.

use holdfast_types::{BookingId, ClusterTime, Fence, HoldId, SeatNo, SeatState, UserId};

use super::{Phase, Sale, Seat, Show};
use crate::{BodyHash, Hold, HoldEnd, RequestId, kept_hold::KeptHold, request, request::Done};

impl Show {
    /// Available → held, all of the hold's seats; its request asked for `body`.
    pub(crate) fn grant(&mut self, hold: &Hold, body: BodyHash, not_after: ClusterTime) {
        let seat = Seat {
            state: SeatState::Held,
            fence: hold.fence,
        };
        self.set_seats(&hold.seat_nos, seat);
        let kept = KeptHold::granted(hold, body, not_after);
        self.insert_hold(kept.expect("a show promises hours, and not weeks"));
    }

    /// Moves the promised end of a live hold.
    pub(crate) fn extend(&mut self, hold_id: HoldId, expires_at: ClusterTime) -> Hold {
        let kept = self.change_hold(hold_id, |kept| {
            assert!(
                kept.extend(expires_at),
                "a show promises hours, and not weeks"
            );
        });
        kept.hold()
    }

    /// Held → available, and the hold's request starts to age.
    pub(crate) fn end_hold(&mut self, hold_id: HoldId, end: HoldEnd, now: ClusterTime) -> Hold {
        let hold = self.finish_hold(hold_id, end, now);
        let seat = Seat {
            state: SeatState::Available,
            fence: hold.fence,
        };
        self.set_seats(&hold.seat_nos, seat);
        hold
    }

    /// Held → sold, all of the hold's seats.
    pub(crate) fn sell(
        &mut self,
        hold_id: HoldId,
        booking_id: BookingId,
        now: ClusterTime,
    ) -> Hold {
        let hold = self.finish_hold(hold_id, HoldEnd::Sold, now);
        let seat = Seat {
            state: SeatState::Sold,
            fence: hold.fence,
        };
        self.set_seats(&hold.seat_nos, seat);
        let sale = Sale {
            hold_id,
            holder: hold.holder,
            booking_id,
            seat_count: u32::try_from(hold.seat_nos.len()).expect("a hold has at most 64 seats"),
        };
        self.insert_sale(hold.fence, sale);
        hold
    }

    /// Available → sold, all of `seat_nos`, in ascending order, under a fence that no sale has.
    pub(crate) fn load_sale(&mut self, fence: Fence, sale: Sale, seat_nos: &[SeatNo]) {
        let seat = Seat {
            state: SeatState::Sold,
            fence,
        };
        self.set_seats(seat_nos, seat);
        self.insert_sale(fence, sale);
    }

    /// Sold → available; all of `seat_nos` are sold under `fence`. The fence stays on them.
    pub(crate) fn put_back(&mut self, fence: Fence, seat_nos: &[SeatNo]) {
        let seat = Seat {
            state: SeatState::Available,
            fence,
        };
        self.set_seats(seat_nos, seat);
        let mut sale = self.remove_sale(fence);
        let returned = u32::try_from(seat_nos.len()).expect("a command names few seats");
        sale.seat_count -= returned;
        if sale.seat_count > 0 {
            self.insert_sale(fence, sale);
        }
    }

    /// Available → blocked, all of `seat_nos`, in ascending order. The fences stay on them.
    pub(crate) fn block(&mut self, seat_nos: &[SeatNo], actor: UserId) {
        for seat_no in seat_nos {
            let seat = Seat {
                state: SeatState::Blocked,
                fence: self.seat(*seat_no).fence,
            };
            self.set_seats(&[*seat_no], seat);
            self.insert_blocked(*seat_no, actor);
        }
    }

    /// Blocked → available, all of `seat_nos`.
    pub(crate) fn unblock(&mut self, seat_nos: &[SeatNo]) {
        for seat_no in seat_nos {
            self.remove_blocked(*seat_no);
            let fence = self.seat(*seat_no).fence;
            if fence == Fence::ZERO {
                self.forget_seat(*seat_no);
                continue;
            }
            let seat = Seat {
                state: SeatState::Available,
                fence,
            };
            self.set_seats(&[*seat_no], seat);
        }
    }

    fn finish_hold(&mut self, hold_id: HoldId, end: HoldEnd, now: ClusterTime) -> Hold {
        let kept = self.change_hold(hold_id, |kept| {
            kept.finish(end, request::keep_until(now, kept.not_after));
        });
        let hold = kept.hold();
        if self.phase == Phase::Closing && self.live == 0 {
            self.set_phase(Phase::Closed);
        }
        hold
    }

    /// A copy of a remembered request came; it stays remembered past that copy's deadline too.
    pub(crate) fn remember_longer(&mut self, id: RequestId, not_after: ClusterTime) {
        let longer = |at: ClusterTime| at.max(not_after);
        if let Some(kept) = self.holds.get(&HoldId::from(id)) {
            if not_after > kept.not_after {
                self.change_hold(HoldId::from(id), |kept| {
                    kept.not_after = not_after;
                    if let (Some(end), Some(keep_until)) = (kept.end(), kept.keep_until()) {
                        kept.finish(end, longer(keep_until));
                    }
                });
            }
            return;
        }
        let known = self.done.get(&id).copied();
        if let Some(done) = known.filter(|done| not_after > done.not_after) {
            self.remember(
                id,
                Done {
                    not_after,
                    keep_until: longer(done.keep_until),
                    ..done
                },
            );
        }
    }

    /// Ends overdue holds, oldest first, at most `limit`; all holds of a cancelled show are. Says
    /// how they ended, and which.
    pub(crate) fn sweep(&mut self, now: ClusterTime, limit: usize) -> (HoldEnd, Vec<Hold>) {
        let cancelled = self.is_cancelled();
        let end = if cancelled {
            HoldEnd::Cancelled
        } else {
            HoldEnd::Expired
        };
        let mut ended = Vec::new();
        while ended.len() < limit
            && let Some(((overdue_at, hold_id), ())) = self.overdue.first().copied()
            && (cancelled || overdue_at <= now)
        {
            ended.push(self.end_hold(hold_id, end, now));
        }
        (end, ended)
    }

    /// Ends this hold if it is live and overdue; one of a cancelled show is left for its turn.
    pub(crate) fn sweep_hold(&mut self, hold_id: HoldId, now: ClusterTime) -> Option<Hold> {
        let kept = self.holds.get(&hold_id)?;
        if !kept.is_live() || self.is_cancelled() || kept.overdue_at() > now {
            return None;
        }
        Some(self.end_hold(hold_id, HoldEnd::Expired, now))
    }

    /// Forgets requests whose time is over, oldest first, at most `limit`. Says how many.
    pub(crate) fn forget_finished(&mut self, now: ClusterTime, limit: usize) -> usize {
        let mut forgotten = 0;
        while forgotten < limit
            && let Some(((keep_until, id), ())) = self.finished.first().copied()
            && keep_until < now
        {
            self.forget(id);
            forgotten += 1;
        }
        forgotten
    }
}
