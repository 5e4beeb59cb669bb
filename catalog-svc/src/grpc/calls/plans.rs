//! Calls about plans.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::PlanId;
use tonic::Request;

use crate::{
    fields::Fields,
    grpc::{
        Service,
        asked::choose,
        own::{PageOf, next_own},
        plans,
    },
    store,
};

impl Service {
    pub(in crate::grpc) async fn import_plan(
        &self,
        request: Request<wire::ImportPlanRequest>,
    ) -> Result<wire::ImportPlanResponse, Failure> {
        let actor = self.venue_writer(request.metadata()).await?;
        let mut request = request.into_inner();
        let key = std::mem::take(&mut request.idempotency_key);
        let key = choose("plan", key, &mut request.plan_id)?;
        let plan = plans::decode(request, key)?;
        let imported = self.catalog.import_plan(actor, plan).await?;
        Ok(plans::encode(imported))
    }

    pub(in crate::grpc) async fn list_own_plans(
        &self,
        request: Request<wire::ListOwnPlansRequest>,
    ) -> Result<wire::ListOwnPlansResponse, Failure> {
        let actor = self.venue_actor(request.metadata()).await?;
        let wire::ListOwnPlansRequest {
            venue_id,
            limit,
            cursor,
        } = request.get_ref();
        let page = PageOf::decode::<'p'>(*limit, cursor)?;
        let (pool, after) = (&self.catalog.pool, page.after.map(PlanId::from));
        let (owner, limit) = (actor.user_id, page.limit + 1);
        let plans = match venue_id.as_slice() {
            [] => store::plans::usable(pool, owner, after, limit).await,
            id => {
                let venue = self.own_venue(actor, id).await?;
                store::plans::of_venue(pool, owner, venue.venue_id, after, limit).await
            }
        };
        let mut plans = plans?;
        let next_cursor = next_own::<'p', _>(&mut plans, page, |last| last.value.plan_id.as_uuid());
        let plans = plans.into_iter().map(|plan| {
            let lent = plan.owner_id != owner;
            plans::encode_summary(plan, lent)
        });
        Ok(wire::ListOwnPlansResponse {
            plans: plans.collect(),
            next_cursor,
        })
    }

    pub(in crate::grpc) async fn lend_plan(
        &self,
        request: Request<wire::LendPlanRequest>,
    ) -> Result<wire::LendPlanResponse, Failure> {
        let actor = self.venue_writer(request.metadata()).await?;
        let wire::LendPlanRequest { plan_id, user_id } = request.get_ref();
        let (plan_id, user_id) = plans::decode_loan(plan_id, user_id)?;
        self.catalog.lend_plan(actor, plan_id, user_id).await?;
        Ok(wire::LendPlanResponse {})
    }

    pub(in crate::grpc) async fn take_plan_back(
        &self,
        request: Request<wire::TakePlanBackRequest>,
    ) -> Result<wire::TakePlanBackResponse, Failure> {
        let actor = self.venue_writer(request.metadata()).await?;
        let wire::TakePlanBackRequest { plan_id, user_id } = request.get_ref();
        let (plan_id, user_id) = plans::decode_loan(plan_id, user_id)?;
        self.catalog.take_plan_back(actor, plan_id, user_id).await?;
        Ok(wire::TakePlanBackResponse {})
    }

    pub(in crate::grpc) async fn list_plan_loans(
        &self,
        request: Request<wire::ListPlanLoansRequest>,
    ) -> Result<wire::ListPlanLoansResponse, Failure> {
        let actor = self.venue_actor(request.metadata()).await?;
        let mut fields = Fields::default();
        let id = fields.id("plan_id", &request.get_ref().plan_id, PlanId::from_slice);
        let loans = self.catalog.plan_loans(actor, fields.finish(id)?).await?;
        Ok(wire::ListPlanLoansResponse {
            loans: loans.into_iter().map(plans::encode_loan).collect(),
        })
    }

    pub(in crate::grpc) async fn export_plan(
        &self,
        request: Request<wire::ExportPlanRequest>,
    ) -> Result<wire::ExportPlanResponse, Failure> {
        let actor = self.venue_actor(request.metadata()).await?;
        let mut fields = Fields::default();
        let id = fields.id("plan_id", &request.get_ref().plan_id, PlanId::from_slice);
        let plan_json = self.catalog.export_plan(actor, fields.finish(id)?).await?;
        Ok(wire::ExportPlanResponse { plan_json })
    }
}
