//! Events on the wire.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::EventId;

use crate::{
    cursor::EventCursor,
    fields::Fields,
    model::{Classification, Event, Performer},
};

/// booking-svc takes up to 500.
const TITLE_BYTES_MAX: usize = 400;
const DESCRIPTION_BYTES_MAX: usize = 20_000;
const CATEGORY_BYTES_MAX: usize = 32;
const CLASSIFICATION_BYTES_MAX: usize = 120;

/// The event of a request that makes or changes one.
pub(super) fn decode(event: Option<&wire::Event>) -> Result<Event, Failure> {
    let mut fields = Fields::default();
    let event = match event {
        Some(event) => read("event", event, &mut fields),
        None => {
            fields.note("event", "is missing");
            None
        }
    };
    fields.finish(event)
}

/// An event whose fields are called `at` and their own name.
pub(super) fn read(at: &str, event: &wire::Event, fields: &mut Fields) -> Option<Event> {
    let of = |name: &str| format!("{at}.{name}");
    let event_id = fields.id(&of("event_id"), &event.event_id, EventId::from_slice);
    let title = fields.line(&of("title"), &event.title, TITLE_BYTES_MAX);
    let description = fields.paragraphs(
        &of("description"),
        &event.description,
        DESCRIPTION_BYTES_MAX,
    );
    let category = category(&of("category"), &event.category, fields);
    let classification = match &event.classification {
        None => Some(Classification::default()),
        Some(words) => classification(&of("classification"), words, fields),
    };
    if !event.performers.is_empty() {
        fields.note(
            of("performers"),
            "can't be given here; an import gives them",
        );
    }
    Some(Event {
        event_id: event_id?,
        title: title?,
        description: description?,
        category: category?,
        classification: classification?,
        performers: Vec::new(),
    })
}

/// Nothing narrow without the broader.
fn classification(
    at: &str,
    words: &wire::Classification,
    fields: &mut Fields,
) -> Option<Classification> {
    let mut word = |name: &str, text: &str, is_last: bool| {
        let field = format!("{at}.{name}");
        if is_last {
            fields.line_or_empty(&field, text, CLASSIFICATION_BYTES_MAX)
        } else {
            fields.line(&field, text, CLASSIFICATION_BYTES_MAX)
        }
    };
    let (genre, sub_genre) = (words.genre.trim(), words.sub_genre.trim());
    let segment = word(
        "segment",
        &words.segment,
        genre.is_empty() && sub_genre.is_empty(),
    );
    let genre = word("genre", genre, sub_genre.is_empty());
    let sub_genre = word("sub_genre", sub_genre, true);
    Some(Classification {
        segment: segment?,
        genre: genre?,
        sub_genre: sub_genre?,
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
    let Classification {
        segment,
        genre,
        sub_genre,
    } = event.classification;
    let classification = (!segment.is_empty()).then_some(wire::Classification {
        segment,
        genre,
        sub_genre,
    });
    let performer = |performer: Performer| wire::Performer {
        performer_id: performer.performer_id.to_bytes().to_vec(),
        name: performer.name,
    };
    wire::Event {
        classification,
        performers: event.performers.into_iter().map(performer).collect(),
        event_id: event.event_id.to_bytes().to_vec(),
        title: event.title,
        description: event.description,
        category: event.category,
    }
}
