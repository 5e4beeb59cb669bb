//! The document clients are made from, reviewed as a diff; and the table of routes in the README, made from
//! it.

use std::{collections::HashSet, fmt::Write as _, fs};

use serde_json::{Value, json};

#[test]
fn the_document_is_the_reviewed_one() {
    insta::assert_json_snapshot!("openapi", serde_json::to_value(gateway::openapi()).unwrap());
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| match value.as_str() {
                Some(target) if key == "$ref" => found.push(target),
                _ => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for target in found {
        assert!(
            document.pointer(target.trim_start_matches('#')).is_some(),
            "{target}"
        );
    }
}

#[test]
fn every_operation_has_its_own_name_a_summary_and_errors() {
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let mut names = HashSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with("/api/v1/"), "{path}");
        for (method, operation) in operations.as_object().unwrap() {
            assert!(
                names.insert(operation["operationId"].as_str().unwrap()),
                "{method} {path}"
            );
            assert!(operation["summary"].is_string(), "{method} {path}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(
                answers
                    .keys()
                    .any(|status| status.starts_with('2') || status == "101"),
                "{method} {path}"
            );
            for status in ["429", "500", "503"] {
                assert!(
                    operation["responses"][status].is_object(),
                    "{method} {path}"
                );
            }
            if operation["security"] != json!([]) {
                assert!(operation["responses"]["401"].is_object(), "{method} {path}");
            }
        }
    }
    assert_eq!(names.len(), 94);
}

/// Where the README has the table.
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
const BEGIN: &str =
    "<!-- routes: generated from the document; `make fix` writes them, a test compares them -->\n";
const END: &str = "<!-- end of routes -->\n";

#[test]
fn the_routes_in_the_readme_are_those_of_the_document() {
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let mut table = String::from("\n| Route | Token | What it does |\n|---|---|---|\n");
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path.trim_start_matches("/api/v1/");
        for (method, operation) in operations.as_object().unwrap() {
            let (method, summary) = (method.to_uppercase(), operation["summary"].as_str());
            let token = match operation["security"] == json!([]) {
                true => "",
                false => "yes",
            };
            writeln!(
                table,
                "| `{method} {path}` | {token} | {} |",
                summary.unwrap()
            )
            .unwrap();
        }
    }
    table.push('\n');
    let readme = fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (there, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(README, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(there, table, "run `make fix`");
}
