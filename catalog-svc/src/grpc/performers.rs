//! Performers on the wire.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::PerformerId;

use super::import::PERFORMER_NAME_BYTES_MAX;
use crate::{fields::Fields, model::Performer};

/// What may change of a performer, by the names of its fields.
const CHANGING: [&str; 1] = ["name"];

pub(super) fn decode(performer: Option<&wire::Performer>) -> Result<Performer, Failure> {
    let mut fields = Fields::default();
    let performer = read(performer, &mut fields)?;
    fields.finish(performer)
}

/// The performer that is to be there.
pub(super) fn decode_change(request: &wire::UpdatePerformerRequest) -> Result<Performer, Failure> {
    let mut fields = Fields::default();
    if request.fields.is_empty() {
        fields.note("fields", "names nothing to change");
    }
    let named = request.fields.iter();
    for name in named.filter(|name| !CHANGING.contains(&name.as_str())) {
        fields.note("fields", format!("{name:?} is none of {CHANGING:?}"));
    }
    let performer = read(request.performer.as_ref(), &mut fields)?;
    fields.finish(performer)
}

fn read(
    performer: Option<&wire::Performer>,
    fields: &mut Fields,
) -> Result<Option<Performer>, Failure> {
    let Some(performer) = performer else {
        return Err(Failure::invalid("performer", "is missing"));
    };
    let id = fields.id(
        "performer.performer_id",
        &performer.performer_id,
        PerformerId::from_slice,
    );
    let name = fields.line("performer.name", &performer.name, PERFORMER_NAME_BYTES_MAX);
    let performer = id.zip(name);
    Ok(performer.map(|(performer_id, name)| Performer { performer_id, name }))
}

/// A performer of an event's bill.
pub(super) fn encode(performer: Performer) -> wire::Performer {
    wire::Performer {
        performer_id: performer.performer_id.to_bytes().to_vec(),
        name: performer.name,
        version: String::new(),
    }
}

/// One told to whoever may change it.
pub(super) fn encode_own(performer: Performer) -> wire::Performer {
    let version = performer.version();
    wire::Performer {
        version,
        ..encode(performer)
    }
}
