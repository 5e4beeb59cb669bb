//! A plan as a file of the pretix format.
//!
//! Always holds: a plan that was imported goes out as the bytes that came in, so nothing of the file is
//! lost, whatever else it says; importing what goes out gives the same seats. Leaves to others: who may
//! read whose plan by its shows (`GetSeatMap` is public with them).

use holdfast_mesh::Failure;
use holdfast_types::PlanId;

use super::Catalog;
use crate::{access::Actor, plan, store};

impl Catalog {
    pub(crate) async fn export_plan(&self, actor: Actor, id: PlanId) -> Result<Vec<u8>, Failure> {
        self.own_plan(actor, id).await?;
        let _permit = self.large_read_permit().await;
        if let Some(file) = store::plan_files::find(&self.pool, id).await? {
            return Ok(file);
        }
        let plan = store::plan_files::read(&self.pool, id).await?;
        // Off the threads that serve: the largest takes a moment.
        let written = tokio::task::spawn_blocking(move || plan::write(&plan)).await;
        written.map_err(|panic| Failure::internal(&panic))
    }
}
