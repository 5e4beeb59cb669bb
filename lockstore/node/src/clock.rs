//! Cluster time: where a leader takes it from, and what every node keeps of it.
//!
//! Always holds: only a leader's messages set time; a node keeps the newest of `(term, leader's
//! time, own monotonic reading)`, and within a term a later message corrects what a faster clock
//! of its own made of an earlier one; a leader takes time from nobody. A new leader goes on from the
//! newest it knows, plus its own monotonic time since, so holds neither end early nor start over;
//! only when no node knows anything, because all were down, does it count the wall time that
//! passed, unless that can't be right. A leader carries time from the moment it won its term, so
//! that an election right after its own finds it with its followers. Reads no clock: instants and
//! wall readings come from the caller.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use holdfast_types::limits::CLOCK_RATE_PADDING_PER_MILLE;

use crate::{limits, metrics};

/// What was heard from a leader, and when by this node's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    term: u64,
    time_ms: u64,
    at: Instant,
}

impl Heard {
    /// That leader's time at `now`; more than it really is only by what this node's clock is
    /// faster since the message.
    fn carried_to(self, now: Instant) -> u64 {
        self.time_ms.saturating_add(self.passed_ms(now))
    }

    /// What that leader's time at `now` is at the least, even if this node's clock is as fast and
    /// the leader's as slow as allowed. A message that says less was under way for long.
    fn least_at(self, now: Instant) -> u64 {
        let passed = self.passed_ms(now);
        let doubt = passed.saturating_mul(2 * CLOCK_RATE_PADDING_PER_MILLE) / 1_000;
        self.time_ms.saturating_add(passed.saturating_sub(doubt))
    }

    fn passed_ms(self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.at).as_millis();
        u64::try_from(passed).unwrap_or(u64::MAX)
    }
}

/// What a node tells a candidate of time: a leader's word as it was received, and how long ago.
/// Not carried on: the newest word counts, not the fastest clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) term: u64,
    pub(crate) time_ms: u64,
    pub(crate) age_ms: u64,
}

/// What the log says about time, for a leader that has nothing better.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logged {
    /// Cluster time as applied.
    pub(crate) now_ms: u64,
    /// The wall reading of the last batch applied; 0 if there is none.
    pub(crate) wall_ms: u64,
}

/// A wall clock that can't be right: what it showed last while the cluster was up, and what it shows
/// now. In milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Jump {
    pub(crate) then_ms: u64,
    pub(crate) now_ms: u64,
}

/// A jump for which expiry isn't paused yet.
#[derive(Debug, Clone, Copy)]
struct Unpaused {
    /// Of the leader that has to do it.
    term: u64,
    jump: Jump,
    /// It is being done.
    taken: bool,
}

#[derive(Debug, Default)]
struct Inner {
    heard: Option<Heard>,
    /// The word that makes time the furthest, of any term: what is heard later was under way for as long
    /// as it is behind that. Only for this, and never taken back.
    furthest: Option<Heard>,
    /// The term that this node leads, with `heard` as its own base.
    leading: Option<u64>,
    /// Expiry has yet to be paused, as whoever leads says, or this node finds when it does.
    jump: Option<Unpaused>,
    /// The term stood for last, and the term of the last log entry then.
    stood: Option<(u64, u64)>,
    /// As of when a leader whose messages were accepted had its majority, the messages' time under
    /// way not counted.
    spoke: Option<Instant>,
}

/// A node's knowledge of cluster time; in memory only.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    inner: Mutex<Inner>,
}

impl Clock {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A leader of `term` said `time_ms`, received at `at`. Returns how long that was under way at
    /// the least: what was heard of it before tells what its time is by now.
    pub(crate) fn hear(&self, term: u64, time_ms: u64, at: Instant) -> Duration {
        let mut inner = self.inner();
        if inner.leading.is_some_and(|led| term <= led) {
            return Duration::ZERO;
        }
        // Whichever leader said it: the next goes on from the time of the one before.
        let least = inner.furthest.map_or(0, |known| known.least_at(at));
        let late_ms = least.saturating_sub(time_ms);
        if time_ms > least {
            inner.furthest = Some(Heard { term, time_ms, at });
        }
        let newer = inner.heard.is_none_or(|known| {
            term > known.term || (term == known.term && time_ms > known.least_at(at))
        });
        if newer {
            inner.heard = Some(Heard { term, time_ms, at });
        }
        Duration::from_millis(late_ms)
    }

