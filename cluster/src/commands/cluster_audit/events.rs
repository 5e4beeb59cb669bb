//! BK-4: no key is parked, and no event waits in an outbox, from which it is moved within milliseconds.

use std::time::Duration;

use anyhow::Context as _;
use holdfast_eventlog::Outbox;

use super::{
    Pools,
    looks::Looks,
    report::{Check, Finding},
};

/// An event that is in an outbox for longer is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// # Errors
/// The database can't be read.
pub(super) async fn check(
    looks: &Looks,
    pools: Pools<'_>,
) -> anyhow::Result<((), Vec<Check>, Vec<Finding>)> {
    let mut waiting = 0;
    let findings = looks.lasting(async |_| {
        let mut findings = Vec::new();
        let parked = holdfast_eventlog::parked(pools.bookings).await;
        for parked in parked.context("can't read the parked keys")? {
            findings.push(Finding {
                id: Some(format!("{} {}", parked.consumer, parked.key)),
                ..Finding::new(
                    "BK-4",
                    "PARKED",
                    format!(
                        "{} events wait for people (`holdfast events replay`): {}",
                        parked.waiting, parked.error
                    ),
                )
            });
        }
        waiting = 0;
        for (schema, pool) in [
            ("booking", pools.bookings),
            ("payment", pools.payments),
            ("catalog", pools.catalogue),
        ] {
            let outbox = Outbox::new(schema).waiting(pool, STUCK_AFTER).await;
            let outbox = outbox.with_context(|| format!("can't read the outbox of {schema}"))?;
            waiting += outbox.all;
            if outbox.long > 0 {
                findings.push(Finding {
                    id: Some(schema.to_owned()),
                    ..Finding::new(
                        "BK-4",
                        "OUTBOX_STUCK",
                        format!("{} events wait for over a minute", outbox.long),
                    )
                });
            }
        }
        Ok(findings)
    });
    let findings = findings.await?;
    let check = |what, counted, compared| Check {
        invariant: "BK-4",
        what,
        counted,
        compared,
    };
    let checks = vec![
        check("no event waits in an outbox", "outboxes_compared", 3),
        check("events under way just now", "events_waiting", waiting),
    ];
    Ok(((), checks, findings))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::{AssertSqlSafe, PgPool};

    use super::*;

    #[sqlx::test(migrations = false)]
    async fn parked_keys_and_events_that_wait_are_found(pool: PgPool) {
        holdfast_eventlog::migrate(&pool).await.unwrap();
        let outbox = include_str!("../../../../eventlog/sql/outbox.sql");
        for schema in ["booking", "payment", "catalog"] {
            let outbox = outbox.replace("{schema}", schema);
            let sql = format!("CREATE SCHEMA {schema}; {outbox}");
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&pool)
                .await
                .unwrap();
        }
        let looks = Looks::new(Duration::ZERO);
        let found = async || {
            let (_, checks, findings) = check(&looks, Pools::all(&pool)).await.unwrap();
            let kinds: Vec<_> = findings
                .into_iter()
                .map(|found| (found.kind, found.id))
                .collect();
            (checks[1].compared, kinds)
        };
        sqlx::raw_sql(
            "INSERT INTO catalog.outbox (id, topic, key, event_type, payload)
             VALUES (gen_random_uuid(), 't', 'k', 'e', '')",
        )
        .execute(&pool)
        .await
        .unwrap();
        assert_eq!(found().await, (1, vec![]), "it may be under way");
        sqlx::raw_sql(
            "UPDATE catalog.outbox SET occurred_at = now() - make_interval(secs => 61);
             INSERT INTO eventlog.consumers (name) VALUES ('search');
             INSERT INTO eventlog.troubled_keys
                 (consumer, key, state, tries, failures, error, next_try_at)
             VALUES ('search', 'k', 'PARKED', 9, 9, 'made by a test', now())",
        )
        .execute(&pool)
        .await
        .unwrap();
        let expected = [("PARKED", "search k"), ("OUTBOX_STUCK", "catalog")];
        let expected = expected.map(|(kind, id)| (kind.to_owned(), Some(id.to_owned())));
        assert_eq!(found().await, (1, expected.to_vec()));
    }
}
