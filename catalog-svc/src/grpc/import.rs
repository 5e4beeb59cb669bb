//! Batches of somebody's catalogue on the wire.

use std::collections::HashSet;

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1::{self as wire, import_service_server::ImportService};
use holdfast_types::UserId;
use tonic::{Request, Response, Status};

use super::{Service, events, shows, venues};
use crate::{
    batch::{Batch, BilledEvent, External, Ids, ImportedShow, Performer},
    fields::Fields,
    hall::Hall,
    prices::PriceRange,
    store::import::{Applied, Tally},
};

/// Items of one batch: about a megabyte, and a fraction of a second of the database.
const ITEMS_MAX: usize = 2_000;
/// Performers of one event; the longest festival bills.
pub(super) const PERFORMERS_PER_EVENT_MAX: usize = 50;
const SOURCE_BYTES_MAX: usize = 64;
const EXTERNAL_ID_BYTES_MAX: usize = 120;
pub(super) const PERFORMER_NAME_BYTES_MAX: usize = 400;

#[tonic::async_trait]
impl ImportService for Service {
    async fn upsert_catalogue(
        &self,
        request: Request<wire::UpsertCatalogueRequest>,
    ) -> Result<Response<wire::UpsertCatalogueResponse>, Status> {
        let actor = self.writer(request.metadata()).await?;
        let mut batch = decode(request.get_ref(), actor.user_id)?;
        let applied = self.catalog.upsert_catalogue(actor, &mut batch).await?;
        Ok(Response::new(encode(&batch, applied)))
    }
}

fn decode(request: &wire::UpsertCatalogueRequest, owner_id: UserId) -> Result<Batch, Failure> {
    let mut fields = Fields::default();
    let count = request.venues.len()
        + request.performers.len()
        + request.events.len()
        + request.shows.len();
    if count > ITEMS_MAX {
        let why = format!("has {count} items; at most {ITEMS_MAX} are read");
        return Err(Failure::invalid("request", why));
    }
    let source = source(&request.source, &mut fields);
    let reader = Reader {
        ids: Ids {
            owner_id,
            source: &request.source,
        },
        fields: &mut fields,
    };
    let batch = read(request, reader);
    fields.finish(
        source
            .zip(batch)
            .map(|(source, batch)| Batch { source, ..batch }),
    )
}

/// Lower case, so that one source isn't two.
fn source(text: &str, fields: &mut Fields) -> Option<String> {
    let is_good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-./".contains(&b);
    if (1..=SOURCE_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_good) {
        return Some(text.to_owned());
    }
    let why = format!(
        "must be 1 to {SOURCE_BYTES_MAX} lower-case letters, digits, `-`, `.`, `/`, e.g. ticketmaster"
    );
    fields.note("source", why);
    None
}

fn read(request: &wire::UpsertCatalogueRequest, mut reader: Reader<'_>) -> Option<Batch> {
    let venues = reader.each("venues", &request.venues, |v| &v.external_id, Reader::venue);
    let performers = reader.each(
        "performers",
        &request.performers,
        |p| &p.external_id,
        Reader::performer,
    );
    let events = reader.each("events", &request.events, |e| &e.external_id, Reader::event);
    let shows = reader.each("shows", &request.shows, |s| &s.external_id, Reader::show);
    Some(Batch {
        source: String::new(),
        venues: venues?,
        performers: performers?,
        events: events?,
        shows: shows?,
    })
}

/// Reads items, noting what is wrong with each.
struct Reader<'a> {
    ids: Ids<'a>,
    fields: &'a mut Fields,
}

