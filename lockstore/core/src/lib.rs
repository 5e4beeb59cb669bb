//! The lock store's state machine: seats of shows, held for a time under a fence, sold, returned.
//!
//! Always holds: [`State::apply`] is a function of the state and of what the log carries. It reads
//! no clock, draws no random number, does no I/O and iterates nothing in hash order, so every
//! replica has the same state at the same log index (HS-5). Work per command is bounded by the
//! named limits. A business refusal is an [`Outcome`], never an error; a panic means that this
//! program, or the node that drives it, is wrong.
//!
//! Leaves to others: the log, stamping entries with time, encodings on disk and wire
//! (`lockstore-node`), and what a seat is besides its number (`booking-svc`).
//!
//! Reading order: [`Command`] → [`State`] → `judge` → [`Outcome`]; then [`Record`] for snapshots
//! and [`invariants`] for what must be true in between.

mod acts;
mod allowance;
mod body;
mod command;
mod events;
mod hash;
mod hold;
mod inspection;
pub mod invariants;
mod judge;
mod kept_hold;
pub mod limits;
mod outcome;
mod paged;
mod record;
mod record_hash;
mod request;
mod restore;
mod show;
mod state;

pub use acts::{Act, ActKind};
pub use body::body_hash;
pub use command::{
    AdminRecord, AdvanceQueue, BestAvailable, BlockSeats, ChangeShow, Command, CommitHold,
    ExtendHold, HoldSeats, LayoutSeat, LoadSeats, LoadedClaim, LoadedKind, OpenShow, ReleaseHold,
    Request, RequestId, ReturnSeats, SeatKind, Selection, SetConfig, ShowRules, ShowState,
    UnblockSeats,
};
pub use events::Event;
pub use hash::{BodyHash, StableHasher, StateHash};
pub use hold::{Hold, HoldEnd};
pub use inspection::{Claim, Inspection};
pub use outcome::{Outcome, Refusal, RefusalReason, SeatRefusal};
pub use record::{
    ActRecord, BlockedRecord, HoldRecord, LayoutRecord, MetaRecord, Record, RequestRecord,
    SaleRecord, SeatRecord, SeatsRecord, ShowRecord,
};
pub use request::Effect;
pub use restore::{RestoreError, StateBuilder};
pub use show::{Phase, Queue};
pub use state::{ShowView, State};
