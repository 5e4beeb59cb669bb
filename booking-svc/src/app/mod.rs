//! The use cases. No SQL and no gRPC types.

mod again;
pub(crate) mod announce;
pub(crate) mod answer;
pub(crate) mod ask;
pub(crate) mod book;
pub(crate) mod cancel;
pub(crate) mod changes;
pub(crate) mod check_in;
pub(crate) mod closing_accounts;
pub(crate) mod drive;
pub(crate) mod hold_seats;
pub(crate) mod holds;
pub(crate) mod house_seats;
pub(crate) mod inventory;
mod lock_store;
pub(crate) mod open_inventory;
pub(crate) mod read;
pub(crate) mod refund_show;
pub(crate) mod refusal;
pub(crate) mod requests;
mod return_tickets;
pub(crate) mod rights;
pub(crate) mod sale_times;
pub(crate) mod sales;
pub(crate) mod settle;
pub(crate) mod store_numbers;
pub(crate) mod ticket_code;
pub(crate) mod timeline;
pub(crate) mod unreadable;
mod wall_clock;

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Semaphore;

use changes::Changes;
use inventory::Inventories;
use requests::UnderWay;
use sale_times::SaleChanges;
use ticket_code::TicketKey;
use unreadable::Unreadable;

/// Shows of which takings are added up at once: half a second each for the largest, on a connection that purchases
/// want.
pub(crate) const TAKINGS_AT_ONCE_MAX: usize = 2;

/// What every use case works with.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) pool: PgPool,
    pub(crate) lock_store: lockstore_client::Client,
    pub(crate) inventories: Inventories,
    pub(crate) ticket_key: TicketKey,
    pub(crate) payment_window: Duration,
    pub(crate) under_way: UnderWay,
    pub(crate) changes: Changes,
    pub(crate) sale_changes: SaleChanges,
    pub(crate) unreadable: Unreadable,
    /// Of [`TAKINGS_AT_ONCE_MAX`].
    pub(crate) takings: Semaphore,
}
