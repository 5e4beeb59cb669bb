//! Decode, call the use case, encode. No SQL, no rules.

pub(crate) mod booking;
mod inventory;
mod sales;

use std::sync::Arc;

use holdfast_mesh::{
    Failure,
    auth::{Claims, Scope, Verifier},
};
use holdfast_proto::booking::v1::{
    booking_service_server::BookingServiceServer, inventory_service_server::InventoryServiceServer,
    sales_service_server::SalesServiceServer,
};
use holdfast_types::{BookingId, ErrorCode, ShowId, UserId};
use tonic::{metadata::MetadataMap, service::Routes};

use crate::{
    app::{App, rights::Actor},
    clients::identity::Identity,
};

/// Largest request that `OpenInventory` reads: 100,000 seats of about 100 bytes, doubled.
const LAYOUT_BYTES_MAX: usize = 20 * 1024 * 1024;

/// All three services.
pub(crate) fn routes(app: Arc<App>, verifier: Verifier, identity: Identity) -> Routes {
    let service = Service {
        app,
        verifier,
        identity,
    };
    Routes::new(BookingServiceServer::new(service.clone()))
        .add_service(SalesServiceServer::new(service.clone()))
        .add_service(
            InventoryServiceServer::new(service).max_decoding_message_size(LAYOUT_BYTES_MAX),
        )
}

#[derive(Debug, Clone)]
struct Service {
    app: Arc<App>,
    verifier: Verifier,
    identity: Identity,
}

impl Service {
    async fn claims(&self, metadata: &MetadataMap) -> Result<Claims, Failure> {
        self.verifier.authenticate(metadata).await
    }

    /// The account behind the call; an operator's token has none and can't buy.
    async fn user(&self, metadata: &MetadataMap) -> Result<UserId, Failure> {
        let claims = self.claims(metadata).await?;
        if claims.user_id.as_uuid().is_nil() {
            return Err(Failure::new(
                ErrorCode::Forbidden,
                "an operator has no bookings",
            ));
        }
        Ok(claims.user_id)
    }

    /// The organiser or admin behind the call.
    async fn organiser(&self, metadata: &MetadataMap) -> Result<Actor, Failure> {
        Actor::of(&self.writer(metadata).await?, metadata)
    }

    /// The same, where only what was sold is read.
    async fn sales_reader(&self, metadata: &MetadataMap) -> Result<Actor, Failure> {
        let scopes = &[Scope::SalesRead];
        let claims = self.verifier.authenticate_for(metadata, scopes).await?;
        Actor::reading(&claims, metadata)
    }

    /// Whoever calls, by a key that changes the catalogue, too.
    async fn writer(&self, metadata: &MetadataMap) -> Result<Claims, Failure> {
        let scopes = &[Scope::CatalogueWrite];
        self.verifier.authenticate_for(metadata, scopes).await
    }
}

fn show_id(bytes: &[u8]) -> Result<ShowId, Failure> {
    ShowId::from_slice(bytes).map_err(|error| Failure::invalid("show_id", error.to_string()))
}

fn booking_id(bytes: &[u8]) -> Result<BookingId, Failure> {
    BookingId::from_slice(bytes).map_err(|error| Failure::invalid("booking_id", error.to_string()))
}