    /// A voter answered, received at `at`, with the newest word it has. It counts if the leader
    /// said it later than what is known here, however long ago.
    pub(crate) fn hear_of(&self, word: Word, at: Instant) {
        let mut inner = self.inner();
        let known = inner.heard.map(|known| (known.term, known.time_ms));
        if inner.leading.is_some() || known >= Some((word.term, word.time_ms)) {
            return;
        }
        let since = at.checked_sub(Duration::from_millis(word.age_ms));
        inner.heard = Some(match since {
            Some(since) => Heard {
                term: word.term,
                time_ms: word.time_ms,
                at: since,
            },
            // Older than this machine's monotonic clock.
            None => Heard {
                term: word.term,
                time_ms: word.time_ms.saturating_add(word.age_ms),
                at,
            },
        });
    }

    /// A message of the leader was accepted, who had its majority as of `at`: the message's arrival,
    /// less what the leader said.
    pub(crate) fn leader_spoke(&self, at: Instant) {
        let mut inner = self.inner();
        // One that took long to be dealt with is not news.
        inner.spoke = inner.spoke.max(Some(at));
    }

    /// For how long, at `now`, no leader was heard that had its majority; `None` if none ever was.
    pub(crate) fn silence(&self, now: Instant) -> Option<Duration> {
        let spoke = self.inner().spoke?;
        Some(now.saturating_duration_since(spoke))
    }

    /// The newest that is known at `now`; a leader's own word is as of now.
    pub(crate) fn newest(&self, now: Instant) -> Option<Word> {
        let inner = self.inner();
        let heard = inner.heard?;
        let (time_ms, age_ms) = match inner.leading {
            Some(_) => (heard.carried_to(now), 0),
            None => (heard.time_ms, heard.passed_ms(now)),
        };
        Some(Word {
            term: heard.term,
            time_ms,
            age_ms,
        })
    }

    /// What cluster time is at the least at `now`, as far as is known; a leader's own is as of now.
    pub(crate) fn at_least(&self, now: Instant) -> Option<u64> {
        let inner = self.inner();
        let heard = inner.heard?;
        Some(match inner.leading {
            Some(_) => heard.carried_to(now),
            None => heard.least_at(now),
        })
    }

    /// This node stands for `term`, its last entry being of `last_log_term`.
    pub(crate) fn stand(&self, term: u64, last_log_term: u64) {
        self.inner().stood = Some((term, last_log_term));
    }

    /// This node has won `term`: until it leads, which is when everything before its term is
    /// applied, it carries on what it knows, under its own term. `None` if it knows nothing that
    /// counts.
    pub(crate) fn win(&self, term: u64, now: Instant) -> Option<u64> {
        let mut inner = self.inner();
        let (stood, oldest) = inner.stood?;
        let heard = inner.heard?;
        if stood != term || heard.term < oldest || heard.term > term {
            return None;
        }
        let time_ms = heard.carried_to(now);
        if heard.term < term {
            inner.heard = Some(Heard {
                term,
                time_ms,
                at: now,
            });
        }
        Some(time_ms)
    }

