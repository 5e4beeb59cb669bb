//! The connections to one peer, and which of them a call takes.
//!
//! Always holds: a call takes the one with the fewest calls in flight, of those that haven't just
//! failed where there are any; of the calls that were on a connection when it broke, one is told so.
//! Leaves to others: connecting and connecting again, which tonic does when a
//! call needs it.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;
use tonic::transport;

/// Connections to a peer. One connection's frames go through one task on either side, and a lost
/// packet holds up all of its calls; more than two has brought our services, which answer from one
/// machine, nothing.
pub(super) const CONNECTIONS: usize = 2;

/// How long one that failed is passed over while another hasn't: longer than it takes to connect
/// again, and short, because it heals only by being used.
const PASSED_OVER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Connections {
    channels: [transport::Channel; CONNECTIONS],
    choice: Choice,
}

/// Which connection is used how much.
#[derive(Debug)]
struct Choice(Mutex<Loads>);

#[derive(Debug)]
struct Loads {
    each: [Load; CONNECTIONS],
    /// Where the next choice begins, so that a quiet peer's connections are all used and warm.
    next: usize,
}

#[derive(Debug, Clone, Copy)]
struct Load {
    in_flight: usize,
    failed_at: Option<Instant>,
    /// When it was last found broken.
    broke_at: Option<Instant>,
}

impl Load {
    fn is_passed_over(&self, now: Instant) -> bool {
        self.failed_at.is_some_and(|at| now < at + PASSED_OVER)
    }
}

/// A call's place on a connection, taken until it is told how that went.
#[derive(Debug)]
pub(super) struct Place {
    at: usize,
    taken: Instant,
}

/// What a call's end says about its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// There was no answer, or no connection.
    Failed,
    /// It ended with the call on it.
    Broken,
    Unknown,
}

impl Connections {
    /// Connects nothing yet; `connect` makes each.
    pub(super) fn new(connect: impl Fn() -> transport::Channel) -> Self {
        Self {
            channels: std::array::from_fn(|_| connect()),
            choice: Choice::new(),
        }
    }

    /// A place on the best connection, and the connection.
    pub(super) fn take(&self, now: Instant) -> (Place, transport::Channel) {
        let place = self.choice.take(now);
        let channel = self.channels[place.at].clone();
        (place, channel)
    }

    /// Whether `health` says something that another call on the same connection hasn't: it breaks once,
    /// however many calls it takes along.
    pub(super) fn give_back(&self, place: &Place, health: Health, now: Instant) -> bool {
        self.choice.give_back(place, health, now)
    }
}

impl Choice {
    const fn new() -> Self {
        let idle = Load {
            in_flight: 0,
            failed_at: None,
            broke_at: None,
        };
        Self(Mutex::new(Loads {
            each: [idle; CONNECTIONS],
            next: 0,
        }))
    }

    fn take(&self, now: Instant) -> Place {
        let mut loads = self.loads();
        let first = loads.next;
        let chosen = (0..CONNECTIONS)
            .map(|step| (first + step) % CONNECTIONS)
            .min_by_key(|&at| {
                let load = loads.each[at];
                (load.is_passed_over(now), load.in_flight)
            })
            .expect("there are connections");
        loads.next = (chosen + 1) % CONNECTIONS;
        loads.each[chosen].in_flight += 1;
        Place {
            at: chosen,
            taken: now,
        }
    }

    fn give_back(&self, place: &Place, health: Health, now: Instant) -> bool {
        let load = &mut self.loads().each[place.at];
        load.in_flight -= 1;
        match health {
            Health::Good => load.failed_at = None,
            Health::Failed => load.failed_at = Some(now),
            Health::Broken => {
                load.failed_at = Some(now);
                if load.broke_at.is_some_and(|at| place.taken <= at) {
                    return false;
                }
                load.broke_at = Some(now);
            }
            Health::Unknown => {}
        }
        true
    }

    fn loads(&self) -> MutexGuard<'_, Loads> {
        self.0.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_go_where_the_fewest_are_in_flight() {
        let (choice, now) = (Choice::new(), Instant::now());
        let taken: Vec<usize> = (0..4).map(|_| choice.take(now).at).collect();
        assert_eq!(taken, [0, 1, 0, 1]);
        for _ in 0..2 {
            choice.give_back(&Place { at: 1, taken: now }, Health::Good, now);
        }
        assert_eq!([choice.take(now).at, choice.take(now).at], [1, 1]);
    }

    #[test]
    fn calls_one_after_another_use_all_connections() {
        let (choice, now) = (Choice::new(), Instant::now());
        let taken: Vec<usize> = (0..4)
            .map(|_| {
                let place = choice.take(now);
                choice.give_back(&place, Health::Good, now);
                place.at
            })
            .collect();
        assert_eq!(taken, [0, 1, 0, 1]);
    }

    #[test]
    fn a_connection_that_failed_is_passed_over_however_busy_the_other_for_a_while() {
        let (choice, now) = (Choice::new(), Instant::now());
        let place = choice.take(now);
        choice.give_back(&place, Health::Failed, now);
        let taken: Vec<usize> = (0..5).map(|_| choice.take(now).at).collect();
        assert_eq!(taken, [1; 5]);
        assert_eq!(choice.take(now + PASSED_OVER).at, place.at, "has a chance");
    }

    #[test]
    fn where_all_have_failed_each_is_used_and_an_answer_makes_one_good() {
        let (choice, now) = (Choice::new(), Instant::now());
        let places = [choice.take(now), choice.take(now)];
        for place in &places {
            choice.give_back(place, Health::Failed, now);
        }
        let taken = [choice.take(now), choice.take(now)];
        assert_ne!(taken[0].at, taken[1].at);
        choice.give_back(&taken[1], Health::Good, now);
        choice.give_back(&taken[0], Health::Unknown, now);
        assert_eq!(choice.take(now).at, taken[1].at);
    }

    #[test]
    fn a_connection_that_breaks_is_told_once_however_many_calls_it_takes_along() {
        let (choice, began) = (Choice::new(), Instant::now());
        let places: Vec<_> = (0..10).map(|_| choice.take(began)).collect();
        let broke = began + PASSED_OVER;
        let news = |at| {
            let of_it = places.iter().filter(move |place| place.at == at);
            of_it.map(|place| choice.give_back(place, Health::Broken, broke))
        };
        assert_eq!(
            news(0).collect::<Vec<_>>(),
            [true, false, false, false, false]
        );
        assert_eq!(
            news(1).filter(|is_news| *is_news).count(),
            1,
            "the other, too"
        );
        let later = broke + PASSED_OVER;
        let again = choice.take(later);
        assert!(choice.give_back(&again, Health::Broken, later), "a new one");
    }
}
