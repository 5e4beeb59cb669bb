//! Between `holdfast.lockstore.v1` and the state machine's own types.
//!
//! Always holds: a command that came in over the wire and one that is read from the log are
//! decoded by the same code; what is malformed is refused by field, never guessed. What is out of
//! a rule's bounds is the state machine's to refuse.

mod command;
mod event;
mod outcome;
mod record;

pub(crate) use command::{
    Body, Field, batch_behaviour, batch_commands, behaviour, check_lengths, command, fence, id,
};
pub(crate) use event::changes_to_pb;
pub(crate) use outcome::{
    act_to_pb, expiry_to_pb, hold_to_pb, inspection, queue_of_pb, queue_to_pb, refusal_to_pb,
    rules_to_pb, seat_states_to_pb, show_snapshot, show_state_to_pb,
};
pub(crate) use record::{record_from_pb, record_to_pb};
