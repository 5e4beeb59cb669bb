//! payment-svc against a real Postgres, the real event stream and the real sandbox provider, or a double
//! of Stripe, each on a free port; between provider and service stands a gateway that can lose webhooks,
//! and break requests.

#![expect(clippy::unwrap_used, reason = "a test may stop where it is")]

mod audit;
mod contract;
mod disputes;
mod endings;
mod ends;
mod identity;
mod lists;
mod refunds;
mod sandbox;
mod sessions;
mod settled;
mod stripe;
mod system;
mod upgrades;
mod webhooks;
