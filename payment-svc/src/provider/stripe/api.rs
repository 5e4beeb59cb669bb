//! Requests to Stripe, and what an answer that isn't a success means.

use axum::http::{Method, Request, StatusCode, header};
use chrono::{DateTime, Utc};
use holdfast_mesh::config::Secret;
use http_body_util::Full;
use serde::de::DeserializeOwned;

use super::wire;
use crate::provider::{
    Error,
    https::{Answer, Https, Unanswered},
};

/// Objects on a page, the most there are.
const PAGE: usize = 100;

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        Self::Unknown(unanswered.to_string())
    }
}

/// Parameters, by their names on the wire.
pub(super) type Form<'a> = Vec<(&'a str, String)>;

/// Stripe's API at one address, for one account.
pub(super) struct Api {
    http: Https,
    base: String,
    secret_key: Secret,
}

impl Api {
    pub(super) fn new(base: &str, secret_key: Secret) -> Self {
        Self {
            http: Https::new(),
            base: base.trim_end_matches('/').to_owned(),
            secret_key,
        }
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Form<'_>,
    ) -> Result<T, Error> {
        let path = format!("{path}?{}", encode(query));
        read(
            &self
                .exchange(Method::GET, &path, None, String::new())
                .await?,
        )
    }

    /// A page of a list; a shorter one where that is too long to read.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Form<'_>,
    ) -> Result<wire::List<T>, Error> {
        let query = encode(query);
        let mut limit = PAGE;
        loop {
            let path = format!("{path}?limit={limit}&{query}");
            let asked = self.exchange(Method::GET, &path, None, String::new());
            match asked.await {
                Err(Unanswered::TooLong) if limit > 1 => limit /= 2,
                answer => return read(&answer?),
            }
        }
    }

    /// A `POST` that repeats itself harmlessly.
    pub(super) async fn act<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        read(
            &self
                .exchange(Method::POST, path, None, String::new())
                .await?,
        )
    }

    /// A `POST` that makes something, once for a `key` while Stripe remembers it, at least a day. A key that
    /// is spent is followed by one of its own for each minute, which copies of the request share; the caller
    /// knows that nothing is there yet, or that a second one does no harm.
    pub(super) async fn make<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        form: &Form<'_>,
        now: DateTime<Utc>,
    ) -> Result<T, Error> {
        let form = encode(form);
        let minute = now.timestamp().div_euclid(60);
        for key in [key.to_owned(), format!("{key}-{minute}")] {
            let answer = self
                .exchange(Method::POST, path, Some(&key), form.clone())
                .await?;
            if !is_spent(&answer) {
                return read(&answer);
            }
            tracing::warn!(path, key, "an idempotency key is spent");
        }
        Err(Error::Unknown(
            "its keys are spent until the next minute".to_owned(),
        ))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        form: String,
    ) -> Result<Answer, Unanswered> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.secret_key.expose()),
            )
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::USER_AGENT, "holdfast")
            .header("stripe-version", wire::VERSION);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request
            .body(Full::from(form))
            .map_err(|error| Unanswered::None(format!("no request can be made: {error}")))?;
        self.http.send(request).await
    }
}

fn encode(form: &Form<'_>) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(form);
    text.finish()
}

/// Whether the key will never say anything else: its first use failed, however, and that is said again; or
/// it was for other parameters (of a process that was configured otherwise).
fn is_spent(answer: &Answer) -> bool {
    let replayed = answer.headers.get("idempotent-replayed");
    let replayed = replayed.is_some_and(|value| value == "true");
    (replayed && !answer.status.is_success())
        || refusal(answer).is_some_and(|refusal| refusal.error_type == "idempotency_error")
            && answer.status == StatusCode::BAD_REQUEST
}

