//! `catalog.asked`: with what a thing was made, and for which key.
//!
//! Always holds: a key of an account makes one thing of a kind, whose id is written with it, in the
//! transaction that makes the thing.

use holdfast_types::UserId;
use sha2::{Digest as _, Sha256 as Hash};
use sqlx::{PgConnection, PgPool};
use uuid::{Builder, Uuid};

use super::Error;

/// SHA-256 of the request that made a thing.
pub(crate) type Sha256 = [u8; 32];

/// What names a request that makes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Of thing, e.g. `venue`.
    pub(crate) kind: &'static str,
    /// The account's own word.
    pub(crate) text: String,
}

/// What a request that makes something says.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) sha256: Sha256,
    /// Of what a gateway of the release before asks for the same key: with the id that it makes of it.
    pub(crate) sha256_before: Option<Sha256>,
    /// None where the caller chose the id.
    pub(crate) key: Option<Key>,
}

/// The id that a request's thing has: the one that its key made before; else `id`, which is then the key's.
pub(crate) async fn choose(
    connection: &mut PgConnection,
    user_id: UserId,
    asked: &Asked,
    id: Uuid,
) -> Result<Uuid, Error> {
    let Some(key) = &asked.key else {
        return Ok(id);
    };
    if let Some(known) = known(&mut *connection, user_id, key).await? {
        return Ok(known);
    }
    // Waits for whoever makes something with that key.
    let inserted = sqlx::query!(
        "INSERT INTO catalog.asked (thing_id, sha256, user_id, kind, key)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id, kind, key) WHERE key IS NOT NULL DO NOTHING",
        id,
        &asked.sha256[..],
        user_id.as_uuid(),
        key.kind,
        key.text,
    )
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(id);
    }
    let known = known(connection, user_id, key).await?;
    known.ok_or(Error::Unreadable {
        table: "catalog.asked",
        what: "a key that was there",
    })
}

/// What a key made.
pub(crate) async fn known(
    connection: &mut PgConnection,
    user_id: UserId,
    key: &Key,
) -> Result<Option<Uuid>, Error> {
    let known = sqlx::query_scalar!(
        r#"SELECT thing_id AS "thing_id!" FROM catalog.asked
           WHERE user_id = $1 AND kind = $2 AND key = $3
           UNION ALL
           SELECT thing_id FROM catalog.asked WHERE thing_id = $4
           UNION ALL
           SELECT plan_id FROM catalog.plans WHERE plan_id = $4
           LIMIT 1"#,
        user_id.as_uuid(),
        key.kind,
        key.text,
        id_before(user_id, key),
    )
    .fetch_optional(connection)
    .await?;
    Ok(known)
}

/// The id that gateways of the release before gave to what a key makes.
pub(crate) fn id_before(user_id: UserId, key: &Key) -> Uuid {
    let mut hash = Hash::new();
    hash.update([u8::try_from(key.kind.len()).expect("kinds are words")]);
    hash.update(key.kind);
    hash.update(user_id.to_bytes());
    hash.update(&key.text);
    let hash = hash.finalize();
    let (bytes, _) = hash.split_first_chunk().expect("a hash is longer");
    Builder::from_custom_bytes(*bytes).into_uuid()
}

/// Records it, in the transaction that makes the thing.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    thing_id: Uuid,
    asked: &Asked,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO catalog.asked (thing_id, sha256) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        thing_id,
        &asked.sha256[..],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a thing was made with just that.
pub(crate) async fn is_by(pool: &PgPool, thing_id: Uuid, asked: &Asked) -> Result<bool, Error> {
    let hashes = [Some(asked.sha256), asked.sha256_before];
    let hashes: Vec<Vec<u8>> = hashes.iter().flatten().map(|hash| hash.to_vec()).collect();
    let there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM catalog.asked WHERE thing_id = $1 AND sha256 = ANY($2)) AS "there!""#,
        thing_id,
        &hashes,
    )
    .fetch_one(pool)
    .await?;
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_release_before_are_found_again() {
        let key = |kind, text: &str| Key {
            kind,
            text: text.to_owned(),
        };
        let ada = UserId::from_bytes([1; 16]);
        let id = id_before(ada, &key("venue", "k"));
        assert_eq!(id.to_string(), "7fe4fdcb-6d60-8bb0-89fb-e3ff57b859f5");
        for other in [
            id_before(ada, &key("event", "k")),
            id_before(ada, &key("venue", "k2")),
            id_before(UserId::from_bytes([2; 16]), &key("venue", "k")),
        ] {
            assert_ne!(other, id);
        }
    }
}
