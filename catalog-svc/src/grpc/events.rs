//! Events on the wire.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::EventId;

use crate::{cursor::EventCursor, fields::Fields, model::Event};

/// booking-svc takes up to 500.
const TITLE_BYTES_MAX: usize = 400;
const DESCRIPTION_BYTES_MAX: usize = 20_000;
const CATEGORY_BYTES_MAX: usize = 32;

/// The event of a request that makes or changes one.
pub(super) fn decode(event: Option<&wire::Event>) -> Result<Event, Failure> {
    let mut fields = Fields::default();
    let event = match event {
        Some(event) => read(event, &mut fields),
        None => {
            fields.note("event", "is missing");
            None
        }
    };
    fields.finish(event)
}

fn read(event: &wire::Event, fields: &mut Fields) -> Option<Event> {
    let event_id = fields.id("event.event_id", &event.event_id, EventId::from_slice);
    let title = fields.line("event.title", &event.title, TITLE_BYTES_MAX);
    let description = fields.paragraphs(
        "event.description",
        &event.description,
        DESCRIPTION_BYTES_MAX,
    );
    let category = category("event.category", &event.category, fields);
    Some(Event {
        event_id: event_id?,
        title: title?,
        description: description?,
        category: category?,
    })
}

/// One word, lower case.
pub(super) fn category(field: &str, text: &str, fields: &mut Fields) -> Option<String> {
    let is_word = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if is_word && text.len() <= CATEGORY_BYTES_MAX {
        return Some(text.to_owned());
    }
    fields.note(
        field,
        format!("must be one word of lower-case letters, at most {CATEGORY_BYTES_MAX}, e.g. music"),
    );
    None
}

/// After which event, and how many.
pub(super) fn decode_list(
    request: &wire::ListEventsRequest,
) -> Result<(Option<EventId>, u32), Failure> {
    let mut fields = Fields::default();
    let limit = fields.page_limit("limit", request.limit);
    let after = match request.cursor.as_str() {
        "" => None,
        text => text
            .parse()
            .map_err(|error: crate::cursor::CursorError| fields.note("cursor", error.to_string()))
            .ok(),
    };
    let limit = fields.finish(limit)?;
    Ok((after.map(|EventCursor { event_id }| event_id), limit))
}

pub(super) fn encode(event: Event) -> wire::Event {
    wire::Event {
        event_id: event.event_id.to_bytes().to_vec(),
        title: event.title,
        description: event.description,
        category: event.category,
    }
}
