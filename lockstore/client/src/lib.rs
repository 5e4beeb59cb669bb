//! The lock store's client: finds and follows the leader, and retries what is safe.
//!
//! Always holds: a call ends by its deadline; every try of a call carries the same request id and
//! body, so that it has one effect; a refusal is an answer and never an [`Error`]; a [`Watch`] leaves
//! out nothing and gives nothing twice, or says that it begins anew. Leaves to the
//! store every decision, and to callers what a hold is for. Light: no dependency on the store.
//! Reads are the leader's and as of now, unless [`Client::reading`] says how much less will do.
//! Holds, extensions, releases and commits share streams: those that wait go together, and none waits
//! for others.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use lockstore_client::{
//!     Client, DurationMs, HoldId, HoldOutcome, HoldSeats, SeatNo, Selection, ShowId, UserId,
//! };
//!
//! # async fn example() -> Result<(), lockstore_client::Error> {
//! let nodes = ["http://127.0.0.1:7101", "http://127.0.0.1:7102", "http://127.0.0.1:7103"];
//! let client = Client::connect(nodes.map(String::from).to_vec());
//! let request = HoldSeats {
//!     hold_id: HoldId::from_bytes([1; 16]),
//!     show_id: ShowId::from_bytes([2; 16]),
//!     holder: UserId::from_bytes([3; 16]),
//!     selection: Selection::Seats(vec![SeatNo(17), SeatNo(18)]),
//!     ttl: DurationMs(0),
//!     price_version: 1,
//!     late_money: false,
//! };
//! let answer = client.hold(request, Duration::from_secs(2)).await?;
//! match answer.outcome {
//!     HoldOutcome::Held { hold, .. } => {
//!         let left = answer.cluster_time.until(hold.expires_at);
//!         println!("held under fence {} for {} s", hold.fence, left.as_secs());
//!     }
//!     HoldOutcome::Refused(refusal) => println!("not held: {:?}", refusal.reason),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/hold.rs` goes on to the purchase. The README says what each [`Error`] lets a caller do,
//! and what it must do with fences and lineages.

mod answer;
mod budget;
mod call;
mod change;
mod client;
mod clock;
mod convert;
mod error;
mod peers;
mod replica;
mod request;
mod status;
mod stream;
mod watch;

pub use holdfast_types::{
    BookingId, ClusterTime, DurationMs, Fence, HoldId, Lineage, Revision, SeatNo, SeatState,
    ShowId, UserId,
};
pub use tonic::transport::ClientTlsConfig;

pub use answer::{
    AdvanceOutcome, Answer, BlockOutcome, ChangeOutcome, CommitOutcome, ExtendOutcome,
    GetHoldOutcome, Hold, HoldOutcome, LoadOutcome, OpenOutcome, Queue, Refusal, RefusalReason,
    ReleaseOutcome, ReturnOutcome, SeatRefusal, Show, ShowRules, ShowState, UnblockOutcome,
};
pub use change::{Change, Changes, HoldEnd, ShowChanges, ShowSnapshot, WatchItem};
pub use client::{Client, Options};
pub use error::Error;
pub use replica::{Difference, Gap, ShowReplica};
pub use request::{
    AdvanceQueue, BestAvailable, BlockSeats, ChangeShow, CommitHold, Consistency, ExtendHold,
    HoldSeats, LayoutSeat, LoadSeats, LoadedClaim, LoadedKind, OpenShow, ReleaseHold, ReturnSeats,
    SeatKind, Selection, UnblockSeats, Until,
};
pub use watch::{Start, Watch, Watched};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
