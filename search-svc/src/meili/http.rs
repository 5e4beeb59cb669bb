//! How the Meilisearch library reaches the server: the workspace's own HTTP client, with limits
//! that the library's doesn't have.

use std::{pin::pin, time::Duration};

use futures::io::{AsyncRead, AsyncReadExt};
use holdfast_mesh::config::Secret;
use meilisearch_sdk::{
    errors::Error,
    request::{HttpClient, Method, parse_response},
};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::{Serialize, de::DeserializeOwned};

/// How long a connection, and a whole exchange, may take. Five hundred long documents are the most
/// that is sent.
const CONNECT_MAX: Duration = Duration::from_secs(2);
const EXCHANGE_MAX: Duration = Duration::from_secs(20);

/// Largest answer read: a page of hits is a hundredth of it.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// An answer beyond [`ANSWER_BYTES_MAX`].
#[derive(Debug, thiserror::Error)]
#[error("the server's answer is larger than {ANSWER_BYTES_MAX} bytes")]
struct TooLarge;

/// The client. Its headers carry the key, marked so that they aren't printed.
#[derive(Debug, Clone)]
pub(super) struct Http(reqwest::Client);

impl Http {
    pub(super) fn new(key: &Secret) -> reqwest::Result<Self> {
        let mut headers = HeaderMap::new();
        if !key.is_empty() {
            let bearer = format!("Bearer {}", key.expose());
            let mut value = HeaderValue::from_str(&bearer)
                .expect("the configuration takes visible characters only");
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT_MAX)
            .timeout(EXCHANGE_MAX)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self(client))
    }
}

#[tonic::async_trait]
impl HttpClient for Http {
    async fn stream_request<
        Query: Serialize + Send + Sync,
        Body: AsyncRead + Send + Sync + 'static,
        Output: DeserializeOwned + 'static,
    >(
        &self,
        url: &str,
        method: Method<Query, Body>,
        content_type: &str,
        expected_status_code: u16,
    ) -> Result<Output, Error> {
        let verb = match &method {
            Method::Get { .. } => reqwest::Method::GET,
            Method::Post { .. } => reqwest::Method::POST,
            Method::Patch { .. } => reqwest::Method::PATCH,
            Method::Put { .. } => reqwest::Method::PUT,
            Method::Delete { .. } => reqwest::Method::DELETE,
        };
        let mut request = self.0.request(verb, url).query(method.query());
        if let Some(body) = method.into_body() {
            let (mut bytes, mut body) = (Vec::new(), pin!(body));
            body.read_to_end(&mut bytes).await.map_err(other)?;
            request = request.header(CONTENT_TYPE, content_type).body(bytes);
        }
        let mut response = request.send().await.map_err(other)?;
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(other)? {
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(other(TooLarge));
            }
            answer.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(answer).map_err(other)?;
        parse_response(status, expected_status_code, &text, url.to_owned())
    }

    fn is_tokio(&self) -> bool {
        true
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}
