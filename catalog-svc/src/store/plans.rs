//! `catalog.plans` and what they consist of.

use std::collections::HashMap;

use holdfast_types::{PlanId, UserId, VenueId};
use sqlx::{PgConnection, PgPool, PgTransaction};
use uuid::Uuid;

use super::{Error, Owned, plan_files};
use crate::plan::{Area, Category, Plan, Row, Seat, Section};

/// Rows of one INSERT: keeps a statement at a few megabytes.
const ROWS_PER_INSERT_MAX: usize = 5_000;

/// A plan without its parts, and what it was imported from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    pub(crate) plan_id: PlanId,
    pub(crate) venue_id: VenueId,
    pub(crate) name: String,
    pub(crate) source_sha256: Vec<u8>,
    pub(crate) seat_count: u32,
    pub(crate) warnings: Vec<String>,
    pub(crate) categories: Vec<Category>,
}

impl Summary {
    /// Whether it is what came of the same file under the same name.
    pub(crate) fn is_of(&self, asked: &Self) -> bool {
        self.venue_id == asked.venue_id
            && self.name == asked.name
            && self.source_sha256 == asked.source_sha256
    }
}

/// Adds a plan with all its parts and its file; the caller commits. False if the id is taken.
pub(crate) async fn insert(
    transaction: &mut PgTransaction<'_>,
    owner_id: UserId,
    summary: &Summary,
    plan: &Plan,
    file: &[u8],
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO catalog.plans
             (plan_id, venue_id, owner_id, name, width, height, seat_count, source_sha256, warnings)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (plan_id) DO NOTHING",
        summary.plan_id.as_uuid(),
        summary.venue_id.as_uuid(),
        owner_id.as_uuid(),
        summary.name,
        plan.width,
        plan.height,
        summary.seat_count.cast_signed(),
        summary.source_sha256,
        &summary.warnings,
    )
    .execute(&mut **transaction)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    let id = summary.plan_id;
    insert_categories(transaction, id, &plan.categories).await?;
    insert_sections(transaction, id, &plan.sections).await?;
    for (chunk, rows) in (0..).zip(plan.rows.chunks(ROWS_PER_INSERT_MAX)) {
        insert_rows(transaction, id, chunk * ROWS_PER_INSERT_MAX, rows).await?;
    }
    for (chunk, seats) in (0..).zip(plan.seats.chunks(ROWS_PER_INSERT_MAX)) {
        insert_seats(transaction, id, chunk * ROWS_PER_INSERT_MAX, seats).await?;
    }
    insert_areas(transaction, id, &plan.areas).await?;
    plan_files::insert(transaction, id, file).await?;
    Ok(true)
}

