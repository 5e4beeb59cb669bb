//! `holdfast user grant EMAIL ROLE`

use holdfast_proto::identity::v1::GrantRoleRequest;

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
    say(&format!(
        "{} is now: {}",
        args.email,
        answer.roles.join(", ")
    ));
    Ok(())
}
