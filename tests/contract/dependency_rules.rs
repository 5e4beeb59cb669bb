//! The map of crates as a table. A new edge is a decision: it changes this file.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Crate, and which crates of ours it may use in its product code (tests may use more).
const MAY_USE: &[(&str, &[&str])] = &[
    ("holdfast-types", &[]),
    ("holdfast-proto", &[]),
    ("holdfast-proto-codegen", &[]),
    ("holdfast-mesh", &["holdfast-types"]),
    ("lockstore-core", &["holdfast-types"]),
    ("lockstore-client", &["holdfast-types", "holdfast-proto"]),
    (
        "lockstore-node",
        &[
            "holdfast-types",
            "holdfast-proto",
            "holdfast-mesh",
            "lockstore-core",
        ],
    ),
    ("holdfast-eventlog", &["holdfast-types"]),
    (
        "identity-svc",
        &["holdfast-types", "holdfast-proto", "holdfast-mesh"],
    ),
    (
        "catalog-svc",
        &[
            "holdfast-types",
            "holdfast-proto",
            "holdfast-mesh",
            "holdfast-eventlog",
        ],
    ),
    ("booking-core", &["holdfast-types"]),
    (
        "booking-svc",
        &[
            "holdfast-types",
            "holdfast-proto",
            "holdfast-mesh",
            "holdfast-eventlog",
            "booking-core",
            "lockstore-client",
        ],
    ),
    (
        "payment-svc",
        &[
            "holdfast-types",
            "holdfast-proto",
            "holdfast-mesh",
            "holdfast-eventlog",
        ],
    ),
    (
        "search-svc",
        &[
            "holdfast-types",
            "holdfast-proto",
            "holdfast-mesh",
            "holdfast-eventlog",
        ],
    ),
    (
        "gateway",
        &[
            "holdfast-types",
            "holdfast-proto",
            "holdfast-mesh",
            "lockstore-client",
        ],
    ),
    (
        "holdfast-harness",
        &["holdfast-types", "holdfast-proto", "lockstore-client"],
    ),
];

/// The one crate that may use everything.
const ROOT: &str = "holdfast-cluster";

/// Crates that must not be able to do I/O, with everything below them.
const PURE: &[&str] = &["holdfast-types", "lockstore-core", "booking-core"];

/// What gives a crate I/O, a clock or chance. (`uuid` can make random ids: `clippy.toml` forbids
/// the cores those calls.)
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "tonic",
    "sqlx",
    "rocksdb",
    "reqwest",
    "axum",
    "chrono",
    "rand",
    "tracing-subscriber",
];

/// Libraries that one crate alone may name.
const CONFINED: &[(&str, &str)] = &[
    ("openraft", "lockstore-node"),
    ("rocksdb", "lockstore-node"),
    ("axum", "gateway holdfast-mesh payment-svc"),
    ("tantivy", "search-svc"),
    ("meilisearch-sdk", "search-svc"),
    // Who records spans and sends them; others know of contexts through mesh.
    ("opentelemetry", "holdfast-mesh holdfast-eventlog"),
    ("opentelemetry_sdk", "holdfast-mesh"),
    ("opentelemetry-otlp", "holdfast-mesh"),
];

struct Graph {
    /// Package id → name.
    names: BTreeMap<String, String>,
    /// Package id → ids it uses in product code (dev and build dependencies left out).
    uses: BTreeMap<String, Vec<String>>,
    /// Ids of ours.
    ours: BTreeSet<String>,
}

/// The platform's name, e.g. `x86_64-unknown-linux-gnu`.
fn host() -> String {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}

fn graph() -> Graph {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    // What this platform doesn't need was perhaps never downloaded, and isn't here.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--frozen"])
        .args(["--filter-platform", &host()])
        .args(["--manifest-path", manifest])
        .output()
        .expect("cargo metadata runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let data: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |v: &serde_json::Value| v.as_str().expect("a string").to_owned();
    let list = |v: &serde_json::Value| v.as_array().expect("a list").clone();

    let names = list(&data["packages"])
        .iter()
        .map(|p| (text(&p["id"]), text(&p["name"])))
        .collect();
    let ours = list(&data["workspace_members"]).iter().map(text).collect();
    let uses = list(&data["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let normal = list(&node["deps"])
                .iter()
                .filter(|dep| {
                    list(&dep["dep_kinds"])
                        .iter()
                        .any(|kind| kind["kind"].is_null())
                })
                .map(|dep| text(&dep["pkg"]))
                .collect();
            (text(&node["id"]), normal)
        })
        .collect();
    Graph { names, uses, ours }
}

impl Graph {
    fn id_of(&self, name: &str) -> &String {
        self.ours
            .iter()
            .find(|id| self.names[*id] == name)
            .unwrap_or_else(|| panic!("no crate {name}"))
    }

    fn names_below(&self, id: &String) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            for used in &self.uses[id] {
                if seen.insert(used) {
                    todo.push(used);
                }
            }
        }
        seen.into_iter().map(|id| self.names[id].as_str()).collect()
    }
}

#[test]
fn each_crate_uses_only_the_crates_the_map_allows() {
    let graph = graph();
    let table: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    for id in &graph.ours {
        let name = graph.names[id].as_str();
        if name == ROOT {
            continue;
        }
        let allowed = table
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the map"));
        for used in graph.uses[id]
            .iter()
            .filter(|used| graph.ours.contains(*used))
        {
            let used = graph.names[used].as_str();
            assert!(allowed.contains(&used), "{name} must not use {used}");
        }
    }
}

#[test]
fn cores_can_not_do_io() {
    let graph = graph();
    for core in PURE {
        let below = graph.names_below(graph.id_of(core));
        for impure in IMPURE {
            assert!(!below.contains(impure), "{core} reaches {impure}");
        }
    }
}

#[test]
fn confined_libraries_are_named_in_one_place() {
    let graph = graph();
    for (library, owners) in CONFINED {
        for id in &graph.ours {
            let name = graph.names[id].as_str();
            let names_it = graph.uses[id]
                .iter()
                .any(|used| graph.names[used] == *library);
            assert!(
                !names_it || owners.split(' ').any(|o| o == name),
                "{name} must not name {library}"
            );
        }
    }
}
