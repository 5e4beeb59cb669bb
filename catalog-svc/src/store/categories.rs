//! `catalog.categories`, and whose events are still to be told as changed.
//!
//! Always holds: a path is the parents' from the broadest on, and the slug; who changes the tree does it
//! alone ([`lock_tree`]), and a category that something was just found to name stays until that
//! transaction ends.

use holdfast_types::EventId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{EVENTS_TOLD_AT_ONCE, Error};
use crate::model::Category;

/// All, by slug.
pub(crate) async fn all(pool: &PgPool) -> Result<Vec<Category>, Error> {
    let rows = sqlx::query_as!(
        Category,
        r#"SELECT slug, parent, name FROM catalog.categories ORDER BY slug COLLATE "C""#,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// What a category belongs to, and itself; it isn't taken away until the transaction ends.
pub(crate) async fn path(
    connection: &mut PgConnection,
    slug: &str,
) -> Result<Option<Vec<String>>, Error> {
    let path = sqlx::query_scalar!(
        "SELECT path FROM catalog.categories WHERE slug = $1 FOR KEY SHARE",
        slug,
    )
    .fetch_optional(connection)
    .await?;
    Ok(path)
}

/// Which of `slugs` there are; they aren't taken away until the transaction ends.
pub(crate) async fn known(
    connection: &mut PgConnection,
    slugs: &[String],
) -> Result<Vec<String>, Error> {
    let known = sqlx::query_scalar!(
        "SELECT slug FROM catalog.categories WHERE slug = ANY($1) ORDER BY slug FOR KEY SHARE",
        slugs,
    )
    .fetch_all(connection)
    .await?;
    Ok(known)
}

/// A category and all that belongs to it; the slug alone of one that isn't there.
pub(crate) async fn within(
    connection: &mut PgConnection,
    slug: &str,
) -> Result<Vec<String>, Error> {
    let mut within = sqlx::query_scalar!(
        "SELECT slug FROM catalog.categories WHERE path @> ARRAY[$1::text]",
        slug,
    )
    .fetch_all(connection)
    .await?;
    if within.is_empty() {
        within.push(slug.to_owned());
    }
    Ok(within)
}

/// Nobody else changes the tree until the transaction ends; waits for whoever does. Whoever reads it, or
/// names a category, goes on.
pub(crate) async fn lock_tree(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("LOCK TABLE catalog.categories IN SHARE ROW EXCLUSIVE MODE")
        .execute(connection)
        .await?;
    Ok(())
}

/// The tree as it is under [`lock_tree`].
pub(crate) async fn tree(connection: &mut PgConnection) -> Result<Vec<Category>, Error> {
    let rows = sqlx::query_as!(
        Category,
        "SELECT slug, parent, name FROM catalog.categories",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Adds or changes a category.
pub(crate) async fn put(
    connection: &mut PgConnection,
    category: &Category,
    path: &[String],
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO catalog.categories (slug, parent, name, path) VALUES ($1, $2, $3, $4)
         ON CONFLICT (slug) DO UPDATE
         SET parent = excluded.parent, name = excluded.name, path = excluded.path",
        category.slug,
        category.parent,
        category.name,
        path,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts what belongs to `slug`, whose path is `path` by now, below that.
pub(crate) async fn move_within(
    connection: &mut PgConnection,
    slug: &str,
    path: &[String],
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE catalog.categories
         SET path = $2::text[] || path[array_position(path, $1) + 1:]
         WHERE path @> ARRAY[$1::text] AND slug <> $1",
        slug,
        path,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// From now on, events of these are to be told as changed, from the first on.
pub(crate) async fn tell_events_of(
    connection: &mut PgConnection,
    slugs: &[String],
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO catalog.category_news (slug) SELECT * FROM unnest($1::text[])
         ON CONFLICT (slug) DO UPDATE SET after_event_id = excluded.after_event_id",
        slugs,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The next events that are to be told, each once, with whether more may follow; nobody else takes them
/// until the transaction ends, with which they count as told.
pub(crate) async fn take_told(
    connection: &mut PgConnection,
) -> Result<Option<Vec<EventId>>, Error> {
    let next = sqlx::query!(
        "SELECT slug, after_event_id FROM catalog.category_news
         ORDER BY slug LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(next) = next else {
        return Ok(None);
    };
    let events: Vec<Uuid> = sqlx::query_scalar!(
        "SELECT event_id FROM catalog.events WHERE category = $1 AND event_id > $2
         ORDER BY event_id LIMIT $3",
        next.slug,
        next.after_event_id,
        EVENTS_TOLD_AT_ONCE,
    )
    .fetch_all(&mut *connection)
    .await?;
    match events.last() {
        Some(last) => {
            sqlx::query!(
                "UPDATE catalog.category_news SET after_event_id = $2 WHERE slug = $1",
                next.slug,
                last,
            )
            .execute(connection)
            .await?;
        }
        None => {
            sqlx::query!(
                "DELETE FROM catalog.category_news WHERE slug = $1",
                next.slug
            )
            .execute(connection)
            .await?;
        }
    }
    Ok(Some(events.into_iter().map(EventId::from).collect()))
}

/// Nobody names the category from now on until the transaction ends; waits for whoever just did. Whether
/// there is one.
pub(crate) async fn lock(connection: &mut PgConnection, slug: &str) -> Result<bool, Error> {
    let there = sqlx::query_scalar!(
        "SELECT slug FROM catalog.categories WHERE slug = $1 FOR UPDATE",
        slug,
    )
    .fetch_optional(connection)
    .await?;
    Ok(there.is_some())
}

/// Whether an event has that category.
pub(crate) async fn has_events(connection: &mut PgConnection, slug: &str) -> Result<bool, Error> {
    let has = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM catalog.events WHERE category = $1) AS "has!""#,
        slug,
    )
    .fetch_one(connection)
    .await?;
    Ok(has)
}

/// Whether a category belongs to it.
pub(crate) async fn has_children(connection: &mut PgConnection, slug: &str) -> Result<bool, Error> {
    let has = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM catalog.categories WHERE parent = $1) AS "has!""#,
        slug,
    )
    .fetch_one(connection)
    .await?;
    Ok(has)
}

pub(crate) async fn delete(connection: &mut PgConnection, slug: &str) -> Result<(), Error> {
    sqlx::query!("DELETE FROM catalog.categories WHERE slug = $1", slug)
        .execute(connection)
        .await?;
    Ok(())
}
