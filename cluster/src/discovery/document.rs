//! Finds the events of a file, one at a time: pages (`_embedded.events`), single events, lists of
//! events, and any number of those one after the other.
//!
//! Always holds: one event is in memory; [`EVENT_BYTES_MAX`] bytes without the end of one are
//! refused before they are kept; what is wrong is told with line, column and path. A field of the
//! wrong type spoils its event only.

use std::{
    cell::Cell,
    fmt,
    io::{self, Read},
    rc::Rc,
};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};
use serde_path_to_error::Track;

use super::{notes::Mistake, raw::Event};

/// Largest event, and largest stretch of a document without one. Real ones are 5 to 50 kB.
/// Looked at when the buffer is filled.
const EVENT_BYTES_MAX: u64 = 1024 * 1024;

/// What is told of a field of the wrong type, which may be long.
const WHY_CHARS_MAX: usize = 200;

/// What is read of an event.
const EVENT_KEYS: [&str; 12] = [
    "id",
    "type",
    "name",
    "test",
    "description",
    "info",
    "pleaseNote",
    "dates",
    "sales",
    "classifications",
    "priceRanges",
    EMBEDDED,
];
const EMBEDDED: &str = "_embedded";

/// What is read of an event's `_embedded`.
const EMBEDDED_KEYS: [&str; 2] = ["venues", "attractions"];

/// Read from a file at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// What some editors put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Where in a file something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) line: u64,
    /// E.g. `_embedded.events[3]`; empty for a document that is an event.
    pub(crate) path: String,
}

/// A file that can't be read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) at: At,
    /// From 1; 0 where it isn't known.
    pub(crate) column: u64,
    pub(crate) why: String,
}

/// An event, or why it isn't one.
pub(super) type Found = Result<Event, Unreadable>;

/// An event with a field of the wrong type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Empty where it has none.
    pub(super) id: String,
    pub(super) mistake: Mistake,
}

/// Reads `source` to its end, giving every event to `sink`, until that says false.
///
/// # Errors
/// [`Broken`], with all events before it given.
pub(super) fn read(
    source: impl Read,
    sink: &mut dyn FnMut(At, Found) -> bool,
) -> Result<(), Broken> {
    let place = Place::default();
    let counted = Counted::new(source, &place);
    let mut json = serde_json::Deserializer::from_reader(counted);
    let stopped = Cell::new(false);
    let mut document = 0_u64;
    loop {
        place.begin_event();
        if json.end().is_ok() {
            break;
        }
        document += 1;
        let mut track = Track::new();
        let reading = Reading {
            sink: &mut *sink,
            place: &place,
            stopped: &stopped,
        };
        let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
        let read = Document(reading).deserialize(tracked);
        if stopped.get() {
            return Ok(());
        }
        read.map_err(|error| broken(&error, &place, track.path().to_string()))?;
    }
    if document == 0 {
        let why = "is empty: expected a page of events or an event".to_owned();
        return Err(Broken {
            at: At {
                line: 1,
                path: String::new(),
            },
            column: 0,
            why,
        });
    }
    Ok(())
}

fn broken(error: &serde_json::Error, place: &Place, path: String) -> Broken {
    let text = error.to_string();
    // The place is told apart, and in one form.
    let why = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let (line, column) = match error.line() {
        0 => (place.line(), 0),
        line => (line as u64, error.column() as u64),
    };
    let why = if error.is_eof() {
        format!("the file ends in the middle of a document ({why})")
    } else if error.is_syntax() {
        format!("is not JSON: {why}")
    } else {
        why
    };
    // Nothing is known of a place before the first key, or where there should have been one.
    let path = match path.as_str() {
        "." | "?" => String::new(),
        known => known.strip_suffix(".?").unwrap_or(known).to_owned(),
    };
    Broken {
        at: At { line, path },
        column,
        why,
    }
}

/// How far a file was read.
#[derive(Debug, Clone, Default)]
struct Place(Rc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    lines: Cell<u64>,
    bytes: Cell<u64>,
    /// Where the current event, or what is between events, began.
    event_began: Cell<u64>,
}

impl Place {
    fn begin_event(&self) {
        self.0.event_began.set(self.0.bytes.get());
    }

    fn line(&self) -> u64 {
        self.0.lines.get() + 1
    }
}

/// Counts bytes and lines, and ends where an event is too large. It has a buffer of its own because
/// serde_json asks for one byte at a time, and two buffers would be asked for each.
struct Counted<R> {
    source: R,
    buffer: Box<[u8]>,
    next: usize,
    end: usize,
    place: Place,
}

impl<R: Read> Counted<R> {
    fn new(source: R, place: &Place) -> Self {
        Self {
            source,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            next: 0,
            end: 0,
            place: place.clone(),
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let counts = &self.place.0;
        let (bytes, is_start) = (counts.bytes.get(), counts.bytes.get() == 0);
        if bytes - counts.event_began.get() > EVENT_BYTES_MAX {
            let why = format!("more than {EVENT_BYTES_MAX} bytes without the end of an event");
            return Err(io::Error::other(why));
        }
        (self.next, self.end) = (0, self.source.read(&mut self.buffer)?);
        if is_start && self.buffer[..self.end].starts_with(BYTE_ORDER_MARK) {
            self.next = BYTE_ORDER_MARK.len();
        }
        Ok(())
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.next == self.end {
            self.fill()?;
        }
        let count = out.len().min(self.end - self.next);
        let counts = &self.place.0;
        for (to, from) in out.iter_mut().zip(&self.buffer[self.next..self.end]) {
            *to = *from;
            if *from == b'\n' {
                counts.lines.set(counts.lines.get() + 1);
            }
        }
        self.next += count;
        counts.bytes.set(counts.bytes.get() + count as u64);
        Ok(count)
    }
}

/// What goes along while a document is read.
struct Reading<'a> {
    sink: &'a mut dyn FnMut(At, Found) -> bool,
    place: &'a Place,
    stopped: &'a Cell<bool>,
}

