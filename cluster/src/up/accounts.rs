//! The first accounts: an admin and a demo organiser, with random passwords in `accounts.json`.
//!
//! Always holds: passwords are written down (0600) before they are used, so a crash in between
//! loses none.

use std::{fs, io};

use anyhow::Context as _;
use holdfast_proto::identity::v1::EnsureAccountRequest;
use serde::{Deserialize, Serialize};

use crate::{
    data_dir::{DataDir, write_private},
    error::Error,
    operator::Operator,
    secrets::random_text,
};

/// The demo organiser's address; `import plan` uses it where no owner is named.
pub(crate) const ORGANISER_EMAIL: &str = "organiser@holdfast.example";
const ADMIN_EMAIL: &str = "admin@holdfast.example";

/// What `accounts.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Accounts {
    admin: Account,
    organiser: Account,
}

#[derive(Debug, Serialize, Deserialize)]
struct Account {
    email: String,
    password: String,
}

/// Makes both accounts where they are missing.
///
/// # Errors
/// What identity-svc or the file system says.
pub(crate) async fn ensure(dir: &DataDir, operator: &Operator) -> Result<(), Error> {
    let accounts = read_or_make(dir)?;
    for (account, role) in [(accounts.admin, "admin"), (accounts.organiser, "organiser")] {
        let request = EnsureAccountRequest {
            email: account.email,
            password: account.password,
            roles: vec![role.to_owned()],
        };
        operator
            .identity()?
            .ensure_account(operator.request(request))
            .await
            .map_err(|status| Error::from_status("make the first accounts", &status))?;
    }
    Ok(())
}

fn read_or_make(dir: &DataDir) -> anyhow::Result<Accounts> {
    let path = dir.accounts_file();
    match fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let new = |email: &str| Account {
                email: email.to_owned(),
                password: random_text(),
            };
            let accounts = Accounts {
                admin: new(ADMIN_EMAIL),
                organiser: new(ORGANISER_EMAIL),
            };
            let mut text = serde_json::to_vec_pretty(&accounts)?;
            text.push(b'\n');
            write_private(&path, &text)?;
            Ok(accounts)
        }
        Err(e) => Err(e).with_context(|| format!("can't read {}", path.display())),
    }
}
