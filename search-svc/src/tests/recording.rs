//! A Meilisearch that was listened to, and one that answers as it did: the suite of expectations is asked of it
//! again without a server.
//!
//! Always holds: a request gets the answer that the very same one (method, path, body) got, in their order; any
//! other one is told, and so is an answer that nobody asked for.

use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;

const EXCHANGES: &str = include_str!("../../tests/data/meilisearch/contract.jsonl");

/// What was asked. Written as one line with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Asked {
    method: String,
    /// With its query.
    path: String,
    body: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Exchange {
    #[serde(flatten)]
    asked: Asked,
    status: u16,
    answer: Value,
}

/// A body of nothing is null.
fn json(bytes: &[u8]) -> Value {
    match bytes {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes).unwrap(),
    }
}

fn asked(method: &Method, uri: &Uri, body: &[u8]) -> Asked {
    Asked {
        method: method.to_string(),
        path: uri.to_string(),
        body: json(body),
    }
}

fn answer(status: u16, answer: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let body = match answer {
        Value::Null => String::new(),
        answer => answer.to_string(),
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Serves on a port of its own until the test ends.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// Between a client and a server, and writes down what passes.
#[derive(Clone)]
pub(crate) struct Recorder {
    to: String,
    http: reqwest::Client,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl Recorder {
    /// Listens to the server at `to`; with where to ask it.
    pub(crate) async fn start(to: &str) -> (Self, String) {
        let recorder = Self {
            to: to.trim_end_matches('/').to_owned(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            exchanges: Arc::default(),
        };
        let router = Router::new().fallback(pass).with_state(recorder.clone());
        (recorder, serve(router).await)
    }

    /// Puts it in the place of what was recorded before.
    pub(crate) fn save(&self) {
        let exchanges = self.exchanges.lock().unwrap();
        let lines = exchanges.iter().filter(|one| !is_under_way(one));
        let lines = lines.map(|one| serde_json::to_string(one).unwrap() + "\n");
        std::fs::write(file(), lines.collect::<String>()).unwrap();
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/meilisearch/contract.jsonl")
}

/// A task that isn't over: how often one is asked for is another thing each time.
fn is_under_way(exchange: &Exchange) -> bool {
    exchange.asked.path.starts_with("/tasks/")
        && matches!(
            exchange.answer["status"].as_str(),
            Some("enqueued" | "processing")
        )
}

async fn pass(
    State(recorder): State<Recorder>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = asked(&method, &uri, &body);
    let mut request = recorder
        .http
        .request(method, format!("{}{uri}", recorder.to))
        .body(body);
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let answered = request.send().await.unwrap();
    let status = answered.status().as_u16();
    let exchange = Exchange {
        asked,
        status,
        answer: json(&answered.bytes().await.unwrap()),
    };
    let response = answer(exchange.status, &exchange.answer);
    recorder.exchanges.lock().unwrap().push(exchange);
    response
}

/// What is still to come of each request, and what came besides.
#[derive(Default)]
struct Left {
    answers: HashMap<Asked, VecDeque<(u16, Value)>>,
    surprises: Vec<Asked>,
}

/// The server as it was.
#[derive(Clone, Default)]
pub(crate) struct Recorded {
    left: Arc<Mutex<Left>>,
}

impl Recorded {
    /// With where to ask it.
    pub(crate) async fn start() -> (Self, String) {
        let recorded = Self::default();
        for line in EXCHANGES.lines() {
            let exchange: Exchange = serde_json::from_str(line).unwrap();
            let mut left = recorded.left.lock().unwrap();
            let answers = left.answers.entry(exchange.asked).or_default();
            answers.push_back((exchange.status, exchange.answer));
        }
        let router = Router::new().fallback(again).with_state(recorded.clone());
        (recorded, serve(router).await)
    }

    /// Everything that was recorded came, and nothing else.
    #[track_caller]
    pub(crate) fn came(&self) {
        let left = self.left.lock().unwrap();
        assert!(left.surprises.is_empty(), "{:#?}", left.surprises);
        let waits = left.answers.iter().find(|(_, answers)| !answers.is_empty());
        assert!(waits.is_none(), "nobody asked for {waits:#?}");
    }
}

async fn again(
    State(recorded): State<Recorded>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let asked = asked(&method, &uri, &body);
    let mut left = recorded.left.lock().unwrap();
    let next = left.answers.get_mut(&asked).and_then(VecDeque::pop_front);
    match next {
        Some((status, said)) => answer(status, &said),
        None => {
            eprintln!("not recorded: {asked:?}");
            left.surprises.push(asked);
            StatusCode::NOT_IMPLEMENTED.into_response()
        }
    }
}
