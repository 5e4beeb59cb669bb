//! `holdfast organisation members|appoint`

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use holdfast_proto::identity::v1::{
    AppointOwnerRequest, AppointOwnerResponse, AuditOrganisationRequest, AuditOrganisationResponse,
    Member,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    cli::{AppointArgs, MembersArgs, Output},
    data_dir::DataDir,
    error::Error,
    operator::{As, Operator},
    supervisor::say,
};

/// What an owner is called.
const OWNER: &str = "owner";

/// What is printed of an organisation. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Serialize)]
struct Organisation {
    organisation_id: Uuid,
    name: String,
    /// Whether nobody is left to own it who may act.
    without_owner: bool,
    /// The first who came first.
    members: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    user_id: Uuid,
    email: String,
    /// `owner` `manager` `viewer`
    role: String,
    /// RFC 3339, UTC.
    since: String,
    disabled: bool,
}

/// What is printed of an appointment.
#[derive(Debug, Serialize)]
struct Appointed {
    organisation_id: Uuid,
    name: String,
    user_id: Uuid,
    email: String,
    /// As what they were in it before; null where they weren't.
    was: Option<String>,
    role: &'static str,
}

/// Prints who is in an organisation, and who of them is disabled.
///
/// # Errors
/// An unknown organisation, nothing running.
pub(crate) async fn organisation_members(args: MembersArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let operator = Operator::sign_in(&dir, As::Operator).await?;
    let request = AuditOrganisationRequest {
        organisation_id: args.organisation_id.into_bytes().into(),
    };
    let request = operator.request(request);
    let answer = operator.identity()?.audit_organisation(request).await;
    let answer =
        answer.map_err(|status| Error::from_status("read who is in the organisation", &status))?;
    let organisation = organisation(args.organisation_id, answer.into_inner());
    match args.output {
        Output::Json => say(&json(&organisation)?),
        Output::Table => say(&text(&organisation)),
    }
    Ok(())
}

/// Makes an account an owner of it.
///
/// # Errors
/// An unknown organisation or account, one that is disabled or whose address nobody has verified, nothing running.
pub(crate) async fn organisation_appoint(args: AppointArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let operator = Operator::sign_in(&dir, As::Operator).await?;
    let request = AppointOwnerRequest {
        organisation_id: args.organisation_id.into_bytes().into(),
        email: args.email.clone(),
    };
    let request = operator.request(request);
    let answer = operator.identity()?.appoint_owner(request).await;
    let answer = answer.map_err(|status| Error::from_status("appoint the owner", &status))?;
    let appointed = appointed(args.organisation_id, args.email, answer.into_inner());
    match args.output {
        Output::Json => say(&json(&appointed)?),
        Output::Table => say(&sentence(&appointed)),
    }
    Ok(())
}

fn json(shown: &impl Serialize) -> Result<String, Error> {
    Ok(serde_json::to_string_pretty(shown).map_err(anyhow::Error::from)?)
}

fn organisation(organisation_id: Uuid, answer: AuditOrganisationResponse) -> Organisation {
    let owns = |member: &Member| member.role == OWNER && !member.disabled;
    let row = |member: Member| {
        let since = DateTime::<Utc>::from_timestamp_millis(member.since_ms).unwrap_or_default();
        Row {
            user_id: Uuid::from_slice(&member.user_id).unwrap_or_default(),
            email: member.email,
            role: member.role,
            since: since.to_rfc3339_opts(SecondsFormat::Secs, true),
            disabled: member.disabled,
        }
    };
    Organisation {
        organisation_id,
        name: answer.name,
        without_owner: !answer.members.iter().any(owns),
        members: answer.members.into_iter().map(row).collect(),
    }
}

fn appointed(organisation_id: Uuid, email: String, answer: AppointOwnerResponse) -> Appointed {
    Appointed {
        organisation_id,
        name: answer.name,
        user_id: Uuid::from_slice(&answer.user_id).unwrap_or_default(),
        email,
        was: Some(answer.was).filter(|was| !was.is_empty()),
        role: OWNER,
    }
}

fn text(organisation: &Organisation) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["member", "as", "since", "account"]);
    for row in &organisation.members {
        let state = if row.disabled { "disabled" } else { "" };
        table.add_row([&row.email, &row.role, &row.since, state]);
    }
    let Organisation {
        organisation_id,
        name,
        without_owner,
        ..
    } = organisation;
    let head = format!("{name} ({organisation_id})\n{table}");
    match without_owner {
        true => format!(
            "{head}\nnobody is left to own it: holdfast organisation appoint {organisation_id} EMAIL"
        ),
        false => head,
    }
}

fn sentence(appointed: &Appointed) -> String {
    let Appointed { email, name, .. } = appointed;
    match appointed.was.as_deref() {
        Some(OWNER) => format!("{email} owned {name} already"),
        Some(was) => format!("{email} owns {name} now, and was its {was}"),
        None => format!("{email} owns {name} now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x0192_f0c1_0000_7000_8000_0000_0000_0001);

    fn shown(is_disabled: bool) -> Organisation {
        let member = |email: &str, role: &str, disabled| Member {
            user_id: vec![2; 16],
            email: email.to_owned(),
            role: role.to_owned(),
            since_ms: 1_784_138_400_250,
            disabled,
        };
        let answer = AuditOrganisationResponse {
            name: "Ours".to_owned(),
            members: vec![
                member("ann@example.org", OWNER, is_disabled),
                member("bob@example.org", "viewer", false),
            ],
        };
        organisation(ID, answer)
    }

    #[test]
    fn members_of_an_organisation_that_nobody_is_left_to_own() {
        insta::assert_snapshot!(text(&shown(true)));
        let owned = text(&shown(false));
        assert!(!owned.contains("appoint"), "{owned}");
    }

    #[test]
    fn members_as_json() {
        insta::assert_json_snapshot!([shown(true), shown(false)]);
    }

    #[test]
    fn an_appointment_says_what_changed() {
        let of = |was: &str| {
            let answer = AppointOwnerResponse {
                user_id: vec![2; 16],
                name: "Ours".to_owned(),
                was: was.to_owned(),
            };
            appointed(ID, "bob@example.org".to_owned(), answer)
        };
        assert_eq!(sentence(&of("")), "bob@example.org owns Ours now");
        assert_eq!(
            sentence(&of("viewer")),
            "bob@example.org owns Ours now, and was its viewer"
        );
        assert_eq!(sentence(&of("owner")), "bob@example.org owned Ours already");
        insta::assert_json_snapshot!([of(""), of("owner")]);
    }
}
