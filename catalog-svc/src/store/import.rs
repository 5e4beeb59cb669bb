//! Batches of somebody's catalogue: makes what is new, changes what differs, leaves the rest.
//!
//! Always holds: batches of one owner and source come one after the other (an advisory lock until
//! the transaction ends); what is the same isn't written or counted as changed, and but for venues isn't locked;
//! nothing of another owner is touched; a show that isn't a draft any more, or is being opened, keeps what it
//! has, and its venue where it is. Everything that a batch changes passes through [`apply`],
//! which lists it in [`Changed`].

mod events;
mod shows;

use std::collections::{HashMap, HashSet};

use holdfast_types::{EventId, PerformerId, ShowId, ShowState, UserId, VenueId};
use sqlx::{PgConnection, PgTransaction};
use uuid::Uuid;

use super::Error;
use crate::{
    batch::{Batch, External, Ids, Performer},
    model::{Place, Venue},
};

/// References to nothing that are listed.
const MISSING_MAX: usize = 20;

/// What came of a batch.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) venues: Tally,
    pub(crate) performers: Tally,
    pub(crate) events: Tally,
    pub(crate) shows: Tally,
    /// Of the batch's shows, in its order.
    pub(crate) states: Vec<ShowState>,
    pub(crate) changed: Changed,
}

/// How many things came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) created: u32,
    pub(crate) updated: u32,
    pub(crate) unchanged: u32,
    /// Different, but left as they are.
    pub(crate) kept: u32,
}

impl Tally {
    fn of(asked: usize, written: &[Written]) -> Self {
        let created = written.iter().filter(|written| written.is_new).count();
        Self {
            created: created as u32,
            updated: (written.len() - created) as u32,
            unchanged: asked.saturating_sub(written.len()) as u32,
            kept: 0,
        }
    }

    /// With those of `kept`, for some of which something else was written, as kept.
    fn with_kept<'a>(self, written: &[Written], kept: impl Iterator<Item = &'a Uuid>) -> Self {
        let (mut in_part, mut whole) = (0, 0);
        for id in kept {
            match written.iter().any(|written| written.id == *id) {
                true => in_part += 1,
                false => whole += 1,
            }
        }
        Self {
            created: self.created,
            updated: self.updated.saturating_sub(in_part),
            unchanged: self.unchanged.saturating_sub(whole),
            kept: in_part + whole,
        }
    }
}

/// What is new or different now. A venue's or an event's words are on the pages of its shows too.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) venues: Vec<VenueId>,
    pub(crate) events: Vec<EventId>,
    pub(crate) shows: Vec<ShowId>,
}

/// Why a batch was not taken over; the transaction is to be rolled back.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// An id is another owner's.
    Taken,
    /// Things that are neither in the batch nor there.
    Missing(Vec<Missing>),
}

#[derive(Debug)]
pub(crate) struct Missing {
    /// Where it is referred to.
    pub(crate) field: String,
    pub(crate) what: &'static str,
}

/// A row that was added or changed.
#[derive(Debug)]
struct Written {
    id: Uuid,
    is_new: bool,
}

/// Takes a batch over; the caller commits.
pub(crate) async fn apply(
    transaction: &mut PgTransaction<'_>,
    owner_id: UserId,
    batch: &Batch,
) -> Result<Result<Applied, Refusal>, Error> {
    let connection: &mut PgConnection = &mut *transaction;
    let of = Ids {
        owner_id,
        source: &batch.source,
    };
    take_turn(connection, of).await?;
    if is_taken(connection, owner_id, batch).await? {
        return Ok(Err(Refusal::Taken));
    }
    let fixed = fixed_places(connection, &batch.venues).await?;
    let venues = upsert_venues(connection, of, &batch.venues, &fixed).await?;
    let performers = upsert_performers(connection, of, &batch.performers).await?;
    let missing = missing_performers(connection, owner_id, batch).await?;
    if !missing.is_empty() {
        return Ok(Err(Refusal::Missing(missing)));
    }
    let events = events::upsert(connection, of, &batch.events).await?;
    let missing = missing_of_shows(connection, owner_id, batch).await?;
    if !missing.is_empty() {
        return Ok(Err(Refusal::Missing(missing)));
    }
    shows::add_halls(connection, owner_id, &batch.shows).await?;
    let shows = shows::upsert(connection, of, &batch.shows).await?;
    Ok(Ok(Applied {
        venues: Tally::of(batch.venues.len(), &venues).with_kept(&venues, fixed.keys()),
        performers: Tally::of(batch.performers.len(), &performers),
        events: Tally::of(batch.events.len(), &events),
        shows: shows.tally,
        states: shows.states,
        changed: Changed {
            venues: venues.iter().map(|written| written.id.into()).collect(),
            events: events.iter().map(|written| written.id.into()).collect(),
            shows: shows.changed,
        },
    }))
}

