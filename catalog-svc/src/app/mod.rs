//! Use cases: what changes the catalogue, one a file.
//!
//! Always holds: each may run twice, with the effect of once; a change and the news of it
//! (`publish`) are one transaction. A `create` with a known id changes nothing: with the body that made
//! it, it answers what is there now, with another it is ALREADY_EXISTS.
//! Leaves to others: who calls and whether their fields are within bounds (`grpc`), SQL (`store`).

mod categories;
mod change_show_state;
mod create_event;
mod create_performer;
mod create_show;
mod create_venue;
mod export_plan;
mod import_plan;
mod lend_plan;
pub(crate) mod publish;
mod publish_show;
mod show_sales;
pub(crate) mod tell_events;
mod update_event;
mod update_performer;
mod update_show;
mod update_venue;
mod upsert_catalogue;

use std::sync::Arc;

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, ShowState};
use sqlx::{PgPool, PgTransaction};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

pub(crate) use import_plan::{ImportedPlan, NewPlan, used};
pub(crate) use show_sales::{CategorySales, Sales};

use crate::{
    access::Actor,
    clients::inventory::Inventory,
    model::Show,
    store::{self, Owned, asked::Asked},
};

/// Sales and plans read at once: some 30 MB each for the largest hall.
const LARGE_READS_AT_ONCE_MAX: usize = 3;

/// Plan files read at once: each takes a core for a moment and up to 100 MB.
const IMPORTS_AT_ONCE_MAX: usize = 2;

/// What use cases work with.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) pool: PgPool,
    inventory: Inventory,
    imports: Arc<Semaphore>,
    /// A change of a show's state keeps a connection while booking-svc is asked; these leave
    /// connections for everybody else.
    state_changes: Semaphore,
    large_reads: Semaphore,
}

impl Catalog {
    pub(crate) fn new(pool: PgPool, inventory: Inventory) -> Self {
        let connections_max = pool.options().get_max_connections() as usize;
        Self {
            pool,
            inventory,
            imports: Arc::new(Semaphore::new(IMPORTS_AT_ONCE_MAX)),
            state_changes: Semaphore::new((connections_max / 2).max(1)),
            large_reads: Semaphore::new(LARGE_READS_AT_ONCE_MAX),
        }
    }

    async fn begin(&self) -> Result<PgTransaction<'static>, store::Error> {
        Ok(holdfast_eventlog::begin(&self.pool).await?)
    }

    /// Commits, and tells the relay, which would find out a little later.
    async fn commit(&self, transaction: PgTransaction<'_>) -> Result<(), store::Error> {
        transaction.commit().await?;
        publish::OUTBOX.wake();
        Ok(())
    }

    /// The answer to a `create` whose id is known.
    async fn made_before<T: PartialEq>(
        &self,
        actor: Actor,
        id: Uuid,
        there: Option<Owned<T>>,
        wanted: &T,
        asked: &Asked,
    ) -> Result<Made<T>, Failure> {
        if let Some(there) = there.filter(|there| actor.may_change(there.owner_id))
            && (there.value == *wanted || store::asked::is_by(&self.pool, id, asked).await?)
        {
            return Ok(Made::before(there.value));
        }
        Err(Failure::new(
            ErrorCode::AlreadyExists,
            "this id is taken by something else",
        ))
    }

    /// One of few at once that have all seats of a hall in memory.
    pub(super) async fn large_read_permit(&self) -> SemaphorePermit<'_> {
        let permit = self.large_reads.acquire().await;
        permit.expect("the semaphore is never closed")
    }

    async fn state_change_permit(&self) -> SemaphorePermit<'_> {
        self.state_changes
            .acquire()
            .await
            .expect("the semaphore is never closed")
    }
}

/// What a `create` came to.
#[derive(Debug)]
pub(crate) struct Made<T> {
    pub(crate) value: T,
    /// It was made before, by the same request.
    pub(crate) replayed: bool,
}

impl<T> Made<T> {
    fn now(value: T) -> Self {
        Self {
            value,
            replayed: false,
        }
    }

    fn before(value: T) -> Self {
        Self {
            value,
            replayed: true,
        }
    }
}

/// Refuses a change of something that has another version than the caller knows, if they name one.
fn require_version(wanted: Option<&str>, there: &str) -> Result<(), Failure> {
    if wanted.is_none_or(|wanted| wanted == there) {
        return Ok(());
    }
    Err(Failure::new(
        ErrorCode::PreconditionFailed,
        "it was changed meanwhile; read it again, and change what it is now",
    ))
}

/// The show, if the actor may change it. Somebody else's draft isn't found.
fn changeable(actor: Actor, show: Option<Show>) -> Result<Show, Failure> {
    match show {
        Some(show) if actor.may_change(show.owner_id) => Ok(show),
        Some(show) if show.is_public() => Err(Failure::new(
            ErrorCode::Forbidden,
            "this is another organiser's show",
        )),
        _ => Err(Failure::new(
            ErrorCode::ShowNotFound,
            "there is no such show",
        )),
    }
}

fn wrong_state(show: &Show, wanted: ShowState) -> Failure {
    let message = format!("a show that is {} can't become {wanted}", show.state);
    Failure::new(ErrorCode::InvalidState, message)
}
