//! The endings that a purchase can have, and how many there were of each.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{self, Display},
    rc::Rc,
};

/// How something that a customer began has ended, by the system's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    Confirmed,
    DeclinedThenConfirmed,
    PaymentFailed,
    HoldAbandoned,
    Expired,
    PaidLateAndConfirmed,
    PaidLateAndRefunded,
    PaidTwice,
    AnswerLostThenConfirmed,
    WebhookLateThenConfirmed,
    CancelledUnpaid,
    CancelledAndRefunded,
    PartlyGivenBack,
    DisputeWon,
    DisputeLost,
    ShowCancelledAndRefunded,
}

impl Ending {
    /// Each must have happened.
    pub(crate) const ALL: [Self; 16] = [
        Self::Confirmed,
        Self::DeclinedThenConfirmed,
        Self::PaymentFailed,
        Self::HoldAbandoned,
        Self::Expired,
        Self::PaidLateAndConfirmed,
        Self::PaidLateAndRefunded,
        Self::PaidTwice,
        Self::AnswerLostThenConfirmed,
        Self::WebhookLateThenConfirmed,
        Self::CancelledUnpaid,
        Self::CancelledAndRefunded,
        Self::PartlyGivenBack,
        Self::DisputeWon,
        Self::DisputeLost,
        Self::ShowCancelledAndRefunded,
    ];
}

/// How often each has happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Rc<RefCell<BTreeMap<Ending, u32>>>);

impl Tally {
    pub(crate) fn count(&self, ending: Ending) {
        *self.0.borrow_mut().entry(ending).or_default() += 1;
    }

    pub(crate) fn of(&self, ending: Ending) -> u32 {
        self.0.borrow().get(&ending).copied().unwrap_or_default()
    }

    /// Those that haven't happened.
    pub(crate) fn missing(&self) -> Vec<Ending> {
        let all = Ending::ALL.into_iter();
        all.filter(|ending| self.of(*ending) == 0).collect()
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ending in Ending::ALL {
            writeln!(f, "  {:5} {ending:?}", self.of(ending))?;
        }
        Ok(())
    }
}
