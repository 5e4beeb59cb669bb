//! Which events are in memory, which may start, and what is to be recorded of those that ended.
//! No I/O and no clock.
//!
//! Always holds: a key has one lane, a lane runs one event at a time, in order. The cursor passes
//! an event of the topics only when it was handled or is set aside in the same checkpoint.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    HandleError,
    session::{Checkpoint, Failure, Fetched, Trouble},
};
use crate::Event;

/// How failures are spaced and when they end in parking.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryRule {
    pub(super) tries_max: u32,
    pub(super) backoff_min: Duration,
    pub(super) backoff_max: Duration,
}

impl RetryRule {
    /// The wait after `tries` tries, shortened by `jitter` in 0..1 by up to half.
    fn wait(&self, tries: u32, jitter: f64) -> Duration {
        let doublings = tries.saturating_sub(1).min(20);
        let wait = self
            .backoff_min
            .saturating_mul(1 << doublings)
            .min(self.backoff_max);
        wait.mul_f64(1.0 - jitter / 2.0)
    }
}

/// The events of one key in memory, the one being handled in front.
struct Lane {
    queue: VecDeque<Arc<Event>>,
    /// Set when these events were set aside before and are tried again.
    retrying: Option<Trouble>,
}

pub(super) struct Lanes {
    rule: RetryRule,
    lanes: HashMap<String, Lane>,
    /// Keys whose front event may start.
    ready: VecDeque<String>,
    /// Events read from the stream, and of other topics the last known, that the cursor has not
    /// passed; true once done with.
    window: BTreeMap<i64, bool>,
    /// Everything up to here was read from the stream, or is of other topics.
    fetched: i64,
    pending: Checkpoint,
    /// Events done with since the last checkpoint.
    done: usize,
}

impl Lanes {
    pub(super) fn new(cursor: i64, rule: RetryRule) -> Self {
        Self {
            rule,
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            window: BTreeMap::new(),
            fetched: cursor,
            pending: Checkpoint {
                cursor,
                ..Checkpoint::default()
            },
            done: 0,
        }
    }

    /// Where to read on from.
    pub(super) fn fetched(&self) -> i64 {
        self.fetched
    }

    /// Events read that the cursor has not passed.
    pub(super) fn window_len(&self) -> usize {
        self.window.len()
    }

    /// Events done with that no checkpoint has recorded.
    pub(super) fn unrecorded(&self) -> usize {
        self.done
    }

    /// True if something failed or recovered: to be recorded before anything is read, because
    /// what is read depends on it.
    pub(super) fn must_record(&self) -> bool {
        !self.pending.failures.is_empty() || !self.pending.recovered.is_empty()
    }

