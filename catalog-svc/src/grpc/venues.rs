//! Venues on the wire.

use chrono_tz::Tz;
use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::VenueId;

use crate::{fields::Fields, model::Venue};

const NAME_BYTES_MAX: usize = 400;
const ADDRESS_BYTES_MAX: usize = 600;
const CITY_BYTES_MAX: usize = 200;
const POSTAL_CODE_BYTES_MAX: usize = 40;
const REGION_BYTES_MAX: usize = 200;

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

/// A venue whose fields are called `at` and their own name.
pub(super) fn read(at: &str, venue: &wire::Venue, fields: &mut Fields) -> Option<Venue> {
    let of = |name: &str| format!("{at}.{name}");
    let venue_id = fields.id(&of("venue_id"), &venue.venue_id, VenueId::from_slice);
    let name = fields.line(&of("name"), &venue.name, NAME_BYTES_MAX);
    let address = fields.line_or_empty(&of("address"), &venue.address, ADDRESS_BYTES_MAX);
    let city = fields.line(&of("city"), &venue.city, CITY_BYTES_MAX);
    let country = country(&of("country"), &venue.country, fields);
    let latitude = fields.degrees(&of("latitude"), venue.latitude, 90.0);
    let longitude = fields.degrees(&of("longitude"), venue.longitude, 180.0);
    let time_zone = time_zone(&of("time_zone"), &venue.time_zone, fields);
    let postal_code = fields.line_or_empty(
        &of("postal_code"),
        &venue.postal_code,
        POSTAL_CODE_BYTES_MAX,
    );
    let region = fields.line_or_empty(&of("region"), &venue.region, REGION_BYTES_MAX);
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
