//! A gateway with scripted services behind it, tokens, and what answers are read into.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gateway::Config;
use hmac::{Hmac, KeyInit, Mac};
use holdfast_mesh::{
    Context,
    auth::{AUDIENCE, ISSUER, TokenClaims},
    client::Contract,
    ops::Readiness,
};
use holdfast_proto::{
    FILE_DESCRIPTOR_SET,
    identity::v1::{GetJwksRequest, GetJwksResponse},
};
use holdfast_types::UserId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use sha2::Sha256;
use tokio_util::sync::DropGuard;

use crate::{backend::Backend, store::Store};

/// Longest wait for anything that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Two key pairs made for these tests; only the first is published.
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEICtS4nYJTa7QT8wfDmg/lcIDGPD5/4HigHLYuc4nVYSr
-----END PRIVATE KEY-----
";
pub(crate) const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIGOK0DTqhoDfeLcAe8ruivn0QTEl/V4O1meMKuG+Ke5X
-----END PRIVATE KEY-----
";
pub(crate) const KEY_ID: &str = "k1";
const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"k1","x":"ag_xo00mx7qtT_ZwfryfeDlpzlqFjpu1MwIK55wk5Es"}]}"#;

const CURSOR_KEY: &str = "of these tests, and of nobody else's cursors";

/// A service's cursor as the gateway gives it out for `route`, e.g. `/api/v1/shows`.
pub(crate) fn cursor(route: &str, cursor: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(CURSOR_KEY.as_bytes()).unwrap();
    mac.update(format!("{route}\0{cursor}").as_bytes());
    let tag = mac.finalize().into_bytes();
    URL_SAFE_NO_PAD.encode([&tag[..16], cursor.as_bytes()].concat())
}

pub(crate) struct Gateway {
    pub(crate) backend: Arc<Backend>,
    pub(crate) store: Store,
    pub(crate) readiness: Readiness,
    pub(crate) address: SocketAddr,
    url: String,
    http: reqwest::Client,
    shutdown: DropGuard,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A gateway whose settings `change` has changed.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let backend = Arc::new(Backend::default());
        backend.on("get_jwks", |_: GetJwksRequest| {
            Ok(GetJwksResponse {
                jwks: JWKS.to_owned(),
            })
        });
        let services = format!("http://{}", backend.serve().await);
        let (store, node) = Store::start().await;
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            identity_uri: services.clone(),
            catalog_uri: services.clone(),
            booking_uri: services.clone(),
            payment_uri: services.clone(),
            search_uri: services,
            lockstore: vec![format!("http://{node}")],
            cursor_key: CURSOR_KEY.into(),
            ..Config::default()
        };
        change(&mut config);
        let context = Context {
            contract: Contract::read(FILE_DESCRIPTOR_SET).unwrap(),
            ..Context::new()
        };
        tokio::spawn({
            let context = context.clone();
            async move { gateway::serve(config, context).await.unwrap() }
        });
        let address = tokio::time::timeout(PATIENCE, context.readiness.address("gateway"))
            .await
            .unwrap();
        Self {
            backend,
            store,
            address,
            readiness: context.readiness.clone(),
            url: format!("http://{address}"),
            http: reqwest::Client::builder()
                .timeout(PATIENCE)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            shutdown: context.shutdown.drop_guard(),
        }
    }

    /// Tells it to stop.
    pub(crate) fn shutdown(self) {
        drop(self.shutdown);
    }

    /// A request of nobody in particular.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// A request of a signed-in customer.
    pub(crate) fn as_customer(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(token())
    }

    /// As an account that has halls.
    pub(crate) fn as_organiser(&self, method: Method, path: &str) -> RequestBuilder {
        let token = token_of(KEY, KEY_ID, 900, &["customer", "organiser"]);
        self.request(method, path).bearer_auth(token)
    }

    /// `POST holds` of a signed-in customer, with a key.
    pub(crate) fn post_hold(&self) -> RequestBuilder {
        self.as_customer(Method::POST, "/api/v1/holds")
            .header("idempotency-key", "k-1")
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    /// Checks status, code and form of an error, and gives its body.
    #[track_caller]
    pub(crate) fn error(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        assert_eq!(body["error_code"], code, "{body}");
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{body}"
        );
        assert!(body["details"].is_object(), "{body}");
        assert_eq!(
            body["request_id"].as_str(),
            self.header("x-request-id"),
            "{body}"
        );
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
        body
    }

    /// Checks that it is a 400 about exactly `field`.
    #[track_caller]
    pub(crate) fn invalid(&self, field: &str) {
        let body = self.error(400, "INVALID_REQUEST");
        assert_eq!(body["details"]["fields"][0]["field"], field, "{body}");
        assert_eq!(
            body["details"]["fields"].as_array().unwrap().len(),
            1,
            "{body}"
        );
    }
}

/// Sends it, and checks that the OpenAPI document has the error it is answered with, if any.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let asked = request.try_clone().unwrap().build().unwrap();
    let answer = send_unchecked(request).await;
    check_documented(asked.method(), asked.url().path(), &answer);
    answer
}

/// For what no service answers there.
pub(crate) async fn send_unchecked(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer {
        status,
        headers,
        bytes: response.bytes().await.unwrap().into(),
    }
}

fn check_documented(method: &Method, path: &str, answer: &Answer) {
    static DOCUMENT: LazyLock<Value> =
        LazyLock::new(|| serde_json::to_value(gateway::openapi()).unwrap());
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let found = paths.iter().find(|(template, _)| matches(template, path));
    let operation = found.and_then(|(_, item)| item.get(method.as_str().to_lowercase()));
    let (Some(operation), true) = (operation, answer.status >= 400) else {
        return;
    };
    let code = answer.json()["error_code"].as_str().unwrap().to_owned();
    let documented = &operation["responses"][answer.status.to_string()];
    let examples = &documented["content"]["application/json"]["examples"];
    assert!(examples[&code].is_object(), "{method} {path}: {code}");
    assert!(
        answer.header("retry-after").is_none() || documented["headers"]["Retry-After"].is_object(),
        "{method} {path}: {code} has an undocumented Retry-After"
    );
}

/// Whether `path` is one of a document's paths, like `/holds/{hold_id}`.
fn matches(template: &str, path: &str) -> bool {
    template.split('/').count() == path.split('/').count()
        && template
            .split('/')
            .zip(path.split('/'))
            .all(|(of, part)| of == part || (of.starts_with('{') && !part.is_empty()))
}

pub(crate) fn user() -> UserId {
    UserId::from_bytes([9; 16])
}

/// A customer's good token.
pub(crate) fn token() -> String {
    token_with(KEY, KEY_ID, 900)
}

/// A token signed by `key`, said to be `key_id`, that ends `ends_in_s` from now.
pub(crate) fn token_with(key: &str, key_id: &str, ends_in_s: i64) -> String {
    token_of(key, key_id, ends_in_s, &["customer"])
}

fn token_of(key: &str, key_id: &str, ends_in_s: i64, roles: &[&str]) -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = TokenClaims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: user(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        iat: now - 3600,
        exp: now.checked_add_signed(ends_in_s).unwrap(),
    };
    let header = Header {
        kid: Some(key_id.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    jsonwebtoken::encode(
        &header,
        &claims,
        &EncodingKey::from_ed_pem(key.as_bytes()).unwrap(),
    )
    .unwrap()
}
