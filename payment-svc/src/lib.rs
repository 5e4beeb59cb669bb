//! Collects money for bookings through providers, sends it back, and keeps the books.
//!
//! Owns schema `payment`: payments, refunds, webhook events, the double-entry ledger, an outbox.
//! The `sandbox` provider is a server of its own with schema `sandbox`; payment-svc talks to it
//! over HTTP only.
//!
//! Always holds:
//! - One payment per booking and attempt, one open at a time; the payment's id is the idempotency
//!   key at the provider, so asking again after a crash finds the same session.
//! - Captured money is recorded whatever was asked for; what differs is booking-svc's to send back.
//! - A payment becomes `SUCCEEDED` in the one transaction that posts its capture to the ledger and
//!   writes `PaymentSucceeded`; a refund goes out under its own id, so it sends money once.
//! - Every journal balances. What the provider didn't answer stays as it was (BK-2).
//!
//! Leaves to others: when money is wanted and when it goes back (booking-svc).

pub mod sandbox;

mod app;
mod audit;
mod away;
mod config;
mod error;
mod grpc;
mod metric;
mod provider;
mod server;
mod store;

pub use app::{NotSettled, refunds_waiting, settle_refund};
pub use audit::{
    AuditError, PROVIDER_FINDINGS_MAX, ProviderFinding, ProviderReport, audit_provider,
};
pub use config::{Config, Invalid, ProviderName};
pub use error::Error;
pub use server::{NAME, serve};
pub use store::{
    compare::{LedgerRows, captured, ledger_rows, missing_refunds},
    ledger::{Finding, check as check_ledger},
    refunds::Waiting,
};

use sqlx::migrate::{MigrateError, Migrator};

/// The migrations of schema `payment`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Makes or upgrades schema `payment`; [`serve`] does it at start.
///
/// # Errors
/// What the database says, and a migration that was changed after it ran.
pub async fn migrate(pool: &sqlx::PgPool) -> Result<(), MigrateError> {
    MIGRATOR.run(pool).await
}
