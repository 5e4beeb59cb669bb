//! `docs/configuration.md`: every key with its default, as the program prints it, and what it sets,
//! as the doc comment of its field says. A field without one fails.

use std::{fmt::Write as _, fs, process::Command};

use toml::{Table, Value};

use crate::documents;

const PAGE: &str = "docs/configuration.md";
/// Where the sections are fields of a struct.
const ROOT: (&str, &str) = ("cluster/src/settings.rs", "Config");
/// What the program prints in place of a secret.
const SECRET: &str = "***";

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from the configuration types: `make fix` writes it, a test compares it. -->

`holdfast serve ROLE` reads, each winning over the one before: the defaults below, the TOML file of
`--config FILE`, and the environment. Key `node_id` of section `[lockstore]` is
`HOLDFAST__LOCKSTORE__NODE_ID` there; a list is written as in TOML, `[\"a\", \"b\"]`. A key that is not
on this page is refused, and so is a value that can't be used: exit code 64, naming the key, before
any port is bound. `holdfast serve ROLE --dump-config` prints what is in effect, secrets as `***`.
Sections of roles that a process doesn't run are not looked at.

`holdfast up` writes the file of each of its processes itself (`config/` in its data directory); what
is set in its environment reaches them.
";

/// A field of a configuration struct.
struct Field {
    key: String,
    /// As written.
    kind: String,
    doc: String,
}

#[test]
fn the_page_of_the_configuration_is_current() {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["serve", "all", "--dump-config"])
        .env_clear()
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    let defaults: Table =
        toml::from_str(&String::from_utf8_lossy(&output.stdout)).expect("it prints TOML");
    let mut page = String::from(INTRODUCTION);
    let (file, name) = ROOT;
    for section in fields(&documents::read(file), name).expect("the root's fields") {
        let default = defaults
            .get(&section.key)
            .unwrap_or_else(|| panic!("--dump-config prints no [{}]", section.key));
        describe(&mut page, &section.key, &section, Some(default), file);
    }
    let known = fields(&documents::read(file), name).expect("fields").len();
    assert_eq!(defaults.len(), known, "sections that the page doesn't have");
    documents::is_current(PAGE, &page);
}

/// Adds a section, and those within it.
fn describe(page: &mut String, path: &str, section: &Field, default: Option<&Value>, file: &str) {
    let (file, source, name) = source_of(&section.kind, file);
    let fields = fields(&source, &name).unwrap_or_else(|| panic!("no struct {name} in {file}"));
    let each = section.kind.contains("Vec<");
    let brackets = if each { ("[[", "]]") } else { ("[", "]") };
    let table = default.and_then(Value::as_table);
    writeln!(
        page,
        "\n## `{}{path}{}`\n\n{}\n",
        brackets.0, brackets.1, section.doc
    )
    .expect("a string takes it");
    let rows = fields.iter().map(|field| {
        let value = table.and_then(|table| table.get(&field.key));
        let default = match value {
            _ if each => String::new(),
            None => "none".to_owned(),
            Some(Value::String(text)) if text == SECRET => "a secret".to_owned(),
            Some(Value::Array(list)) if list.iter().any(Value::is_table) => "see below".to_owned(),
            Some(Value::Table(_)) => "see below".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        [
            format!("`{}`", field.key),
            default,
            field.doc.replace('|', "\\|"),
        ]
    });
    page.push_str(if each {
        "| Key | Sets |\n|---|---|\n"
    } else {
        "| Key | Default | Sets |\n|---|---|---|\n"
    });
    for [key, default, doc] in rows {
        let default = if each {
            String::new()
        } else {
            format!(" {default} |")
        };
        writeln!(page, "| {key} |{default} {doc} |").expect("a string takes it");
    }
    if let Some(table) = table {
        for key in table.keys() {
            let known = fields.iter().any(|field| field.key == *key);
            assert!(
                known,
                "{file}: {path}.{key} is printed and is no field of {name}"
            );
        }
    }
    for field in fields {
        let value = table.and_then(|table| table.get(&field.key));
        let is_section = match value {
            Some(Value::Table(_)) => true,
            Some(Value::Array(list)) => list.iter().any(Value::is_table),
            _ => false,
        };
        if is_section {
            describe(page, &format!("{path}.{}", field.key), &field, value, &file);
        }
    }
}

/// The file, its text and the struct's name of a type that `from` names.
fn source_of(kind: &str, from: &str) -> (String, String, String) {
    let inner = kind
        .trim_end_matches('>')
        .rsplit('<')
        .next()
        .unwrap_or(kind);
    let mut segments: Vec<&str> = inner.split("::").collect();
    let name = segments.pop().expect("a name").to_owned();
    if segments.is_empty() {
        return (from.to_owned(), documents::read(from), name);
    }
    let library = segments.remove(0);
    let crates = documents::crates();
    let folder = crates
        .iter()
        .find(|(name, _)| name == library || name.strip_prefix("holdfast_") == Some(library))
        .map(|(_, folder)| folder)
        .unwrap_or_else(|| panic!("{kind}: no crate of ours is called {library}"));
    let module = segments.iter().fold(format!("{folder}/src"), |path, part| {
        format!("{path}/{part}")
    });
    let mut places = vec![format!("{module}.rs")];
    // A module may give out what a file of its folder has.
    let files = fs::read_dir(documents::root(&module)).into_iter().flatten();
    let names = files.flatten().map(|file| file.file_name());
    places.extend(names.map(|file| format!("{module}/{}", file.to_string_lossy())));
    places.sort();
    for place in places {
        let source = fs::read_to_string(documents::root(&place)).unwrap_or_default();
        if fields(&source, &name).is_some() {
            return (place, source, name);
        }
    }
    panic!("{kind}: no file of {module} has this struct");
}

/// The fields of a struct with names; none if `source` hasn't got it.
fn fields(source: &str, name: &str) -> Option<Vec<Field>> {
    let is_start = |line: &&str| {
        line.split_once("struct ")
            .is_some_and(|(_, rest)| rest == format!("{name} {{"))
    };
    let body = source
        .lines()
        .skip_while(|line| !is_start(line))
        .skip(1)
        .take_while(|line| *line != "}");
    let (mut fields, mut doc) = (Vec::new(), Vec::new());
    for line in body.map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            doc.push(words.trim());
        } else if let Some((key, kind)) = line.trim_end_matches(',').split_once(": ")
            && !line.starts_with("#[")
        {
            let key = key.rsplit(' ').next().unwrap_or(key).to_owned();
            assert!(!doc.is_empty(), "{name}.{key} has no doc comment");
            let (kind, doc) = (kind.to_owned(), std::mem::take(&mut doc).join(" "));
            fields.push(Field { key, kind, doc });
        }
    }
    (!fields.is_empty()).then_some(fields)
}
