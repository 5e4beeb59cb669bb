//! A show's seats with labels, positions and prices.
//!
//! Always holds: one query a table family, at most 100,000 seats (bounded when a plan is
//! imported, or by the rule it follows from).

use holdfast_types::PlanId;
use sqlx::{PgConnection, PgPool};

use super::Error;
use crate::{
    hall::Hall,
    plan::{Plan, SeatKind},
};

/// What seats are priced by, and how they are drawn.
#[derive(Debug)]
pub(crate) struct Category {
    pub(crate) name: String,
    pub(crate) color: String,
}

/// A seat of a plan.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) label: String,
    pub(crate) section: String,
    pub(crate) row: String,
    pub(crate) number: String,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) row_no: u32,
    pub(crate) gap_after: bool,
    pub(crate) category: String,
    pub(crate) kind: SeatKind,
}

/// Where a standing area lies.
#[derive(Debug)]
pub(crate) struct Area {
    /// Its section's.
    pub(crate) name: String,
    /// The file's own.
    pub(crate) display_name: String,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// The plan's standing areas, in the order of their places.
pub(crate) async fn areas(pool: &PgPool, plan_id: PlanId) -> Result<Vec<Area>, Error> {
    let areas = sqlx::query_as!(
        Area,
        "SELECT section.name, section.zone_name AS display_name, area.x, area.y, area.width,
                area.height
         FROM catalog.plan_areas area
         JOIN catalog.plan_sections section USING (plan_id, section_no)
         WHERE plan_id = $1 ORDER BY section_no",
        plan_id.as_uuid(),
    )
    .fetch_all(pool)
    .await?;
    Ok(areas)
}

/// What a column says that a seat is for.
pub(super) fn kind(text: &str) -> Result<SeatKind, Error> {
    SeatKind::named(text).ok_or(Error::Unreadable {
        table: "catalog.plan_seats",
        what: "kind",
    })
}

/// Size of the plan's drawing: width, height.
pub(crate) async fn size(pool: &PgPool, plan_id: PlanId) -> Result<(f64, f64), Error> {
    let plan = sqlx::query!(
        "SELECT width, height FROM catalog.plans WHERE plan_id = $1",
        plan_id.as_uuid(),
    )
    .fetch_one(pool)
    .await?;
    Ok((plan.width, plan.height))
}

/// The categories that the plan's seats use, in the plan's order.
pub(crate) async fn categories(pool: &PgPool, plan_id: PlanId) -> Result<Vec<Category>, Error> {
    let categories = sqlx::query_as!(
        Category,
        "SELECT name, color FROM catalog.plan_categories
         WHERE plan_id = $1 AND seat_count > 0
         ORDER BY category_no",
        plan_id.as_uuid(),
    )
    .fetch_all(pool)
    .await?;
    Ok(categories)
}

/// The plan's seats in seat order, dense from 0.
pub(crate) async fn seats(
    connection: &mut PgConnection,
    plan_id: PlanId,
) -> Result<Vec<Seat>, Error> {
    let hall = sqlx::query_scalar!(
        "SELECT hall FROM catalog.plans WHERE plan_id = $1",
        plan_id.as_uuid(),
    )
    .fetch_one(&mut *connection)
    .await?;
    match hall {
        None => stored(connection, plan_id).await,
        Some(hall) => {
            let hall: Hall = hall.parse().map_err(|_| Error::Unreadable {
                table: "catalog.plans",
                what: "hall",
            })?;
            // Off the threads that serve: the largest takes tens of milliseconds.
            let made = tokio::task::spawn_blocking(move || made(hall.plan())).await;
            made.map_err(|panic| Error::Sql(sqlx::Error::Io(std::io::Error::other(panic))))
        }
    }
}

async fn stored(connection: &mut PgConnection, plan_id: PlanId) -> Result<Vec<Seat>, Error> {
    let rows = sqlx::query!(
        "SELECT seat.label, seat.number, seat.x, seat.y, seat.gap_after, seat.row_no, seat.kind,
                line.name AS line, section.name AS section, category.name AS category
         FROM catalog.plan_seats seat
         JOIN catalog.plan_rows line USING (plan_id, row_no)
         JOIN catalog.plan_sections section USING (plan_id, section_no)
         JOIN catalog.plan_categories category USING (plan_id, category_no)
         WHERE seat.plan_id = $1
         ORDER BY seat.seat_no",
        plan_id.as_uuid(),
    )
    .fetch_all(connection)
    .await?;
    let seats = rows.into_iter().map(|row| {
        Ok(Seat {
            label: row.label,
            section: row.section,
            row: row.line,
            number: row.number,
            x: row.x,
            y: row.y,
            row_no: row.row_no.cast_unsigned(),
            gap_after: row.gap_after,
            category: row.category,
            kind: kind(&row.kind)?,
        })
    });
    seats.collect()
}

/// The seats of a plan by rule, whose numbers are indices into its own lists.
fn made(plan: Plan) -> Vec<Seat> {
    let Plan {
        categories,
        sections,
        rows,
        seats,
        ..
    } = plan;
    let seats = seats.into_iter().map(|seat| {
        let row = &rows[seat.row_no as usize];
        Seat {
            label: seat.label,
            section: sections[row.section_no as usize].name.clone(),
            row: row.name.clone(),
            number: seat.number,
            x: seat.x,
            y: seat.y,
            row_no: seat.row_no,
            gap_after: seat.gap_after,
            category: categories[seat.category_no as usize].name.clone(),
            kind: seat.kind,
        }
    });
    seats.collect()
}
