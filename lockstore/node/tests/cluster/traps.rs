//! `docs/lock-store-traps.md` says which rule or test answers which trap: that they are there.

use std::{fs, path::Path};

/// Fewer than there are, so that a page that isn't understood any more is noticed.
const ANSWERS_MIN: usize = 60;

#[test]
fn page_of_traps_names_files_and_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/lock-store-traps.md")).expect("the page");
    let mut answers = 0;
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let answer = row.split('|').nth(2).expect("two columns");
        // Every second piece is within backticks: a file, then what is in it.
        let mut file = None;
        for code in answer.split('`').skip(1).step_by(2) {
            if code.contains('/') {
                let text = fs::read_to_string(root.join(code));
                file = Some(text.unwrap_or_else(|error| panic!("{code}: {error}\n{row}")));
                answers += 1;
            } else if let Some(file) = &file {
                assert!(file.contains(code), "`{code}` is not in its file\n{row}");
                answers += 1;
            }
        }
    }
    assert!(answers >= ANSWERS_MIN, "only {answers} are named");
}
