//! `holdfast import plan FILE`
//!
//! Always holds: ids come from the owner, the venue's name and the file's content, so the same
//! command again changes nothing; the file is read before anything is made, so a broken one leaves
//! nothing behind. Where a venue is stays as it is once a show there is published, so none is made without.

use std::{fs, path::Path};

use anyhow::Context as _;
use catalog_svc::plan::{self, Mistakes, PLAN_BYTES_MAX, Plan};
use holdfast_mesh::Failure;
use holdfast_proto::{
    catalog::v1::{CreateVenueRequest, ImportPlanRequest, Venue},
    identity::v1::GetMeRequest,
};
use holdfast_types::{ErrorCode, limits::SEATS_PER_SHOW_MAX};
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
    let dir = DataDir::choose(args.dir.data_dir.clone())?;
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
    let (venue_id, at) = match args.venue {
        Some(venue_id) => (venue_id, format!("venue {venue_id}")),
        None => {
            let venue = new_venue(&args, owner_id)?;
            let name = venue.name.clone();
            let venue_id = make(&operator, venue).await?;
            (venue_id, format!("venue {venue_id} ({name})"))
        }
    };
    let plan_id = Uuid::new_v5(&venue_id, &plan_json);
    let request = ImportPlanRequest {
        plan_id: plan_id.as_bytes().to_vec(),
        venue_id: venue_id.as_bytes().to_vec(),
        name: plan.name.unwrap_or_else(|| "Plan".into()),
        plan_json,
        ..Default::default()
    };
    let mut catalog = operator.catalog()?;
    let answer = catalog.import_plan(operator.request(request)).await;
    let plan = answer
        .map_err(|status| Error::from_status(&cant_import(&args.file), &status))?
        .into_inner();

    say(&format!(
        "plan {plan_id}: {} seats at {at}",
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

/// What is to be made, as the command line has it.
fn new_venue(args: &ImportPlanArgs, owner_id: Uuid) -> Result<Venue, Error> {
    let needed = "the command line asks for it where no venue is named";
    let stem = || {
        args.file.file_stem().map_or_else(
            || "Venue".into(),
            |stem| stem.to_string_lossy().into_owned(),
        )
    };
    let name = args.venue_name.clone().unwrap_or_else(stem);
    Ok(Venue {
        venue_id: Uuid::new_v5(&owner_id, name.as_bytes()).as_bytes().to_vec(),
        name,
        city: args.city.clone().context(needed)?,
        country: args.country.clone().context(needed)?,
        latitude: args.latitude.context(needed)?,
        longitude: args.longitude.context(needed)?,
        time_zone: args.time_zone.clone().context(needed)?,
        ..Default::default()
    })
}

/// Makes the venue, unless this made it before; its id.
async fn make(operator: &Operator, venue: Venue) -> Result<Uuid, Error> {
    let venue_id = Uuid::from_slice(&venue.venue_id).context("an id of ours")?;
    let request = operator.request(CreateVenueRequest {
        venue: Some(venue),
        ..Default::default()
    });
    let made = operator.catalog()?.create_venue(request).await;
    made.map_err(|status| {
        if Failure::from_status(&status).code() == ErrorCode::AlreadyExists {
            return Error::Refused(format!(
                "a venue of this name was made elsewhere before; to add the plan to it: --venue {venue_id}"
            ));
        }
        Error::from_status("make the venue", &status)
    })?;
    Ok(venue_id)
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
