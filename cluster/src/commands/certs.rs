//! `holdfast certs`: certificates for processes that run on their own, and who may call what with
//! them. `up` makes its own.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use holdfast_proto::part;
use serde::Serialize;

use crate::{
    callers::CALLERS,
    certs::{Folder, State, describe},
    cli::{CertsCallersArgs, CertsDirArg, CertsIssueArgs, CertsShowArgs, Output},
    error::Error,
    supervisor::say,
};

/// What is printed of a certificate. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// RFC 3339, UTC; none where it can't be told.
    expires: Option<String>,
    /// Whole days; below zero when it is over.
    days_left: Option<i64>,
    /// `good`, or what is wrong with it.
    state: String,
}

/// What is printed of a caller and a service.
#[derive(Debug, Serialize)]
struct Allowed {
    caller: &'static str,
    service: &'static str,
    /// None for all.
    methods: Option<Vec<&'static str>>,
}

/// Makes an authority.
///
/// # Errors
/// There is one.
pub(crate) fn certs_init(args: CertsDirArg) -> Result<(), Error> {
    let folder = Folder::new(args.dir);
    folder.init()?;
    say(&format!(
        "made an authority in {}; keep ca.key there, it makes certificates and no process reads it",
        folder.dir().display()
    ));
    Ok(())
}

/// Makes certificates.
///
/// # Errors
/// There is a good one and it isn't to be renewed; nothing is made then.
pub(crate) fn certs_issue(args: CertsIssueArgs) -> Result<(), Error> {
    let folder = Folder::new(args.dir.dir);
    let wanted = |name: &&'static str| args.all || args.names.iter().any(|given| given == *name);
    let mut names: Vec<&'static str> = part::ALL.into_iter().filter(|n| wanted(n)).collect();
    if !args.renew {
        let is_good = |name: &&'static str| matches!(folder.state(name), State::Good);
        let good: Vec<&str> = names.iter().copied().filter(|n| is_good(n)).collect();
        if !good.is_empty() && !args.all {
            return Err(Error::Refused(format!(
                "{}: there is a good certificate already, which --renew replaces",
                good.join(", ")
            )));
        }
        names.retain(|name| !good.contains(name));
    }
    for name in &names {
        folder.issue(name)?;
        if let State::Broken(error) = folder.state(name) {
            return Err(Error::Refused(describe(error)));
        }
    }
    say(&match names.len() {
        0 => "nothing to make: all are good, and --renew replaces them".to_owned(),
        _ => format!("made {} in {}", names.join(", "), folder.dir().display()),
    });
    Ok(())
}

/// Shows what is in a folder.
///
/// # Errors
/// [`Error::Refused`] when something in it can't be used.
pub(crate) fn certs_show(args: CertsShowArgs) -> Result<(), Error> {
    let folder = Folder::new(args.dir.dir);
    if !folder.has_authority() {
        return Err(Error::Refused(format!(
            "{} has no ca.pem; `holdfast certs init` makes one",
            folder.dir().display()
        )));
    }
    let now = SystemTime::now();
    let mut rows = vec![authority_row(&folder, now)];
    let mut bad = usize::from(rows[0].state != GOOD);
    for name in part::ALL {
        let state = match folder.state(name) {
            State::Missing => continue,
            State::Good => GOOD.to_owned(),
            State::Expired => EXPIRED.to_owned(),
            State::Broken(error) => describe(error),
        };
        bad += usize::from(state != GOOD);
        rows.push(row(name, folder.expiry(name).ok(), state, now));
    }
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&rows).map_err(anyhow::Error::from)?),
        Output::Table => say(&table(&rows)),
    }
    if bad > 0 {
        return Err(Error::Refused(format!(
            "{bad} of {} can't be used",
            rows.len()
        )));
    }
    Ok(())
}

/// Shows who may call what.
///
/// # Errors
/// None in practice.
pub(crate) fn certs_callers(args: &CertsCallersArgs) -> Result<(), Error> {
    let allowed = allowed();
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&allowed).map_err(anyhow::Error::from)?),
        Output::Table => say(&callers_table(&allowed)),
    }
    Ok(())
}

const GOOD: &str = "good";
const EXPIRED: &str = "has expired";

fn authority_row(folder: &Folder, now: SystemTime) -> Row {
    match folder.expiry("ca") {
        Ok(at) => {
            let state = if at > now { GOOD } else { EXPIRED };
            row("ca", Some(at), state.to_owned(), now)
        }
        Err(error) => row("ca", None, describe(error), now),
    }
}

fn row(name: &str, expires: Option<SystemTime>, state: String, now: SystemTime) -> Row {
    let at = expires.map(DateTime::<Utc>::from);
    let now = DateTime::<Utc>::from(now);
    Row {
        name: name.to_owned(),
        expires: at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        days_left: at.map(|at| (at - now).num_seconds().div_euclid(24 * 3600)),
        state,
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["name", "expires", "days left", "state"]);
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for row in rows {
        table.add_row([
            row.name.clone(),
            or_none(row.expires.clone()),
            or_none(row.days_left.map(|days| days.to_string())),
            row.state.clone(),
        ]);
    }
    table.to_string()
}

/// The table of callers, a row a service.
fn allowed() -> Vec<Allowed> {
    let mut allowed: Vec<Allowed> = Vec::new();
    for (caller, paths) in CALLERS {
        for path in *paths {
            let (service, method) = match path.split_once('/') {
                Some((service, method)) => (service, Some(method)),
                None => (*path, None),
            };
            let known = allowed
                .iter_mut()
                .find(|row| row.caller == *caller && row.service == service);
            match (known, method) {
                (Some(row), Some(method)) => row.methods.iter_mut().for_each(|m| m.push(method)),
                (Some(row), None) => row.methods = None,
                (None, method) => allowed.push(Allowed {
                    caller,
                    service,
                    methods: method.map(|method| vec![method]),
                }),
            }
        }
    }
    allowed
}

fn callers_table(allowed: &[Allowed]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["caller", "service", "methods"]);
    for row in allowed {
        let methods = match &row.methods {
            Some(methods) => methods.join("\n"),
            None => "all".to_owned(),
        };
        table.add_row([row.caller.to_owned(), row.service.to_owned(), methods]);
    }
    format!("{table}\nhealth and reflection: everyone with a certificate; everything else: nobody")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn table_of_callers() {
        insta::assert_snapshot!(callers_table(&allowed()));
    }

    #[test]
    fn json_of_callers() {
        insta::assert_json_snapshot!(allowed());
    }

    #[test]
    fn table_of_certificates() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let in_days = |days: u64| Some(now + Duration::from_secs(days * 24 * 3600));
        let over = Some(now - Duration::from_secs(60));
        insta::assert_snapshot!(table(&[
            row("ca", in_days(3650), GOOD.to_owned(), now),
            row("booking", in_days(397), GOOD.to_owned(), now),
            row("search", over, EXPIRED.to_owned(), now),
            row(
                "payment",
                None,
                "payment.pem is no certificate as PEM".to_owned(),
                now
            ),
        ]));
    }
}
