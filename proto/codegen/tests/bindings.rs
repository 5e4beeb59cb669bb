//! The checked-in bindings are what the `.proto` files say. `UPDATE_BINDINGS=1` writes them
//! (`make fix` does); otherwise a difference fails. And the comments of rpcs say all that callers need.

use std::{collections::BTreeMap, fs, path::Path};

use holdfast_proto_codegen::{descriptors, generate, read_files};
use prost_types::{FileDescriptorProto, MethodDescriptorProto, method_options::IdempotencyLevel};

/// Where a descriptor has its services, and a service its methods (`descriptor.proto`).
const SERVICE: i32 = 6;
const METHOD: i32 = 2;

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

/// How a comment says whether an rpc may be repeated.
const IDEMPOTENCY: [&str; 3] = ["Idempotent", "Not idempotent", "Reads only"];
/// How it says by whom it is called, and what it may be refused with.
const CALLER: &str = "Called by ";
const REASONS: &str = "Reasons";

#[test]
fn every_rpc_says_what_it_means_whether_it_may_be_repeated_who_calls_it_and_what_goes_wrong() {
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&manifest_dir)
        .parent()
        .expect("the crate is in proto/");
    let descriptors = descriptors(root).expect("the files compile");
    let (mut rpcs, mut wrong) = (0, Vec::new());
    for file in descriptors.file {
        if !file.package().starts_with("holdfast.") {
            continue;
        }
        for (number, service) in (0..).zip(&file.service) {
            let of_all = comment(&file, &[SERVICE, number]);
            for (nth, method) in (0..).zip(&service.method) {
                rpcs += 1;
                let words = comment(&file, &[SERVICE, number, METHOD, nth]);
                let missing = missing(&words, &of_all, method);
                if !missing.is_empty() {
                    let name = format!("{}/{}", service.name(), method.name());
                    wrong.push(format!("{name} doesn't say {}", missing.join(", ")));
                }
            }
        }
    }
    assert!(rpcs > 60, "only {rpcs} rpcs were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the words about an rpc leave out. Reasons may be those of its whole service.
fn missing(words: &str, of_all: &str, method: &MethodDescriptorProto) -> Vec<&'static str> {
    let mut missing = Vec::new();
    let meaning = words.split(". ").next().unwrap_or_default();
    if meaning.split_whitespace().count() < 3 {
        missing.push("what it means");
    }
    let said: Vec<_> = IDEMPOTENCY
        .iter()
        .filter(|way| words.contains(**way))
        .collect();
    let reads = method
        .options
        .as_ref()
        .is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects);
    if said.len() != 1 {
        missing.push("once whether it may be repeated");
    } else if reads != (*said[0] == "Reads only") {
        missing.push("the same as its idempotency_level");
    }
    if !words.contains(CALLER) {
        missing.push("who calls it");
    }
    if !words.contains(REASONS) && !of_all.contains(REASONS) {
        missing.push("its reasons");
    }
    missing
}

/// The comment before a thing, as one line.
fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let source = file.source_code_info.as_ref().expect("comments are kept");
    let location = source
        .location
        .iter()
        .find(|location| location.path == path);
    let text = location.map_or("", |location| location.leading_comments());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
