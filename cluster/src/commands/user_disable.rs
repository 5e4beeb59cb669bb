//! `holdfast user disable|enable EMAIL`

use holdfast_proto::identity::v1::{DisableAccountRequest, EnableAccountRequest, Organisation};
use uuid::Uuid;

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
    let answer = answer
        .map_err(|status| Error::from_status("disable the account", &status))?
        .into_inner();
    say(&format!("{} is disabled", args.email));
    if !answer.without_owner.is_empty() {
        say(&left(&answer.without_owner));
    }
    Ok(())
}

/// By id, too: names are anybody's choice.
fn left(organisations: &[Organisation]) -> String {
    let of = |organisation: &Organisation| {
        let id = Uuid::from_slice(&organisation.organisation_id).unwrap_or_default();
        format!("{} ({id})", organisation.name)
    };
    let all: Vec<String> = organisations.iter().map(of).collect();
    format!(
        "nobody is left to own: {}; `holdfast organisation appoint` gives an owner",
        all.join(", ")
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organisations_that_nobody_owns_are_named() {
        let of = |name: &str, byte: u8| Organisation {
            organisation_id: vec![byte; 16],
            name: name.to_owned(),
            role: "owner".to_owned(),
        };
        assert_eq!(
            left(&[of("Ours", 1), of("Theirs", 2)]),
            "nobody is left to own: Ours (01010101-0101-0101-0101-010101010101), \
             Theirs (02020202-0202-0202-0202-020202020202); \
             `holdfast organisation appoint` gives an owner"
        );
    }
}
