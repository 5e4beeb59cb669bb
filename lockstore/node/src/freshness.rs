//! As of when a node's state is known to have been all that was decided.
//!
//! Always holds: who isn't sure says older, or nothing: a leader's word counts from when that leader had
//! its majority, less the time that it was seen to be under way, and only once something of the
//! leader's own term is decided, since it may not know of all that was decided before; a leader takes
//! its own word; a state is as new as the newest word that it has everything of. What is known is
//! bounded, and gone after a restart. The one notion of "new" for bookmarks of watchers and for reads of
//! a bounded age.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{clock::Clock, limits, machine::Machine, raft::Node};

/// A leader's word: as of `as_of` nothing beyond `index` was decided.
#[derive(Debug, Clone, Copy)]
struct Word {
    index: u64,
    as_of: Instant,
}

/// What leaders said of how far the log is decided.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// Both parts grow.
    words: Mutex<VecDeque<Word>>,
}

impl Words {
    fn words(&self) -> MutexGuard<'_, VecDeque<Word>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A leader that had its majority as of `as_of` said that the log is decided up to `index`.
    pub(crate) fn hear(&self, index: u64, as_of: Instant) {
        let mut words = self.words();
        let last = words.back().copied();
        // A late copy of a message takes nothing back.
        let word = last.map_or(Word { index, as_of }, |last| Word {
            index: last.index.max(index),
            as_of: last.as_of.max(as_of),
        });
        // Those that say the same, or came close together, are one.
        let before_last = words.len().checked_sub(2).and_then(|at| words.get(at));
        let is_close = before_last
            .is_some_and(|before| word.as_of - before.as_of < limits::LEADERS_WORDS_APART_MIN);
        if is_close || last.is_some_and(|last| last.index == word.index) {
            words.pop_back();
        }
        words.push_back(word);
        if words.len() > limits::LEADERS_WORDS_MAX {
            words.pop_front();
        }
    }

    /// As of when a state that has everything up to `applied` was all there was; `None` if nobody
    /// said so.
    fn as_of(&self, applied: u64) -> Option<Instant> {
        let words = self.words();
        let had = words.partition_point(|word| word.index <= applied);
        words.get(had.checked_sub(1)?).map(|word| word.as_of)
    }
}

/// How new this node's state is.
pub(crate) struct Freshness {
    pub(crate) node: Node,
    pub(crate) node_id: u64,
    pub(crate) machine: Arc<Machine>,
    pub(crate) clock: Arc<Clock>,
}

impl Freshness {
    /// Takes what `look` finds, and says how long before now that was all there was: `look` also says
    /// up to which entry it has everything.
    pub(crate) fn of<T>(&self, look: impl FnOnce() -> (T, u64)) -> (T, Option<Duration>) {
        let now = Instant::now();
        let words = self.machine.leaders_words();
        if let Some((decided, as_of)) = self.own_word(now) {
            words.hear(decided, as_of);
        }
        let (found, applied) = look();
        let age = words.as_of(applied).map(|as_of| now - as_of);
        (found, age)
    }

    /// What this node says itself, if it leads and everything before its term is applied, so that its
    /// time runs.
    fn own_word(&self, now: Instant) -> Option<(u64, Instant)> {
        let standing = self.node.standing();
        let term = {
            let standing = standing.borrow();
            (standing.leader == Some(self.node_id)).then_some(standing.term)?
        };
        self.clock
            .leading(now)
            .filter(|(leads, _)| *leads == term)?;
        let (age, decided) = self.node.decided()?;
        // One that is alone may have applied more meanwhile.
        let decided = decided.max(self.machine.applied());
        Some((decided, now.checked_sub(age)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(span: u64) -> Duration {
        Duration::from_millis(span)
    }

    #[test]
    fn state_is_as_new_as_the_newest_word_that_it_has_everything_of() {
        let (words, t0) = (Words::default(), Instant::now());
        assert_eq!(words.as_of(900), None, "nobody is heard after a restart");
        words.hear(1_000, t0);
        assert_eq!(words.as_of(999), None, "what it lacks was just heard");
        assert_eq!(words.as_of(1_000), Some(t0));
        words.hear(1_010, t0 + ms(100));
        words.hear(1_020, t0 + ms(200));
        assert_eq!(words.as_of(1_009), Some(t0), "it lags behind");
        assert_eq!(words.as_of(1_019), Some(t0 + ms(100)));
        assert_eq!(words.as_of(1_020), Some(t0 + ms(200)));
        // It was cut off, and just hears how much it lacks.
        words.hear(5_000, t0 + ms(60_000));
        assert_eq!(words.as_of(1_020), Some(t0 + ms(200)));
        assert_eq!(words.as_of(5_000), Some(t0 + ms(60_000)));
    }

    #[test]
    fn late_copy_of_a_word_takes_nothing_back() {
        let (words, t0) = (Words::default(), Instant::now());
        words.hear(7, t0 + ms(600));
        words.hear(5, t0);
        assert_eq!(words.as_of(6), None);
        assert_eq!(words.as_of(7), Some(t0 + ms(600)));
        // Of a leader whose majority was answering before.
        words.hear(9, t0);
        assert_eq!(words.as_of(7), Some(t0 + ms(600)));
        assert_eq!(words.as_of(9), Some(t0 + ms(600)));
    }

    #[test]
    fn words_are_bounded_and_those_of_a_minute_are_kept() {
        let (words, t0) = (Words::default(), Instant::now());
        // A leader under load: two entries a millisecond, for two minutes.
        for i in 1..=240_000_u64 {
            words.hear(i, t0 + ms(i) / 2);
        }
        assert!(words.words().len() <= limits::LEADERS_WORDS_MAX);
        let apart = limits::LEADERS_WORDS_APART_MIN;
        let age_max = limits::STALE_READ_AGE_MAX;
        for lag in [1, 300, 60_000, 119_000] {
            let as_of = words.as_of(240_000 - lag).expect("of the last minute");
            let truly = t0 + ms(240_000 - lag) / 2;
            assert!(as_of <= truly && truly < as_of + 2 * apart, "{lag}");
        }
        let kept = words.words().front().map(|word| word.as_of);
        assert!(kept.is_some_and(|at| at < t0 + ms(120_000) - age_max));
        // And one that is idle says the same again and again.
        for i in 0..1_000 {
            words.hear(240_001, t0 + ms(120_000 + i * 100));
        }
        assert_eq!(words.as_of(240_001), Some(t0 + ms(219_900)));
        assert!(words.as_of(240_000).is_some(), "what was before is kept");
    }
}
