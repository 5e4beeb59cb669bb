//! `holdfast user grant|revoke EMAIL ROLE`

use holdfast_proto::identity::v1::{GrantRoleRequest, RevokeRoleRequest};

use crate::{
    cli::GrantArgs,
    data_dir::DataDir,
    error::Error,
    operator::{As, Operator},
    supervisor::say,
};

/// Gives an account a role.
///
/// # Errors
/// An unknown account or role, nothing running.
pub(crate) async fn user_grant(args: GrantArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let operator = Operator::sign_in(&dir, As::Operator).await?;
    let request = GrantRoleRequest {
        email: args.email.clone(),
        role: args.role,
    };
    let answer = operator
        .identity()?
        .grant_role(operator.request(request))
        .await;
    let answer = answer
        .map_err(|status| Error::from_status("grant the role", &status))?
        .into_inner();
    say(&roles(&args.email, &answer.roles));
    Ok(())
}

/// Takes one from it.
///
/// # Errors
/// As [`user_grant`].
pub(crate) async fn user_revoke(args: GrantArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let operator = Operator::sign_in(&dir, As::Operator).await?;
    let request = RevokeRoleRequest {
        email: args.email.clone(),
        role: args.role,
    };
    let answer = operator
        .identity()?
        .revoke_role(operator.request(request))
        .await;
    let answer = answer
        .map_err(|status| Error::from_status("take the role", &status))?
        .into_inner();
    say(&roles(&args.email, &answer.roles));
    Ok(())
}

fn roles(email: &str, roles: &[String]) -> String {
    match roles {
        [] => format!("{email} has no role now"),
        roles => format!("{email} is now: {}", roles.join(", ")),
    }
}
