//! `holdfast identity rotate-keys`

use chrono::{DateTime, Utc};
use holdfast_proto::identity::v1::RotateSigningKeysRequest;

use crate::{
    cli::RotateKeysArgs,
    data_dir::DataDir,
    error::Error,
    operator::{As, Operator},
    supervisor::say,
};

/// Makes a new signing key, or names the one that waits to sign.
///
/// # Errors
/// Nothing running.
pub(crate) async fn rotate_keys(args: RotateKeysArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let operator = Operator::sign_in(&dir, As::Operator).await?;
    let request = operator.request(RotateSigningKeysRequest {});
    let answer = operator.identity()?.rotate_signing_keys(request).await;
    let answer = answer
        .map_err(|status| Error::from_status("rotate the signing keys", &status))?
        .into_inner();
    let from: DateTime<Utc> =
        DateTime::from_timestamp_millis(answer.signs_from_ms).unwrap_or_default();
    say(&format!(
        "key {} signs from {}; nobody is signed out",
        answer.key_id,
        from.format("%Y-%m-%d %H:%M:%S UTC"),
    ));
    Ok(())
}