    /// This node leads `term` from `now` on, the wall clock showing `wall_ms`. Does nothing if it
    /// does so already.
    pub(crate) fn lead(&self, term: u64, logged: Logged, now: Instant, wall_ms: u64) {
        let mut inner = self.inner();
        if inner.leading == Some(term) {
            return;
        }
        // What a leader said before the one whose entries the log ends with is too old.
        let oldest = inner
            .stood
            .filter(|(stood, _)| *stood == term)
            .map_or(0, |(_, last)| last);
        let heard = inner.heard.filter(|heard| heard.term >= oldest);
        let time_ms = match (heard, passed(logged.wall_ms, wall_ms)) {
            (Some(heard), _) => heard.carried_to(now),
            (None, _) if logged.wall_ms == 0 => wall_ms,
            (None, Ok(passed_ms)) => logged.now_ms.saturating_add(passed_ms),
            (None, Err(jump)) => {
                say_jump(jump);
                inner.jump = Some(Unpaused {
                    term,
                    jump,
                    taken: false,
                });
                logged.now_ms
            }
        };
        // One that the leader before didn't come to.
        inner.jump = inner.jump.map(|unpaused| Unpaused {
            term,
            taken: false,
            ..unpaused
        });
        let time_ms = time_ms.max(logged.now_ms);
        inner.heard = Some(Heard {
            term,
            time_ms,
            at: now,
        });
        inner.leading = Some(term);
    }

    /// A leader of `term` says for which jump expiry has yet to be paused, or a voter that it said so.
    pub(crate) fn hear_jump(&self, term: u64, jump: Option<Jump>) {
        let mut inner = self.inner();
        let known = inner.heard.map_or(0, |heard| heard.term);
        if inner.leading.is_some() || term < known {
            return;
        }
        inner.jump = jump.map(|jump| Unpaused {
            term,
            jump,
            taken: false,
        });
    }

    /// The jump for which expiry isn't known to be paused.
    pub(crate) fn unpaused(&self) -> Option<Jump> {
        Some(self.inner().jump?.jump)
    }

    /// Whether this leader of `term` has to have expiry paused, and doesn't yet.
    pub(crate) fn must_pause(&self, term: u64) -> bool {
        let jump = self.inner().jump;
        jump.is_some_and(|unpaused| unpaused.term == term && !unpaused.taken)
    }

    /// The jump for which the caller has expiry paused now, in `term`.
    pub(crate) fn take_jump(&self, term: u64) -> Option<Jump> {
        let mut inner = self.inner();
        let unpaused = inner.jump.as_mut()?;
        if unpaused.term != term || unpaused.taken {
            return None;
        }
        unpaused.taken = true;
        Some(unpaused.jump)
    }

    /// Whether that was `done`; if not, it has to be tried again.
    pub(crate) fn paused(&self, term: u64, done: bool) {
        let mut inner = self.inner();
        if let Some(unpaused) = inner.jump.as_mut().filter(|unpaused| unpaused.term == term) {
            unpaused.taken = false;
            if done {
                inner.jump = None;
            }
        }
    }

    /// This node leads no more at `now`; what its time is then is what it knows.
    pub(crate) fn follow(&self, now: Instant) {
        let mut inner = self.inner();
        if inner.leading.take().is_some()
            && let Some(heard) = &mut inner.heard
        {
            (heard.time_ms, heard.at) = (heard.carried_to(now), now);
        }
    }

    /// The term this node leads and its time at `now`; `None` if it doesn't lead.
    pub(crate) fn leading(&self, now: Instant) -> Option<(u64, u64)> {
        let inner = self.inner();
        let (term, heard) = inner.leading.zip(inner.heard)?;
        Some((term, heard.carried_to(now)))
    }
}

/// The wall time that passed while all were down, or the jump if a clock must be wrong.
fn passed(then_ms: u64, now_ms: u64) -> Result<u64, Jump> {
    let (forward, backward) = (
        now_ms.saturating_sub(then_ms),
        then_ms.saturating_sub(now_ms),
    );
    if forward <= limits::WALL_FORWARD_MS_MAX && backward <= limits::WALL_BACKWARD_MS_MAX {
        return Ok(forward);
    }
    Err(Jump { then_ms, now_ms })
}

