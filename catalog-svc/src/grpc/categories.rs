//! Categories on the wire.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;

use super::events::category as slug;
use crate::{fields::Fields, model::Category};

const NAME_BYTES_MAX: usize = 120;

pub(super) fn decode(request: &wire::PutCategoryRequest) -> Result<Category, Failure> {
    let Some(category) = &request.category else {
        return Err(Failure::invalid("category", "is missing"));
    };
    let mut fields = Fields::default();
    let parent = match category.parent.as_str() {
        "" => None,
        parent => slug("category.parent", parent, &mut fields),
    };
    let slug = slug("category.slug", &category.slug, &mut fields);
    let name = fields.line("category.name", &category.name, NAME_BYTES_MAX);
    fields.finish(
        slug.zip(name)
            .map(|(slug, name)| Category { slug, parent, name }),
    )
}

pub(super) fn decode_slug(text: &str) -> Result<String, Failure> {
    let mut fields = Fields::default();
    let slug = slug("slug", text, &mut fields);
    fields.finish(slug)
}

pub(super) fn encode(category: Category) -> wire::EventCategory {
    wire::EventCategory {
        slug: category.slug,
        parent: category.parent.unwrap_or_default(),
        name: category.name,
    }
}
