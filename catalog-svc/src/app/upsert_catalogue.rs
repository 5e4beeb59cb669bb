//! Takes over a batch of somebody's catalogue, whole or not at all.

use std::collections::HashSet;

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, ShowId};

use super::{Catalog, categories::classify, publish};
use crate::{
    access::Actor,
    batch::Batch,
    store::{
        self,
        import::{Applied, Changed, Missing, Refusal},
    },
};

impl Catalog {
    pub(crate) async fn upsert_catalogue(
        &self,
        actor: Actor,
        batch: &mut Batch,
    ) -> Result<Applied, Failure> {
        let mut transaction = self.begin().await?;
        classify(&mut transaction, batch).await?;
        let applied = store::import::apply(&mut transaction, actor.user_id, batch)
            .await?
            .map_err(refused)?;
        let changed = publish::Changed {
            venues: &applied.changed.venues,
            events: &applied.changed.events,
            shows: &untold_shows(batch, &applied.changed),
        };
        publish::all_changed(&mut transaction, changed).await?;
        self.commit(transaction).await?;
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

/// The changed shows that the news of an event or a venue doesn't stand for already.
fn untold_shows(batch: &Batch, changed: &Changed) -> Vec<ShowId> {
    let events: HashSet<_> = changed.events.iter().collect();
    let venues: HashSet<_> = changed.venues.iter().collect();
    let told: HashSet<_> = batch
        .shows
        .iter()
        .map(|show| &show.value)
        .filter(|show| events.contains(&show.event_id) || venues.contains(&show.venue_id))
        .map(|show| show.show_id)
        .collect();
    let shows = changed.shows.iter().copied();
    shows.filter(|show| !told.contains(show)).collect()
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
