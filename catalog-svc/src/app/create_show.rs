//! Makes a show, DRAFT: nobody but its organiser sees it, and nothing of it is for sale. Its plan is the
//! organiser's own, or lent to them.

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, PlanId, ShowId};
use sqlx::PgConnection;
use tokio::sync::SemaphorePermit;

use super::{Catalog, Made, publish};
use crate::{
    access::Actor,
    model::{NewShow, Show},
    plan::Category,
    prices::{AskedPrices, PriceList, PriceRange},
    store::{self, Owned, asked::Asked},
};

impl Catalog {
    pub(crate) async fn create_show(
        &self,
        actor: Actor,
        mut wanted: NewShow,
        asked: &Asked,
    ) -> Result<Made<Show>, Failure> {
        let event = store::events::find(&self.pool, wanted.event_id).await?;
        if !event.is_some_and(|event| actor.may_change(event.owner_id)) {
            return Err(Failure::new(
                ErrorCode::EventNotFound,
                "there is no such event",
            ));
        }
        if let Some(key) = &asked.key {
            let mut connection = self.pool.acquire().await.map_err(store::Error::from)?;
            let known = store::asked::known(&mut connection, actor.user_id, key).await?;
            wanted.show_id = known.map_or(wanted.show_id, ShowId::from);
        }
        // What was made before stands, whatever became of its plan's loan.
        if let Some(show) = store::shows::find(&self.pool, wanted.show_id).await? {
            let there = Owned {
                owner_id: show.owner_id,
                value: show.as_asked_for(),
            };
            let id = wanted.show_id.as_uuid();
            self.made_before(actor, id, Some(there), &wanted, asked)
                .await?;
            return Ok(Made {
                value: show,
                replayed: true,
            });
        }
        let plan = store::plans::find(&self.pool, wanted.plan_id).await?;
        let may_use = match &plan {
            Some(plan) if actor.may_change(plan.owner_id) => true,
            Some(_) => {
                store::plan_loans::is_lent(&self.pool, wanted.plan_id, actor.user_id).await?
            }
            None => false,
        };
        let Some(plan) = plan.filter(|_| may_use) else {
            return Err(Failure::new(
                ErrorCode::PlanNotFound,
                "there is no such plan",
            ));
        };
        let categories = &plan.value.categories;
        let _permit = self.permit_for(Some(&wanted.prices)).await;
        let mut transaction = self.begin().await?;
        let costs = self
            .check_prices(
                "prices",
                &mut transaction,
                &wanted.prices,
                wanted.plan_id,
                categories,
            )
            .await?;
        let owner = actor.user_id;
        let id = wanted.show_id.as_uuid();
        let id = store::asked::choose(&mut transaction, owner, asked, id).await?;
        wanted.show_id = id.into();
        let is_new = store::shows::insert(&mut transaction, owner, &wanted, costs).await?;
        if is_new {
            store::asked::insert(&mut transaction, id, asked).await?;
            publish::show_changed(&mut transaction, wanted.show_id).await?;
            self.commit(transaction).await?;
        } else {
            drop(transaction);
        }
        let show = store::shows::find(&self.pool, wanted.show_id).await?;
        if !is_new {
            let there = show.as_ref().map(|show| Owned {
                owner_id: show.owner_id,
                value: show.as_asked_for(),
            });
            self.made_before(actor, id, there, &wanted, asked).await?;
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
