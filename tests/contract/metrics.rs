//! `docs/metrics.md`: every metric by name, kind and meaning, from the constants that the crates'
//! `metrics.rs` name them with. That `/metrics` has these and no others is for `tests/e2e`.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use crate::documents;

const PAGE: &str = "docs/metrics.md";
/// What a crate's file with metrics is called.
const FILES: [&str; 2] = ["metrics.rs", "metric.rs"];

const INTRODUCTION: &str = "\
# Metrics

<!-- Generated from the crates' constants: `make fix` writes it, a test compares it. -->

Every process answers `/metrics` at its `ops.listen` in Prometheus' text format. A metric is there
once it was recorded for the first time. Names ending in `_seconds` that are distributions have
buckets, others quantiles.
";

/// What a name's constant says.
struct Metric {
    name: String,
    kind: &'static str,
    doc: String,
}

#[test]
fn the_page_of_the_metrics_is_current() {
    let mut page = String::from(INTRODUCTION);
    let mut owners = BTreeMap::new();
    for (library, folder) in documents::crates() {
        let metrics = metrics_of(&documents::root(&folder).join("src"));
        if metrics.is_empty() {
            continue;
        }
        writeln!(page, "\n## {}\n", library.replace('_', "-")).expect("a string takes it");
        page.push_str("| Name | Kind | Meaning |\n|---|---|---|\n");
        for Metric { name, kind, doc } in metrics {
            writeln!(page, "| `{name}` | {kind} | {doc} |").expect("a string takes it");
            if let Some(other) = owners.insert(name.clone(), folder.clone()) {
                panic!("{name} is a metric of {other} and of {folder}");
            }
        }
    }
    assert!(
        owners.len() > 20,
        "only {} metrics were found",
        owners.len()
    );
    documents::is_current(PAGE, &page);
}

fn metrics_of(folder: &Path) -> Vec<Metric> {
    let mut sources = Vec::new();
    read_all(folder, &mut sources);
    let all: String = sources.iter().map(|(_, text)| text.as_str()).collect();
    let of_metrics = sources
        .iter()
        .filter(|(name, _)| FILES.contains(&name.as_str()));
    of_metrics
        .flat_map(|(_, text)| constants(text))
        .map(|(constant, name, doc)| {
            assert!(!doc.is_empty(), "{name} has no doc comment");
            let kind = kind_of(&all, &constant)
                .unwrap_or_else(|| panic!("{name} ({constant}) is never recorded"));
            Metric { name, kind, doc }
        })
        .collect()
}

/// Every source below `folder`, by file name.
fn read_all(folder: &Path, into: &mut Vec<(String, String)>) {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            into.push((name, fs::read_to_string(&path).expect("readable")));
        }
    }
}

/// Constants with a text that is a metric's name: the constant, its text, its doc comment.
fn constants(source: &str) -> Vec<(String, String, String)> {
    let (mut found, mut doc) = (Vec::new(), Vec::new());
    for line in source.lines() {
        if let Some(words) = line.strip_prefix("/// ") {
            doc.push(words);
            continue;
        }
        let doc = std::mem::take(&mut doc).join(" ");
        let Some((_, rest)) = line.split_once("const ") else {
            continue;
        };
        let Some((constant, text)) = rest.split_once(": &str = \"") else {
            continue;
        };
        let name = text.trim_end_matches("\";");
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        if name.contains('_') && name.chars().all(is_name) {
            found.push((constant.to_owned(), name.to_owned(), doc));
        }
    }
    found
}

/// What a constant is recorded as.
fn kind_of(sources: &str, constant: &str) -> Option<&'static str> {
    // Calls may be broken over lines, so whitespace counts for nothing.
    let sources: String = sources.chars().filter(|c| !c.is_whitespace()).collect();
    let recorded_as = |call: &str| {
        sources.match_indices(call).any(|(at, _)| {
            let arguments = &sources[at + call.len()..];
            let end = arguments.find([',', ')']).unwrap_or(arguments.len());
            let first = &arguments[..end];
            first.rsplit("::").next() == Some(constant)
        })
    };
    [
        ("counter", ["counter!(", "counter("]),
        ("gauge", ["gauge!(", "gauge("]),
        ("distribution", ["histogram!(", "histogram("]),
    ]
    .into_iter()
    .find(|(_, calls)| calls.iter().any(|call| recorded_as(call)))
    .map(|(kind, _)| kind)
}
