//! What is wrong with an event, and the readers of single fields that say so.
//!
//! Always holds: a reader that gives nothing for what is there has noted why.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use holdfast_types::text::is_unseen;

const ID_BYTES_MAX: usize = 100;

/// A field that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Within the event, e.g. `dates.timezone`; empty for the event itself.
    pub(crate) field: String,
    pub(crate) why: String,
}

/// Mistakes found so far.
#[derive(Default)]
pub(super) struct Notes(pub(super) Vec<Mistake>);

impl Notes {
    pub(super) fn add(&mut self, field: &str, why: impl Into<String>) {
        self.0.push(Mistake {
            field: field.to_owned(),
            why: why.into(),
        });
    }

    pub(super) fn id(&mut self, field: &str, text: Option<&str>) -> Option<String> {
        self.name(field, text, ID_BYTES_MAX)
    }

    /// Text that must be there.
    pub(super) fn name(
        &mut self,
        field: &str,
        text: Option<&str>,
        bytes_max: usize,
    ) -> Option<String> {
        let text = self.text(field, text, bytes_max)?;
        if text.is_empty() {
            self.add(field, "is missing");
            return None;
        }
        Some(text)
    }

    /// Text that may be missing, in one line.
    pub(super) fn text(
        &mut self,
        field: &str,
        text: Option<&str>,
        bytes_max: usize,
    ) -> Option<String> {
        // Pasted from somewhere, with what nobody saw.
        let text = text.unwrap_or_default().replace(is_unseen, "");
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        if text.len() > bytes_max {
            self.add(field, format!("is longer than {bytes_max} bytes"));
        } else if text.chars().any(char::is_control) {
            self.add(field, "has a control character");
        } else {
            return Some(text);
        }
        None
    }

    pub(super) fn time(&mut self, field: &str, text: Option<&str>) -> Option<DateTime<Utc>> {
        let text = text?;
        match DateTime::parse_from_rfc3339(text) {
            // The API writes a time of 1900 where it has none.
            Ok(time) => Some(time.with_timezone(&Utc)).filter(|time| time.timestamp() >= 0),
            Err(_) => {
                let why = format!("{text:?} is no time of RFC 3339, e.g. 2027-03-18T14:00:00Z");
                self.add(field, why);
                None
            }
        }
    }

    pub(super) fn zone(&mut self, field: &str, name: &str) -> Option<Tz> {
        let zone = name.parse().ok();
        if zone.is_none() {
            self.add(
                field,
                format!("{name:?} is no time zone of the IANA database"),
            );
        }
        zone
    }
}
