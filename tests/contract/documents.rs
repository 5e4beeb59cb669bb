//! Pages that are generated from the sources. `UPDATE_DOCS=1` writes them; otherwise a difference
//! fails.

use std::{fs, path::PathBuf};

/// A path from the repository's root.
pub(crate) fn root(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// Reads a file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Checks that the page at `path` says `text`, or makes it say so.
pub(crate) fn is_current(path: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root(path), text).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    let there = fs::read_to_string(root(path)).unwrap_or_default();
    let differs = (1..)
        .zip(there.lines().zip(text.lines()))
        .find(|(_, (is, should))| is != should);
    if let Some((line, (is, should))) = differs {
        panic!("{path}:{line} is out of date (`make fix`):\n  is     {is}\n  should {should}");
    }
    assert!(
        there == text,
        "{path} is out of date (`make fix`): {} lines, should be {}",
        there.lines().count(),
        text.lines().count()
    );
}

/// The folders of our crates by name, with `_` for `-`.
pub(crate) fn crates() -> Vec<(String, String)> {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).expect("TOML");
    let members = manifest["workspace"]["members"].as_array().expect("a list");
    let named = |folder: &toml::Value| {
        let folder = folder.as_str().expect("a folder").to_owned();
        let own: toml::Table =
            toml::from_str(&read(&format!("{folder}/Cargo.toml"))).expect("TOML");
        let name = own["package"]["name"].as_str().expect("a name");
        (name.replace('-', "_"), folder)
    };
    members.iter().map(named).collect()
}
