//! A server that answers as a Meilisearch was recorded to (`tests/data/meilisearch`).
//!
//! Always holds: requests must come in the order of the script, each with the recorded method and
//! path, and with a key where the recorded one had one; what came is kept.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use holdfast_mesh::config::Secret;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::meili::{Keys, Meili};

const EXCHANGES: &str = include_str!("../../tests/data/meilisearch/exchanges.jsonl");

/// What stands for the key in the recording.
const KEY: &str = "<key>";

/// One request that is expected, and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    method: String,
    path: String,
    needs_key: bool,
    status: u16,
    answer: String,
}

/// The recorded exchange of that name.
pub(crate) fn recorded(label: &str) -> Step {
    let exchanges = EXCHANGES
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let exchange = exchanges
        .into_iter()
        .find(|exchange| exchange["label"] == label)
        .unwrap_or_else(|| panic!("no exchange {label:?} was recorded"));
    let (request, response) = (&exchange["request"], &exchange["response"]);
    Step {
        method: request["method"].as_str().unwrap().to_owned(),
        path: request["path"].as_str().unwrap().to_owned(),
        needs_key: request["headers"]["Authorization"].is_string(),
        status: response["status"].as_u64().unwrap().try_into().unwrap(),
        answer: response["body"].to_string(),
    }
}

/// Names of the recorded exchanges.
pub(crate) fn labels() -> Vec<String> {
    let exchanges = EXCHANGES
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    exchanges
        .map(|exchange| exchange["label"].as_str().unwrap().to_owned())
        .collect()
}

impl Step {
    /// The same answer to another request.
    pub(crate) fn at(self, method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            ..self
        }
    }

    /// To whoever asks.
    pub(crate) fn with_any_key(self) -> Self {
        Self {
            needs_key: false,
            ..self
        }
    }

    /// Another answer, not recorded.
    pub(crate) fn answering(self, status: u16, answer: impl Into<String>) -> Self {
        Self {
            status,
            answer: answer.into(),
            ..self
        }
    }

    /// The answer with something in it changed.
    pub(crate) fn with(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut answer = serde_json::from_str(&self.answer).unwrap();
        change(&mut answer);
        Self {
            answer: answer.to_string(),
            ..self
        }
    }

    /// The recorded documents are an earlier kind of ours: the same hits with ids as we have them,
    /// milliseconds, and the fields that were added.
    pub(crate) fn with_our_hits(self) -> Self {
        self.with(|answer| {
            for hit in answer["hits"].as_array_mut().unwrap() {
                let number = hit["show_id"].as_u64().unwrap();
                hit["show_id"] = json!(our_id(number));
                hit["event_id"] = json!(our_id(number % 10));
                hit["venue_id"] = json!(our_id(number + 1000));
                hit["starts_at_ms"] = json!(hit["starts_at"].as_i64().unwrap() * 1000);
                hit["time_zone"] = json!("UTC");
                let is_on_sale = hit["on_sale"].as_bool().unwrap();
                hit["state"] = json!(if is_on_sale { "ON_SALE" } else { "PAUSED" });
            }
        })
    }
}

/// The id of the recorded show of that number.
pub(crate) fn our_id(number: u64) -> Uuid {
    Uuid::from_u128(number.into())
}

#[derive(Debug, Default)]
struct Played {
    script: VecDeque<Step>,
    bodies: Vec<Value>,
    surprises: Vec<String>,
}

/// The server.
pub(crate) struct Replay {
    address: SocketAddr,
    played: Arc<Mutex<Played>>,
}

impl Replay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let played = Arc::new(Mutex::new(Played::default()));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&played));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, played }
    }

    /// The adapter, with the recorded key and the recorded index.
    pub(crate) fn meili(&self) -> Meili {
        self.meili_with(KEY, "")
    }

    pub(crate) fn meili_with(&self, all: &str, search: &str) -> Meili {
        let url = format!("http://{}", self.address);
        let [all, search] = [all, search].map(Secret::new);
        let keys = Keys {
            all: &all,
            search: &search,
        };
        Meili::new(&url, keys, "shows").unwrap()
    }

    /// What shall come next, after all that was expected so far came.
    #[track_caller]
    pub(crate) fn expect(&self, steps: impl IntoIterator<Item = Step>) {
        let mut played = self.played.lock().unwrap();
        assert!(
            played.script.is_empty(),
            "did not come: {:?}",
            played.script
        );
        played.script.extend(steps);
    }

    /// The bodies of all that came, which must be all that was expected.
    #[track_caller]
    pub(crate) fn came(&self) -> Vec<Value> {
        let mut played = self.played.lock().unwrap();
        assert!(played.surprises.is_empty(), "{:#?}", played.surprises);
        assert!(
            played.script.is_empty(),
            "did not come: {:#?}",
            played.script
        );
        std::mem::take(&mut played.bodies)
    }
}

async fn answer(
    State(played): State<Arc<Mutex<Played>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut played = played.lock().unwrap();
    let step = played.script.pop_front();
    let authorization = headers
        .get("authorization")
        .map(|value| value.to_str().unwrap());
    let expected = step.as_ref().is_some_and(|step| {
        let has_key = authorization == Some("Bearer <key>");
        step.method == method.as_str()
            && step.path == uri.to_string()
            && (has_key || !step.needs_key)
    });
    if !expected {
        let surprise = format!("{method} {uri} ({authorization:?}) in place of {step:?}");
        played.surprises.push(surprise);
        return StatusCode::NOT_IMPLEMENTED.into_response();
    }
    let body = match body.as_ref() {
        [] => Value::Null,
        json => serde_json::from_slice(json).unwrap(),
    };
    played.bodies.push(body);
    let step = step.unwrap();
    let status = StatusCode::from_u16(step.status).unwrap();
    (status, [(CONTENT_TYPE, "application/json")], step.answer).into_response()
}
