//! booking-svc: inventory, holds, bookings, tickets.
//!
//! Owns schema `booking`: shows and seats as they are sold, bookings with their workflow state,
//! what is known of each captured payment, tickets and the keys that sign them. Who has a seat
//! *now* is the lock store's.
//!
//! Always holds: BK-1 by a unique index over tickets; BK-2 and BK-3 by `booking-core`, whose
//! decisions are committed with everything they record in one transaction, and by transactions
//! that require a store answer's lineage to be the current one; BK-4 by inputs that change nothing
//! when they come again. A seat's fence is never cleared.
//!
//! Leaves to others: collecting and returning money (payment-svc), what a show is (catalog-svc),
//! holds and their time (lockstore), accounts (identity-svc): here is known only for which no booking is made.
//!
//! In reading order: `app` the use cases, `grpc` the wire, `store` the SQL, `clients` what others are asked, `tasks`
//! what goes on in the background, `rebuild` what is done after the lock store was lost, `server` putting it
//! together.

mod app;
mod clients;
mod config;
mod error;
mod grpc;
mod metrics;
mod rebuild;
mod server;
mod store;
mod tasks;
#[cfg(test)]
mod tests;

pub use app::ticket_code::{TicketCode, TicketCodeError};
pub use config::{Config, DATABASE_CONNECTIONS_MIN};
pub use error::ServeError as Error;
pub use server::serve;
pub use store::{
    Corrupt, Error as StoreError,
    audit::{FINDINGS_MAX, Finding, audit, missing_payments, refunds},
    audit_seats::{
        AuditedBooking, AuditedHouse, AuditedInventory, AuditedRows, AuditedSeat, AuditedShow,
        audited_rows, audited_seats, audited_show, audited_show_count, audited_shows,
    },
    lineage::{begin_rebuild, current_lineage, is_rebuild_pending, raise_lineage},
    shows::has_shows,
};

/// The migrations of schema `booking`.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Brings schema `booking` up to date. Several processes may start at once.
///
/// # Errors
/// What the database says, and a migration that was changed after it ran.
pub async fn migrate(pool: &sqlx::PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATOR.run(pool).await
}
