//! What rpcs promise about being repeated: `idempotency_level` and the words above it agree, and
//! whatever is called reading only reads. Channels repeat by the level alone.

use std::fs;

use crate::documents;

/// Every rpc whose name begins so only reads.
const READING: [&str; 5] = ["Get", "List", "Read", "Search", "Watch"];

struct Rpc {
    /// `holdfast/booking/v1/booking.proto: GetHold`.
    name: String,
    verb_noun: String,
    words: String,
    level: Option<String>,
}

#[test]
fn whatever_is_called_reading_has_no_side_effects() {
    let reading = |rpc: &Rpc| READING.iter().any(|verb| rpc.verb_noun.starts_with(verb));
    let wrong: Vec<String> = rpcs()
        .into_iter()
        .filter(|rpc| reading(rpc) && rpc.level.as_deref() != Some("NO_SIDE_EFFECTS"))
        .map(|rpc| rpc.name)
        .collect();
    assert!(wrong.is_empty(), "these need NO_SIDE_EFFECTS: {wrong:?}");
}

#[test]
fn levels_are_what_the_words_say() {
    for rpc in rpcs() {
        let says_so = rpc.words.contains("Idempotent");
        match rpc.level.as_deref() {
            Some("IDEMPOTENT") => assert!(says_so, "{}: the words don't say so", rpc.name),
            Some("NO_SIDE_EFFECTS") => {}
            Some(other) => panic!("{}: no such level: {other}", rpc.name),
            None => assert!(!says_so, "{}: has no level", rpc.name),
        }
    }
}

/// Every rpc of our contracts that takes one request.
fn rpcs() -> Vec<Rpc> {
    let mut found = Vec::new();
    for package in folder("proto/holdfast") {
        for file in folder(&format!("{package}/v1")) {
            found.extend(rpcs_of(&file));
        }
    }
    assert!(found.len() > 50, "only {} rpcs were found", found.len());
    found
}

fn folder(path: &str) -> Vec<String> {
    let entries = fs::read_dir(documents::root(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    entries
        .map(|entry| format!("{path}/{}", name(entry).to_string_lossy()))
        .collect()
}

fn rpcs_of(file: &str) -> Vec<Rpc> {
    let text = documents::read(file);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let (mut found, mut words) = (Vec::new(), String::new());
    for (at, line) in lines.iter().enumerate() {
        if let Some(comment) = line.strip_prefix("// ") {
            words = format!("{words} {comment}");
            continue;
        }
        let words = std::mem::take(&mut words);
        let Some(rpc) = line.strip_prefix("rpc ") else {
            continue;
        };
        let (verb_noun, rest) = rpc.split_once('(').expect("an rpc has a request");
        if rest.starts_with("stream ") {
            continue;
        }
        let option = lines.get(at + 1).filter(|_| rest.ends_with('{'));
        let level = option.and_then(|line| line.strip_prefix("option idempotency_level = "));
        found.push(Rpc {
            name: format!("{file}: {verb_noun}"),
            verb_noun: verb_noun.to_owned(),
            words,
            level: level.map(|level| level.trim_end_matches(';').to_owned()),
        });
    }
    found
}
