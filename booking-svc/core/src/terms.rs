//! What a show's terms decide, so that the store isn't asked.

use holdfast_types::LateMoney;

use crate::{Call, HoldAnswer, Input, Reason};

/// A show's, as of when a call is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Nothing of it is sold any more.
    pub has_begun: bool,
    /// What becomes of money that comes after its hold has ended.
    pub late_money: LateMoney,
    /// Whose booking it is is deleting their account, or has: nobody could come with its tickets.
    pub buyer_left: bool,
}

/// The answer to a call that isn't to be made. Money that came after its hold was over takes no seats of a show
/// that has begun, nor of one whose rules send it back, nor for a customer who left. A hold that a lost answer may have granted under the same
/// attempt runs out by itself.
pub fn unasked(call: Call, terms: Terms) -> Option<Input> {
    let Call::HoldAgain { attempt, .. } = call else {
        return None;
    };
    let reason = match terms {
        Terms {
            has_begun: true, ..
        } => Reason::ShowOver,
        Terms {
            late_money: LateMoney::Refund,
            ..
        }
        | Terms {
            buyer_left: true, ..
        } => Reason::PaidLate,
        Terms {
            late_money: LateMoney::Rebook,
            ..
        } => return None,
    };
    Some(Input::HeldAgain {
        attempt,
        answer: HoldAnswer::Refused(reason),
    })
}
