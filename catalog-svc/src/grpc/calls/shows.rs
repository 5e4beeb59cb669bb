//! Calls about shows, their seats and their sales.

use chrono::Utc;
use holdfast_mesh::{
    Failure,
    auth::{self, Scope},
    deadline::Deadline,
};
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::{EventId, ShowId};
use tonic::Request;

use crate::{
    clients::inventory::OnBehalf,
    cursor::ShowCursor,
    fields::Fields,
    grpc::{
        Service,
        asked::asked,
        if_version,
        own::{PageOf, next_cursor, next_own},
        show_not_found, shows,
    },
    store,
};

impl Service {
    pub(in crate::grpc) async fn create_show(
        &self,
        request: Request<wire::CreateShowRequest>,
    ) -> Result<wire::CreateShowResponse, Failure> {
        let actor = self.writer(request.metadata()).await?;
        let mut request = request.into_inner();
        let asked = asked(&mut request, actor)?;
        let show = shows::decode(request)?;
        let made = self.catalog.create_show(actor, show, &asked).await?;
        Ok(wire::CreateShowResponse {
            show: Some(shows::encode_own(made.value)),
            replayed: made.replayed,
        })
    }

    pub(in crate::grpc) async fn update_show(
        &self,
        request: Request<wire::UpdateShowRequest>,
    ) -> Result<wire::UpdateShowResponse, Failure> {
        let actor = self.writer(request.metadata()).await?;
        let (id, change) = shows::decode_update(request.get_ref())?;
        let if_version = if_version(&request.get_ref().if_version);
        let show = self
            .catalog
            .update_show(actor, id, change, if_version)
            .await?;
        Ok(wire::UpdateShowResponse {
            show: Some(shows::encode_own(show)),
        })
    }

    pub(in crate::grpc) async fn get_own_show(
        &self,
        request: Request<wire::GetOwnShowRequest>,
    ) -> Result<wire::GetOwnShowResponse, Failure> {
        let actor = self.actor(request.metadata()).await?;
        let id = show_id(&request.get_ref().show_id)?;
        let found = store::shows::find(&self.catalog.pool, id).await?;
        let own = found.filter(|show| actor.may_change(show.owner_id));
        Ok(wire::GetOwnShowResponse {
            show: Some(shows::encode_own(own.ok_or_else(show_not_found)?)),
        })
    }

    pub(in crate::grpc) async fn list_own_shows(
        &self,
        request: Request<wire::ListOwnShowsRequest>,
    ) -> Result<wire::ListOwnShowsResponse, Failure> {
        let actor = self.actor(request.metadata()).await?;
        let wire::ListOwnShowsRequest {
            event_id,
            limit,
            cursor,
        } = request.get_ref();
        let mut fields = Fields::default();
        let event_id = match event_id.as_slice() {
            [] => None,
            id => fields.id("event_id", id, EventId::from_slice),
        };
        let page = PageOf::read::<'w'>(*limit, cursor, &mut fields);
        let page = fields.finish(page)?;
        let (pool, after) = (&self.catalog.pool, page.after.map(ShowId::from));
        let (owner, limit) = (actor.user_id, page.limit + 1);
        let mut shows = store::shows::of_owner(pool, owner, event_id, after, limit).await?;
        let next_cursor = next_own::<'w', _>(&mut shows, page, |last| last.show_id.as_uuid());
        Ok(wire::ListOwnShowsResponse {
            shows: shows.into_iter().map(shows::encode).collect(),
            next_cursor,
        })
    }

    pub(in crate::grpc) async fn get_show_sales(
        &self,
        request: Request<wire::GetShowSalesRequest>,
    ) -> Result<wire::GetShowSalesResponse, Failure> {
        let actor = self.reader(request.metadata(), &[Scope::SalesRead]).await?;
        let on_behalf = on_behalf(&request);
        let id = show_id(&request.get_ref().show_id)?;
        let sales = self.catalog.show_sales(actor, &on_behalf, id).await?;
        Ok(shows::encode_sales(sales))
    }

