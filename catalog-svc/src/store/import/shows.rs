//! Shows of a batch, and the halls that they are in.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use holdfast_types::{PlanId, ShowId, ShowState, UserId, VenueId};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Tally;
use crate::{
    batch::{self, External, Ids, ImportedShow},
    hall::Hall,
    plan::Category,
    store::Error,
};

/// What came of the shows.
pub(super) struct Upserted {
    pub(super) tally: Tally,
    pub(super) states: Vec<ShowState>,
    pub(super) changed: Vec<ShowId>,
}

/// Makes the plans of the halls that are missing.
pub(super) async fn add_halls(
    connection: &mut PgConnection,
    owner_id: UserId,
    shows: &[External<ImportedShow>],
) -> Result<(), Error> {
    let mut halls: BTreeMap<PlanId, (VenueId, Hall)> = BTreeMap::new();
    for show in shows {
        let (venue_id, hall) = (show.value.venue_id, show.value.hall);
        halls.insert(batch::plan_id(venue_id, hall), (venue_id, hall));
    }
    let asked: Vec<Uuid> = halls.keys().map(|id| id.as_uuid()).collect();
    let there = sqlx::query_scalar!(
        "SELECT plan_id FROM catalog.plans WHERE plan_id = ANY($1)",
        &asked,
    )
    .fetch_all(&mut *connection)
    .await?;
    for id in there {
        halls.remove(&PlanId::from(id));
    }
    if halls.is_empty() {
        return Ok(());
    }
    insert_plans(&mut *connection, owner_id, &halls).await?;
    insert_categories(connection, &halls).await
}

