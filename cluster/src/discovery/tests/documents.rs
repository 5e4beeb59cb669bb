//! Finding events in documents: their forms, broken ones, and ones of any size.

use std::io::Read;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{EVENT, document, events_of};
use crate::discovery::document::Broken;

fn broken(bytes: &[u8]) -> Broken {
    events_of(bytes).1.unwrap_err()
}

#[test]
fn pages_events_lists_and_many_of_them_are_read() {
    let one: Value = serde_json::from_slice(EVENT).unwrap();
    let page = |count: usize| json!({ "page": {}, "_embedded": { "events": vec![&one; count] } });
    let empty = json!({ "_links": {}, "page": { "totalElements": 0 } });
    for (text, count) in [
        (page(3).to_string(), 3),
        (one.to_string(), 1),
        (json!([one, one]).to_string(), 2),
        (empty.to_string(), 0),
        (
            format!("\u{feff}{one}\n\n{}\n{empty}{}", page(2), page(0)),
            3,
        ),
    ] {
        let (events, read) = events_of(text.as_bytes());
        assert_eq!((read, events.len()), (Ok(()), count), "{}", &text[..80]);
    }
    let (events, _) = events_of(format!("{}\n{}", page(1), page(2)).as_bytes());
    let places: Vec<(u64, &str)> = events
        .iter()
        .map(|(at, _)| (at.line, at.path.as_str()))
        .collect();
    let [first, second] = ["_embedded.events[0]", "_embedded.events[1]"];
    assert_eq!(places, [(1, first), (2, first), (2, second)]);
}

#[test]
fn what_is_no_such_document_is_told_with_line_column_and_path() {
    let cases: [(&str, u64, &str, &str); 9] = [
        ("", 1, "", "is empty"),
        ("  \n ", 1, "", "is empty"),
        (
            "{\n \"_embedded\": {\n  \"events\": [{\"id\": 7,}]}}",
            3,
            "_embedded.events[0]",
            "is not JSON",
        ),
        (
            "{\"_embedded\": {\"events\": [7]}}",
            1,
            "_embedded.events[0]",
            "expected an event",
        ),
        ("{\"dates\": \"soon\"}", 1, "", "neither a page"),
        (
            "{\"_embedded\": {\"events\": {}}}",
            1,
            "_embedded.events",
            "expected a list of events",
        ),
        ("{}", 1, "", "neither a page"),
        (
            "{\"type\": \"venue\", \"id\": \"x\"}",
            1,
            "",
            "of type \"venue\"",
        ),
        ("{\"a\": 1,}", 1, "", "is not JSON"),
    ];
    for (text, line, path, why) in cases {
        let broken = broken(text.as_bytes());
        assert_eq!(
            (broken.at.line, broken.at.path.as_str()),
            (line, path),
            "{text}: {broken:?}"
        );
        assert!(broken.why.contains(why), "{text}: {broken:?}");
    }
    assert!(broken(b"\xff\xfe").why.contains("is not JSON"));
}

#[test]
fn a_field_of_the_wrong_type_spoils_its_event_only() {
    let bend = |pointer: &str, value: Value| {
        let mut event: Value = serde_json::from_slice(EVENT).unwrap();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let bad = [
        ("/name", json!(7), "name", "G5diZfkn0B-bh"),
        ("/id", json!({}), "id", ""),
        ("/_embedded", json!("x"), "_embedded", "G5diZfkn0B-bh"),
        (
            "/_embedded/venues/0/city/name",
            json!(["x".repeat(1_000)]),
            "_embedded.venues[0].city.name",
            "G5diZfkn0B-bh",
        ),
    ];
    let good: Value = serde_json::from_slice(EVENT).unwrap();
    for (pointer, value, field, id) in bad {
        let page = json!({ "_embedded": { "events": [bend(pointer, value), good] } });
        let mut found = Vec::new();
        let read = document::read(page.to_string().as_bytes(), &mut |at, event| {
            found.push((at.path, event));
            true
        });
        assert_eq!((read, found.len()), (Ok(()), 2), "{pointer}");
        let (path, unreadable) = found.remove(0);
        let unreadable = unreadable.unwrap_err();
        assert_eq!(path, "_embedded.events[0]");
        assert_eq!(
            (unreadable.mistake.field.as_str(), unreadable.id.as_str()),
            (field, id)
        );
        let why = unreadable.mistake.why;
        assert!(why.contains("invalid type") && why.len() <= 200, "{why}");
        assert!(found.remove(0).1.is_ok());
    }
    // A document of one event too.
    let one = bend("/priceRanges/0/min", json!("cheap")).to_string();
    let mut fields = Vec::new();
    let read = document::read(one.as_bytes(), &mut |_, event| {
        fields.push(event.unwrap_err().mistake.field);
        true
    });
    assert_eq!((read, fields), (Ok(()), vec!["priceRanges[0].min".into()]));
}

/// A page of as many events as asked for, made while it is read.
struct Endless {
    left: u64,
    event: Vec<u8>,
    buffer: Vec<u8>,
}

impl Endless {
    fn of(count: u64) -> Self {
        let one: Value = serde_json::from_slice(EVENT).unwrap();
        Self {
            left: count,
            event: format!("{one},\n").into_bytes(),
            buffer: b"{\"_embedded\": {\"events\": [\n".to_vec(),
        }
    }
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.buffer.is_empty() && self.left > 0 {
            self.left -= 1;
            self.buffer.clone_from(&self.event);
            if self.left == 0 {
                self.buffer.truncate(self.event.len() - 2);
                self.buffer.extend_from_slice(b"]}}");
            }
        }
        let count = out.len().min(self.buffer.len());
        out[..count].copy_from_slice(&self.buffer[..count]);
        self.buffer.drain(..count);
        Ok(count)
    }
}

#[test]
fn a_long_page_is_read_one_event_at_a_time() {
    let mut lines = Vec::new();
    let read = document::read(Endless::of(5_000), &mut |at, event| {
        assert_eq!(event.unwrap().name.as_deref(), Some("Radiohead"));
        lines.push(at.line);
        true
    });
    assert_eq!(read, Ok(()));
    assert_eq!(lines, (2..5_002).collect::<Vec<u64>>());
    // Who wants no more isn't given more.
    let mut given = 0;
    let read = document::read(Endless::of(5_000), &mut |_, _| {
        given += 1;
        given < 10
    });
    assert_eq!((read, given), (Ok(()), 10));
}

#[test]
fn an_event_without_end_is_refused_before_it_fills_the_memory() {
    let begin = b"{\"_embedded\": {\"events\": [{\"id\": \"";
    let endless = begin.chain(std::io::repeat(b'x'));
    let broken = events_of(endless).1.unwrap_err();
    assert!(
        broken.why.contains("without the end of an event"),
        "{broken:?}"
    );
    let ignored = b"{\"other\": \"".chain(std::io::repeat(b'x'));
    assert!(events_of(ignored).1.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_real_document_cut_anywhere_is_refused(end in 1..EVENT.len()) {
        prop_assume!(!EVENT[end..].iter().all(u8::is_ascii_whitespace));
        let (_, read) = events_of(&EVENT[..end]);
        let why = read.unwrap_err().why;
        prop_assert!(why.contains("ends in the middle"), "{}", why);
    }

    #[test]
    fn no_document_makes_it_panic(text in "[\\[\\]{}\",:0-9a-z_ \\\\]{0,200}") {
        let _ = events_of(text.as_bytes());
    }
}
