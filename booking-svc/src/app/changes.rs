//! Who waits for a booking to change.
//!
//! Always holds: a change that this process committed after a wait began ends it, unless a question to the
//! lock store is open then, whose answer's change does; one that another process made is found by a look
//! for all that are waited for at once, so a crowd that waits doesn't keep the database from what it waits
//! for; waits are bounded in number and length, and whoever finds no place is answered as things stand.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use booking_core::Booking;
use holdfast_mesh::deadline::Deadline;
use holdfast_types::{BookingId, ShowId, UserId};
use tokio::{sync::watch, time::Instant};

use super::{App, read::BookingView};
use crate::{
    error::Error,
    store::{
        bookings::{Key, Version},
        changes,
    },
};

/// Bookings waited for at once: some 200 bytes each, and some 5 µs of a look.
const WAITED_FOR_MAX: usize = 16_384;

/// How often changes that other processes made are looked for: a confirmation is to be told within a second.
pub(crate) const PERIOD: Duration = Duration::from_millis(250);

/// Left of a deadline for the answer.
const ANSWER: Duration = Duration::from_millis(500);

/// Bookings that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    waited_for: Mutex<HashMap<BookingId, WaitedFor>>,
}

#[derive(Debug, Default)]
struct WaitedFor {
    /// Once somebody has read it.
    show_id: Option<ShowId>,
    /// As the last look found it.
    seen: Option<Version>,
    /// A change of this process, or none of whichever: it is to be read.
    told: watch::Sender<Option<Booking>>,
}

impl Changes {
    /// Ends the waits for a booking, which is this now: after the commit of its change.
    pub(crate) fn tell(&self, booking: &Booking) {
        if let Some(waits) = self.lock().get(&booking.id) {
            waits.told.send_replace(Some(booking.clone()));
        }
    }

    /// What may be looked for.
    fn all(&self) -> Vec<Key> {
        let waited_for = self.lock();
        let keys = waited_for.iter().map(|(&booking_id, waits)| {
            let show_id = waits.show_id?;
            Some(Key {
                show_id,
                booking_id,
            })
        });
        keys.flatten().collect()
    }

    /// Ends the waits for a booking unless it was so at the last look: it is to be read.
    fn found(&self, booking_id: BookingId, version: Version) {
        let mut waited_for = self.lock();
        let waits = waited_for.get_mut(&booking_id);
        if let Some(waits) = waits.filter(|waits| waits.seen.as_ref() != Some(&version)) {
            waits.seen = Some(version);
            waits.told.send_replace(None);
        }
    }

    /// A wait for what happens from now on; none while too many wait.
    fn listen(&self, booking_id: BookingId) -> Option<Wait<'_>> {
        let mut waited_for = self.lock();
        if waited_for.len() >= WAITED_FOR_MAX && !waited_for.contains_key(&booking_id) {
            return None;
        }
        let waits = waited_for.entry(booking_id).or_default();
        let told = waits.told.subscribe();
        Some(Wait {
            changes: self,
            booking_id,
            told,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BookingId, WaitedFor>> {
        self.waited_for.lock().expect("no holder panics")
    }
}

struct Wait<'a> {
    changes: &'a Changes,
    booking_id: BookingId,
    told: watch::Receiver<Option<Booking>>,
}

impl Wait<'_> {
    /// It was read: from now on it is looked for.
    fn is_of(&self, show_id: ShowId) {
        if let Some(waits) = self.changes.lock().get_mut(&self.booking_id) {
            waits.show_id = Some(show_id);
        }
    }

    /// The booking as a change left it; none at `at`, or where it is to be read.
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
            .is_some_and(|waits| waits.told.receiver_count() <= 1)
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
        let mut view = self.get_booking(user_id, booking_id).await?;
        if let Some(wait) = &wait {
            wait.is_of(view.booking.show_id);
        }
        loop {
            let now = Instant::now();
            let Some(wait) = wait.as_mut().filter(|_| now < until && !is_news(&view)) else {
                return Ok(view);
            };
            view = match wait.changed_by(until).await {
                Some(booking) => self.view_now(booking, view).await?,
                None => self.get_booking(user_id, booking_id).await?,
            };
        }
    }

    /// Looks for what other processes changed. A look that fails is left out: who waits reads in the end.
    pub(crate) async fn look_for_changes(&self) -> Result<(), Infallible> {
        let keys = self.changes.all();
        if keys.is_empty() {
            return Ok(());
        }
        match changes::versions(&self.pool, &keys).await {
            Ok(versions) => {
                for (booking_id, version) in versions {
                    self.changes.found(booking_id, version);
                }
            }
            Err(error) => tracing::debug!(%error, "changed bookings weren't looked for"),
        }
        Ok(())
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
        drop(waits);
        assert!(changes.lock().is_empty());
    }
}