async fn insert_plans(
    connection: &mut PgConnection,
    owner_id: UserId,
    halls: &BTreeMap<PlanId, (VenueId, Hall)>,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = halls.keys().map(|id| id.as_uuid()).collect();
    let venues: Vec<Uuid> = halls.values().map(|(id, _)| id.as_uuid()).collect();
    let rules: Vec<String> = halls.values().map(|(_, hall)| hall.to_string()).collect();
    let names: Vec<String> = halls
        .values()
        .map(|(_, hall)| format!("Hall, {} seats", hall.seats()))
        .collect();
    let (mut widths, mut heights) = (Vec::new(), Vec::new());
    for (width, height) in halls.values().map(|(_, hall)| hall.size()) {
        widths.push(width);
        heights.push(height);
    }
    let counts: Vec<i32> = halls
        .values()
        .map(|(_, hall)| hall.seats().cast_signed())
        .collect();
    let digests: Vec<Vec<u8>> = rules
        .iter()
        .map(|rule| Sha256::digest(rule.as_bytes()).to_vec())
        .collect();
    sqlx::query!(
        "INSERT INTO catalog.plans
             (plan_id, venue_id, owner_id, name, width, height, seat_count, source_sha256, warnings, hall)
         SELECT plan_id, venue_id, $1, name, width, height, seats, digest, '{}', rule
         FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::float8[], $6::float8[], $7::int[], $8::bytea[], $9::text[])
             AS h (plan_id, venue_id, name, width, height, seats, digest, rule)",
        owner_id.as_uuid(),
        &ids,
        &venues,
        &names,
        &widths,
        &heights,
        &counts,
        &digests,
        &rules,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_categories(
    connection: &mut PgConnection,
    halls: &BTreeMap<PlanId, (VenueId, Hall)>,
) -> Result<(), Error> {
    // Halls of one size are alike, and a batch has few sizes.
    let mut by_hall: BTreeMap<String, Vec<Category>> = BTreeMap::new();
    let (mut plan_ids, mut nos) = (Vec::new(), Vec::new());
    let (mut names, mut colors, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for (plan_id, (_, hall)) in halls {
        let categories = by_hall
            .entry(hall.to_string())
            .or_insert_with(|| hall.categories());
        for (no, category) in (0_i32..).zip(categories.iter()) {
            plan_ids.push(plan_id.as_uuid());
            nos.push(no);
            names.push(category.name.clone());
            colors.push(category.color.clone());
            counts.push(category.seat_count.cast_signed());
        }
    }
    sqlx::query!(
        "INSERT INTO catalog.plan_categories (plan_id, category_no, name, color, seat_count)
         SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::int[])",
        &plan_ids,
        &nos,
        &names,
        &colors,
        &counts,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds what is new and changes the drafts that differ.
pub(super) async fn upsert(
    connection: &mut PgConnection,
    of: Ids<'_>,
    shows: &[External<ImportedShow>],
) -> Result<Upserted, Error> {
    let mut upserted = Upserted {
        tally: Tally::default(),
        states: Vec::with_capacity(shows.len()),
        changed: Vec::new(),
    };
    if shows.is_empty() {
        return Ok(upserted);
    }
    let found = compare(connection, &Columns::of(shows.iter())).await?;
    let mut differing = Vec::new();
    for (show, found) in shows.iter().zip(&found) {
        upserted
            .states
            .push(found.state.unwrap_or(ShowState::Draft));
        if found.is_same {
            upserted.tally.unchanged += 1;
        } else {
            differing.push((show, found.state.is_none()));
        }
    }
    if differing.is_empty() {
        return Ok(upserted);
    }
    let columns = Columns::of(differing.iter().map(|(show, _)| *show));
    let written: HashSet<Uuid> = write(connection, of, &columns).await?.into_iter().collect();
    for (show, is_new) in differing {
        let id = show.value.show_id;
        match (written.contains(&id.as_uuid()), is_new) {
            (true, true) => upserted.tally.created += 1,
            (true, false) => upserted.tally.updated += 1,
            (false, _) => upserted.tally.kept += 1,
        }
        if written.contains(&id.as_uuid()) {
            upserted.changed.push(id);
        }
    }
    Ok(upserted)
}

struct Found {
    /// None for one that isn't there.
    state: Option<ShowState>,
    is_same: bool,
}

/// Shows as the columns that a statement takes.
struct Columns {
    show_ids: Vec<Uuid>,
    external_ids: Vec<String>,
    event_ids: Vec<Uuid>,
    plan_ids: Vec<Uuid>,
    starts_at: Vec<DateTime<Utc>>,
    time_to_be_announced: Vec<bool>,
    currencies: Vec<String>,
    price_min: Vec<Option<i64>>,
    price_max: Vec<Option<i64>>,
    sale_starts_at: Vec<Option<DateTime<Utc>>>,
    sale_ends_at: Vec<Option<DateTime<Utc>>>,
    hold_ttl_ms: Vec<i64>,
    hold_total_ms_max: Vec<i64>,
    seats_per_customer_max: Vec<i32>,
    announced: Vec<bool>,
    late_money: Vec<String>,
    no_lone_seat: Vec<bool>,
}

impl Columns {
    fn of<'a>(shows: impl Iterator<Item = &'a External<ImportedShow>> + Clone) -> Self {
        let values = || shows.clone().map(|show| &show.value);
        Self {
            show_ids: values().map(|show| show.show_id.as_uuid()).collect(),
            external_ids: shows.clone().map(|show| show.external_id.clone()).collect(),
            event_ids: values().map(|show| show.event_id.as_uuid()).collect(),
            plan_ids: values().map(|show| show.plan_id().as_uuid()).collect(),
            starts_at: values().map(|show| show.starts_at).collect(),
            time_to_be_announced: values().map(|show| show.time_to_be_announced).collect(),
            currencies: values().map(|show| show.currency.to_string()).collect(),
            price_min: values()
                .map(|show| show.price_range.map(|r| r.min))
                .collect(),
            price_max: values()
                .map(|show| show.price_range.map(|r| r.max))
                .collect(),
            sale_starts_at: values().map(|show| show.sale_starts_at).collect(),
            sale_ends_at: values().map(|show| show.sale_ends_at).collect(),
            hold_ttl_ms: values()
                .map(|show| show.rules.hold_ttl.0.cast_signed())
                .collect(),
            hold_total_ms_max: values()
                .map(|show| show.rules.hold_total_max.0.cast_signed())
                .collect(),
            seats_per_customer_max: values()
                .map(|show| show.rules.seats_per_customer_max.cast_signed())
                .collect(),
            announced: values().map(|show| show.announced).collect(),
            late_money: values()
                .map(|show| show.rules.late_money.to_string())
                .collect(),
            no_lone_seat: values().map(|show| show.rules.no_lone_seat).collect(),
        }
    }
}

async fn compare(connection: &mut PgConnection, columns: &Columns) -> Result<Vec<Found>, Error> {
    let rows = sqlx::query_file!(
        "src/store/import/compare_shows.sql",
        &columns.show_ids,
        &columns.event_ids,
        &columns.plan_ids,
        &columns.starts_at,
        &columns.time_to_be_announced,
        &columns.currencies,
        &columns.price_min as &[Option<i64>],
        &columns.price_max as &[Option<i64>],
        &columns.sale_starts_at as &[Option<DateTime<Utc>>],
        &columns.sale_ends_at as &[Option<DateTime<Utc>>],
        &columns.hold_ttl_ms,
        &columns.hold_total_ms_max,
        &columns.seats_per_customer_max,
        &columns.announced,
        &columns.late_money,
        &columns.no_lone_seat,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = row.state.map(|state| state.parse()).transpose();
            Ok(Found {
                state: state.map_err(|_| Error::Unreadable {
                    table: "catalog.shows",
                    what: "state",
                })?,
                is_same: row.is_same,
            })
        })
        .collect()
}

async fn write(
    connection: &mut PgConnection,
    of: Ids<'_>,
    columns: &Columns,
) -> Result<Vec<Uuid>, Error> {
    let written = sqlx::query_file_scalar!(
        "src/store/import/upsert_shows.sql",
        of.owner_id.as_uuid(),
        of.source,
        &columns.show_ids,
        &columns.external_ids,
        &columns.event_ids,
        &columns.plan_ids,
        &columns.starts_at,
        &columns.time_to_be_announced,
        &columns.currencies,
        &columns.price_min as &[Option<i64>],
        &columns.price_max as &[Option<i64>],
        &columns.sale_starts_at as &[Option<DateTime<Utc>>],
        &columns.sale_ends_at as &[Option<DateTime<Utc>>],
        &columns.hold_ttl_ms,
        &columns.hold_total_ms_max,
        &columns.seats_per_customer_max,
        &columns.announced,
        &columns.late_money,
        &columns.no_lone_seat,
    )
    .fetch_all(connection)
    .await?;
    Ok(written)
}
