//! A breaker: who doesn't answer isn't asked for a while, and those who would wait know at once.
//!
//! Always holds: only failures to get an answer count, and any answer ends the count; a rest is ended by
//! the answer to a call that was made during it, and by no earlier one, which says nothing new; while it is open one call at a time tries the peer, each after a pause that grows to
//! [`PAUSE_MAX`]; a trial that nobody waits for any more makes place for another.
//! Leaves to others: what a failure is, logs, metrics. Time is an input.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

/// Failures in a row that open it: more than one connection's end or one unlucky restart brings to
/// a quiet peer, few enough that nobody waits for long.
const FAILURES_MAX: u32 = 5;

/// The first pause, and the longest: a service that is started again is there in about a second, and
/// a pause must not add more than that. The true pause is drawn from the upper half.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long one trial keeps others from trying; it may itself wait for longer.
const TRIAL_MAX: Duration = PAUSE_MAX;

#[derive(Debug)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        since: Instant,
        /// When the next call may try.
        trial_at: Instant,
        /// The longest that the next pause may be.
        pause: Duration,
    },
}

/// A call that may be made, and when that was said; its end is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Permit(Instant);

impl Permit {
    /// Whether it was given during the rest that began then, as a trial.
    fn is_trial(self, since: Instant) -> bool {
        self.0 > since
    }
}

impl Breaker {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State::Closed { failures: 0 }))
    }

    /// Whether a call may be made now; if not, how long until one may.
    pub(super) fn admit(&self, now: Instant) -> Result<Permit, Duration> {
        match &mut *self.state() {
            State::Closed { .. } => Ok(Permit(now)),
            State::Open { trial_at, .. } if *trial_at <= now => {
                *trial_at = now + TRIAL_MAX;
                Ok(Permit(now))
            }
            State::Open { trial_at, .. } => Err(*trial_at - now),
        }
    }

    /// There was an answer. For how long the breaker had been open, if this closes it.
    pub(super) fn answered(&self, permit: Permit, now: Instant) -> Option<Duration> {
        let state = &mut *self.state();
        let open_for = match *state {
            State::Open { since, .. } if !permit.is_trial(since) => return None,
            State::Open { since, .. } => Some(now.saturating_duration_since(since)),
            State::Closed { .. } => None,
        };
        *state = State::Closed { failures: 0 };
        open_for
    }

    /// There was none. Whether this opens the breaker.
    pub(super) fn failed(&self, permit: Permit, now: Instant) -> bool {
        let state = &mut *self.state();
        match state {
            State::Closed { failures } if *failures + 1 < FAILURES_MAX => {
                *failures += 1;
                false
            }
            State::Closed { .. } => {
                *state = State::Open {
                    since: now,
                    trial_at: now + drawn(PAUSE_FIRST),
                    pause: PAUSE_FIRST * 2,
                };
                true
            }
            State::Open {
                since,
                trial_at,
                pause,
            } => {
                // Calls from before it opened say nothing new.
                if permit.is_trial(*since) {
                    *trial_at = now + drawn(*pause);
                    *pause = (*pause * 2).min(PAUSE_MAX);
                }
                false
            }
        }
    }

    /// Whoever called went away early, which says nothing about the peer.
    pub(super) fn given_up(&self, permit: Permit, now: Instant) {
        if let State::Open {
            since, trial_at, ..
        } = &mut *self.state()
            && permit.is_trial(*since)
        {
            *trial_at = now;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder panics")
    }
}

fn drawn(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that opened at `now`.
    fn open(now: Instant) -> Breaker {
        let breaker = Breaker::new();
        for _ in 1..FAILURES_MAX {
            assert!(!breaker.failed(Permit(now), now));
            assert_eq!(breaker.admit(now), Ok(Permit(now)));
        }
        assert!(breaker.failed(Permit(now), now), "opens");
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_says_when_the_next_trial_is() {
        let now = Instant::now();
        let wait = open(now).admit(now).expect_err("is open");
        assert!(
            (PAUSE_FIRST / 2..=PAUSE_FIRST).contains(&wait),
            "within the first pause: {wait:?}"
        );
    }

    #[test]
    fn an_answer_in_between_begins_the_count_anew() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        for _ in 0..10 {
            for _ in 1..FAILURES_MAX {
                assert!(!breaker.failed(Permit(now), now));
            }
            assert_eq!(breaker.answered(Permit(now), now), None, "it wasn't open");
        }
    }

    #[test]
    fn one_trial_goes_through_and_its_answer_closes() {
        let opened = Instant::now();
        let breaker = open(opened);
        let now = opened + PAUSE_FIRST;
        let trial = breaker.admit(now).expect("a trial");
        assert!(breaker.admit(now).is_err(), "one at a time");
        assert_eq!(breaker.answered(trial, now), Some(PAUSE_FIRST), "closes");
        for _ in 0..2 {
            breaker.admit(now).expect("is closed");
        }
    }

    #[test]
    fn pauses_grow_to_the_cap_while_trials_fail() {
        let mut now = Instant::now();
        let breaker = open(now);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let wait = breaker.admit(now).expect_err("rests");
            waits.push(wait);
            now += wait;
            let trial = breaker.admit(now).expect("a trial");
            assert!(!breaker.failed(trial, now), "it is open already");
        }
        assert!(waits[0] <= PAUSE_FIRST, "{waits:?}");
        let last = waits[9];
        assert!((PAUSE_MAX / 2..=PAUSE_MAX).contains(&last), "{waits:?}");
    }

    #[test]
    fn calls_from_before_it_opened_make_no_pause_longer() {
        let now = Instant::now();
        let breaker = open(now);
        let before = breaker.admit(now);
        for _ in 0..100 {
            assert!(!breaker.failed(Permit(now), now));
        }
        assert_eq!(breaker.admit(now), before);
    }

    #[test]
    fn the_answer_to_a_call_from_before_it_opened_does_not_close_it() {
        let began = Instant::now();
        let opened = began + PAUSE_FIRST;
        let breaker = open(opened);
        let now = opened + PAUSE_FIRST;
        let trial = breaker.admit(now).expect("a trial");
        for early in [began, opened] {
            assert_eq!(breaker.answered(Permit(early), now), None);
            assert!(breaker.admit(now).is_err(), "still open");
        }
        assert!(breaker.answered(trial, now).is_some(), "closes");
    }

    #[test]
    fn a_trial_given_up_early_makes_place_for_another_at_once() {
        let opened = Instant::now();
        let breaker = open(opened);
        let now = opened + PAUSE_FIRST;
        let trial = breaker.admit(now).expect("a trial");
        breaker.given_up(trial, now);
        breaker.admit(now).expect("another");
    }

    #[test]
    fn a_trial_without_an_end_makes_place_for_another_in_time() {
        let opened = Instant::now();
        let breaker = open(opened);
        let now = opened + PAUSE_FIRST;
        breaker.admit(now).expect("a trial");
        assert_eq!(breaker.admit(now), Err(TRIAL_MAX));
        breaker.admit(now + TRIAL_MAX).expect("another");
    }
}