impl Reader<'_> {
    /// Every item of a kind; `None` if one is wrong.
    fn each<W, T>(
        &mut self,
        kind: &str,
        items: &[W],
        external_id: fn(&W) -> &String,
        read: fn(&mut Self, &str, &W) -> Option<T>,
    ) -> Option<Vec<External<T>>> {
        let mut seen = HashSet::with_capacity(items.len());
        let mut values = Some(Vec::with_capacity(items.len()));
        for (index, item) in items.iter().enumerate() {
            let at = format!("{kind}[{index}]");
            let id = self.reference(&format!("{at}.external_id"), external_id(item));
            if !seen.insert(external_id(item).trim()) {
                self.fields
                    .note(format!("{at}.external_id"), "is that of an earlier one too");
            }
            let value = read(self, &at, item);
            match (id.zip(value), &mut values) {
                (Some((external_id, value)), Some(values)) => {
                    values.push(External { external_id, value });
                }
                _ => values = None,
            }
        }
        values
    }

    fn reference(&mut self, field: &str, external_id: &str) -> Option<String> {
        self.fields.line(field, external_id, EXTERNAL_ID_BYTES_MAX)
    }

    fn venue(&mut self, at: &str, item: &wire::UpsertVenue) -> Option<crate::model::Venue> {
        let mut venue = self.inner(&format!("{at}.venue"), item.venue.as_ref())?;
        self.chosen_here(&format!("{at}.venue.venue_id"), &venue.venue_id);
        venue.venue_id = self.ids.venue(item.external_id.trim()).to_bytes().to_vec();
        venues::read(&format!("{at}.venue"), &venue, self.fields)
    }

    fn performer(&mut self, at: &str, item: &wire::UpsertPerformer) -> Option<Performer> {
        let name = self
            .fields
            .line(&format!("{at}.name"), &item.name, PERFORMER_NAME_BYTES_MAX)?;
        Some(Performer {
            performer_id: self.ids.performer(item.external_id.trim()),
            name,
        })
    }

    fn event(&mut self, at: &str, item: &wire::UpsertEvent) -> Option<BilledEvent> {
        let mut event = self.inner(&format!("{at}.event"), item.event.as_ref())?;
        self.chosen_here(&format!("{at}.event.event_id"), &event.event_id);
        event.event_id = self.ids.event(item.external_id.trim()).to_bytes().to_vec();
        for (name, is_given) in [
            ("performers", !event.performers.is_empty()),
            ("image_url", !event.image_url.is_empty()),
        ] {
            if is_given {
                let field = format!("{at}.event.{name}");
                self.fields.note(field, "can't be given in a batch");
            }
        }
        let event = events::read(&format!("{at}.event"), &event, true, self.fields);
        let field = format!("{at}.performer_external_ids");
        let names = &item.performer_external_ids;
        if names.len() > PERFORMERS_PER_EVENT_MAX {
            let why = format!(
                "are {}; at most {PERFORMERS_PER_EVENT_MAX} are read",
                names.len()
            );
            self.fields.note(field, why);
            return None;
        }
        let mut bill = Vec::with_capacity(names.len());
        for name in names {
            let performer_id = self.ids.performer(&self.reference(&field, name)?);
            if bill.contains(&performer_id) {
                self.fields.note(&field, format!("has {name:?} twice"));
            }
            bill.push(performer_id);
        }
        event.map(|event| BilledEvent { event, bill })
    }

    fn show(&mut self, at: &str, show: &wire::UpsertShow) -> Option<ImportedShow> {
        let of = |name: &str| format!("{at}.{name}");
        let event = self.reference(&of("event_external_id"), &show.event_external_id);
        let venue = self.reference(&of("venue_external_id"), &show.venue_external_id);
        let hall = Hall::of(show.hall_seats)
            .inspect_err(|error| self.fields.note(of("hall_seats"), error.to_string()))
            .ok();
        let starts_at = self.fields.time(&of("starts_at_ms"), show.starts_at_ms);
        let currency = shows::currency(&of("currency"), &show.currency, self.fields);
        let price_range = self.price_range(&of("price_range"), show.price_range.as_ref());
        let mut time =
            |name: &str, ms: Option<i64>| ms.and_then(|ms| self.fields.time(&of(name), ms));
        let sale_starts_at = time("sale_starts_at_ms", show.sale_starts_at_ms);
        let sale_ends_at = time("sale_ends_at_ms", show.sale_ends_at_ms);
        if sale_starts_at
            .zip(sale_ends_at)
            .is_some_and(|(start, end)| end <= start)
        {
            self.fields.note(
                of("sale_ends_at_ms"),
                "must be later than sale_starts_at_ms",
            );
        }
        let rules = shows::rules(&of("rules"), &show.rules.unwrap_or_default(), self.fields);
        Some(ImportedShow {
            show_id: self.ids.show(show.external_id.trim()),
            event_id: self.ids.event(&event?),
            venue_id: self.ids.venue(&venue?),
            hall: hall?,
            starts_at: starts_at?,
            time_to_be_announced: show.time_to_be_announced,
            currency: currency?,
            price_range,
            sale_starts_at,
            sale_ends_at,
            rules: rules?,
            announced: show.announced,
        })
    }

    /// Nothing is fine; something wrong is noted.
    fn price_range(&mut self, at: &str, range: Option<&wire::PriceRange>) -> Option<PriceRange> {
        let wire::PriceRange { min, max } = *range?;
        if (0..=max).contains(&min) && max <= shows::PRICE_MAX {
            return Some(PriceRange { min, max });
        }
        let why = format!(
            "must be from min to max, both from 0 to {} minor units",
            shows::PRICE_MAX
        );
        self.fields.note(at, why);
        None
    }

    fn inner<W: Clone>(&mut self, field: &str, item: Option<&W>) -> Option<W> {
        if item.is_none() {
            self.fields.note(field, "is missing");
        }
        item.cloned()
    }

    fn chosen_here(&mut self, field: &str, id: &[u8]) {
        if !id.is_empty() {
            self.fields
                .note(field, "must be empty; it follows from the external id");
        }
    }
}

fn encode(batch: &Batch, applied: Applied) -> wire::UpsertCatalogueResponse {
    let tally = |tally: Tally| wire::Tally {
        created: tally.created,
        updated: tally.updated,
        unchanged: tally.unchanged,
        kept: tally.kept,
    };
    let upserted = batch
        .shows
        .iter()
        .zip(applied.states)
        .map(|(show, state)| wire::UpsertedShow {
            show_id: show.value.show_id.to_bytes().to_vec(),
            state: state.to_string(),
        });
    wire::UpsertCatalogueResponse {
        venues: Some(tally(applied.venues)),
        performers: Some(tally(applied.performers)),
        events: Some(tally(applied.events)),
        shows: Some(tally(applied.shows)),
        upserted: upserted.collect(),
    }
}
