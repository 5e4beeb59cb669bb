//! Who waits for a booking to change.
//!
//! Always holds: a change that this process committed after a wait began ends it, unless a question to the
//! lock store is open then, whose answer's change does; waits are bounded in number and length, and whoever
//! finds no place is answered as things stand. Leaves to others: changes that another process made, which are
//! found by looking.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use booking_core::Booking;
use holdfast_mesh::deadline::Deadline;
use holdfast_types::{BookingId, UserId};
use tokio::{sync::watch, time::Instant};

use super::{App, read::BookingView};
use crate::error::Error;

/// Bookings waited for at once: some 200 bytes each.
const WAITED_FOR_MAX: usize = 16_384;

/// How soon a change that another process made is looked for; the next look comes after twice as long,
/// as do all that follow: a confirmation is to be told within a second.
const LOOK_AFTER: Duration = Duration::from_millis(250);
const LOOK_AFTER_MAX: Duration = Duration::from_millis(500);

/// Looks a second of all who wait, about; of more they are rarer: a crowd that waits doesn't keep the
/// database from what it waits for. A tenth of what a database answers beside a rush.
const LOOKS_PER_SECOND_MAX: u32 = 200;

/// Left of a deadline for the answer.
const ANSWER: Duration = Duration::from_millis(500);

/// Bookings that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    waited_for: Mutex<HashMap<BookingId, watch::Sender<Option<Booking>>>>,
}

impl Changes {
    /// Ends the waits for a booking, which is this now: after the commit of its change.
    pub(crate) fn tell(&self, booking: &Booking) {
        if let Some(waits) = self.lock().get(&booking.id) {
            waits.send_replace(Some(booking.clone()));
        }
    }

    /// A wait for what happens from now on; none while too many wait.
    fn listen(&self, booking_id: BookingId) -> Option<Wait<'_>> {
        let mut waited_for = self.lock();
        if waited_for.len() >= WAITED_FOR_MAX && !waited_for.contains_key(&booking_id) {
            return None;
        }
        let waits = waited_for.entry(booking_id).or_default();
        let told = waits.subscribe();
        Some(Wait {
            changes: self,
            booking_id,
            told,
        })
    }

    /// How long each of so many who wait doesn't look.
    fn pause(&self) -> Duration {
        let waiting = u32::try_from(self.lock().len()).unwrap_or(u32::MAX);
        Duration::from_secs(1) * waiting / LOOKS_PER_SECOND_MAX
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BookingId, watch::Sender<Option<Booking>>>> {
        self.waited_for.lock().expect("no holder panics")
    }
}

struct Wait<'a> {
    changes: &'a Changes,
    booking_id: BookingId,
    told: watch::Receiver<Option<Booking>>,
}

impl Wait<'_> {
    /// The booking as a change left it; none at `at`.
    async fn changed_by(&mut self, at: Instant) -> Option<Booking> {
        // Its sender lives for as long as somebody listens.
        let changed = tokio::time::timeout_at(at, self.told.changed()).await;
        changed.ok()?.ok()?;
        self.told.borrow_and_update().clone()
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waited_for = self.changes.lock();
        // This one still counts.
        if waited_for
            .get(&self.booking_id)
            .is_some_and(|waits| waits.receiver_count() <= 1)
        {
            waited_for.remove(&self.booking_id);
        }
    }
}

impl App {
    /// The booking as soon as `is_news` says so of it, or as it is when `longest` is over or `deadline`
    /// is near.
    pub(crate) async fn wait_booking(
        &self,
        user_id: UserId,
        booking_id: BookingId,
        (longest, deadline): (Duration, Deadline),
        is_news: impl Fn(&BookingView) -> bool,
    ) -> Result<BookingView, Error> {
        let until = Instant::now() + longest.min(deadline.remaining().saturating_sub(ANSWER));
        // From before the first look, so that nothing falls in between.
        let mut wait = self.changes.listen(booking_id);
        let mut look_after = LOOK_AFTER;
        let mut view = self.get_booking(user_id, booking_id).await?;
        loop {
            let now = Instant::now();
            let Some(wait) = wait.as_mut().filter(|_| now < until && !is_news(&view)) else {
                return Ok(view);
            };
            let look_at = now + look_after.max(self.changes.pause());
            view = match wait.changed_by(until.min(look_at)).await {
                Some(booking) => self.view_now(booking, view).await?,
                None => self.get_booking(user_id, booking_id).await?,
            };
            look_after = (look_after * 2).min(LOOK_AFTER_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use booking_core::{HeldAs, Step};
    use futures::FutureExt;
    use holdfast_types::{BookingState, ClusterTime, Fence, HoldId, Money, ShowId};

    use super::*;

    fn id(n: u8) -> BookingId {
        BookingId::from_bytes([n; 16])
    }

    fn booking(n: u8) -> Booking {
        Booking {
            id: id(n),
            user_id: UserId::from_bytes([0; 16]),
            show_id: ShowId::from_bytes([0; 16]),
            seats: vec![],
            returned: vec![],
            total: Money {
                amount: 0,
                currency: "EUR".parse().expect("valid"),
            },
            state: BookingState::PendingPayment,
            reason: None,
            step: Step::Idle,
            hold: HeldAs {
                hold_id: HoldId::from_bytes([0; 16]),
                fence: Fence::from_i64(1).expect("valid"),
                attempt: 0,
            },
            expires_at: ClusterTime(0),
            session: None,
            payments: vec![],
        }
    }

    #[tokio::test]
    async fn a_wait_ends_with_its_own_bookings_change_and_leaves_nothing_behind() {
        let changes = Changes::default();
        let far = Instant::now() + Duration::from_secs(3_600);
        let (mut one, mut too) = (changes.listen(id(1)), changes.listen(id(1)));
        let (one, too) = (one.as_mut().expect("room"), too.as_mut().expect("room"));
        changes.tell(&booking(2));
        assert!(one.changed_by(far).now_or_never().is_none(), "another's");
        changes.tell(&booking(1));
        let told = [one.changed_by(far), too.changed_by(far)].map(FutureExt::now_or_never);
        assert_eq!(told, [Some(Some(booking(1))), Some(Some(booking(1)))]);
        assert!(one.changed_by(far).now_or_never().is_none(), "told once");
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(one.changed_by(soon).await, None);
        assert!(Instant::now() >= soon);
        let mut late = changes.listen(id(3));
        drop(late.take());
        assert_eq!(changes.lock().len(), 1);
    }

    #[test]
    fn waits_are_bounded() {
        let changes = Changes::default();
        let many = u32::try_from(WAITED_FOR_MAX).expect("is small");
        let nth = |n: u32| BookingId::from_uuid(uuid::Uuid::from_u128(n.into()));
        let waits: Vec<_> = (0..many).map(|n| changes.listen(nth(n))).collect();
        assert!(waits.iter().all(Option::is_some));
        assert!(changes.listen(nth(many)).is_none());
        assert!(changes.listen(nth(7)).is_some(), "waited for already");
        let looks = f64::from(many) / changes.pause().as_secs_f64();
        assert!(looks.round() <= f64::from(LOOKS_PER_SECOND_MAX), "{looks}");
        drop(waits);
        assert_eq!(changes.pause(), Duration::ZERO);
        assert!(changes.lock().is_empty());
    }
}
