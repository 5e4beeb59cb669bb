//! Plans on the wire.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::{PlanId, UserId, VenueId};

use crate::{
    app::{ImportedPlan, Made, NewPlan, used},
    fields::Fields,
    plan::Category,
    store::{Owned, asked::Key, plan_loans::Loan, plans::Summary},
};

const NAME_BYTES_MAX: usize = 120;

pub(super) fn decode(
    request: wire::ImportPlanRequest,
    key: Option<Key>,
) -> Result<NewPlan, Failure> {
    let mut fields = Fields::default();
    let plan_id = fields.id("plan_id", &request.plan_id, PlanId::from_slice);
    let venue_id = fields.id("venue_id", &request.venue_id, VenueId::from_slice);
    let name = fields.line_or_empty("name", &request.name, NAME_BYTES_MAX);
    let (plan_id, venue_id, name) =
        fields.finish(plan_id.zip(venue_id).zip(name).map(|((p, v), n)| (p, v, n)))?;
    let name = Some(name).filter(|name| !name.is_empty());
    Ok(NewPlan {
        plan_id,
        venue_id,
        name,
        json: request.plan_json,
        dry_run: request.dry_run,
        key,
    })
}

pub(super) fn encode(made: Made<ImportedPlan>) -> wire::ImportPlanResponse {
    let plan = made.value;
    wire::ImportPlanResponse {
        plan_id: plan.plan_id.to_bytes().to_vec(),
        seat_count: plan.seat_count,
        categories: encode_counts(plan.categories),
        warnings: plan.warnings,
        replayed: made.replayed,
        name: plan.name,
    }
}

/// As it is listed.
pub(super) fn encode_summary(plan: Owned<Summary>, lent: bool) -> wire::Plan {
    let plan = plan.value;
    wire::Plan {
        plan_id: plan.plan_id.to_bytes().to_vec(),
        venue_id: plan.venue_id.to_bytes().to_vec(),
        name: plan.name,
        seat_count: plan.seat_count,
        categories: encode_counts(used(plan.categories)),
        lent,
    }
}

/// Which plan, and whose a loan of it is.
pub(super) fn decode_loan(plan_id: &[u8], user_id: &[u8]) -> Result<(PlanId, UserId), Failure> {
    let mut fields = Fields::default();
    let plan_id = fields.id("plan_id", plan_id, PlanId::from_slice);
    let user_id = fields.id("user_id", user_id, UserId::from_slice);
    fields.finish(plan_id.zip(user_id))
}

pub(super) fn encode_loan(loan: Loan) -> wire::PlanLoan {
    wire::PlanLoan {
        user_id: loan.user_id.to_bytes().to_vec(),
        lent_at_ms: loan.lent_at.timestamp_millis(),
    }
}

fn encode_counts(categories: Vec<Category>) -> Vec<wire::CategoryCount> {
    let count = |category: Category| wire::CategoryCount {
        category: category.name,
        seats: category.seat_count,
    };
    categories.into_iter().map(count).collect()
}
