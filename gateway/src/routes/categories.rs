//! `categories`: what kinds of events there are. Public and cacheable; admins change them.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use holdfast_proto::catalog::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::organiser::refused;
use crate::{
    call::{Call, Caller},
    extract::{Body, PathId},
    failure::ApiError,
    server::Shared,
    wire::{self, required},
};

/// A kind of events, with those that belong to it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Category {
    /// What events, and `category` in lists and searches, name it by.
    #[schema(example = "music")]
    slug: String,
    #[schema(example = "Music")]
    name: String,
    /// By name.
    #[schema(no_recursion)]
    children: Vec<Category>,
}

/// All kinds of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct Categories {
    /// The broadest, by name.
    categories: Vec<Category>,
}

/// A category as it is put.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCategory {
    /// What people read.
    #[schema(min_length = 1, max_length = 120, example = "Rock")]
    name: String,
    /// The slug of the one that it belongs to; null for one of the broadest.
    #[serde(default)]
    #[schema(pattern = "^[a-z][a-z0-9-]*$", max_length = 32, example = "music")]
    parent: Option<String>,
}

/// A category by itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlacedCategory {
    #[schema(example = "music-rock")]
    slug: String,
    #[schema(example = "Rock")]
    name: String,
    #[schema(example = "music", required = true)]
    parent: Option<String>,
}

/// All categories, as a tree.
pub(crate) fn tree(answer: pb::ListCategoriesResponse) -> Categories {
    let mut by_parent: BTreeMap<String, Vec<pb::EventCategory>> = BTreeMap::new();
    for category in answer.categories {
        let siblings = by_parent.entry(category.parent.clone()).or_default();
        siblings.push(category);
    }
    Categories {
        categories: below("", &mut by_parent),
    }
}

/// The categories of `parent`. Each is taken out once, so that this ends whatever was answered.
fn below(parent: &str, by_parent: &mut BTreeMap<String, Vec<pb::EventCategory>>) -> Vec<Category> {
    let mut found = by_parent.remove(parent).unwrap_or_default();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let categories = found.into_iter().map(|category| Category {
        children: below(&category.slug, by_parent),
        slug: category.slug,
        name: category.name,
    });
    categories.collect()
}

/// Kinds of events
///
/// As a tree. An event has one of them; lists and searches by a category find what belongs to it, too.
#[utoipa::path(
    get, path = "/categories", tag = "catalogue",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer kept.")),
    responses(
        (status = 200, description = "The categories.", body = Categories, headers(("ETag" = String))),
        (status = 304, description = "What the client keeps is what there is."),
    ),
    extensions(("x-error-codes" = json!([]))),
)]
pub(crate) async fn list_categories(
    State(app): State<Shared>,
    call: Call,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let page = app.kept.categories(&app, &call).await?;
    Ok(page.answer(&headers))
}

/// Make or change a category
///
/// For admins. What belongs to it goes where it goes; searches know that a little later.
#[utoipa::path(
    put, path = "/categories/{slug}", tag = "organising",
    params(("slug" = String, Path, description = "Lower-case letters, digits and `-`; at most 32.", example = json!("music-rock"))),
    request_body = NewCategory,
    responses(
        (status = 200, description = "The category as it is now.", body = PlacedCategory),
        (status = 201, description = "It is new.", body = PlacedCategory),
    ),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "INVALID_STATE"]))),
)]
pub(crate) async fn put_category(
    State(app): State<Shared>,
    caller: Caller,
    PathId(slug): PathId<String>,
    Body(body): Body<NewCategory>,
) -> Result<Response, ApiError> {
    let request = pb::PutCategoryRequest {
        category: Some(pb::EventCategory {
            slug,
            parent: body.parent.unwrap_or_default(),
            name: body.name,
        }),
    };
    let answer = app
        .catalog
        .clone()
        .put_category(caller.request(request))
        .await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let category = required(answer.category, "category")?;
    let status = match answer.made {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let placed = PlacedCategory {
        slug: category.slug,
        name: category.name,
        parent: wire::optional(category.parent),
    };
    Ok((status, axum::Json(placed)).into_response())
}

/// Delete a category
///
/// For admins. Refused while an event has it, or another category belongs to it.
#[utoipa::path(
    delete, path = "/categories/{slug}", tag = "organising",
    params(("slug" = String, Path, example = json!("music-rock"))),
    responses((status = 204, description = "There is no such category any more.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "INVALID_STATE"]))),
)]
pub(crate) async fn delete_category(
    State(app): State<Shared>,
    caller: Caller,
    PathId(slug): PathId<String>,
) -> Result<StatusCode, ApiError> {
    let request = pb::DeleteCategoryRequest { slug };
    let answer = app
        .catalog
        .clone()
        .delete_category(caller.request(request))
        .await;
    answer.map_err(|status| refused(&status))?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_each_once_by_name() {
        let category = |slug: &str, parent: &str, name: &str| pb::EventCategory {
            slug: slug.to_owned(),
            parent: parent.to_owned(),
            name: name.to_owned(),
        };
        let answer = pb::ListCategoriesResponse {
            categories: vec![
                category("a", "", "Zebra"),
                category("b", "", "Ant"),
                category("c", "a", "Two"),
                category("d", "a", "One"),
                category("e", "d", "Below"),
                // A ring, which no catalogue answers, is left out.
                category("x", "y", "X"),
                category("y", "x", "Y"),
            ],
        };
        let json = serde_json::to_value(tree(answer)).expect("serialises");
        assert_eq!(
            json,
            serde_json::json!({"categories": [
                {"slug": "b", "name": "Ant", "children": []},
                {"slug": "a", "name": "Zebra", "children": [
                    {"slug": "d", "name": "One", "children": [
                        {"slug": "e", "name": "Below", "children": []},
                    ]},
                    {"slug": "c", "name": "Two", "children": []},
                ]},
            ]})
        );
    }
}