/// Waits until no other batch of this owner and source is under way.
async fn take_turn(connection: &mut PgConnection, of: Ids<'_>) -> Result<(), Error> {
    let id = Uuid::new_v5(&of.owner_id.as_uuid(), of.source.as_bytes());
    let (key, _) = id.as_u64_pair();
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", key.cast_signed())
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether one of the batch's ids is another owner's.
async fn is_taken(
    connection: &mut PgConnection,
    owner_id: UserId,
    batch: &Batch,
) -> Result<bool, Error> {
    let venues = ids(&batch.venues, |venue| venue.venue_id.as_uuid());
    let performers = ids(&batch.performers, |performer| {
        performer.performer_id.as_uuid()
    });
    let events = ids(&batch.events, |billed| billed.event.event_id.as_uuid());
    let shows = ids(&batch.shows, |show| show.show_id.as_uuid());
    let plans = ids(&batch.shows, |show| show.plan_id().as_uuid());
    let is_taken = sqlx::query_file_scalar!(
        "src/store/import/is_taken.sql",
        owner_id.as_uuid(),
        &venues,
        &performers,
        &events,
        &shows,
        &plans,
    )
    .fetch_one(connection)
    .await?;
    Ok(is_taken)
}

fn ids<T>(items: &[External<T>], id: impl Fn(&T) -> Uuid) -> Vec<Uuid> {
    items.iter().map(|item| id(&item.value)).collect()
}

fn texts<T>(items: &[External<T>], text: impl Fn(&T) -> &str) -> Vec<String> {
    items
        .iter()
        .map(|item| text(&item.value).to_owned())
        .collect()
}

fn external_ids<T>(items: &[External<T>]) -> Vec<String> {
    items.iter().map(|item| item.external_id.clone()).collect()
}

/// Where venues of a batch are that it would move, and that stay: a show there was put on sale.
async fn fixed_places(
    connection: &mut PgConnection,
    venues: &[External<Venue>],
) -> Result<HashMap<Uuid, Place>, Error> {
    if venues.is_empty() {
        return Ok(HashMap::new());
    }
    // Those too that are where the batch has them: otherwise one could be moved, and a show there put on sale, until
    // they are written.
    let ids = ids(venues, |venue| venue.venue_id.as_uuid());
    let mut places = super::venues::lock_places(connection, &ids).await?;
    let moved: Vec<Uuid> = venues
        .iter()
        .map(|venue| (venue.value.venue_id.as_uuid(), venue.value.place()))
        .filter(|(id, asked)| places.get(id).is_some_and(|there| there != asked))
        .map(|(id, _)| id)
        .collect();
    let fixed: HashSet<Uuid> = super::venues::with_sales(connection, &moved)
        .await?
        .into_iter()
        .map(|with_sales| with_sales.venue_id)
        .collect();
    places.retain(|id, _| fixed.contains(id));
    Ok(places)
}

async fn upsert_venues(
    connection: &mut PgConnection,
    of: Ids<'_>,
    venues: &[External<Venue>],
    fixed: &HashMap<Uuid, Place>,
) -> Result<Vec<Written>, Error> {
    if venues.is_empty() {
        return Ok(Vec::new());
    }
    let places = venues.iter().map(|External { value: venue, .. }| {
        let stays = fixed.get(&venue.venue_id.as_uuid());
        stays.cloned().unwrap_or_else(|| venue.place())
    });
    let places: Vec<Place> = places.collect();
    let of_places = |text: fn(&Place) -> &String| -> Vec<String> {
        places.iter().map(|place| text(place).clone()).collect()
    };
    let latitudes: Vec<f64> = places.iter().map(|place| place.latitude).collect();
    let longitudes: Vec<f64> = places.iter().map(|place| place.longitude).collect();
    let written = sqlx::query_file_as!(
        Written,
        "src/store/import/upsert_venues.sql",
        of.owner_id.as_uuid(),
        of.source,
        &ids(venues, |venue| venue.venue_id.as_uuid()),
        &external_ids(venues),
        &texts(venues, |venue| &venue.name),
        &texts(venues, |venue| &venue.address),
        &of_places(|place| &place.city),
        &of_places(|place| &place.country),
        &latitudes,
        &longitudes,
        &of_places(|place| &place.time_zone),
        &texts(venues, |venue| &venue.postal_code),
        &texts(venues, |venue| &venue.region),
    )
    .fetch_all(connection)
    .await?;
    Ok(written)
}

async fn upsert_performers(
    connection: &mut PgConnection,
    of: Ids<'_>,
    performers: &[External<Performer>],
) -> Result<Vec<Written>, Error> {
    if performers.is_empty() {
        return Ok(Vec::new());
    }
    let written = sqlx::query_file_as!(
        Written,
        "src/store/import/upsert_performers.sql",
        of.owner_id.as_uuid(),
        of.source,
        &ids(performers, |performer| performer.performer_id.as_uuid()),
        &external_ids(performers),
        &texts(performers, |performer| &performer.name),
    )
    .fetch_all(connection)
    .await?;
    Ok(written)
}

async fn missing_performers(
    connection: &mut PgConnection,
    owner_id: UserId,
    batch: &Batch,
) -> Result<Vec<Missing>, Error> {
    let in_batch: HashSet<PerformerId> = batch
        .performers
        .iter()
        .map(|performer| performer.value.performer_id)
        .collect();
    let mut fields = HashMap::new();
    for (index, event) in batch.events.iter().enumerate() {
        for id in &event.value.bill {
            if !in_batch.contains(id) {
                let field = || format!("events[{index}].performer_external_ids");
                fields.entry(id.as_uuid()).or_insert_with(field);
            }
        }
    }
    let asked: Vec<Uuid> = fields.keys().copied().collect();
    let unknown = sqlx::query_scalar!(
        r#"SELECT id AS "id!" FROM unnest($2::uuid[]) AS asked (id)
           WHERE NOT EXISTS (SELECT FROM catalog.performers p
                             WHERE p.performer_id = asked.id AND p.owner_id = $1)"#,
        owner_id.as_uuid(),
        &asked,
    )
    .fetch_all(connection)
    .await?;
    Ok(listed(&unknown, &mut fields, "performer"))
}

/// Events and venues that shows refer to. Those of the batch are there by now.
async fn missing_of_shows(
    connection: &mut PgConnection,
    owner_id: UserId,
    batch: &Batch,
) -> Result<Vec<Missing>, Error> {
    let mut events = HashMap::new();
    let mut venues = HashMap::new();
    for (index, show) in batch.shows.iter().enumerate() {
        let field = |name| move || format!("shows[{index}].{name}");
        let (event_id, venue_id) = (show.value.event_id.as_uuid(), show.value.venue_id.as_uuid());
        events
            .entry(event_id)
            .or_insert_with(field("event_external_id"));
        venues
            .entry(venue_id)
            .or_insert_with(field("venue_external_id"));
    }
    let asked: Vec<Uuid> = events.keys().copied().collect();
    let unknown = sqlx::query_scalar!(
        r#"SELECT id AS "id!" FROM unnest($2::uuid[]) AS asked (id)
           WHERE NOT EXISTS (SELECT FROM catalog.events e
                             WHERE e.event_id = asked.id AND e.owner_id = $1)"#,
        owner_id.as_uuid(),
        &asked,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut missing = listed(&unknown, &mut events, "event");
    let asked: Vec<Uuid> = venues.keys().copied().collect();
    let unknown = sqlx::query_scalar!(
        r#"SELECT id AS "id!" FROM unnest($2::uuid[]) AS asked (id)
           WHERE NOT EXISTS (SELECT FROM catalog.venues v
                             WHERE v.venue_id = asked.id AND v.owner_id = $1)"#,
        owner_id.as_uuid(),
        &asked,
    )
    .fetch_all(connection)
    .await?;
    missing.extend(listed(&unknown, &mut venues, "venue"));
    Ok(missing)
}

/// The first of the unknown, in the batch's order of fields.
fn listed(
    unknown: &[Uuid],
    fields: &mut HashMap<Uuid, String>,
    what: &'static str,
) -> Vec<Missing> {
    let mut missing: Vec<Missing> = unknown
        .iter()
        .filter_map(|id| {
            Some(Missing {
                field: fields.remove(id)?,
                what,
            })
        })
        .collect();
    missing.sort_by(|a, b| a.field.cmp(&b.field));
    missing.truncate(MISSING_MAX);
    missing
}
