//! Venues on the wire.

use chrono_tz::Tz;
use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::VenueId;

use crate::{
    fields::Fields,
    model::{Venue, VenueChange},
};

const NAME_BYTES_MAX: usize = 400;
const ADDRESS_BYTES_MAX: usize = 600;
const CITY_BYTES_MAX: usize = 200;
const POSTAL_CODE_BYTES_MAX: usize = 40;
const REGION_BYTES_MAX: usize = 200;

/// What may change of a venue, by the names of its fields.
const CHANGING: [&str; 9] = [
    "name",
    "address",
    "city",
    "postal_code",
    "region",
    "country",
    "latitude",
    "longitude",
    "time_zone",
];

pub(super) fn decode(request: wire::CreateVenueRequest) -> Result<Venue, Failure> {
    let mut fields = Fields::default();
    let venue = match &request.venue {
        Some(venue) => read("venue", venue, &mut fields),
        None => {
            fields.note("venue", "is missing");
            None
        }
    };
    fields.finish(venue)
}

/// Which venue is to change, and what of it.
pub(super) fn decode_change(
    request: &wire::UpdateVenueRequest,
) -> Result<(VenueId, VenueChange), Failure> {
    let Some(venue) = &request.venue else {
        return Err(Failure::invalid("venue", "is missing"));
    };
    let mut fields = Fields::default();
    if request.fields.is_empty() {
        fields.note("fields", "names nothing to change");
    }
    let mut read = Reader::of("venue", venue, &mut fields);
    let id = read.id();
    let mut change = VenueChange::default();
    for name in &request.fields {
        match name.as_str() {
            "name" => change.name = read.name(),
            "address" => change.address = read.address(),
            "city" => change.city = read.city(),
            "postal_code" => change.postal_code = read.postal_code(),
            "region" => change.region = read.region(),
            "country" => change.country = read.country(),
            "latitude" => change.latitude = read.latitude(),
            "longitude" => change.longitude = read.longitude(),
            "time_zone" => change.time_zone = read.time_zone(),
            _ => {
                let why = format!("{name:?} is none of {CHANGING:?}");
                read.fields.note("fields", why);
            }
        }
    }
    fields.finish(id.map(|id| (id, change)))
}

/// A venue whose fields are called `at` and their own name.
pub(super) fn read(at: &str, venue: &wire::Venue, fields: &mut Fields) -> Option<Venue> {
    let mut read = Reader::of(at, venue, fields);
    let venue_id = read.id();
    let name = read.name();
    let address = read.address();
    let city = read.city();
    let country = read.country();
    let latitude = read.latitude();
    let longitude = read.longitude();
    let time_zone = read.time_zone();
    let postal_code = read.postal_code();
    let region = read.region();
    Some(Venue {
        venue_id: venue_id?,
        name: name?,
        address: address?,
        city: city?,
        country: country?,
        latitude: latitude?,
        longitude: longitude?,
        time_zone: time_zone?,
        postal_code: postal_code?,
        region: region?,
    })
}

/// Reads one field of a venue after the other, each by its bounds.
struct Reader<'a> {
    /// What the venue is called in the request.
    at: &'a str,
    venue: &'a wire::Venue,
    fields: &'a mut Fields,
}

impl<'a> Reader<'a> {
    fn of(at: &'a str, venue: &'a wire::Venue, fields: &'a mut Fields) -> Self {
        Self { at, venue, fields }
    }

    fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.at)
    }

    fn id(&mut self) -> Option<VenueId> {
        let field = self.field("venue_id");
        self.fields
            .id(&field, &self.venue.venue_id, VenueId::from_slice)
    }

    fn name(&mut self) -> Option<String> {
        let field = self.field("name");
        self.fields.line(&field, &self.venue.name, NAME_BYTES_MAX)
    }

    fn address(&mut self) -> Option<String> {
        let field = self.field("address");
        self.fields
            .line_or_empty(&field, &self.venue.address, ADDRESS_BYTES_MAX)
    }

    fn city(&mut self) -> Option<String> {
        let field = self.field("city");
        self.fields.line(&field, &self.venue.city, CITY_BYTES_MAX)
    }

    fn country(&mut self) -> Option<String> {
        let field = self.field("country");
        country(&field, &self.venue.country, self.fields)
    }

    fn latitude(&mut self) -> Option<f64> {
        let field = self.field("latitude");
        self.fields.degrees(&field, self.venue.latitude, 90.0)
    }

    fn longitude(&mut self) -> Option<f64> {
        let field = self.field("longitude");
        self.fields.degrees(&field, self.venue.longitude, 180.0)
    }

    fn time_zone(&mut self) -> Option<String> {
        let field = self.field("time_zone");
        time_zone(&field, &self.venue.time_zone, self.fields)
    }

    fn postal_code(&mut self) -> Option<String> {
        let field = self.field("postal_code");
        self.fields
            .line_or_empty(&field, &self.venue.postal_code, POSTAL_CODE_BYTES_MAX)
    }

    fn region(&mut self) -> Option<String> {
        let field = self.field("region");
        self.fields
            .line_or_empty(&field, &self.venue.region, REGION_BYTES_MAX)
    }
}

fn country(field: &str, text: &str, fields: &mut Fields) -> Option<String> {
    if text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Some(text.to_owned());
    }
    fields.note(
        field,
        "must be two upper-case letters of ISO 3166-1, e.g. DE",
    );
    None
}

fn time_zone(field: &str, text: &str, fields: &mut Fields) -> Option<String> {
    match text.parse::<Tz>() {
        Ok(zone) => Some(zone.name().to_owned()),
        Err(_) => {
            fields.note(field, "must be an IANA time zone, e.g. Europe/Berlin");
            None
        }
    }
}

pub(super) fn encode(venue: Venue) -> wire::Venue {
    wire::Venue {
        version: venue.version(),
        venue_id: venue.venue_id.to_bytes().to_vec(),
        name: venue.name,
        address: venue.address,
        city: venue.city,
        country: venue.country,
        latitude: venue.latitude,
        longitude: venue.longitude,
        time_zone: venue.time_zone,
        postal_code: venue.postal_code,
        region: venue.region,
    }
}
