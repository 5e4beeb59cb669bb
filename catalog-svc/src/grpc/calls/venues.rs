//! Calls about venues.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::VenueId;
use tonic::Request;

use crate::{
    grpc::{
        Service,
        asked::asked,
        if_version,
        own::{PageOf, next_own},
        venues,
    },
    store,
};

impl Service {
    pub(in crate::grpc) async fn create_venue(
        &self,
        request: Request<wire::CreateVenueRequest>,
    ) -> Result<wire::CreateVenueResponse, Failure> {
        let actor = self.venue_writer(request.metadata()).await?;
        let mut request = request.into_inner();
        let asked = asked(&mut request, actor)?;
        let venue = venues::decode(request)?;
        let made = self.catalog.create_venue(actor, venue, &asked).await?;
        Ok(wire::CreateVenueResponse {
            venue: Some(venues::encode(made.value)),
            replayed: made.replayed,
        })
    }

    pub(in crate::grpc) async fn get_venue(
        &self,
        request: Request<wire::GetVenueRequest>,
    ) -> Result<wire::GetVenueResponse, Failure> {
        let actor = self.venue_actor(request.metadata()).await?;
        let venue = self.own_venue(actor, &request.get_ref().venue_id).await?;
        Ok(wire::GetVenueResponse {
            venue: Some(venues::encode(venue)),
        })
    }

    pub(in crate::grpc) async fn update_venue(
        &self,
        request: Request<wire::UpdateVenueRequest>,
    ) -> Result<wire::UpdateVenueResponse, Failure> {
        let actor = self.venue_writer(request.metadata()).await?;
        let (id, change) = venues::decode_change(request.get_ref())?;
        let if_version = if_version(&request.get_ref().if_version);
        let venue = self
            .catalog
            .update_venue(actor, id, change, if_version)
            .await?;
        Ok(wire::UpdateVenueResponse {
            venue: Some(venues::encode(venue)),
        })
    }

    pub(in crate::grpc) async fn list_own_venues(
        &self,
        request: Request<wire::ListOwnVenuesRequest>,
    ) -> Result<wire::ListOwnVenuesResponse, Failure> {
        let actor = self.venue_actor(request.metadata()).await?;
        let wire::ListOwnVenuesRequest { limit, cursor } = request.get_ref();
        let page = PageOf::decode::<'v'>(*limit, cursor)?;
        let (pool, after) = (&self.catalog.pool, page.after.map(VenueId::from));
        let mut venues =
            store::venues::of_owner(pool, actor.user_id, after, page.limit + 1).await?;
        let next_cursor = next_own::<'v', _>(&mut venues, page, |last| last.venue_id.as_uuid());
        Ok(wire::ListOwnVenuesResponse {
            venues: venues.into_iter().map(venues::encode).collect(),
            next_cursor,
        })
    }
}
