//! A budget for retries, so that a peer in trouble isn't asked ever more.
//!
//! Always holds: over time retries are at most a fifth of the calls, after a small reserve.
//! Leaves to others: what a retry is, and when one is made.

use std::sync::atomic::{AtomicU32, Ordering};

/// What a retry costs, in the unit of deposits.
const RETRY_COST: u32 = 5;
/// What a call brings: a fifth of a retry.
const CALL_DEPOSIT: u32 = 1;
/// Twenty retries: calls that a broken connection takes with it on a quiet day, and no storm.
const RESERVE: u32 = 20 * RETRY_COST;

#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(RESERVE))
    }

    pub(super) fn deposit(&self) {
        let deposit = |left: u32| Some(left.saturating_add(CALL_DEPOSIT).min(RESERVE));
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, deposit);
    }

    /// Whether there is enough for a retry, which it then pays for.
    pub(super) fn withdraw(&self) -> bool {
        let withdraw = |left: u32| left.checked_sub(RETRY_COST);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, withdraw)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_fifth_of_calls_once_the_reserve_is_gone() {
        let budget = Budget::new();
        assert_eq!((0..).take_while(|_| budget.withdraw()).count(), 20);
        let retries = (0..100).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        assert_eq!(retries.count(), 20);
    }

    #[test]
    fn calls_on_good_days_save_no_more_than_the_reserve() {
        let budget = Budget::new();
        for _ in 0..1_000 {
            budget.deposit();
        }
        assert_eq!((0..).take_while(|_| budget.withdraw()).count(), 20);
    }
}
