//! The purchase as a pure function: [`decide()`] takes a booking, an input and the time, and says
//! what the booking becomes, what is recorded with it, and what to ask the lock store next.
//!
//! Always holds, for every order and every repetition of inputs:
//! - BK-2: a captured payment is kept by the confirmed booking, on its way to that decision, or
//!   refunded; never two of these, never none. At most one payment is kept or pending.
//! - BK-3: `CONFIRMED` only after the store's `Commit` answered "sold" under the booking's fence.
//! - A payment is refunded once, under an id derived from it. A seat's fence is never cleared.
//! - With a payment recorded, no expiry touches the booking.
//!
//! No I/O, no clock, no randomness. Leaves to others: SQL and its transaction, the calls to the
//! store, delivery of events, and when to try an unfinished step again.
//!
//! # Steps
//!
//! A booking has at most one question open at the store: its [`Step`]. A question may be asked
//! any number of times; its answer counts only while the step and the fence (or attempt) that it
//! was asked under still stand, so late and repeated answers change nothing.
//!
//! Every decision, for every state and input, is in `docs/purchase-workflow.md`, which a test writes;
//! what each adds to the booking's timeline, [`timeline()`] says. Calls that a show's terms answer without the
//! store, [`unasked()`] does.
//!
//! | Step | Asks the store | Answer and what follows | Undo |
//! |---|---|---|---|
//! | `Idle` | nothing | | |
//! | `Releasing(ending)` | [`Call::Release`] | released, gone → the ending's state, seats free, pending money refunded · sold → `Committing` if money is pending, else the ending and `Returning` | none: a released hold is taken again by `Holding` if late money comes |
//! | `Committing` | [`Call::Commit`] | sold → seats sold, tickets, `CONFIRMED` · gone → `Holding` · refused for good → `FAILED`, refund, `Releasing` | `Returning` |
//! | `Holding` | [`Call::HoldAgain`] | held → seats marked, `Committing` · refused for good → `FAILED`, refund | `Releasing` |
//! | `Returning` | [`Call::Return`] | done → `Idle`, or `Holding` if late money waits | none: it is itself an undo |
//!
//! | Record (same transaction as the state) | Undo |
//! |---|---|
//! | [`Record::MarkSeats`] | [`Record::FreeSeats`] |
//! | [`Record::SellSeats`], [`Record::IssueTickets`] | [`Record::FreeSeats`], [`Record::VoidTickets`], then `Returning` |
//! | [`Record::GiveBackSeats`] | none: given back is given back |
//! | [`Record::Refund`] | none: money that went back is asked for anew |
//!
//! # Endings
//!
//! | What happened | Ends as |
//! |---|---|
//! | paid in time | `CONFIRMED` |
//! | paid late, seats free | held again, `CONFIRMED` |
//! | paid late, and the show's rules send such money back | `FAILED`, refunded |
//! | paid late, seats gone, cap reached, show closed or cancelled | `FAILED`, refunded |
//! | paid twice | the second refunded |
//! | paid after `CANCELLED` or `FAILED` | refunded |
//! | another amount or currency | that payment refunded, the booking goes on |
//! | not paid, or declined | `EXPIRED`, or `FAILED` |
//! | its hold ended before that (the show was called off) | `EXPIRED` |
//! | cancelled unpaid | `CANCELLED` |
//! | some tickets given back | `CONFIRMED` with the others; these void, their price refunded, their seats returned |
//! | cancelled confirmed, or its show called off | `CANCELLED`, tickets void, refunded, seats returned |
//! | sold in the store, but fewer rows than seats here | `FAILED`, refunded, returned, alarm |

mod booking;
mod decide;
mod effect;
mod input;
mod terms;
mod timeline;

pub use booking::{Booking, Ending, Fate, HeldAs, Part, Payment, Reason, Session, Step};
pub use decide::{LATE_HOLDS_MAX, decide};
pub use effect::{
    Alarm, Call, Decision, Record, RefundReason, late_hold_id, part_refund_id, refund_id,
};
pub use input::{CommitAnswer, HoldAnswer, Input, ReleaseAnswer};
pub use terms::{Terms, unasked};
pub use timeline::{Entry, Happened, timeline};