fn refusal(answer: &Answer) -> Option<wire::ErrorObject> {
    let body: Result<wire::ErrorBody, _> = serde_json::from_slice(&answer.body);
    body.ok().map(|body| body.error)
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Error> {
    if answer.status.is_success() {
        return serde_json::from_slice(&answer.body)
            .map_err(|error| Error::Unknown(format!("an answer that can't be read: {error}")));
    }
    let request = answer.headers.get("request-id");
    let request = request.and_then(|id| id.to_str().ok()).unwrap_or("none");
    let refusal = refusal(answer);
    if matches!(
        answer.status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    ) {
        tracing::warn!(status = %answer.status, request, "Stripe doesn't let the secret key do this");
    }
    let code = refusal.as_ref().and_then(|refusal| refusal.code.clone());
    let text = match &refusal {
        Some(refusal) => format!(
            "{} ({} {}, request {request})",
            refusal.message.as_deref().unwrap_or("no reason given"),
            answer.status.as_u16(),
            code.as_deref().unwrap_or(&refusal.error_type),
        ),
        None => format!("{} (request {request})", answer.status),
    };
    Err(match answer.status {
        // A wrong key, or one with too few rights, is ours to repair, and no word about the payment.
        // Asked too often, too early, or at once with a copy of itself: the same again later.
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::CONFLICT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => Error::Unknown(text),
        // Every id that goes to Stripe is one that it gave us.
        _ if code.as_deref() == Some("resource_missing") => Error::Elsewhere(text),
        StatusCode::NOT_FOUND if refusal.is_some() => Error::Elsewhere(text),
        // Without Stripe's own body it may be anybody's on the way there.
        status if status.is_client_error() && refusal.is_some() => Error::Refused(text),
        _ => Error::Unknown(text),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{Arc, Mutex},
    };

    use axum::{Router, http::HeaderMap};
    use chrono::TimeDelta;
    use tokio::net::TcpListener;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
        }
    }

    fn error(kind: &str, code: &str) -> String {
        format!(r#"{{"error":{{"type":"{kind}","code":"{code}","message":"m"}}}}"#)
    }

    #[test]
    fn only_a_clear_no_counts_as_one() {
        let said = |status, body: &str| read::<wire::Refund>(&answer(status, body));
        let unknown = |status, body: &str| {
            let said = said(status, body);
            assert!(matches!(said, Err(Error::Unknown(_))), "{status} {said:?}");
        };
        for status in [401, 403, 408, 409, 425, 429, 500, 502, 503, 504, 302] {
            unknown(status, &error("api_error", "x"));
        }
        // Whoever answers so isn't Stripe.
        unknown(400, "<html>");
        unknown(404, "");
        unknown(200, "{}");
        unknown(200, r#"{"id":"re_1","#);

        let card = said(402, &error("card_error", "card_declined"));
        assert!(
            matches!(&card, Err(Error::Refused(why)) if why.contains("card_declined")),
            "{card:?}"
        );
        for status in [400, 404] {
            let missing = said(status, &error("invalid_request_error", "resource_missing"));
            assert!(matches!(missing, Err(Error::Elsewhere(_))), "{missing:?}");
        }
    }

    #[test]
    fn a_key_is_spent_by_a_failure_that_is_given_again_and_by_other_parameters() {
        for status in [200, 400, 402, 500] {
            assert!(!is_spent(&answer(status, &error("api_error", "x"))));
            let mut again = answer(status, &error("api_error", "x"));
            let replayed = "true".parse().expect("a value");
            again.headers.insert("idempotent-replayed", replayed);
            assert_eq!(is_spent(&again), status != 200, "{status}");
        }
        assert!(is_spent(&answer(400, &error("idempotency_error", "x"))));
        let in_use = error("idempotency_error", "idempotency_key_in_use");
        assert!(!is_spent(&answer(409, &in_use)));
    }

    /// Breaks at the first `left` new keys, and remembers what it said to each.
    #[derive(Default)]
    struct Broken {
        left: usize,
        said: HashMap<String, StatusCode>,
    }

    async fn broken(left: usize) -> Api {
        let broken = Arc::new(Mutex::new(Broken {
            left,
            said: HashMap::new(),
        }));
        let answer = move |headers: HeaderMap| {
            let key = headers["idempotency-key"]
                .to_str()
                .expect("text")
                .to_owned();
            let mut broken = broken.lock().expect("no panic");
            let replayed = broken.said.get(&key).copied();
            let status = replayed.unwrap_or_else(|| match broken.left {
                0 => StatusCode::OK,
                _ => {
                    broken.left -= 1;
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            });
            broken.said.insert(key, status);
            let replayed = replayed.is_some().to_string();
            let headers = [("idempotent-replayed", replayed)];
            async move { (status, headers, r#"{"id":"re_1","status":"succeeded"}"#) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        Api::new(&format!("http://{address}"), "sk_test_x".into())
    }

    #[tokio::test]
    async fn however_often_stripe_broke_the_next_minute_brings_another_key() {
        const TIMES: usize = 5;
        let api = broken(TIMES).await;
        let make = async |now| api.make::<wire::Refund>("/", "k", &Form::new(), now).await;
        let mut now = DateTime::UNIX_EPOCH;
        // The first minute spends two keys.
        for _ in 1..TIMES {
            // However often within one minute.
            for _ in 0..3 {
                let made = make(now).await;
                assert!(matches!(made, Err(Error::Unknown(_))), "{made:?}");
            }
            now += TimeDelta::minutes(1);
        }
        assert_eq!(make(now).await.expect("made").id, "re_1");
    }
}
