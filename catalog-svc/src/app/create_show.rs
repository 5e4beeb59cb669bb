//! Makes a show, DRAFT: nobody but its organiser sees it, and nothing of it is for sale. Its plan is the
//! organiser's own, or lent to them.

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, PlanId};
use sqlx::PgConnection;
use tokio::sync::SemaphorePermit;

use super::{Catalog, Made, publish};
use crate::{
    access::Actor,
    model::{NewShow, Show},
    plan::Category,
    prices::{AskedPrices, PriceList, PriceRange},
    store::{self, Owned, asked::Sha256},
};

impl Catalog {
    pub(crate) async fn create_show(
        &self,
        actor: Actor,
        asked: NewShow,
        sha256: Sha256,
    ) -> Result<Made<Show>, Failure> {
        let event = store::events::find(&self.pool, asked.event_id).await?;
        if !event.is_some_and(|event| actor.may_change(event.owner_id)) {
            return Err(Failure::new(
                ErrorCode::EventNotFound,
                "there is no such event",
            ));
        }
        // What was made before stands, whatever became of its plan's loan.
        if let Some(show) = store::shows::find(&self.pool, asked.show_id).await? {
            let there = Owned {
                owner_id: show.owner_id,
                value: show.as_asked_for(),
            };
            let id = asked.show_id.as_uuid();
            self.made_before(actor, id, Some(there), &asked, sha256)
                .await?;
            return Ok(Made {
                value: show,
                replayed: true,
            });
        }
        let plan = store::plans::find(&self.pool, asked.plan_id).await?;
        let may_use = match &plan {
            Some(plan) if actor.may_change(plan.owner_id) => true,
            Some(_) => store::plan_loans::is_lent(&self.pool, asked.plan_id, actor.user_id).await?,
            None => false,
        };
        let Some(plan) = plan.filter(|_| may_use) else {
            return Err(Failure::new(
                ErrorCode::PlanNotFound,
                "there is no such plan",
            ));
        };
        let categories = &plan.value.categories;
        let _permit = self.permit_for(Some(&asked.prices)).await;
        let mut transaction = self.begin().await?;
        let costs = self
            .check_prices(
                "prices",
                &mut transaction,
                &asked.prices,
                asked.plan_id,
                categories,
            )
            .await?;
        let owner = actor.user_id;
        let is_new = store::shows::insert(&mut transaction, owner, &asked, costs).await?;
        if is_new {
            store::asked::insert(&mut transaction, asked.show_id.as_uuid(), sha256).await?;
            publish::show_changed(&mut transaction, asked.show_id).await?;
            self.commit(transaction).await?;
        } else {
            drop(transaction);
        }
        let show = store::shows::find(&self.pool, asked.show_id).await?;
        if !is_new {
            let there = show.as_ref().map(|show| Owned {
                owner_id: show.owner_id,
                value: show.as_asked_for(),
            });
            let id = asked.show_id.as_uuid();
            self.made_before(actor, id, there, &asked, sha256).await?;
        }
        let show = show.ok_or_else(|| Failure::new(ErrorCode::ShowNotFound, "the show is gone"))?;
        Ok(Made {
            value: show,
            replayed: !is_new,
        })
    }

    /// What [`Self::check_prices`] of these needs. Before a transaction is begun: who has a connection may not
    /// wait for those who wait for one.
    pub(super) async fn permit_for(
        &self,
        prices: Option<&AskedPrices>,
    ) -> Option<SemaphorePermit<'_>> {
        match prices.is_some_and(AskedPrices::are_exact) {
            true => Some(self.large_read_permit().await),
            false => None,
        }
    }

    /// Refuses prices that don't fit the plan, and says what its seats cost by them where that isn't by
    /// category alone.
    pub(super) async fn check_prices(
        &self,
        field: &str,
        connection: &mut PgConnection,
        prices: &AskedPrices,
        plan_id: PlanId,
        categories: &[Category],
    ) -> Result<Option<PriceRange>, Failure> {
        if !prices.are_exact() {
            prices.check(field, categories, &[])?;
            return Ok(None);
        }
        let seats = store::seat_map::seats(connection, plan_id).await?;
        prices.check(field, categories, &seats)?;
        let (by_category, exact) = prices.sorted();
        Ok(PriceList::new(&by_category, &exact).range(&seats))
    }
}
