//! A show's seats with labels, positions and prices.
//!
//! Always holds: one query a table family, at most 100,000 seats (bounded when a plan is
//! imported).

use holdfast_types::{PlanId, ShowId};
use sqlx::{PgExecutor, PgPool};

use super::Error;

/// What a seat costs and how it is drawn.
#[derive(Debug)]
pub(crate) struct Category {
    pub(crate) name: String,
    pub(crate) color: String,
    /// Minor units.
    pub(crate) price: i64,
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

/// The categories that the show's seats use, in the plan's order.
pub(crate) async fn categories(
    pool: &PgPool,
    show_id: ShowId,
    plan_id: PlanId,
) -> Result<Vec<Category>, Error> {
    let categories = sqlx::query_as!(
        Category,
        "SELECT c.name, c.color, price.amount AS price
         FROM catalog.plan_categories c
         JOIN catalog.show_prices price ON price.show_id = $1 AND price.category = c.name
         WHERE c.plan_id = $2 AND c.seat_count > 0
         ORDER BY c.category_no",
        show_id.as_uuid(),
        plan_id.as_uuid(),
    )
    .fetch_all(pool)
    .await?;
    Ok(categories)
}

/// The plan's seats in seat order, dense from 0.
pub(crate) async fn seats(
    executor: impl PgExecutor<'_>,
    plan_id: PlanId,
) -> Result<Vec<Seat>, Error> {
    let rows = sqlx::query!(
        "SELECT seat.label, seat.number, seat.x, seat.y, seat.gap_after, seat.row_no,
                line.name AS line, section.name AS section, category.name AS category
         FROM catalog.plan_seats seat
         JOIN catalog.plan_rows line USING (plan_id, row_no)
         JOIN catalog.plan_sections section USING (plan_id, section_no)
         JOIN catalog.plan_categories category USING (plan_id, category_no)
         WHERE seat.plan_id = $1
         ORDER BY seat.seat_no",
        plan_id.as_uuid(),
    )
    .fetch_all(executor)
    .await?;
    let seats = rows.into_iter().map(|row| Seat {
        label: row.label,
        section: row.section,
        row: row.line,
        number: row.number,
        x: row.x,
        y: row.y,
        row_no: row.row_no.cast_unsigned(),
        gap_after: row.gap_after,
        category: row.category,
    });
    Ok(seats.collect())
}
