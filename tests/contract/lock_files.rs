//! Where crates come from, and which never come, by the lock files: checked also where `cargo deny`,
//! which checks this and more (`deny.toml`), can't be had.

use toml::{Table, Value};

use crate::documents;

const LOCK_FILES: [&str; 2] = ["Cargo.lock", "bench/Cargo.lock"];
/// Where crates of others come from: nothing from a repository's head.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Providers of TLS besides ring: two in a process panic at the first handshake.
const OTHER_TLS: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "openssl",
    "openssl-sys",
    "native-tls",
];

/// Every package of a lock file with its source; ours have none.
fn packages(file: &str) -> Vec<(String, Option<String>)> {
    let lock: Table = toml::from_str(&documents::read(file)).expect("TOML");
    let list = lock["package"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let packages: Vec<_> = list
        .iter()
        .map(|package| (text(&package["name"]), package.get("source").map(text)))
        .collect();
    assert!(
        packages.len() > 100,
        "{file} has {} packages",
        packages.len()
    );
    packages
}

#[test]
fn every_crate_is_ours_or_from_the_registry() {
    for file in LOCK_FILES {
        for (name, source) in packages(file) {
            let known = source.as_deref().is_none_or(|source| source == REGISTRY);
            assert!(known, "{file}: {name} is from {source:?}");
        }
    }
}

#[test]
fn ring_is_the_only_provider_of_tls() {
    for file in LOCK_FILES {
        for (name, _) in packages(file) {
            assert!(!OTHER_TLS.contains(&name.as_str()), "{file} has {name}");
        }
    }
}