async fn insert_categories(
    connection: &mut PgConnection,
    id: PlanId,
    categories: &[Category],
) -> Result<(), Error> {
    let names: Vec<String> = categories
        .iter()
        .map(|category| category.name.clone())
        .collect();
    let colors: Vec<String> = categories
        .iter()
        .map(|category| category.color.clone())
        .collect();
    let counts: Vec<i32> = categories
        .iter()
        .map(|category| category.seat_count.cast_signed())
        .collect();
    sqlx::query!(
        "INSERT INTO catalog.plan_categories (plan_id, category_no, name, color, seat_count)
         SELECT $1, no::int - 1, name, color, seats
         FROM unnest($2::text[], $3::text[], $4::int[]) WITH ORDINALITY AS c (name, color, seats, no)",
        id.as_uuid(),
        &names,
        &colors,
        &counts,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_sections(
    connection: &mut PgConnection,
    id: PlanId,
    sections: &[Section],
) -> Result<(), Error> {
    let names: Vec<String> = sections
        .iter()
        .map(|section| section.name.clone())
        .collect();
    let zones: Vec<String> = sections
        .iter()
        .map(|section| section.zone_name.clone())
        .collect();
    sqlx::query!(
        "INSERT INTO catalog.plan_sections (plan_id, section_no, name, zone_name)
         SELECT $1, no::int - 1, name, zone
         FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS s (name, zone, no)",
        id.as_uuid(),
        &names,
        &zones,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_rows(
    connection: &mut PgConnection,
    id: PlanId,
    first: usize,
    rows: &[Row],
) -> Result<(), Error> {
    let sections: Vec<i32> = rows
        .iter()
        .map(|row| row.section_no.cast_signed())
        .collect();
    let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    sqlx::query!(
        "INSERT INTO catalog.plan_rows (plan_id, row_no, section_no, name)
         SELECT $1, $2 + no::int - 1, section, name
         FROM unnest($3::int[], $4::text[]) WITH ORDINALITY AS r (section, name, no)",
        id.as_uuid(),
        first as i32,
        &sections,
        &names,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_seats(
    connection: &mut PgConnection,
    id: PlanId,
    first: usize,
    seats: &[Seat],
) -> Result<(), Error> {
    let rows: Vec<i32> = seats.iter().map(|seat| seat.row_no.cast_signed()).collect();
    let categories: Vec<i32> = seats
        .iter()
        .map(|seat| seat.category_no.cast_signed())
        .collect();
    let labels: Vec<String> = seats.iter().map(|seat| seat.label.clone()).collect();
    let numbers: Vec<String> = seats.iter().map(|seat| seat.number.clone()).collect();
    let xs: Vec<f64> = seats.iter().map(|seat| seat.x).collect();
    let ys: Vec<f64> = seats.iter().map(|seat| seat.y).collect();
    let gaps: Vec<bool> = seats.iter().map(|seat| seat.gap_after).collect();
    let uuids: Vec<String> = seats.iter().map(|seat| seat.uuid.clone()).collect();
    let kinds: Vec<String> = seats
        .iter()
        .map(|seat| seat.kind.as_str().to_owned())
        .collect();
    sqlx::query_file!(
        "src/store/insert_seats.sql",
        id.as_uuid(),
        first as i32,
        &rows,
        &categories,
        &labels,
        &numbers,
        &xs,
        &ys,
        &gaps,
        &uuids,
        &kinds,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_areas(
    connection: &mut PgConnection,
    id: PlanId,
    areas: &[Area],
) -> Result<(), Error> {
    if areas.is_empty() {
        return Ok(());
    }
    let sections: Vec<i32> = areas
        .iter()
        .map(|area| area.section_no.cast_signed())
        .collect();
    let xs: Vec<f64> = areas.iter().map(|area| area.x).collect();
    let ys: Vec<f64> = areas.iter().map(|area| area.y).collect();
    let widths: Vec<f64> = areas.iter().map(|area| area.width).collect();
    let heights: Vec<f64> = areas.iter().map(|area| area.height).collect();
    sqlx::query!(
        "INSERT INTO catalog.plan_areas (plan_id, section_no, x, y, width, height)
         SELECT $1, * FROM unnest($2::int[], $3::float8[], $4::float8[], $5::float8[], $6::float8[])",
        id.as_uuid(),
        &sections,
        &xs,
        &ys,
        &widths,
        &heights,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A plan without its seats, and its owner.
pub(crate) async fn find(pool: &PgPool, id: PlanId) -> Result<Option<Owned<Summary>>, Error> {
    Ok(load(pool, &[id.as_uuid()]).await?.pop())
}

/// An owner's plans of a venue by id, descending, after `after`; at most `limit`.
pub(crate) async fn of_venue(
    pool: &PgPool,
    owner_id: UserId,
    venue_id: VenueId,
    after: Option<PlanId>,
    limit: u32,
) -> Result<Vec<Owned<Summary>>, Error> {
    let ids = sqlx::query_scalar!(
        "SELECT plan_id FROM catalog.plans
         WHERE venue_id = $1 AND owner_id = $2 AND ($3::uuid IS NULL OR plan_id < $3)
         ORDER BY plan_id DESC LIMIT $4",
        venue_id.as_uuid(),
        owner_id.as_uuid(),
        after.map(PlanId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    load(pool, &ids).await
}

/// Plans that an account may use, its own and those lent to it, by id, descending, after `after`; at
/// most `limit`.
pub(crate) async fn usable(
    pool: &PgPool,
    user_id: UserId,
    after: Option<PlanId>,
    limit: u32,
) -> Result<Vec<Owned<Summary>>, Error> {
    let ids = sqlx::query_scalar!(
        r#"SELECT plan_id AS "plan_id!" FROM (
               SELECT plan_id FROM catalog.plans WHERE owner_id = $1
               UNION
               SELECT plan_id FROM catalog.plan_loans WHERE user_id = $1
           ) usable
           WHERE $2::uuid IS NULL OR plan_id < $2
           ORDER BY plan_id DESC LIMIT $3"#,
        user_id.as_uuid(),
        after.map(PlanId::as_uuid),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    load(pool, &ids).await
}

/// Plans in the order of `ids`; unknown ids are left out.
async fn load(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Owned<Summary>>, Error> {
    let plans = sqlx::query!(
        "SELECT p.plan_id, owner_id, venue_id, name, source_sha256, seat_count, warnings
         FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (plan_id, place)
         JOIN catalog.plans p ON p.plan_id = asked.plan_id ORDER BY asked.place",
        ids,
    )
    .fetch_all(pool)
    .await?;
    let rows = sqlx::query!(
        "SELECT plan_id, name, color, seat_count FROM catalog.plan_categories
         WHERE plan_id = ANY($1) ORDER BY plan_id, category_no",
        ids,
    )
    .fetch_all(pool)
    .await?;
    let mut categories: HashMap<Uuid, Vec<Category>> = HashMap::new();
    for row in rows {
        categories.entry(row.plan_id).or_default().push(Category {
            name: row.name,
            color: row.color,
            seat_count: row.seat_count.cast_unsigned(),
        });
    }
    let plans = plans.into_iter().map(|plan| Owned {
        owner_id: plan.owner_id.into(),
        value: Summary {
            plan_id: plan.plan_id.into(),
            venue_id: plan.venue_id.into(),
            name: plan.name,
            source_sha256: plan.source_sha256,
            seat_count: plan.seat_count.cast_unsigned(),
            warnings: plan.warnings,
            categories: categories.remove(&plan.plan_id).unwrap_or_default(),
        },
    });
    Ok(plans.collect())
}
