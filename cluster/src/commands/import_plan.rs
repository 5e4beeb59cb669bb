//! `holdfast import plan FILE`
//!
//! Always holds: ids come from the owner, the venue's name and the file's content, so the same
//! command again changes nothing; the file is read before anything is made, so a broken one leaves
//! nothing behind.

use std::{fs, path::Path};

use anyhow::Context as _;
use catalog_svc::plan::{self, Mistakes, PLAN_BYTES_MAX, Plan};
use holdfast_proto::{
    catalog::v1::{CreateVenueRequest, ImportPlanRequest, Venue},
    identity::v1::GetMeRequest,
};
use holdfast_types::limits::SEATS_PER_SHOW_MAX;
use uuid::Uuid;

use crate::{
    cli::ImportPlanArgs,
    data_dir::DataDir,
    error::Error,
    operator::{As, Operator},
    supervisor::say,
    up::ORGANISER_EMAIL,
};

/// Reads a seating plan into the running system.
///
/// # Errors
/// A broken plan (each mistake on a line of its own), no such owner, nothing running.
pub(crate) async fn import_plan(args: ImportPlanArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let (plan_json, plan) = read(&args.file)?;
    let owner = args.owner.as_deref().unwrap_or(ORGANISER_EMAIL);
    let operator = Operator::sign_in(&dir, As::Account(owner)).await?;
    let me = operator
        .identity()?
        .get_me(operator.request(GetMeRequest {}))
        .await;
    let me = me
        .map_err(|status| Error::from_status("look the owner up", &status))?
        .into_inner();
    let owner_id =
        Uuid::from_slice(&me.user_id).context("identity-svc gave an account without an id")?;

    let stem = || {
        args.file.file_stem().map_or_else(
            || "Venue".into(),
            |stem| stem.to_string_lossy().into_owned(),
        )
    };
    let venue_name = args.venue_name.clone().unwrap_or_else(stem);
    let venue_id = Uuid::new_v5(&owner_id, venue_name.as_bytes());
    let plan_id = Uuid::new_v5(&venue_id, &plan_json);
    let venue = Venue {
        venue_id: venue_id.as_bytes().to_vec(),
        name: venue_name.clone(),
        address: String::new(),
        city: args.city,
        country: args.country,
        latitude: 0.0,
        longitude: 0.0,
        time_zone: args.time_zone,
        ..Default::default()
    };
    let mut catalog = operator.catalog()?;
    let made = catalog
        .create_venue(operator.request(CreateVenueRequest {
            venue: Some(venue),
            ..Default::default()
        }))
        .await;
    made.map_err(|status| Error::from_status("make the venue", &status))?;
    let request = ImportPlanRequest {
        plan_id: plan_id.as_bytes().to_vec(),
        venue_id: venue_id.as_bytes().to_vec(),
        name: plan.name.unwrap_or_else(|| "Plan".into()),
        plan_json,
        ..Default::default()
    };
    let answer = catalog.import_plan(operator.request(request)).await;
    let plan = answer
        .map_err(|status| Error::from_status(&cant_import(&args.file), &status))?
        .into_inner();

    say(&format!(
        "plan {plan_id}: {} seats at venue {venue_id} ({venue_name})",
        plan.seat_count
    ));
    for category in &plan.categories {
        say(&format!(
            "  {}: {} seats",
            category.category, category.seats
        ));
    }
    for warning in &plan.warnings {
        say(&format!("warning: {warning}"));
    }
    Ok(())
}

/// The file and the plan in it.
fn read(file: &Path) -> Result<(Vec<u8>, Plan), Error> {
    let size = fs::metadata(file)
        .with_context(|| format!("can't read {}", file.display()))?
        .len();
    if size > PLAN_BYTES_MAX as u64 {
        let why = format!(
            "{} is {size} bytes; a plan has at most {PLAN_BYTES_MAX} (and {SEATS_PER_SHOW_MAX} seats)",
            file.display()
        );
        return Err(Error::Refused(why));
    }
    let bytes = fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    let plan = plan::read(&bytes).map_err(|mistakes| refused(file, &mistakes))?;
    Ok((bytes, plan))
}

fn refused(file: &Path, mistakes: &Mistakes) -> Error {
    let mut text = format!("{}: the file has mistakes", cant_import(file));
    for mistake in mistakes.listed() {
        text.push_str(&format!("\n  {}: {}", mistake.field, mistake.why));
    }
    if mistakes.unlisted_count() > 0 {
        text.push_str(&format!("\n  and {} more", mistakes.unlisted_count()));
    }
    Error::Refused(text)
}

fn cant_import(file: &Path) -> String {
    format!("{} can't be imported", file.display())
}
