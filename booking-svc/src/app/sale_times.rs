//! When a show's sale begins and ends: what the catalogue says of it is kept, and known to every instance.
//!
//! Always holds: later times, by their version, are never undone by what was told late; an instance knows of a
//! change at most two seconds after it was written, without asking the database when seats are held. While the
//! database is away the last known count. Leaves to others: what is refused outside of them (`hold_seats`).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use holdfast_types::ShowId;

use super::App;
use crate::{
    error::Error,
    store::{
        self,
        shows::{self, SaleTimes},
    },
};

/// How often changes that other instances wrote are looked for.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// What was written so long before the last look is looked at again: longer than a transaction takes that wrote
/// it, or the reading of an inventory that had begun before.
const OVERLAP: TimeDelta = TimeDelta::seconds(60);

/// Changes in one look, and looks in a row: more than organisers make in a minute; what is left comes next.
const CHANGES_PER_LOOK: u32 = 1_000;
const LOOKS_MAX: usize = 100;

/// From when on changes are looked for, by the database's clock; none before the first look. Lost by a restart,
/// as the inventories are.
#[derive(Debug, Default)]
pub(crate) struct SaleChanges(Mutex<Option<DateTime<Utc>>>);

impl SaleChanges {
    fn from(&self) -> Option<DateTime<Utc>> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go_on_from(&self, at: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }
}

impl App {
    /// Keeps what the catalogue says. Of a show that was never opened nothing is kept: it is opened with the
    /// latest.
    pub(crate) async fn change_sale(&self, show_id: ShowId, sale: SaleTimes) -> Result<(), Error> {
        let mut connection = self.pool.acquire().await?;
        if shows::set_sale(&mut connection, show_id, sale).await? {
            tracing::info!(show.id = %show_id, "a show's sale times changed");
        }
        self.inventories.set_sale(show_id, sale).await;
        Ok(())
    }

    /// Takes over what other instances kept.
    pub(crate) async fn follow_sales(&self) -> Result<(), Error> {
        // The database's clock may have been set back since.
        let latest = store::now(&self.pool).await? - OVERLAP;
        let since = self
            .sale_changes
            .from()
            .map_or(latest, |from| from.min(latest));
        let mut from = since;
        for _ in 0..LOOKS_MAX {
            let changed = shows::sales_changed(&self.pool, from, CHANGES_PER_LOOK).await?;
            for change in &changed {
                self.inventories.set_sale(change.show_id, change.sale).await;
            }
            let before = from;
            from = changed.last().map_or(from, |last| last.changed_at);
            if changed.len() < CHANGES_PER_LOOK as usize || from == before {
                break;
            }
        }
        self.sale_changes.go_on_from(since.max(from - OVERLAP));
        Ok(())
    }
}