impl Reading<'_> {
    fn give<E: serde::de::Error>(&mut self, at: At, event: Fields) -> Result<(), E> {
        self.place.begin_event();
        if (self.sink)(at, typed(event)) {
            return Ok(());
        }
        self.stopped.set(true);
        Err(E::custom("no more is wanted"))
    }
}

/// What is read of an object, as it is written: nobody looked at the types yet.
type Fields = Map<String, Value>;

fn typed(event: Fields) -> Found {
    let id = event.get("id").and_then(Value::as_str);
    let id = id.unwrap_or_default().to_owned();
    serde_path_to_error::deserialize(Value::Object(event)).map_err(|error| {
        let why = error.inner().to_string();
        let mistake = Mistake {
            field: error.path().to_string(),
            why: why.chars().take(WHY_CHARS_MAX).collect(),
        };
        Unreadable { id, mistake }
    })
}

/// Keeps the value of a key that is read, and passes others over.
fn keep<'de, A: MapAccess<'de>>(
    map: &mut A,
    key: String,
    read: &[&str],
    fields: &mut Fields,
) -> Result<(), A::Error> {
    if read.contains(&key.as_str()) {
        fields.insert(key, map.next_value()?);
    } else {
        map.next_value::<IgnoredAny>()?;
    }
    Ok(())
}

/// A document: a page, an event, or a list of events.
struct Document<'a>(Reading<'a>);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of events, an event, or a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, events: A) -> Result<(), A::Error> {
        Events {
            reading: &mut self.0,
            path: "",
        }
        .visit_seq(events)
    }

    /// Keys come in any order, so an event is put together while it is looked for a page.
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let line = self.0.place.line();
        let mut event = Fields::new();
        let (mut has_events, mut has_page) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                EMBEDDED => {
                    let (embedded, had_events) = map.next_value_seed(EmbeddedIn(&mut self.0))?;
                    event.insert(key, Value::Object(embedded));
                    has_events |= had_events;
                }
                "page" => {
                    has_page = true;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => keep(&mut map, key, &EVENT_KEYS, &mut event)?,
            }
        }
        if has_events {
            return Ok(());
        }
        let kind = event.get("type").and_then(Value::as_str).map(str::to_owned);
        let has = |key| event.get(key).is_some_and(|value| !value.is_null());
        let is_event = match &kind {
            Some(kind) => kind == "event",
            None => has("id") && has("dates"),
        };
        if is_event {
            let at = At {
                line,
                path: String::new(),
            };
            return self.0.give(at, event);
        }
        // A search that found nothing has a page and no list.
        let is_empty_page = has_page && !event.contains_key(EMBEDDED);
        match kind {
            _ if is_empty_page => Ok(()),
            Some(kind) => Err(A::Error::custom(format!(
                "this is of type {kind:?}; expected an event, or a page with _embedded.events"
            ))),
            None => Err(A::Error::custom(
                "this is neither a page of events (_embedded.events) nor an event",
            )),
        }
    }
}

/// `_embedded` of a page or of an event; whether it had events.
struct EmbeddedIn<'a, 'b>(&'a mut Reading<'b>);

impl<'de> DeserializeSeed<'de> for EmbeddedIn<'_, '_> {
    type Value = (Fields, bool);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EmbeddedIn<'_, '_> {
    type Value = (Fields, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with events, or with venues and attractions")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Default::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut embedded = Fields::new();
        let mut had_events = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "events" => {
                    had_events = true;
                    map.next_value_seed(Events {
                        reading: &mut *self.0,
                        path: "_embedded.events",
                    })?;
                }
                _ => keep(&mut map, key, &EMBEDDED_KEYS, &mut embedded)?,
            }
        }
        Ok((embedded, had_events))
    }
}

/// A list of events, each given to the sink when it was read.
struct Events<'a, 'b> {
    reading: &'a mut Reading<'b>,
    path: &'static str,
}

impl<'de> DeserializeSeed<'de> for Events<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Events<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<(), A::Error> {
        for index in 0_u64.. {
            self.reading.place.begin_event();
            let Some((line, event)) = events.next_element_seed(OneEvent(self.reading.place))?
            else {
                break;
            };
            let at = At {
                line,
                path: format!("{}[{index}]", self.path),
            };
            self.reading.give(at, event)?;
        }
        Ok(())
    }
}

/// An event and the line that it begins in.
struct OneEvent<'a>(&'a Place);

impl<'de> DeserializeSeed<'de> for OneEvent<'_> {
    type Value = (u64, Fields);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let line = self.0.line();
        Ok((line, deserializer.deserialize_any(EventFields)?))
    }
}

struct EventFields;

impl<'de> Visitor<'de> for EventFields {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut event = Fields::new();
        while let Some(key) = map.next_key()? {
            keep(&mut map, key, &EVENT_KEYS, &mut event)?;
        }
        Ok(event)
    }
}
