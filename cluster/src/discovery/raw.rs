//! What a Discovery document may say of an event, as far as we use it. Everything may be absent or
//! null; other keys are ignored, because the format grows.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Event {
    pub(super) id: Option<String>,
    /// `event`; other documents of the API look alike.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    pub(super) test: Option<bool>,
    pub(super) description: Option<String>,
    pub(super) info: Option<String>,
    pub(super) please_note: Option<String>,
    pub(super) dates: Option<Dates>,
    pub(super) sales: Option<Sales>,
    pub(super) classifications: Option<Vec<Classification>>,
    pub(super) price_ranges: Option<Vec<PriceRange>>,
    #[serde(rename = "_embedded")]
    pub(super) embedded: Option<Embedded>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Embedded {
    pub(super) venues: Option<Vec<Venue>>,
    pub(super) attractions: Option<Vec<Attraction>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attraction {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Venue {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) test: Option<bool>,
    pub(super) postal_code: Option<String>,
    pub(super) timezone: Option<String>,
    pub(super) city: Option<Named>,
    pub(super) state: Option<Named>,
    pub(super) country: Option<Country>,
    pub(super) address: Option<Address>,
    pub(super) location: Option<Location>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Country {
    pub(super) country_code: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Address {
    pub(super) line1: Option<String>,
    pub(super) line2: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Location {
    pub(super) latitude: Option<Degrees>,
    pub(super) longitude: Option<Degrees>,
}

/// The API writes numbers as text here.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Degrees {
    Number(f64),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Dates {
    pub(super) start: Option<Start>,
    pub(super) timezone: Option<String>,
    pub(super) status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Start {
    pub(super) local_date: Option<String>,
    pub(super) local_time: Option<String>,
    pub(super) date_time: Option<String>,
    #[serde(rename = "dateTBD")]
    pub(super) date_tbd: Option<bool>,
    #[serde(rename = "dateTBA")]
    pub(super) date_tba: Option<bool>,
    #[serde(rename = "timeTBA")]
    pub(super) time_tba: Option<bool>,
    pub(super) no_specific_time: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) code: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sales {
    pub(super) public: Option<Sale>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Sale {
    pub(super) start_date_time: Option<String>,
    pub(super) end_date_time: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Classification {
    pub(super) primary: Option<bool>,
    pub(super) segment: Option<Named>,
    pub(super) genre: Option<Named>,
    pub(super) sub_genre: Option<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PriceRange {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) currency: Option<String>,
    /// Units, not minor ones.
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}
