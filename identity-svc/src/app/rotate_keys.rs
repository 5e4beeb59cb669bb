//! A new key to sign access tokens with, and the end of old ones. Nobody is signed out by it: a key is
//! published before it signs, and until the last token that it signed has ended.

use std::time::Duration;

use holdfast_mesh::auth::{Claims, KEYS_AGE_MAX};
use sqlx::PgPool;

use super::{App, OPERATOR, check_admin};
use crate::{
    error::CallError,
    store::{
        audit::{self, Action},
        signing_keys::{self, Newest},
    },
    token::{ACCESS_TTL, Issuer, SigningKey},
};

/// How often a process looks for keys that others made, and whether one's time has come.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);

/// How long a key is published before it signs: twice as long as anybody goes without fetching the set.
const WAIT: Duration = KEYS_AGE_MAX.saturating_mul(2);

/// How old the newest key gets.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How long a key is published after another signs: as its last token counts, and as long again for
/// processes that heard of it late.
const KEPT: Duration = ACCESS_TTL.saturating_mul(2);

/// The newest key: a new one, or one that waits to sign.
pub(crate) async fn rotate_keys(app: &App, caller: &Claims) -> Result<Newest, CallError> {
    let mut tx = app.pool.begin().await?;
    check_admin(&mut tx, caller).await?;
    let new = SigningKey::generate()?;
    let newest = signing_keys::rotate(&mut tx, &new, WAIT, Duration::ZERO).await?;
    if newest.made {
        audit::insert(&mut tx, caller.user_id, Action::SigningKeyMade, OPERATOR).await?;
    }
    let keys = signing_keys::load(&mut tx).await?;
    tx.commit().await?;
    app.issuer.replace(&keys)?;
    Ok(newest)
}

/// Makes a key when the newest is old, forgets those that nobody needs, and signs with the one whose turn
/// it is; called again and again.
pub(crate) async fn keep_keys(pool: &PgPool, issuer: &Issuer) -> Result<(), CallError> {
    if signing_keys::is_old(pool, AGE_MAX).await? {
        let new = SigningKey::generate()?;
        let mut tx = pool.begin().await?;
        let newest = signing_keys::rotate(&mut tx, &new, WAIT, AGE_MAX).await?;
        if newest.made {
            audit::insert(&mut tx, OPERATOR, Action::SigningKeyMade, OPERATOR).await?;
            tracing::info!(
                key.id = newest.key_id,
                "a new signing key, because the last one is old"
            );
        }
        tx.commit().await?;
    }
    signing_keys::delete_superseded(pool, KEPT).await?;
    let keys = signing_keys::load(&mut *pool.acquire().await?).await?;
    issuer.replace(&keys)?;
    Ok(())
}
