//! `catalog.plan_files`, and plans read back as they were numbered.

use holdfast_types::PlanId;
use sqlx::{PgConnection, PgPool};

use super::{Error, seat_map};
use crate::{
    hall::Hall,
    plan::{Area, Category, Plan, Row, Seat, Section},
};

/// Keeps the file of a plan, in the transaction that adds the plan.
pub(super) async fn insert(
    connection: &mut PgConnection,
    plan_id: PlanId,
    file: &[u8],
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO catalog.plan_files (plan_id, file) VALUES ($1, $2)",
        plan_id.as_uuid(),
        file,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The file that a plan was imported from, if it was kept.
pub(crate) async fn find(pool: &PgPool, plan_id: PlanId) -> Result<Option<Vec<u8>>, Error> {
    let file = sqlx::query_scalar!(
        "SELECT file FROM catalog.plan_files WHERE plan_id = $1",
        plan_id.as_uuid(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(file)
}

/// A plan that is there, by its rule or from its parts.
pub(crate) async fn read(pool: &PgPool, plan_id: PlanId) -> Result<Plan, Error> {
    let id = plan_id.as_uuid();
    let plan = sqlx::query!(
        "SELECT name, width, height, hall FROM catalog.plans WHERE plan_id = $1",
        id,
    )
    .fetch_one(pool)
    .await?;
    if let Some(hall) = plan.hall {
        let hall: Hall = hall.parse().map_err(|_| Error::Unreadable {
            table: "catalog.plans",
            what: "hall",
        })?;
        let made = tokio::task::spawn_blocking(move || hall.plan()).await;
        let made = made.map_err(|panic| sqlx::Error::Io(std::io::Error::other(panic)))?;
        return Ok(Plan {
            name: Some(plan.name),
            ..made
        });
    }
    let categories = sqlx::query!(
        "SELECT name, color, seat_count FROM catalog.plan_categories
         WHERE plan_id = $1 ORDER BY category_no",
        id,
    )
    .fetch_all(pool)
    .await?;
    let sections = sqlx::query_as!(
        Section,
        "SELECT name, zone_name FROM catalog.plan_sections WHERE plan_id = $1 ORDER BY section_no",
        id,
    )
    .fetch_all(pool)
    .await?;
    let rows = sqlx::query!(
        "SELECT section_no, name FROM catalog.plan_rows WHERE plan_id = $1 ORDER BY row_no",
        id,
    )
    .fetch_all(pool)
    .await?;
    let seats = sqlx::query!(
        "SELECT row_no, category_no, label, number, x, y, gap_after, uuid, kind
         FROM catalog.plan_seats WHERE plan_id = $1 ORDER BY seat_no",
        id,
    )
    .fetch_all(pool)
    .await?;
    let categories = categories.into_iter().map(|row| Category {
        name: row.name,
        color: row.color,
        seat_count: row.seat_count.cast_unsigned(),
    });
    let rows = rows.into_iter().map(|row| Row {
        section_no: row.section_no.cast_unsigned(),
        name: row.name,
    });
    let areas = sqlx::query!(
        "SELECT section_no, x, y, width, height FROM catalog.plan_areas
         WHERE plan_id = $1 ORDER BY section_no",
        id,
    )
    .fetch_all(pool)
    .await?;
    let areas = areas.into_iter().map(|row| Area {
        section_no: row.section_no.cast_unsigned(),
        x: row.x,
        y: row.y,
        width: row.width,
        height: row.height,
    });
    let seats = seats.into_iter().map(|row| {
        Ok(Seat {
            row_no: row.row_no.cast_unsigned(),
            category_no: row.category_no.cast_unsigned(),
            label: row.label,
            number: row.number,
            x: row.x,
            y: row.y,
            gap_after: row.gap_after,
            uuid: row.uuid,
            kind: seat_map::kind(&row.kind)?,
        })
    });
    Ok(Plan {
        name: Some(plan.name),
        width: plan.width,
        height: plan.height,
        categories: categories.collect(),
        sections,
        rows: rows.collect(),
        seats: seats.collect::<Result<_, Error>>()?,
        areas: areas.collect(),
        warnings: Vec::new(),
    })
}