/// Time goes on from where it stood: holds end late by what truly passed, never early.
fn say_jump(jump: Jump) {
    metrics::time_jumped();
    tracing::error!(
        then_ms = jump.then_ms,
        now_ms = jump.now_ms,
        "the wall clock jumped while the whole cluster was down; cluster time goes on from where \
         it stood, and expiry is paused as soon as every node knows how: set this machine's clock, then \
         `holdfast cluster expiry resume`"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGGED: Logged = Logged {
        now_ms: 1_000,
        wall_ms: 50_000,
    };

    fn ms(span: u64) -> Duration {
        Duration::from_millis(span)
    }

    #[test]
    fn pause_that_a_leader_did_not_come_to_is_its_successors() {
        let t0 = Instant::now();
        let jumped = LOGGED.wall_ms + limits::WALL_FORWARD_MS_MAX + 1;
        let jump = Jump {
            then_ms: LOGGED.wall_ms,
            now_ms: jumped,
        };
        let (first, second, third) = (Clock::default(), Clock::default(), Clock::default());
        first.lead(4, LOGGED, t0, jumped);
        assert_eq!(first.leading(t0), Some((4, LOGGED.now_ms)));
        assert!(first.must_pause(4) && !first.must_pause(5));
        // While it is being done it is nobody else's, and said to the others all the same.
        assert_eq!(first.take_jump(4), Some(jump));
        assert!(!first.must_pause(4));
        second.hear(4, 1_000, t0);
        second.hear_jump(4, first.unpaused());
        first.paused(4, false);
        assert!(first.must_pause(4));

        second.stand(5, 4);
        second.lead(5, LOGGED, t0, jumped);
        assert_eq!(second.take_jump(5), Some(jump));
        second.paused(5, true);
        assert_eq!((second.unpaused(), second.must_pause(5)), (None, false));
        // Whoever heard of it is told that it is done.
        third.hear_jump(4, Some(jump));
        third.hear(5, 2_000, t0);
        third.hear_jump(5, second.unpaused());
        third.stand(6, 5);
        third.lead(6, LOGGED, t0, jumped);
        assert!(!third.must_pause(6));
    }

    #[test]
    fn new_leader_goes_on_from_the_old_one_whatever_the_wall_clock_says() {
        let (clock, t0) = (Clock::default(), Instant::now());
        clock.hear(3, 9_000, t0);
        clock.lead(4, LOGGED, t0 + ms(700), 999_999_999);
        assert_eq!(clock.leading(t0 + ms(800)), Some((4, 9_800)));
    }

    #[test]
    fn follower_with_a_fast_clock_does_not_run_ahead_of_its_leader() {
        // Its clock shows 1 % more than passed: a message every 100 ms comes 101 ms apart.
        let (clock, t0) = (Clock::default(), Instant::now());
        let messages = 3 * 36_000;
        for i in 0..=messages {
            clock.hear(3, i * 100, t0 + ms(i * 101));
        }
        let (said, at) = (messages * 100, t0 + ms(messages * 101));
        clock.stand(4, 3);
        clock.lead(4, LOGGED, at, 0);
        let (_, time_ms) = clock.leading(at).expect("it leads");
        let ahead = i128::from(time_ms) - i128::from(said);
        // In a term of three hours its clock gained 108 s on the leader's.
        assert!((0..=20).contains(&ahead), "{ahead} ms ahead");
    }

    #[test]
    fn voter_cut_off_with_a_fast_clock_does_not_outbid_a_later_word() {
        // In three hours since its leader's last word the voter's clock gained 108 s.
        let (voter, t0) = (Clock::default(), Instant::now());
        let hours_ms = 3 * 3_600_000;
        voter.hear(3, 9_000, t0);
        let told = voter
            .newest(t0 + ms(hours_ms / 100 * 101))
            .expect("heard once");
        let candidate = Clock::default();
        candidate.hear(3, 9_000 + hours_ms, t0 + ms(hours_ms));
        candidate.stand(4, 3);
        candidate.hear_of(told, t0 + ms(hours_ms + 1_500));
        candidate.lead(4, LOGGED, t0 + ms(hours_ms + 1_500), 0);
        let led = candidate.leading(t0 + ms(hours_ms + 1_500));
        assert_eq!(led, Some((4, 9_000 + hours_ms + 1_500)));
        // A word said later than what is known here counts, with its age.
        let candidate = Clock::default();
        candidate.hear(3, 5_000, t0);
        let later = Word {
            term: 3,
            time_ms: 9_000,
            age_ms: 700,
        };
        candidate.hear_of(later, t0 + ms(60_000));
        candidate.lead(4, LOGGED, t0 + ms(60_000), 0);
        assert_eq!(candidate.leading(t0 + ms(60_000)), Some((4, 9_700)));
    }

    #[test]
    fn leader_that_steps_down_tells_its_time_until_then() {
        let (clock, t0) = (Clock::default(), Instant::now());
        clock.hear(3, 9_000, t0);
        clock.lead(4, LOGGED, t0, 0);
        let word = |time_ms, age_ms| {
            Some(Word {
                term: 4,
                time_ms,
                age_ms,
            })
        };
        assert_eq!(clock.newest(t0 + ms(5_000)), word(14_000, 0));
        clock.follow(t0 + ms(6_000));
        clock.follow(t0 + ms(7_000));
        assert_eq!(clock.newest(t0 + ms(8_000)), word(15_000, 2_000));
    }

    #[test]
    fn follower_never_says_more_than_its_leaders_time() {
        let (clock, t0) = (Clock::default(), Instant::now());
        assert_eq!(clock.at_least(t0), None, "it knows nothing");
        clock.hear(3, 9_000, t0);
        // Its clock may be as fast, and the leader's as slow, as allowed.
        assert_eq!(clock.at_least(t0 + ms(10_000)), Some(18_800));
        clock.lead(4, LOGGED, t0 + ms(10_000), 0);
        assert_eq!(clock.at_least(t0 + ms(20_000)), Some(29_000));
    }

    #[test]
    fn leader_takes_time_from_nobody_until_a_later_term() {
        let (clock, t0) = (Clock::default(), Instant::now());
        clock.hear(3, 9_000, t0);
        clock.lead(4, LOGGED, t0, 0);
        clock.hear(3, 99_000, t0);
        clock.hear(4, 99_000, t0);
        assert_eq!(clock.leading(t0), Some((4, 9_000)));
        clock.follow(t0);
        assert_eq!(clock.leading(t0), None);
        clock.hear(5, 9_500, t0 + ms(100));
        let word = Word {
            term: 5,
            time_ms: 9_500,
            age_ms: 100,
        };
        assert_eq!(clock.newest(t0 + ms(200)), Some(word));
    }

    #[test]
    fn message_that_was_under_way_for_long_is_told_from_a_new_one() {
        let (clock, t0) = (Clock::default(), Instant::now());
        assert_eq!(clock.hear(3, 9_000, t0), Duration::ZERO);
        assert_eq!(clock.hear(3, 9_100, t0 + ms(101)), Duration::ZERO);
        // It was sent right after, and the node stood still for a minute.
        let late = clock.hear(3, 9_200, t0 + ms(60_201));
        assert!(late > ms(58_000) && late <= ms(60_000), "{late:?}");
        assert_eq!(clock.hear(3, 69_300, t0 + ms(60_301)), Duration::ZERO);
        assert_eq!(clock.hear(4, 69_500, t0 + ms(60_501)), Duration::ZERO);
        // Two words of a new leader that waited together: the first makes the second no newer.
        for time_ms in [69_600, 69_700] {
            let late = clock.hear(5, time_ms, t0 + ms(70_601));
            assert!(late > ms(9_000) && late <= ms(10_100), "{late:?}");
        }
        assert_eq!(
            clock.newest(t0 + ms(70_601)).expect("heard").time_ms,
            69_700
        );
        // Nor does that of one whose clock is as slow as may be, to a node with one as fast.
        let (clock, hour_ms) = (Clock::default(), 3_600_000);
        clock.hear(3, 0, t0);
        let late = clock.hear(3, hour_ms / 100 * 99, t0 + ms(hour_ms / 100 * 101));
        assert_eq!(late, Duration::ZERO);
    }

    #[test]
    fn late_copy_of_an_old_message_changes_nothing() {
        let (clock, t0) = (Clock::default(), Instant::now());
        clock.hear(3, 9_000, t0);
        clock.hear(3, 9_100, t0 + ms(900));
        clock.hear(2, 99_000, t0 + ms(900));
        let word = Word {
            term: 3,
            time_ms: 9_000,
            age_ms: 900,
        };
        assert_eq!(clock.newest(t0 + ms(900)), Some(word));
    }

    #[test]
    fn after_all_were_down_wall_time_passed_counts_and_never_backwards() {
        let (clock, t0) = (Clock::default(), Instant::now());
        clock.lead(4, LOGGED, t0, 57_000);
        assert_eq!(clock.leading(t0), Some((4, 8_000)));
        let clock = Clock::default();
        clock.lead(4, LOGGED, t0, 10);
        assert_eq!(clock.leading(t0), Some((4, 1_000)));
        let clock = Clock::default();
        clock.lead(
            1,
            Logged {
                now_ms: 0,
                wall_ms: 0,
            },
            t0,
            57_000,
        );
        assert_eq!(clock.leading(t0), Some((1, 57_000)));
    }

    #[test]
    fn wall_clock_that_jumped_is_not_believed() {
        let (month, t0) = (limits::WALL_FORWARD_MS_MAX, Instant::now());
        let cases = [
            (LOGGED.wall_ms + month, LOGGED.now_ms + month),
            (LOGGED.wall_ms + month + 1, LOGGED.now_ms),
            (
                LOGGED.wall_ms - limits::WALL_BACKWARD_MS_MAX - 1,
                LOGGED.now_ms,
            ),
        ];
        for (wall_ms, expected) in cases {
            let clock = Clock::default();
            clock.lead(4, LOGGED, t0, wall_ms);
            assert_eq!(clock.leading(t0), Some((4, expected)), "at {wall_ms}");
            let later = t0 + ms(70);
            assert_eq!(clock.leading(later), Some((4, expected + 70)), "it runs on");
        }
    }

    const WRONG_WALL_MS: u64 = LOGGED.wall_ms + 3_600_000;

    #[test]
    fn time_survives_a_leader_that_died_before_it_applied_anything() {
        let (fifth, sixth, t0) = (Clock::default(), Clock::default(), Instant::now());
        fifth.hear(4, 9_000, t0);
        sixth.hear(4, 9_000, t0);
        // The leader of term 4 dies. The next one wins, and its first entry, of which it hasn't
        // heard that it is committed, reaches the other.
        fifth.stand(5, 4);
        let word = fifth.win(5, t0 + ms(1_000)).expect("it knows the time");
        sixth.hear(5, word, t0 + ms(1_000));
        // It dies too.
        sixth.stand(6, 5);
        sixth.lead(6, LOGGED, t0 + ms(2_000), WRONG_WALL_MS);
        assert_eq!(sixth.leading(t0 + ms(2_000)), Some((6, 11_000)));
    }

    #[test]
    fn winner_that_could_not_lead_still_knows_the_time_when_it_wins_again() {
        let (clock, t0) = (Clock::default(), Instant::now());
        clock.hear(4, 9_000, t0);
        clock.stand(5, 4);
        assert_eq!(clock.win(5, t0), Some(9_000));
        clock.follow(t0);
        // Its own entry of term 5 is the last one of its log now.
        clock.stand(7, 5);
        clock.lead(7, LOGGED, t0 + ms(500), WRONG_WALL_MS);
        assert_eq!(clock.leading(t0 + ms(500)), Some((7, 9_500)));
    }

    #[test]
    fn winner_passes_on_no_time_that_is_too_old_or_of_another_election() {
        let (clock, t0) = (Clock::default(), Instant::now());
        assert_eq!(clock.win(1, t0), None, "it knows nothing");
        clock.hear(3, 9_000, t0);
        clock.stand(6, 5);
        assert_eq!(clock.win(6, t0), None, "said before the last entry's term");
        clock.hear(5, 9_500, t0);
        assert_eq!(clock.win(7, t0), None, "it didn't stand for that");
        assert_eq!(clock.win(6, t0), Some(9_500));
    }

    #[test]
    fn word_of_a_leader_before_the_last_entry_does_not_count() {
        let (clock, t0) = (Clock::default(), Instant::now());
        clock.hear(3, 9_000, t0);
        clock.stand(6, 5);
        clock.lead(6, LOGGED, t0, 51_000);
        assert_eq!(clock.leading(t0), Some((6, 2_000)));
    }
}
