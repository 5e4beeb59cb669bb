//! Events on the wire.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::{EventId, PerformerId};
use tonic::codegen::http::Uri;

use super::{import::PERFORMERS_PER_EVENT_MAX, performers};
use crate::{
    cursor::EventCursor,
    fields::Fields,
    model::{Classification, Event, EventChange},
};

/// booking-svc takes up to 500.
const TITLE_BYTES_MAX: usize = 400;
const DESCRIPTION_BYTES_MAX: usize = 20_000;
const CATEGORY_BYTES_MAX: usize = 32;
const CLASSIFICATION_BYTES_MAX: usize = 120;

/// A picture's address; browsers take as much.
const IMAGE_URL_BYTES_MAX: usize = 2_000;

/// What may change of an event, by the names of its fields.
const CHANGING: [&str; 6] = [
    "title",
    "description",
    "category",
    "classification",
    "performers",
    "image_url",
];
/// What changes where no field is named: what there was when none could be.
const CHANGING_UNNAMED: [&str; 4] = ["title", "description", "category", "classification"];

/// The event of a request that makes one, without its bill, and who is on the bill.
pub(super) fn decode(event: Option<&wire::Event>) -> Result<(Event, Vec<PerformerId>), Failure> {
    let Some(event) = event else {
        return Err(Failure::invalid("event", "is missing"));
    };
    let mut fields = Fields::default();
    let bill = bill("event.performers", &event.performers, &mut fields);
    let event = read("event", event, false, &mut fields);
    fields.finish(event.zip(bill))
}

/// Which event is to change, and what of it.
pub(super) fn decode_change(
    request: &wire::UpdateEventRequest,
) -> Result<(EventId, EventChange), Failure> {
    let Some(event) = &request.event else {
        return Err(Failure::invalid("event", "is missing"));
    };
    let mut fields = Fields::default();
    let id = fields.id("event.event_id", &event.event_id, EventId::from_slice);
    let named: Vec<&str> = match request.fields.as_slice() {
        [] => CHANGING_UNNAMED.to_vec(),
        named => named.iter().map(String::as_str).collect(),
    };
    let mut change = EventChange::default();
    for name in named {
        let field = format!("event.{name}");
        match name {
            "title" => change.title = fields.line(&field, &event.title, TITLE_BYTES_MAX),
            "description" => {
                change.description =
                    fields.paragraphs(&field, &event.description, DESCRIPTION_BYTES_MAX);
            }
            "category" => change.category = category(&field, &event.category, &mut fields),
            "classification" => {
                change.classification = match &event.classification {
                    None => Some(Classification::default()),
                    Some(words) => classification(&field, words, &mut fields),
                };
            }
            "performers" => change.performers = bill(&field, &event.performers, &mut fields),
            "image_url" => change.image_url = image_url(&field, &event.image_url, &mut fields),
            _ => fields.note("fields", format!("{name:?} is none of {CHANGING:?}")),
        }
    }
    fields.finish(id.map(|id| (id, change)))
}

/// Who is on, none twice.
fn bill(at: &str, performers: &[wire::Performer], fields: &mut Fields) -> Option<Vec<PerformerId>> {
    if performers.len() > PERFORMERS_PER_EVENT_MAX {
        let count = performers.len();
        let why = format!("are {count}; at most {PERFORMERS_PER_EVENT_MAX} are read");
        fields.note(at, why);
        return None;
    }
    let mut ids = Vec::with_capacity(performers.len());
    for (index, performer) in performers.iter().enumerate() {
        let field = format!("{at}[{index}]");
        let id = fields.id(&field, &performer.performer_id, PerformerId::from_slice)?;
        if ids.contains(&id) {
            fields.note(field, "is there twice");
        }
        ids.push(id);
    }
    Some(ids)
}

/// Empty, or the address of a picture that a page served over https can show.
fn image_url(field: &str, text: &str, fields: &mut Fields) -> Option<String> {
    let text = fields.line_or_empty(field, text, IMAGE_URL_BYTES_MAX)?;
    let is_fine = |uri: Uri| {
        let host = uri.authority().is_some_and(|authority| {
            !authority.host().is_empty() && !authority.as_str().contains('@')
        });
        uri.scheme_str() == Some("https") && host
    };
    if text.is_empty() || text.parse().is_ok_and(is_fine) {
        return Some(text);
    }
    fields.note(
        field,
        "must be an https:// address without a user, e.g. https://images.example/1.jpg",
    );
    None
}

/// An event whose fields are called `at` and their own name; who is on is read apart. Its category may
/// have to be found by its classification.
pub(super) fn read(
    at: &str,
    event: &wire::Event,
    may_lack_category: bool,
    fields: &mut Fields,
) -> Option<Event> {
    let of = |name: &str| format!("{at}.{name}");
    let event_id = fields.id(&of("event_id"), &event.event_id, EventId::from_slice);
    let title = fields.line(&of("title"), &event.title, TITLE_BYTES_MAX);
    let description = fields.paragraphs(
        &of("description"),
        &event.description,
        DESCRIPTION_BYTES_MAX,
    );
    let category = match event.category.as_str() {
        "" if may_lack_category => Some(String::new()),
        named => category(&of("category"), named, fields),
    };
    let classification = match &event.classification {
        None => Some(Classification::default()),
        Some(words) => classification(&of("classification"), words, fields),
    };
    let image_url = image_url(&of("image_url"), &event.image_url, fields);
    Some(Event {
        event_id: event_id?,
        title: title?,
        description: description?,
        category: category?,
        category_path: Vec::new(),
        classification: classification?,
        performers: Vec::new(),
        image_url: image_url?,
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
    let version = event.version();
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
    wire::Event {
        classification,
        performers: event
            .performers
            .into_iter()
            .map(performers::encode)
            .collect(),
        event_id: event.event_id.to_bytes().to_vec(),
        title: event.title,
        description: event.description,
        category: event.category,
        category_path: event.category_path,
        version,
        image_url: event.image_url,
    }
}