    /// Keys being retried.
    pub(super) fn retrying(&self) -> Vec<String> {
        let retrying = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.retrying.is_some());
        retrying.map(|(key, _)| key.clone()).collect()
    }

    /// Takes an event from the stream, in stream order.
    pub(super) fn admit(&mut self, fetched: Fetched) {
        let Fetched { event, blocked } = fetched;
        self.fetched = event.seq;
        self.window.insert(event.seq, blocked);
        if blocked {
            self.pending.set_aside.push((event.seq, event.key));
            self.done += 1;
            return;
        }
        let lane = self.lanes.entry(event.key.clone()).or_insert_with(|| {
            self.ready.push_back(event.key.clone());
            Lane {
                queue: VecDeque::new(),
                retrying: None,
            }
        });
        lane.queue.push_back(Arc::new(event));
    }

    /// Up to `seq` nothing but what was admitted is ours: once that is done with, the cursor may
    /// pass, so that a quiet topic's consumer holds no other topic's events up.
    pub(super) fn pass(&mut self, seq: i64) {
        if seq > self.fetched {
            self.fetched = seq;
            self.window.insert(seq, true);
            self.done += 1;
        }
    }

    /// Takes the set-aside events of a key whose next try is due. With none left to try, the key
    /// has recovered.
    pub(super) fn admit_retry(&mut self, key: String, trouble: Trouble, events: Vec<Event>) {
        if events.is_empty() {
            self.pending.recovered.push(key);
            return;
        }
        let queue = events.into_iter().map(Arc::new).collect();
        let before = self.lanes.insert(
            key.clone(),
            Lane {
                queue,
                retrying: Some(trouble),
            },
        );
        assert!(
            before.is_none(),
            "a troubled key has no lane of fresh events"
        );
        self.ready.push_back(key);
    }

    /// The next event to handle, if any may start.
    pub(super) fn next(&mut self) -> Option<Arc<Event>> {
        let key = self.ready.pop_front()?;
        let lane = self.lanes.get(&key).expect("a ready key has a lane");
        Some(Arc::clone(lane.queue.front().expect("a lane has an event")))
    }

    /// Takes the outcome of the event that `next` gave for `key`. `jitter` is in 0..1.
    pub(super) fn finish(&mut self, key: &str, outcome: Result<(), HandleError>, jitter: f64) {
        let lane = self.lanes.get_mut(key).expect("a handled key has a lane");
        match outcome {
            Ok(()) => {
                let event = lane.queue.pop_front().expect("a lane has an event");
                self.done += 1;
                match &mut lane.retrying {
                    Some(trouble) => {
                        *trouble = Trouble::default();
                        self.pending.handled_late.push(event.seq);
                    }
                    None => drop(self.window.insert(event.seq, true)),
                }
                if !lane.queue.is_empty() {
                    self.ready.push_back(key.to_owned());
                } else if let Some(Lane {
                    retrying: Some(_), ..
                }) = self.lanes.remove(key)
                {
                    self.pending.recovered.push(key.to_owned());
                }
            }
            Err(error) => self.fail(key, &error, jitter),
        }
    }

    fn fail(&mut self, key: &str, error: &HandleError, jitter: f64) {
        let lane = self.lanes.remove(key).expect("a handled key has a lane");
        let mut trouble = lane.retrying.unwrap_or_default();
        trouble.tries = trouble.tries.saturating_add(1);
        let park = match error {
            HandleError::Unavailable(_) => false,
            HandleError::Permanent(_) => true,
            HandleError::Retry(_) => {
                trouble.failures = trouble.failures.saturating_add(1);
                trouble.failures >= self.rule.tries_max
            }
        };
        if lane.retrying.is_none() {
            for event in lane.queue {
                self.window.insert(event.seq, true);
                self.pending.set_aside.push((event.seq, key.to_owned()));
                self.done += 1;
            }
        }
        self.pending.failures.push(Failure {
            key: key.to_owned(),
            trouble,
            error: error.to_string(),
            retry_in: (!park).then(|| self.rule.wait(trouble.tries, jitter)),
        });
    }

    /// What is to be recorded now. Taken means recorded: if recording fails, drop the lanes too.
    pub(super) fn take_checkpoint(&mut self) -> Checkpoint {
        while let Some(entry) = self.window.first_entry() {
            if !*entry.get() {
                break;
            }
            self.pending.cursor = *entry.key();
            entry.remove();
        }
        self.done = 0;
        let cursor = self.pending.cursor;
        std::mem::replace(
            &mut self.pending,
            Checkpoint {
                cursor,
                ..Checkpoint::default()
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: RetryRule = RetryRule {
        tries_max: 2,
        backoff_min: Duration::from_millis(100),
        backoff_max: Duration::from_millis(250),
    };

    fn event(seq: i64, key: &str) -> Event {
        Event {
            seq,
            id: uuid::Uuid::nil(),
            producer: "test".into(),
            topic: "t".into(),
            key: key.into(),
            event_type: "E".into(),
            payload: vec![],
            occurred_at: chrono::DateTime::UNIX_EPOCH,
            traceparent: None,
        }
    }

    fn fresh(seq: i64, key: &str) -> Fetched {
        Fetched {
            event: event(seq, key),
            blocked: false,
        }
    }

    fn retry() -> Result<(), HandleError> {
        Err(HandleError::Retry("no".into()))
    }

    #[test]
    fn one_event_of_a_key_runs_at_a_time_and_the_cursor_waits_for_the_slowest() {
        let mut lanes = Lanes::new(0, RULE);
        for (seq, key) in [(1, "a"), (2, "b"), (3, "a")] {
            lanes.admit(fresh(seq, key));
        }
        assert_eq!(lanes.next().map(|e| e.seq), Some(1));
        assert_eq!(lanes.next().map(|e| e.seq), Some(2));
        assert!(lanes.next().is_none(), "3 waits for 1");
        lanes.finish("b", Ok(()), 0.0);
        assert_eq!(lanes.take_checkpoint().cursor, 0);
        lanes.finish("a", Ok(()), 0.0);
        assert_eq!(lanes.take_checkpoint().cursor, 2);
        assert_eq!(lanes.next().map(|e| e.seq), Some(3));
    }

    #[test]
    fn the_cursor_passes_other_topics_once_all_before_is_done() {
        let mut lanes = Lanes::new(0, RULE);
        lanes.admit(fresh(3, "a"));
        lanes.pass(2);
        assert_eq!(
            (lanes.fetched(), lanes.window_len()),
            (3, 1),
            "read past it"
        );
        lanes.pass(9);
        assert_eq!(lanes.fetched(), 9);
        assert_eq!(lanes.take_checkpoint().cursor, 0, "3 is under way");
        lanes.next();
        lanes.finish("a", Ok(()), 0.0);
        assert_eq!(lanes.take_checkpoint().cursor, 9);
        assert_eq!(lanes.window_len(), 0);
    }

    #[test]
    fn a_failure_sets_the_whole_lane_aside_and_lets_the_cursor_pass() {
        let mut lanes = Lanes::new(0, RULE);
        for (seq, key) in [(1, "a"), (2, "b"), (3, "a")] {
            lanes.admit(fresh(seq, key));
        }
        lanes.next();
        lanes.next();
        lanes.finish("a", retry(), 0.0);
        lanes.finish("b", Ok(()), 0.0);
        let checkpoint = lanes.take_checkpoint();
        assert_eq!(checkpoint.cursor, 3);
        assert_eq!(
            checkpoint.set_aside,
            [(1, "a".to_owned()), (3, "a".to_owned())]
        );
        assert_eq!(
            checkpoint.failures[0].retry_in,
            Some(Duration::from_millis(100))
        );
        assert!(lanes.next().is_none());
    }

    #[test]
    fn the_last_try_parks_and_an_outage_never_does() {
        let mut lanes = Lanes::new(9, RULE);
        let trouble = Trouble {
            tries: 7,
            failures: 1,
        };
        for (error, parked) in [
            (HandleError::Unavailable("away".into()), false),
            (HandleError::Retry("no".into()), true),
            (HandleError::Permanent("never".into()), true),
        ] {
            lanes.admit_retry("a".into(), trouble, vec![event(1, "a")]);
            lanes.next();
            lanes.finish("a", Err(error), 1.0);
            let checkpoint = lanes.take_checkpoint();
            assert_eq!(checkpoint.set_aside, [], "it is set aside already");
            assert_eq!(checkpoint.failures[0].retry_in.is_none(), parked);
        }
    }

    #[test]
    fn a_retried_key_recovers_when_its_events_are_handled() {
        let mut lanes = Lanes::new(9, RULE);
        lanes.admit_retry(
            "a".into(),
            Trouble::default(),
            vec![event(1, "a"), event(3, "a")],
        );
        lanes.next();
        lanes.finish("a", Ok(()), 0.0);
        assert!(!lanes.must_record());
        lanes.next();
        lanes.finish("a", Ok(()), 0.0);
        let checkpoint = lanes.take_checkpoint();
        assert_eq!(checkpoint.handled_late, [1, 3]);
        assert_eq!(checkpoint.recovered, ["a"]);
        assert_eq!(checkpoint.cursor, 9);
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits = [1, 2, 3, 60].map(|tries| RULE.wait(tries, 0.0).as_millis());
        assert_eq!(waits, [100, 200, 250, 250]);
        assert_eq!(RULE.wait(1, 1.0), Duration::from_millis(50));
    }
}
