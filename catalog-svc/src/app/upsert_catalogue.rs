//! Takes over a batch of somebody's catalogue, whole or not at all.

use holdfast_mesh::Failure;
use holdfast_types::ErrorCode;

use super::Catalog;
use crate::{
    access::Actor,
    batch::Batch,
    store::{
        self,
        import::{Applied, Missing, Refusal},
    },
};

impl Catalog {
    pub(crate) async fn upsert_catalogue(
        &self,
        actor: Actor,
        batch: &Batch,
    ) -> Result<Applied, Failure> {
        let mut transaction = self.pool.begin().await.map_err(store::Error::from)?;
        // `applied.changed` has all that the batch changed, before anybody else can see it.
        let applied = store::import::apply(&mut transaction, actor.user_id, batch)
            .await?
            .map_err(refused)?;
        transaction.commit().await.map_err(store::Error::from)?;
        tracing::debug!(
            source = batch.source,
            changed.venues = applied.changed.venues.len(),
            changed.events = applied.changed.events.len(),
            changed.shows = applied.changed.shows.len(),
            "a batch was taken over"
        );
        Ok(applied)
    }
}

fn refused(refusal: Refusal) -> Failure {
    let missing = match refusal {
        Refusal::Taken => {
            return Failure::new(
                ErrorCode::AlreadyExists,
                "an id that follows from an external id is another account's",
            );
        }
        Refusal::Missing(missing) => missing,
    };
    let message = "the batch refers to things that are neither in it nor there already";
    missing
        .into_iter()
        .fold(Failure::new(ErrorCode::InvalidRequest, message), note)
}

fn note(failure: Failure, missing: Missing) -> Failure {
    let Missing { field, what } = missing;
    failure.and_field(&field, format!("there is no such {what} of this source"))
}
