//! Calls about performers.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::PerformerId;
use tonic::Request;

use crate::{
    fields::Fields,
    grpc::{
        Service,
        asked::asked,
        if_version,
        own::{PageOf, next_own},
        performer_not_found, performers,
    },
    store,
};

impl Service {
    pub(in crate::grpc) async fn create_performer(
        &self,
        request: Request<wire::CreatePerformerRequest>,
    ) -> Result<wire::CreatePerformerResponse, Failure> {
        let actor = self.writer(request.metadata()).await?;
        let mut request = request.into_inner();
        let asked = asked(&mut request, actor)?;
        let performer = performers::decode(request.performer.as_ref())?;
        let made = self
            .catalog
            .create_performer(actor, performer, &asked)
            .await?;
        Ok(wire::CreatePerformerResponse {
            performer: Some(performers::encode_own(made.value)),
            replayed: made.replayed,
        })
    }

    pub(in crate::grpc) async fn get_performer(
        &self,
        request: Request<wire::GetPerformerRequest>,
    ) -> Result<wire::GetPerformerResponse, Failure> {
        let actor = self.actor(request.metadata()).await?;
        let mut fields = Fields::default();
        let id = &request.get_ref().performer_id;
        let id = fields.id("performer_id", id, PerformerId::from_slice);
        let found = store::performers::find(&self.catalog.pool, fields.finish(id)?).await?;
        let own = found.filter(|performer| actor.may_change(performer.owner_id));
        let performer = own.ok_or_else(performer_not_found)?.value;
        Ok(wire::GetPerformerResponse {
            performer: Some(performers::encode_own(performer)),
        })
    }

    pub(in crate::grpc) async fn update_performer(
        &self,
        request: Request<wire::UpdatePerformerRequest>,
    ) -> Result<wire::UpdatePerformerResponse, Failure> {
        let actor = self.writer(request.metadata()).await?;
        let performer = performers::decode_change(request.get_ref())?;
        let if_version = if_version(&request.get_ref().if_version);
        let performer = self
            .catalog
            .update_performer(actor, performer, if_version)
            .await?;
        Ok(wire::UpdatePerformerResponse {
            performer: Some(performers::encode_own(performer)),
        })
    }

    pub(in crate::grpc) async fn list_own_performers(
        &self,
        request: Request<wire::ListOwnPerformersRequest>,
    ) -> Result<wire::ListOwnPerformersResponse, Failure> {
        let actor = self.actor(request.metadata()).await?;
        let wire::ListOwnPerformersRequest { limit, cursor } = request.get_ref();
        let page = PageOf::decode::<'f'>(*limit, cursor)?;
        let (pool, after) = (&self.catalog.pool, page.after.map(PerformerId::from));
        let mut found =
            store::performers::of_owner(pool, actor.user_id, after, page.limit + 1).await?;
        let next_cursor = next_own::<'f', _>(&mut found, page, |last| last.performer_id.as_uuid());
        Ok(wire::ListOwnPerformersResponse {
            performers: found.into_iter().map(performers::encode_own).collect(),
            next_cursor,
        })
    }
}
