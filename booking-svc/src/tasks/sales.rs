//! Consumes what the catalogue tells of shows that are on sale: when that begins and ends. On a cursor of its
//! own, so that a release that doesn't know of it leaves nothing out.

use std::sync::Arc;

use chrono::DateTime;
use holdfast_eventlog::{Event, HandleError, Handler};
use holdfast_proto::events::v1;
use holdfast_types::ShowId;
use prost::Message;

use crate::{app::App, store::shows::SaleTimes};

/// Cursor name.
pub(crate) const CONSUMER: &str = "booking-sales";
/// Topics read.
pub(crate) const TOPICS: &[&str] = &["sale"];

/// Keeps the times that it is told.
#[derive(Debug, Clone)]
pub(crate) struct SaleTimesTold {
    pub(crate) app: Arc<App>,
}

impl Handler for SaleTimesTold {
    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        if event.event_type != "ShowSaleChanged" {
            return Ok(());
        }
        let (show_id, sale) = decode(event).map_err(HandleError::Permanent)?;
        match self.app.change_sale(show_id, sale).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_outage() => Err(HandleError::Unavailable(error.to_string())),
            Err(error) => Err(HandleError::Retry(error.to_string())),
        }
    }
}

fn decode(event: &Event) -> Result<(ShowId, SaleTimes), String> {
    let bad = |what: &dyn std::fmt::Display| format!("{} {}: {what}", event.event_type, event.id);
    let told =
        v1::ShowSaleChanged::decode(event.payload.as_slice()).map_err(|error| bad(&error))?;
    let time = |ms: Option<i64>| match ms.map(DateTime::from_timestamp_millis) {
        Some(None) => Err(bad(&"a time out of range")),
        at => Ok(at.flatten()),
    };
    let sale = SaleTimes {
        starts_at: time(told.sale_starts_at_ms)?,
        ends_at: time(told.sale_ends_at_ms)?,
        version: i32::try_from(told.sale_version).map_err(|error| bad(&error))?,
    };
    let show_id = ShowId::from_slice(&told.show_id).map_err(|error| bad(&error))?;
    Ok((show_id, sale))
}
