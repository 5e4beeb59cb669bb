//! The REST API: version 1 under `/api/v1`, its OpenAPI document and page.
//!
//! Owns no data, and keeps in memory the shows that are looked at, as the lock store has them. A handler checks the shape of what came in, makes one gRPC call, and writes the
//! answer in the public shape; what may happen to a seat, a booking or money is decided by the
//! services behind it.
//!
//! Always holds:
//! - every answer to a request that HTTP can parse carries `x-request-id`, and every error the one
//!   body with nothing internal in it, whatever went wrong: a refusal, a rejected body, a panic, a
//!   timeout; pages of configured origins can read it;
//! - a request counts as in progress until its answer was sent, and those are bounded;
//! - how often one address and one account may ask is limited, and so is the memory of who asked;
//! - cursors of lists are signed, and one that another list gave out is none;
//! - who acts is read from the access token, sent as a header or in a cookie, never from a path or a body; the token is verified
//!   here and again by the service it is forwarded to;
//! - a session's cookies count for pages of our own and of configured origins only;
//! - a request has one deadline, and every gRPC call made for it carries what is left of that;
//! - which seats are free is shown as the lock store has it, with its revision, at most two seconds
//!   old; thousands of viewers of a show cost the store one watch, and are told of a rush four times a
//!   second, and once more before a bookmark;
//! - pages of the catalogue are kept for a second, seat maps while their show's version stands; the
//!   last stand in for half a minute while the catalogue is away;
//! - what is personal or changes by the second is `no-store`; routes without a token never forward
//!   one, so nothing that depends on the caller can end up in a shared cache.
//!
//! Leaves to others: sign-in (`identity-svc`), what is on (`catalog-svc`), selling
//! (`booking-svc`), money and the provider's hosted page (`payment-svc`).

mod config;
mod error;
mod metrics;

mod api_keys;
mod at_hand;
mod call;
mod client_address;
mod conditional;
mod cursors;
mod extract;
mod failure;
mod kept;
mod layout;
mod limits;
mod lists;
mod live;
mod openapi;
mod ops;
mod pages;
mod routes;
mod scope;
mod searches;
mod server;
mod session;
mod well_known;
mod wire;

pub use config::Config;
pub use error::Error;
pub use openapi::openapi;
pub use server::serve;
