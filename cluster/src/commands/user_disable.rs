//! `holdfast user disable|enable EMAIL`

use holdfast_proto::identity::v1::{DisableAccountRequest, EnableAccountRequest};

use crate::{
    cli::AccountArgs,
    data_dir::DataDir,
    error::Error,
    operator::{As, Operator},
    supervisor::say,
};

/// Disables an account.
///
/// # Errors
/// An unknown account, nothing running.
pub(crate) async fn user_disable(args: AccountArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let operator = Operator::sign_in(&dir, As::Operator).await?;
    let request = DisableAccountRequest {
        email: args.email.clone(),
    };
    let request = operator.request(request);
    let answer = operator.identity()?.disable_account(request).await;
    answer.map_err(|status| Error::from_status("disable the account", &status))?;
    say(&format!("{} is disabled", args.email));
    Ok(())
}

/// Enables it again.
///
/// # Errors
/// As [`user_disable`].
pub(crate) async fn user_enable(args: AccountArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let operator = Operator::sign_in(&dir, As::Operator).await?;
    let request = EnableAccountRequest {
        email: args.email.clone(),
    };
    let request = operator.request(request);
    let answer = operator.identity()?.enable_account(request).await;
    answer.map_err(|status| Error::from_status("enable the account", &status))?;
    say(&format!("{} can sign in again", args.email));
    Ok(())
}
