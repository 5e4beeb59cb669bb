//! The words every part of Holdfast shares: ids, seats, fences, money, time, states, and the
//! one error table.
//!
//! Always holds: no I/O, no clock, no randomness, no heavy dependency. Cores
//! (`lockstore-core`, `booking-core`) import this crate, so nothing here may do what they may not.
//! Leaves to others: wire encodings (`holdfast-proto`), storage, and behaviour.

mod error_code;
mod fence;
mod hold_token;
mod ids;
mod iso4217;
pub mod limits;
mod money;
mod states;
pub mod text;
mod time;
mod trace_parent;

pub use error_code::{ErrorCode, GrpcCode};
pub use fence::{Fence, FenceError, Lineage, Revision};
pub use hold_token::{HoldToken, HoldTokenError};
pub use ids::{
    BookingId, EventId, HoldId, IdError, PaymentId, PerformerId, PlanId, SeatNo, ShowId, TicketId,
    UserId, VenueId,
};
pub use money::{Currency, CurrencyError, Money};
pub use states::{
    BookingState, LateMoney, PaymentState, SeatState, ShowState, StateError, TicketState,
};
pub use time::{ClusterTime, DurationMs};
pub use trace_parent::{TraceParent, TraceParentError};
