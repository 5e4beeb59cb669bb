//! Changes a show as far as nobody can have relied on it.
//!
//! Always holds: what seats were put on sale with stays as it is from the moment that they may have been
//! (start, prices, fees, rules: customers, tickets and booking-svc have them), and that is refused by name;
//! a request that changes nothing is answered whatever version it names. When the sale begins and ends may
//! change in any state: booking-svc is told by an event of the same transaction, so that it comes to know
//! whatever dies when. Leaves to others: an event's words, which change in any state (`update_event`).

use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, ShowId, ShowState};

use super::{Catalog, changeable, publish, require_version};
use crate::{
    access::Actor,
    fields::Fields,
    model::{SaleDates, Show, ShowChange},
    store,
};

impl Catalog {
    /// Only if the show has `if_version`, where one is named.
    pub(crate) async fn update_show(
        &self,
        actor: Actor,
        id: ShowId,
        change: ShowChange,
        if_version: Option<&str>,
    ) -> Result<Show, Failure> {
        let _permit = self.permit_for(change.prices.as_ref()).await;
        let mut transaction = self.begin().await?;
        let found = store::shows::lock(&mut transaction, id).await?;
        let there = changeable(actor, found)?;
        let asked_prices = change.prices.clone();
        let mut show = changed(&there, change)?;
        if show == there {
            return Ok(show);
        }
        require_version(if_version, &there.version())?;
        let may_be_sold = there.state != ShowState::Draft
            || store::shows::is_opening(&mut transaction, id).await?;
        let fixed = fixed_parts(&there, &show);
        if may_be_sold && !fixed.is_empty() {
            return Err(is_on_sale(&there, &fixed));
        }
        let sale_changes = there.sale != show.sale;
        show.sale_version += u32::from(sale_changes);
        let new_prices = asked_prices.filter(|_| prices_differ(&there, &show));
        if let Some(prices) = &new_prices {
            let plan = store::plans::find(&self.pool, show.plan_id).await?;
            let categories = plan.map(|plan| plan.value.categories).unwrap_or_default();
            show.seat_prices = self
                .check_prices(
                    "show.prices",
                    &mut transaction,
                    prices,
                    show.plan_id,
                    &categories,
                )
                .await?;
        }
        let are_others = new_prices.is_some() || there.fees != show.fees;
        show.price_version += u32::from(are_others);
        store::shows::update(&mut transaction, &show, new_prices.is_some()).await?;
        publish::show_changed(&mut transaction, id).await?;
        if sale_changes && may_be_sold {
            publish::sale_changed(&mut transaction, &show).await?;
        }
        self.commit(transaction).await?;
        tracing::info!(show.id = %id, "show changed");
        let show = store::shows::find(&self.pool, id).await?;
        show.ok_or_else(|| Failure::new(ErrorCode::ShowNotFound, "the show is gone"))
    }
}

/// `there` with the change.
fn changed(there: &Show, change: ShowChange) -> Result<Show, Failure> {
    let sale = SaleDates {
        starts_at: change.sale_starts_at.unwrap_or(there.sale.starts_at),
        ends_at: change.sale_ends_at.unwrap_or(there.sale.ends_at),
    };
    let mut fields = Fields::default();
    sale.check("show.sale_ends_at_ms", &mut fields);
    let prices = change.prices.map(|prices| prices.sorted());
    let (prices, exact_prices) =
        prices.unwrap_or_else(|| (there.prices.clone(), there.exact_prices.clone()));
    fields.finish(Some(Show {
        starts_at: change.starts_at.unwrap_or(there.starts_at),
        // Whoever says when it starts knows it.
        time_to_be_announced: there.time_to_be_announced && change.starts_at.is_none(),
        prices,
        exact_prices,
        fees: change.fees.unwrap_or_else(|| there.fees.clone()),
        rules: change.rules.unwrap_or(there.rules),
        announced: change.announced.unwrap_or(there.announced),
        sale,
        ..there.clone()
    }))
}

fn prices_differ(there: &Show, show: &Show) -> bool {
    there.prices != show.prices || there.exact_prices != show.exact_prices
}

/// What differs of that which seats are put on sale with, as a caller named it.
fn fixed_parts(there: &Show, show: &Show) -> Vec<&'static str> {
    let differs = [
        ("starts_at", there.starts_at != show.starts_at),
        ("prices", prices_differ(there, show)),
        ("fees", there.fees != show.fees),
        ("rules", there.rules != show.rules),
    ];
    let named = differs.into_iter().filter(|(_, differs)| *differs);
    named.map(|(name, _)| name).collect()
}

fn is_on_sale(there: &Show, fixed: &[&str]) -> Failure {
    let what = fixed.join(", ");
    let message = match there.state {
        ShowState::Draft => format!(
            "{what} can't be changed any more: putting the show on sale has begun, and somebody may have \
             seats of it; publish it again, or cancel it and make another"
        ),
        state => format!(
            "{what} can't be changed any more: the show is {state}, and whoever holds or bought its seats \
             relied on it; cancel it and make another"
        ),
    };
    Failure::new(ErrorCode::InvalidState, message)
}
