//! The checked-in bindings are what the `.proto` files say. `UPDATE_BINDINGS=1` writes them
//! (`make fix` does); otherwise a difference fails.

use std::{collections::BTreeMap, fs, path::Path};

use holdfast_proto_codegen::{generate, read_files};

#[test]
fn checked_in_bindings_match_the_proto_files() {
    // Asked for when it runs: checkouts that share a cache share what was compiled, too.
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&manifest_dir)
        .parent()
        .expect("the crate is in proto/");
    let out = tempfile::tempdir().expect("a temporary folder");
    generate(root, out.path()).expect("bindings generate");
    let generated = read_files(out.path()).expect("readable");
    assert!(generated.len() > 1, "descriptor set and bindings");

    let checked_in = root.join("src/gen");
    if std::env::var_os("UPDATE_BINDINGS").is_some() {
        let old = read_files(&checked_in).expect("readable");
        for name in old.keys().filter(|name| !generated.contains_key(*name)) {
            fs::remove_file(checked_in.join(name)).expect("removed");
        }
        for (name, content) in &generated {
            fs::write(checked_in.join(name), content).expect("written");
        }
    }
    let present = read_files(&checked_in).expect("readable");
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&present), names(&generated), "run `make fix`");
    for (name, content) in &generated {
        assert!(
            present[name] == *content,
            "src/gen/{name} is out of date: run `make fix`"
        );
    }
}
