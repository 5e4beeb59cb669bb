//! Tells the shows of events as changed that say something else now because of what they name: a category
//! that was moved, a performer who is called something else. There may be any number of them.
//!
//! Always holds: a bounded number is told in each transaction, also after a crash, in the order of ids; what
//! is to be told was recorded with the change.

use std::time::Duration;

use sqlx::PgPool;

use super::publish;
use crate::store;

/// How often it is looked whether there is something to tell.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// Batches of events told in one round; the rest follows in the next.
const BATCHES_PER_ROUND_MAX: u32 = 20;

/// One round.
pub(crate) async fn tell(pool: &PgPool) -> Result<(), store::Error> {
    for _ in 0..BATCHES_PER_ROUND_MAX {
        let mut transaction = holdfast_eventlog::begin(pool).await?;
        let events = match store::performers::take_told(&mut transaction).await? {
            Some(events) => events,
            None => match store::categories::take_told(&mut transaction).await? {
                Some(events) => events,
                None => return Ok(()),
            },
        };
        let changed = publish::Changed {
            events: &events,
            ..publish::Changed::default()
        };
        publish::all_changed(&mut transaction, changed).await?;
        transaction.commit().await?;
        publish::OUTBOX.wake();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[sqlx::test]
    async fn all_events_within_a_moved_category_are_told_in_bounded_batches(pool: PgPool) {
        const EVENTS: i64 = 1_201;
        sqlx::query!(
            "INSERT INTO catalog.events (event_id, owner_id, title, description, category)
             SELECT gen_random_uuid(), gen_random_uuid(), 'T', '',
                    (ARRAY['music', 'music-rock', 'film'])[1 + n % 3]
             FROM generate_series(1, $1::bigint * 3) n",
            EVENTS,
        )
        .execute(&pool)
        .await
        .expect("inserts");
        let mut connection = pool.acquire().await.expect("connects");
        let within = store::categories::within(&mut connection, "music").await;
        let within = within.expect("is told");
        assert!(within.contains(&"music-rock".to_owned()));
        store::categories::tell_events_of(&mut connection, &within)
            .await
            .expect("is noted");
        tell(&pool).await.expect("tells");
        // There are more categories than one round takes.
        while sqlx::query_scalar!("SELECT count(*) FROM catalog.category_news")
            .fetch_one(&pool)
            .await
            .expect("counts")
            != Some(0)
        {
            tell(&pool).await.expect("tells");
        }
        let told = sqlx::query_scalar!(
            "SELECT count(DISTINCT o.key) FROM catalog.outbox o
             JOIN catalog.events e ON e.event_id::text = o.key AND e.category <> 'film'",
        );
        let told = told.fetch_one(&pool).await.expect("counts");
        assert_eq!(told, Some(EVENTS * 2));
        let all = sqlx::query_scalar!("SELECT count(*) FROM catalog.outbox");
        assert_eq!(
            all.fetch_one(&pool).await.expect("counts"),
            Some(EVENTS * 2)
        );
    }

    #[sqlx::test]
    async fn all_events_of_renamed_performers_are_told_in_bounded_batches(pool: PgPool) {
        const EVENTS: i64 = 1_201;
        sqlx::query!(
            "WITH performers AS (
                 INSERT INTO catalog.performers (performer_id, owner_id, name)
                 SELECT gen_random_uuid(), gen_random_uuid(), n::text FROM generate_series(1, 150) n
                 RETURNING performer_id, name),
             events AS (
                 INSERT INTO catalog.events (event_id, owner_id, title, description, category)
                 SELECT gen_random_uuid(), gen_random_uuid(), n::text, '', 'film'
                 FROM generate_series(1, $1::bigint) n
                 RETURNING event_id, title)
             INSERT INTO catalog.event_performers (event_id, place, performer_id)
             SELECT event_id, 0, performer_id FROM events JOIN performers
                 ON performers.name::bigint = CASE WHEN events.title::bigint <= 700 THEN 1
                                                   ELSE events.title::bigint % 149 + 2 END",
            EVENTS,
        )
        .execute(&pool)
        .await
        .expect("inserts");
        // As an instance of the release before does it, too.
        for _ in 0..2 {
            sqlx::query!("UPDATE catalog.performers SET name = name || '!' WHERE name <> '2'")
                .execute(&pool)
                .await
                .expect("renames");
        }
        sqlx::query!("UPDATE catalog.performers SET name = name")
            .execute(&pool)
            .await
            .expect("renames nobody");
        tell(&pool).await.expect("tells");
        let left = sqlx::query_scalar!(r#"SELECT count(*) AS "left!" FROM catalog.performer_news"#);
        assert_eq!(left.fetch_one(&pool).await.expect("counts"), 0);
        let told = sqlx::query!(
            r#"SELECT count(*) AS "told!", count(DISTINCT o.key) AS "each!",
                   count(*) FILTER (WHERE performer.name = '2') AS "others!"
               FROM catalog.outbox o
               JOIN catalog.event_performers bill ON bill.event_id::text = o.key
               JOIN catalog.performers performer USING (performer_id)"#,
        );
        let told = told.fetch_one(&pool).await.expect("counts");
        let others = (701..=EVENTS).filter(|title| title % 149 == 0).count() as i64;
        assert_eq!(
            (told.told, told.each, told.others),
            (EVENTS - others, EVENTS - others, 0)
        );
    }
}