    pub(in crate::grpc) async fn publish_show(
        &self,
        request: Request<wire::PublishShowRequest>,
    ) -> Result<wire::PublishShowResponse, Failure> {
        let actor = self.writer(request.metadata()).await?;
        let on_behalf = on_behalf(&request);
        let id = show_id(&request.get_ref().show_id)?;
        let show = self
            .catalog
            .publish_show(actor, &on_behalf, id, Utc::now())
            .await?;
        Ok(wire::PublishShowResponse {
            show: Some(shows::encode_own(show)),
        })
    }

    pub(in crate::grpc) async fn change_show_state(
        &self,
        request: Request<wire::ChangeShowStateRequest>,
    ) -> Result<wire::ChangeShowStateResponse, Failure> {
        let actor = self.writer(request.metadata()).await?;
        let on_behalf = on_behalf(&request);
        let (id, state) = shows::decode_change(request.get_ref())?;
        let show = self
            .catalog
            .change_show_state(actor, &on_behalf, id, state)
            .await?;
        Ok(wire::ChangeShowStateResponse {
            show: Some(shows::encode_own(show)),
        })
    }

    pub(in crate::grpc) async fn get_show(
        &self,
        request: Request<wire::GetShowRequest>,
    ) -> Result<wire::GetShowResponse, Failure> {
        let id = show_id(&request.get_ref().show_id)?;
        let show = self.visible_show(request.metadata(), id).await?;
        Ok(wire::GetShowResponse {
            show: Some(shows::encode(show)),
        })
    }

    pub(in crate::grpc) async fn list_shows(
        &self,
        request: Request<wire::ListShowsRequest>,
    ) -> Result<wire::ListShowsResponse, Failure> {
        let (filter, limit) = shows::decode_list(request.get_ref(), Utc::now())?;
        let mut shows = store::shows::page(&self.catalog.pool, &filter, limit + 1).await?;
        let next_cursor = next_cursor(&mut shows, limit, |last| {
            ShowCursor {
                starts_at: last.starts_at,
                show_id: last.show_id,
            }
            .to_string()
        });
        let shows = shows.into_iter().map(shows::encode).collect();
        Ok(wire::ListShowsResponse { shows, next_cursor })
    }

    pub(in crate::grpc) async fn read_shows(
        &self,
        request: Request<wire::ReadShowsRequest>,
    ) -> Result<wire::ReadShowsResponse, Failure> {
        let (which, after, limit) = shows::decode_read(request.into_inner())?;
        let shows = store::shows::read(&self.catalog.pool, &which, after, limit).await?;
        Ok(wire::ReadShowsResponse {
            shows: shows.into_iter().map(shows::encode).collect(),
        })
    }

    pub(in crate::grpc) async fn get_seat_map(
        &self,
        request: Request<wire::GetSeatMapRequest>,
    ) -> Result<wire::GetSeatMapResponse, Failure> {
        let id = show_id(&request.get_ref().show_id)?;
        let show = self.visible_show(request.metadata(), id).await?;
        let pool = &self.catalog.pool;
        let size = store::seat_map::size(pool, show.plan_id).await?;
        let categories = store::seat_map::categories(pool, show.plan_id).await?;
        let areas = store::seat_map::areas(pool, show.plan_id).await?;
        let mut connection = pool.acquire().await.map_err(store::Error::from)?;
        let seats = store::seat_map::seats(&mut connection, show.plan_id).await?;
        drop(connection);
        Ok(shows::encode_seat_map(
            &show, size, categories, areas, seats,
        ))
    }
}

fn on_behalf<T>(request: &Request<T>) -> OnBehalf {
    OnBehalf {
        authorization: request.metadata().get(auth::HEADER).cloned(),
        organisation: request.metadata().get(auth::ORGANISATION).cloned(),
        deadline: Deadline::of(request),
    }
}

fn show_id(bytes: &[u8]) -> Result<ShowId, Failure> {
    let mut fields = Fields::default();
    let id = fields.id("show_id", bytes, ShowId::from_slice);
    fields.finish(id)
}
