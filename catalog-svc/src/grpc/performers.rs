//! Performers on the wire.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::PerformerId;

use super::import::PERFORMER_NAME_BYTES_MAX;
use crate::{fields::Fields, model::Performer};

pub(super) fn decode(request: &wire::CreatePerformerRequest) -> Result<Performer, Failure> {
    let mut fields = Fields::default();
    let Some(performer) = &request.performer else {
        return Err(Failure::invalid("performer", "is missing"));
    };
    let id = fields.id(
        "performer.performer_id",
        &performer.performer_id,
        PerformerId::from_slice,
    );
    let name = fields.line("performer.name", &performer.name, PERFORMER_NAME_BYTES_MAX);
    fields.finish(
        id.zip(name)
            .map(|(performer_id, name)| Performer { performer_id, name }),
    )
}

pub(super) fn encode(performer: Performer) -> wire::Performer {
    wire::Performer {
        performer_id: performer.performer_id.to_bytes().to_vec(),
        name: performer.name,
    }
}
