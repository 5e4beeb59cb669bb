//! A plan's owner lets others make shows with it, and takes that back.
//!
//! Always holds: a loan gives the use of a plan and nothing else: not its file, not its owner's shows;
//! shows that were made with it stay when it is taken back, because customers may have seats of them.
//! Leaves to others: whether there is such an account (nobody else could use the loan).

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, PlanId, UserId};

use super::Catalog;
use crate::{
    access::Actor,
    store::{self, plan_loans::LOANS_MAX, plan_loans::Loan},
};

impl Catalog {
    pub(crate) async fn lend_plan(
        &self,
        actor: Actor,
        id: PlanId,
        to: UserId,
    ) -> Result<(), Failure> {
        self.own_plan(actor, id).await?;
        let mut transaction = self.begin().await?;
        if !store::plan_loans::insert(&mut transaction, id, to).await? {
            let message = format!("this plan is lent to {LOANS_MAX} accounts already");
            return Err(Failure::new(ErrorCode::InvalidState, message));
        }
        // There is no news in it.
        transaction.commit().await.map_err(store::Error::from)?;
        tracing::info!(plan.id = %id, user.id = %to, "plan lent");
        Ok(())
    }

    pub(crate) async fn take_plan_back(
        &self,
        actor: Actor,
        id: PlanId,
        from: UserId,
    ) -> Result<(), Failure> {
        self.own_plan(actor, id).await?;
        store::plan_loans::delete(&self.pool, id, from).await?;
        tracing::info!(plan.id = %id, user.id = %from, "plan taken back");
        Ok(())
    }

    pub(crate) async fn plan_loans(&self, actor: Actor, id: PlanId) -> Result<Vec<Loan>, Failure> {
        self.own_plan(actor, id).await?;
        Ok(store::plan_loans::of_plan(&self.pool, id).await?)
    }

    /// `PLAN_NOT_FOUND` unless the plan is the actor's.
    pub(super) async fn own_plan(&self, actor: Actor, id: PlanId) -> Result<(), Failure> {
        let there = store::plans::find(&self.pool, id).await?;
        if there.is_some_and(|there| actor.may_change(there.owner_id)) {
            return Ok(());
        }
        Err(Failure::new(
            ErrorCode::PlanNotFound,
            "there is no such plan",
        ))
    }
}
