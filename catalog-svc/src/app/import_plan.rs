//! Reads a seating-plan file and keeps it, whole or not at all.

use std::sync::Arc;

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, PlanId, VenueId};
use sha2::{Digest, Sha256};

use super::{Catalog, Made};
use crate::{
    access::Actor,
    plan::{self, Category, Mistakes, Plan},
    store::{
        self,
        asked::{Asked, Key},
        plans::Summary,
    },
};

/// A plan as its organiser sends it.
#[derive(Debug)]
pub(crate) struct NewPlan {
    pub(crate) plan_id: PlanId,
    pub(crate) venue_id: VenueId,
    /// `None` for the file's own.
    pub(crate) name: Option<String>,
    pub(crate) json: Vec<u8>,
    /// Only to say what would come of it.
    pub(crate) dry_run: bool,
    /// For which it is to be made; none where the caller chose the id.
    pub(crate) key: Option<Key>,
}

/// What came of a file.
#[derive(Debug)]
pub(crate) struct ImportedPlan {
    pub(crate) plan_id: PlanId,
    pub(crate) name: String,
    pub(crate) seat_count: u32,
    /// Those that seats use, in file order.
    pub(crate) categories: Vec<Category>,
    pub(crate) warnings: Vec<String>,
}

impl Catalog {
    pub(crate) async fn import_plan(
        &self,
        actor: Actor,
        asked: NewPlan,
    ) -> Result<Made<ImportedPlan>, Failure> {
        let venue = store::venues::find(&self.pool, asked.venue_id).await?;
        if !venue.is_some_and(|venue| actor.may_change(venue.owner_id)) {
            return Err(Failure::new(
                ErrorCode::VenueNotFound,
                "there is no such venue",
            ));
        }
        let (plan, source_sha256, file) = self.read(asked.json).await?;
        let Some(name) = asked.name.or_else(|| plan.name.clone()) else {
            return Err(Failure::invalid(
                "name",
                "is empty, and the file has none either",
            ));
        };
        let mut summary = Summary {
            plan_id: asked.plan_id,
            venue_id: asked.venue_id,
            name,
            source_sha256,
            seat_count: plan.seats.len() as u32,
            warnings: plan.warnings.clone(),
            categories: plan.categories.clone(),
        };
        if asked.dry_run {
            return Ok(Made::now(imported(summary)));
        }
        let made_with = Asked {
            sha256: Sha256::digest(&summary.source_sha256).into(),
            // Of plans it is the plan that is compared.
            sha256_before: None,
            key: asked.key,
        };
        let mut transaction = self.pool.begin().await.map_err(store::Error::from)?;
        let id = summary.plan_id.as_uuid();
        let id = store::asked::choose(&mut transaction, actor.user_id, &made_with, id).await?;
        summary.plan_id = id.into();
        if store::plans::insert(&mut transaction, actor.user_id, &summary, &plan, &file).await? {
            transaction.commit().await.map_err(store::Error::from)?;
            return Ok(Made::now(imported(summary)));
        }
        drop(transaction);
        let there = store::plans::find(&self.pool, summary.plan_id).await?;
        match there {
            // Told as it was then, also where a file is read in another way by now.
            Some(there) if actor.may_change(there.owner_id) && there.value.is_of(&summary) => {
                Ok(Made::before(imported(there.value)))
            }
            _ => Err(Failure::new(
                ErrorCode::AlreadyExists,
                "this id is taken by something else",
            )),
        }
    }

    /// The plan, the SHA-256 of its file, and the file; worked out off the threads that serve.
    async fn read(&self, json: Vec<u8>) -> Result<(Plan, Vec<u8>, Vec<u8>), Failure> {
        let permit = Arc::clone(&self.imports).acquire_owned().await;
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit.expect("the semaphore is never closed");
            plan::read(&json).map(|plan| {
                let sha256 = Sha256::digest(&json).to_vec();
                (plan, sha256, json)
            })
        });
        reading
            .await
            .map_err(|panic| Failure::internal(&panic))?
            .map_err(refused)
    }
}

fn imported(summary: Summary) -> ImportedPlan {
    ImportedPlan {
        plan_id: summary.plan_id,
        name: summary.name,
        seat_count: summary.seat_count,
        categories: used(summary.categories),
        warnings: summary.warnings,
    }
}

/// The categories that seats use.
pub(crate) fn used(categories: Vec<Category>) -> Vec<Category> {
    let used = categories.into_iter().filter(|c| c.seat_count > 0);
    used.collect()
}

/// Each mistake is a field by its place in the file (RFC 6901), and its words say whose it is.
fn refused(mistakes: Mistakes) -> Failure {
    let count = mistakes.listed().len() + mistakes.unlisted_count();
    let message = match (count, mistakes.listed()) {
        (1, [only]) => format!("{} {}", only.field, only.why),
        _ => format!("the plan file has {count} mistakes"),
    };
    let mut failure = Failure::new(ErrorCode::InvalidRequest, message);
    for mistake in mistakes.listed() {
        let why = format!("{} {}", mistake.field, mistake.why);
        let place = match mistake.pointer.as_str() {
            "" => "plan_json",
            pointer => pointer,
        };
        failure = failure.and_field(place, why);
    }
    match mistakes.unlisted_count() {
        0 => failure,
        more => failure.and_field("plan_json", format!("has {more} more mistakes")),
    }
}
