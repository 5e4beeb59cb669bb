//! What a browser sees: the front page, the OpenAPI document, the page that shows it, where links in letters
//! lead, and letters themselves where they go into a folder.
//!
//! Always holds: nothing is loaded from elsewhere; the pages' policies make the browser refuse it.

mod accounts;
mod html;
mod letters;

use std::{path::Path, sync::Arc};

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use holdfast_types::ErrorCode;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{conditional, failure::ApiError, server::Shared};

const OPENAPI_PATH: &str = "/api/v1/openapi.json";
const DOCS_PATH: &str = "/api/v1/docs";

/// Its own scripts and styles only; it sets styles on elements and draws icons from data URLs.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

const INDEX: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Holdfast</title>
<h1>Holdfast</h1>
<p>This server sells seats: find a show, see its seats, hold some, pay, get tickets. It speaks REST
under <code>/api/v1</code>.</p>
<ul>
<li><a href=\"/api/v1/docs/\">Documentation, to read and to try</a>
<li><a href=\"/api/v1/openapi.json\">The same as OpenAPI 3.1</a>
<li><a href=\"/api/v1/shows\">Shows on sale</a>
<li><a href=\"/readyz\">Is it ready?</a>
</ul>
</html>
";

/// The pages, for the document `api`, and the letters of `mail_folder`.
pub(crate) fn router(api: OpenApi, mail_folder: &Path) -> Router<Shared> {
    let api = Arc::new(api);
    let document = move |headers: HeaderMap| {
        let api = api.clone();
        async move { conditional::json(&headers, api.as_ref()) }
    };
    Router::new()
        .route("/", get(|| async { Html(INDEX) }))
        .route(OPENAPI_PATH, get(document))
        .merge(docs())
        .merge(accounts::router())
        .merge(letters::router(mail_folder))
}

fn docs() -> Router<Shared> {
    // By default the page would ask a server elsewhere to validate the document.
    let config = Config::from(OPENAPI_PATH)
        .validator_url("none")
        .try_it_out_enabled(true);
    Router::from(SwaggerUi::new(DOCS_PATH).config(config)).layer(map_response(finish_docs))
}

async fn finish_docs(mut response: Response) -> Response {
    if response.status() == StatusCode::NOT_FOUND {
        return ApiError::new(ErrorCode::NotFound, "there is no such page").into_response();
    }
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, DOCS_POLICY);
    response
}
