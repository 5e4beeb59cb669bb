//! `catalog.plan_loans`: who may use another's plan.

use chrono::{DateTime, Utc};
use holdfast_types::{PlanId, UserId};
use sqlx::{PgConnection, PgPool};

use super::Error;

/// Accounts that one plan is lent to: all organisers of a city.
pub(crate) const LOANS_MAX: i64 = 1_000;

/// Somebody who may use a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loan {
    pub(crate) user_id: UserId,
    pub(crate) lent_at: DateTime<Utc>,
}

/// Lends it, or finds it lent; false if it is lent to too many.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    plan_id: PlanId,
    user_id: UserId,
) -> Result<bool, Error> {
    // Whoever else lends it waits, so that they count this one.
    sqlx::query_scalar!(
        "SELECT plan_id FROM catalog.plans WHERE plan_id = $1 FOR NO KEY UPDATE",
        plan_id.as_uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO catalog.plan_loans (plan_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        plan_id.as_uuid(),
        user_id.as_uuid(),
    )
    .execute(&mut *connection)
    .await?;
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM catalog.plan_loans WHERE plan_id = $1"#,
        plan_id.as_uuid(),
    )
    .fetch_one(connection)
    .await?;
    Ok(count <= LOANS_MAX)
}

/// Takes it back.
pub(crate) async fn delete(pool: &PgPool, plan_id: PlanId, user_id: UserId) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM catalog.plan_loans WHERE plan_id = $1 AND user_id = $2",
        plan_id.as_uuid(),
        user_id.as_uuid(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Whether somebody may use another's plan.
pub(crate) async fn is_lent(
    pool: &PgPool,
    plan_id: PlanId,
    user_id: UserId,
) -> Result<bool, Error> {
    let lent = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM catalog.plan_loans
               WHERE plan_id = $1 AND user_id = $2) AS "lent!""#,
        plan_id.as_uuid(),
        user_id.as_uuid(),
    )
    .fetch_one(pool)
    .await?;
    Ok(lent)
}

/// Whom a plan is lent to.
pub(crate) async fn of_plan(pool: &PgPool, plan_id: PlanId) -> Result<Vec<Loan>, Error> {
    let rows = sqlx::query!(
        "SELECT user_id, lent_at FROM catalog.plan_loans WHERE plan_id = $1
         ORDER BY user_id LIMIT $2",
        plan_id.as_uuid(),
        LOANS_MAX,
    )
    .fetch_all(pool)
    .await?;
    let loans = rows.into_iter().map(|row| Loan {
        user_id: row.user_id.into(),
        lent_at: row.lent_at,
    });
    Ok(loans.collect())
}
