//! Plans on the wire.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::{PlanId, VenueId};

use crate::{
    app::{ImportedPlan, NewPlan},
    fields::Fields,
};

const NAME_BYTES_MAX: usize = 120;

pub(super) fn decode(request: wire::ImportPlanRequest) -> Result<NewPlan, Failure> {
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
    })
}

pub(super) fn encode(plan: ImportedPlan) -> wire::ImportPlanResponse {
    let categories = plan
        .categories
        .into_iter()
        .map(|category| wire::CategoryCount {
            category: category.name,
            seats: category.seat_count,
        });
    wire::ImportPlanResponse {
        plan_id: plan.plan_id.to_bytes().to_vec(),
        seat_count: plan.seat_count,
        categories: categories.collect(),
        warnings: plan.warnings,
    }
}
