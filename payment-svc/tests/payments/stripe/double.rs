//! A double of Stripe, over HTTP: Checkout Sessions with a page to pay on, PaymentIntents, charges, fees,
//! refunds that may take their time and fail, disputes, events, signed webhooks that are sent again until
//! they are taken; idempotency keys with what is strange about them. Every request and every object is
//! held against `shapes`.
//!
//! What the money does can be left to another Stripe (`localstripe`), which has no sessions.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use axum::{
    Form, Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{shapes, sign};

pub(crate) const SECRET_KEY: &str = "sk_test_double";

/// What it keeps of each charge, in minor units.
pub(crate) const FEE: i64 = 103;

#[derive(Default)]
struct Books {
    made: u64,
    sessions: BTreeMap<String, Value>,
    intents: BTreeMap<String, Value>,
    charges: BTreeMap<String, Value>,
    refunds: Vec<Value>,
    disputes: Vec<Value>,
    events: Vec<Value>,
    /// Sent until they are taken.
    webhooks: VecDeque<Value>,
    /// What was first answered under a key, and to what.
    keys: HashMap<String, (String, StatusCode, Value)>,
    /// Sessions whose webhooks go out twice.
    twice: Vec<String>,
    /// Whether webhooks are kept back, to be sent in another order.
    holding: bool,
    /// The next `POST` with a key breaks inside, and its key says so ever after.
    breaking: bool,
    /// How the next refunds stand when they are made.
    refund_status: Option<&'static str>,
    /// Whether charges have no fee yet.
    fee_unknown: bool,
    /// Whether refunds are more than the account has.
    broke: bool,
    /// Whether the key is another account's, which has none of the objects.
    elsewhere: bool,
    /// Webhooks that weren't taken.
    untaken: usize,
    /// So many bytes more in each event that is asked for.
    padding: usize,
}

/// The server.
pub(crate) struct Double {
    books: Mutex<Books>,
    webhook_url: String,
    webhook_secret: String,
    http: reqwest::Client,
    address: std::net::SocketAddr,
    /// Another one, which has the money.
    money: Option<String>,
}

struct Refusal(StatusCode, &'static str, &'static str, String);

impl Refusal {
    fn bad(code: &'static str, message: impl Into<String>) -> Self {
        let kind = "invalid_request_error";
        Self(StatusCode::BAD_REQUEST, kind, code, message.into())
    }

    fn missing(what: &str) -> Self {
        let kind = "invalid_request_error";
        let message = format!("No such {what}");
        Self(StatusCode::NOT_FOUND, kind, "resource_missing", message)
    }

    fn answer(&self) -> (StatusCode, Value) {
        let Self(status, kind, code, message) = self;
        let body =
            json!({"error": {"type": kind, "code": code, "message": message, "param": null}});
        shapes::check_error(&body);
        (*status, body)
    }
}

type Answer = Result<Value, Refusal>;
type Pairs = Vec<(String, String)>;

fn pairs(text: &[u8]) -> Pairs {
    form_urlencoded::parse(text).into_owned().collect()
}

fn value<'a>(form: &'a Pairs, name: &str) -> Option<&'a str> {
    let found = form.iter().find(|(given, _)| given == name);
    found.map(|(_, value)| value.as_str())
}

fn metadata(form: &Pairs, prefix: &str) -> Value {
    let named = form.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(prefix)?.strip_suffix(']')?;
        Some((name.to_owned(), json!(value)))
    });
    Value::Object(named.collect())
}

fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_secs()).unwrap()
}

fn page(url: &str, found: Vec<Value>, form: &Pairs) -> Value {
    let after = value(form, "starting_after");
    let limit = value(form, "limit").map_or(10, |limit| limit.parse().unwrap());
    let mut found = found.into_iter();
    if let Some(after) = after {
        found.by_ref().find(|one| one["id"] == after);
    }
    let mut data: Vec<_> = found.by_ref().take(limit).collect();
    let has_more = found.next().is_some();
    data.shrink_to_fit();
    json!({"object": "list", "data": data, "has_more": has_more, "url": url})
}

impl Books {
    fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_test{:06}", self.made)
    }

    fn tell(&mut self, kind: &str, object: &Value) {
        let id = self.id("evt");
        let event = json!({
            "id": id, "object": "event", "api_version": "2025-03-31.basil", "created": now_s(),
            "livemode": false, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null},
            "type": kind, "data": {"object": object},
        });
        shapes::check(&event);
        self.events.push(event.clone());
        let of_session = object["id"].as_str().unwrap().to_owned();
        if self.twice.contains(&of_session) {
            self.webhooks.push_back(event.clone());
        }
        self.webhooks.push_back(event);
    }

    /// Ends what time has ended.
    fn expire(&mut self) {
        let due: Vec<String> = self
            .sessions
            .values()
            .filter(|s| s["status"] == "open" && s["expires_at"].as_i64().unwrap() <= now_s())
            .map(|s| s["id"].as_str().unwrap().to_owned())
            .collect();
        for id in due {
            self.end(&id);
        }
    }

    fn end(&mut self, id: &str) {
        let session = self.sessions.get_mut(id).unwrap();
        session["status"] = json!("expired");
        session["url"] = Value::Null;
        let session = session.clone();
        self.tell("checkout.session.expired", &session);
    }

    fn create_session(&mut self, form: &Pairs, base: &str) -> Answer {
        let unit = value(form, "line_items[0][price_data][unit_amount]").unwrap_or_default();
        let amount: i64 = unit
            .parse()
            .map_err(|_| Refusal::bad("parameter_invalid_integer", unit))?;
        if amount < 50 {
            let why = "The Checkout Session's total amount must convert to at least 50 cents.";
            return Err(Refusal::bad("amount_too_small", why));
        }
        let expires_at = match value(form, "expires_at") {
            None => now_s() + 24 * 3_600,
            Some(text) => text.parse().unwrap(),
        };
        if !(30 * 60..=24 * 3_600).contains(&(expires_at - now_s())) {
            let why =
                "The `expires_at` timestamp must be between 30 minutes and 24 hours from now.";
            return Err(Refusal::bad("parameter_invalid_integer", why));
        }
        let id = self.id("cs");
        let currency = value(form, "line_items[0][price_data][currency]").unwrap();
        assert_eq!(currency, currency.to_lowercase());
        assert_eq!(
            metadata(form, "payment_intent_data[metadata]["),
            metadata(form, "metadata["),
        );
        let session = json!({
            "id": id, "object": "checkout.session", "amount_total": amount,
            "client_reference_id": value(form, "client_reference_id"), "created": now_s(),
            "currency": currency, "expires_at": expires_at, "livemode": false,
            "metadata": metadata(form, "metadata["), "mode": "payment", "payment_intent": null,
            "payment_status": "unpaid", "status": "open", "success_url": value(form, "success_url"),
            "cancel_url": value(form, "cancel_url"), "url": format!("{base}/pay/{id}"),
        });
        self.sessions.insert(id, session.clone());
        Ok(session)
    }

    /// Somebody tries to pay with a method that takes its time; the intent is returned.
    fn begin(&mut self, id: &str) -> String {
        let intent_id = self.id("pi");
        let session = self.sessions.get_mut(id).unwrap();
        session["status"] = json!("complete");
        session["url"] = Value::Null;
        session["payment_intent"] = json!(intent_id);
        let intent = json!({
            "id": intent_id, "object": "payment_intent", "amount": session["amount_total"],
            "amount_received": 0, "created": now_s(), "currency": session["currency"],
            "latest_charge": null, "livemode": false, "metadata": session["metadata"],
            "status": "processing",
        });
        self.intents.insert(intent_id.clone(), intent);
        intent_id
    }

    fn capture(&mut self, id: &str, intent_id: &str) {
        let charge_id = self.id("ch");
        let session = self.sessions.get_mut(id).unwrap();
        session["payment_status"] = json!("paid");
        let intent = self.intents.get_mut(intent_id).unwrap();
        intent["status"] = json!("succeeded");
        intent["amount_received"] = intent["amount"].clone();
        intent["latest_charge"] = json!(charge_id);
        let charge = json!({
            "id": charge_id, "object": "charge", "amount": intent["amount"], "amount_refunded": 0,
            "balance_transaction": format!("txn_{charge_id}"), "captured": true, "created": now_s(),
            "currency": intent["currency"], "disputed": false, "livemode": false,
            "metadata": intent["metadata"], "paid": true, "payment_intent": intent_id,
            "refunded": false, "status": "succeeded",
        });
        self.charges.insert(charge_id, charge);
    }

    /// A charge, as it is shown.
    fn charge(&self, id: &str, expand: bool) -> Value {
        let mut charge = self.charges[id].clone();
        if self.fee_unknown {
            charge["balance_transaction"] = Value::Null;
        } else if expand {
            let amount = charge["amount"].as_i64().unwrap();
            charge["balance_transaction"] = json!({
                "id": charge["balance_transaction"], "object": "balance_transaction",
                "amount": amount, "currency": charge["currency"], "fee": FEE, "net": amount - FEE,
                "status": "pending", "type": "charge",
            });
        }
        charge
    }

    fn intent(&self, id: &str, form: &Pairs) -> Answer {
        let intent = self.intents.get(id);
        let mut intent = intent.ok_or(Refusal::missing("payment_intent"))?.clone();
        let expand = value(form, "expand[]").unwrap_or_default();
        if let (Some(charge), true) = (
            intent["latest_charge"].as_str(),
            expand.starts_with("latest_charge"),
        ) {
            let deeper = expand == "latest_charge.balance_transaction";
            intent["latest_charge"] = self.charge(charge, deeper);
        }
        Ok(intent)
    }

    fn refunded(&self, charge_id: &str) -> i64 {
        let standing = self.refunds.iter().filter(|r| {
            r["charge"] == charge_id && r["status"] != "failed" && r["status"] != "canceled"
        });
        standing.map(|r| r["amount"].as_i64().unwrap()).sum()
    }

    fn create_refund(&mut self, form: &Pairs) -> Answer {
        let charge_id = value(form, "charge").unwrap_or_default().to_owned();
        let charge = self.charges.get(&charge_id);
        let charge = charge.ok_or(Refusal::missing("charge"))?.clone();
        if self.broke {
            let why = "Insufficient funds in your Stripe balance to refund this amount.";
            return Err(Refusal::bad("balance_insufficient", why));
        }
        let all = charge["amount"].as_i64().unwrap();
        let stands = |d: &Value| d["status"].as_str().unwrap().to_owned();
        let taken = |d: &&Value| {
            let (charge, stands) = (&d["charge"], stands(d));
            charge == charge_id.as_str() && stands != "won" && !stands.starts_with("warning_")
        };
        if self.disputes.iter().any(|dispute| taken(&dispute)) {
            return Err(Refusal::bad(
                "charge_disputed",
                "The charge has been charged back.",
            ));
        }
        let left = all - self.refunded(&charge_id);
        let amount = value(form, "amount").map_or(left, |text| text.parse().unwrap());
        if left == 0 {
            return Err(Refusal::bad(
                "charge_already_refunded",
                "Charge has already been refunded.",
            ));
        }
        if amount > left {
            let why =
                format!("Refund amount ({amount}) is greater than unrefunded amount ({left})");
            return Err(Refusal::bad("amount_too_large", why));
        }
        let refund = json!({
            "id": self.id("re"), "object": "refund", "amount": amount, "charge": charge_id,
            "created": now_s(), "currency": charge["currency"],
            "metadata": metadata(form, "metadata["), "payment_intent": charge["payment_intent"],
            "status": self.refund_status.unwrap_or("succeeded"),
        });
        self.refunds.push(refund.clone());
        let charge = self.charges.get_mut(&charge_id).unwrap();
        charge["amount_refunded"] = json!(all - left + amount);
        charge["refunded"] = json!(amount == left);
        self.tell("refund.created", &refund);
        Ok(refund)
    }

    fn dispute(&mut self, intent_id: &str, status: Option<&str>, part: Option<i64>, stands: &str) {
        let charge_id = self.intents[intent_id]["latest_charge"]
            .as_str()
            .unwrap()
            .to_owned();
        let Some(status) = status else {
            let open = |d: &&Value| d["charge"] == charge_id.as_str() && d["status"] != "won";
            if self.disputes.iter().any(|dispute| open(&dispute)) {
                return;
            }
            let refunded = self.refunded(&charge_id);
            let charge = self.charges.get_mut(&charge_id).unwrap();
            charge["disputed"] = json!(true);
            let amount = part.unwrap_or(charge["amount"].as_i64().unwrap() - refunded);
            let currency = charge["currency"].clone();
            let dispute = json!({
                "id": self.id("dp"), "object": "dispute", "amount": amount, "charge": charge_id,
                "created": now_s(), "currency": currency, "is_charge_refundable": false,
                "livemode": false, "metadata": {}, "payment_intent": intent_id,
                "reason": "fraudulent", "status": stands,
            });
            self.disputes.push(dispute.clone());
            self.tell("charge.dispute.created", &dispute);
            return;
        };
        let open = self
            .disputes
            .iter_mut()
            .find(|d| d["charge"] == charge_id.as_str() && d["status"] == "needs_response");
        if let Some(dispute) = open {
            dispute["status"] = json!(status);
            let dispute = dispute.clone();
            self.tell("charge.dispute.closed", &dispute);
        }
    }

    fn answer(&mut self, method: &Method, path: &str, form: &Pairs, base: &str) -> Answer {
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let named = match *parts.as_slice() {
            ["checkout", "sessions", _] => "/v1/checkout/sessions/{id}".to_owned(),
            ["checkout", "sessions", _, "expire"] => "/v1/checkout/sessions/{id}/expire".to_owned(),
            [kind @ ("payment_intents" | "charges" | "refunds"), _] => format!("/v1/{kind}/{{id}}"),
            _ => path.to_owned(),
        };
        if let Some((code, why)) = shapes::refuse(&format!("{method} {named}"), form) {
            return Err(Refusal::bad(code, why));
        }
        self.expire();
        let names_one = matches!(*parts.as_slice(), ["checkout", "sessions", ..] if parts.len() > 2)
            || matches!(
                *parts.as_slice(),
                ["payment_intents" | "charges" | "refunds", _]
            );
        if self.elsewhere && names_one {
            return Err(Refusal::missing("object"));
        }
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["checkout", "sessions"]) => {
                let expand = vec![("expand[]".to_owned(), "latest_charge".to_owned())];
                let newest = self.sessions.values().rev().map(|session| {
                    let mut session = session.clone();
                    if let Some(intent) = session["payment_intent"].as_str() {
                        session["payment_intent"] = self.intent(intent, &expand)?;
                    }
                    Ok(session)
                });
                let found: Result<_, Refusal> = newest.collect();
                Ok(page("/v1/checkout/sessions", found?, form))
            }
            ("POST", ["checkout", "sessions"]) => self.create_session(form, base),
            ("GET", ["checkout", "sessions", id]) => self
                .sessions
                .get(*id)
                .cloned()
                .ok_or(Refusal::missing("checkout.session")),
            ("POST", ["checkout", "sessions", id, "expire"]) => {
                let session = self.sessions.get(*id);
                let session = session.ok_or(Refusal::missing("checkout.session"))?;
                if session["status"] != "open" {
                    let why = "Only Checkout Sessions with a status in [\"open\"] can be expired.";
                    return Err(Refusal::bad("resource_state_invalid", why));
                }
                self.end(id);
                Ok(self.sessions[*id].clone())
            }
            ("GET", ["payment_intents", id]) => self.intent(id, form),
            ("GET", ["charges", id]) if self.charges.contains_key(*id) => {
                Ok(self.charge(id, false))
            }
            ("GET", ["charges", _]) => Err(Refusal::missing("charge")),
            ("GET", ["refunds"]) => {
                let charge = value(form, "charge");
                let newest = self.refunds.iter().rev();
                let found = newest.filter(|r| charge.is_none_or(|charge| r["charge"] == charge));
                Ok(page("/v1/refunds", found.cloned().collect(), form))
            }
            ("GET", ["refunds", id]) => {
                let refund = self.refunds.iter().find(|r| r["id"] == *id);
                refund.cloned().ok_or(Refusal::missing("refund"))
            }
            ("POST", ["refunds"]) => self.create_refund(form),
            ("GET", ["disputes"]) => {
                let intent = value(form, "payment_intent").unwrap();
                let found = self
                    .disputes
                    .iter()
                    .filter(|d| d["payment_intent"] == intent);
                Ok(page("/v1/disputes", found.rev().cloned().collect(), form))
            }
            ("GET", ["events"]) => {
                let types: Vec<&str> = form
                    .iter()
                    .filter(|(name, _)| name == "types[]")
                    .map(|(_, kind)| kind.as_str())
                    .collect();
                let bound = |name: &str| value(form, name).unwrap().parse::<i64>().unwrap();
                let time = bound("created[gte]")..=bound("created[lte]");
                let found = self.events.iter().rev().filter(|event| {
                    types.contains(&event["type"].as_str().unwrap())
                        && time.contains(&event["created"].as_i64().unwrap())
                });
                let found = found.cloned().map(|mut event| {
                    event["request"]["padding"] = json!("x".repeat(self.padding));
                    event
                });
                Ok(page("/v1/events", found.collect(), form))
            }
            other => panic!("Stripe has no {other:?}"),
        }
    }
}

impl Double {
    /// Listens until `ending`.
    pub(crate) async fn start(
        webhook_url: String,
        webhook_secret: &str,
        money: Option<String>,
        ending: &CancellationToken,
    ) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let double = Arc::new(Self {
            books: Mutex::default(),
            webhook_url,
            webhook_secret: webhook_secret.to_owned(),
            http,
            address: listener.local_addr().unwrap(),
            money,
        });
        let router = Router::new()
            .route("/pay/{id}", post(press).get(show))
            .route("/v1/{*path}", get(api).post(api))
            .layer(middleware::from_fn(authenticate))
            .with_state(double.clone());
        let ended = ending.clone();
        tokio::spawn(async move {
            let server = axum::serve(listener, router);
            let served = server.with_graceful_shutdown(ended.cancelled_owned()).await;
            served.unwrap();
        });
        tokio::spawn(deliver(double.clone(), ending.clone()));
        double
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    pub(crate) fn sessions(&self) -> i64 {
        i64::try_from(self.books().sessions.len()).unwrap()
    }

    pub(crate) fn charges(&self) -> i64 {
        i64::try_from(self.books().charges.len()).unwrap()
    }

    /// Minor units that came in, and that went back and haven't come again.
    pub(crate) fn captured(&self) -> i64 {
        self.books()
            .charges
            .values()
            .map(|c| c["amount"].as_i64().unwrap())
            .sum()
    }

    pub(crate) fn refunded(&self) -> i64 {
        let books = self.books();
        books
            .charges
            .keys()
            .map(|charge| books.refunded(charge))
            .sum()
    }

    pub(crate) fn refunds(&self) -> usize {
        self.books().refunds.len()
    }

    pub(crate) fn sessions_open(&self) -> usize {
        self.books()
            .sessions
            .values()
            .filter(|s| s["status"] == "open")
            .count()
    }

    /// How a session stands: `open`, `complete`, `expired`; and whether it is paid.
    pub(crate) fn stands(&self, id: &str) -> (String, bool) {
        let session = &self.books().sessions[id];
        let status = session["status"].as_str().unwrap().to_owned();
        (status, session["payment_status"] == "paid")
    }

    pub(crate) fn forget_session(&self, id: &str) {
        self.books().sessions.remove(id).unwrap();
    }

    /// Their time is over.
    pub(crate) fn end_sessions(&self) {
        let mut books = self.books();
        for session in books.sessions.values_mut() {
            session["expires_at"] = json!(now_s());
        }
        books.expire();
    }

    pub(crate) fn forget_keys(&self) {
        self.books().keys.clear();
    }

    pub(crate) fn break_next(&self) {
        self.books().breaking = true;
    }

    /// The account has no money, or has again.
    pub(crate) fn lack_money(&self, broke: bool) {
        self.books().broke = broke;
    }

    /// Somebody sends everything back past us.
    pub(crate) fn refund_by_hand(&self) {
        let mut books = self.books();
        let charges: Vec<String> = books.charges.keys().cloned().collect();
        for charge in charges {
            let form = vec![("charge".to_owned(), charge)];
            assert!(books.create_refund(&form).is_ok());
        }
    }

    /// We ask with another account's key, or with the right one again.
    pub(crate) fn be_elsewhere(&self, elsewhere: bool) {
        self.books().elsewhere = elsewhere;
    }

    /// How often a webhook wasn't taken.
    pub(crate) fn untaken(&self) -> usize {
        self.books().untaken
    }

    pub(crate) fn pad_events(&self, bytes: usize) {
        self.books().padding = bytes;
    }

    /// All charges were made an hour ago.
    pub(crate) fn age(&self) {
        for charge in self.books().charges.values_mut() {
            charge["created"] = json!(now_s() - 3_600);
        }
    }

    /// A later session that is like that one, of another reference.
    pub(crate) fn copy_session(&self, id: &str, reference: Option<&str>) {
        let mut books = self.books();
        let mut session = books.sessions[id].clone();
        let id = books.id("cs");
        session["id"] = json!(id);
        session["client_reference_id"] = json!(reference);
        books.sessions.insert(id, session);
    }

    pub(crate) fn hold_fees(&self, unknown: bool) {
        self.books().fee_unknown = unknown;
    }

    pub(crate) fn hold_webhooks(&self) {
        self.books().holding = true;
    }

    /// Sends what was kept back, the newest first.
    pub(crate) fn send_reversed(&self) {
        let mut books = self.books();
        books.webhooks.make_contiguous().reverse();
        books.holding = false;
    }

    /// No webhook of what happened so far will come.
    pub(crate) fn drop_webhooks(&self) {
        self.books().webhooks.clear();
    }

    pub(crate) fn webhooks_left(&self) -> usize {
        self.books().webhooks.len()
    }

    pub(crate) fn refunds_stand(&self, status: &'static str) {
        self.books().refund_status = Some(status);
    }

    /// Every refund becomes this, and is told of.
    pub(crate) fn refunds_become(&self, from: &str, status: &str) {
        let mut books = self.books();
        let mut changed = Vec::new();
        for refund in books
            .refunds
            .iter_mut()
            .filter(|refund| refund["status"] == from)
        {
            refund["status"] = json!(status);
            changed.push(refund.clone());
        }
        for refund in changed {
            let kind = if status == "failed" {
                "refund.failed"
            } else {
                "refund.updated"
            };
            books.tell(kind, &refund);
            books.tell("charge.refund.updated", &refund);
        }
    }

    /// What takes its time ends now.
    pub(crate) fn settle_slow(&self, paid: bool) {
        let mut books = self.books();
        let slow: Vec<(String, String)> = books
            .sessions
            .values()
            .filter(|s| s["status"] == "complete" && s["payment_status"] == "unpaid")
            .map(|s| {
                let text = |name: &str| s[name].as_str().unwrap().to_owned();
                (text("id"), text("payment_intent"))
            })
            .collect();
        for (id, intent_id) in slow {
            let kind = if paid {
                books.capture(&id, &intent_id);
                "checkout.session.async_payment_succeeded"
            } else {
                let intent = books.intents.get_mut(&intent_id).unwrap();
                intent["status"] = json!("requires_payment_method");
                "checkout.session.async_payment_failed"
            };
            let session = books.sessions[&id].clone();
            books.tell(kind, &session);
        }
    }

    /// A request for the other Stripe, with what came of it.
    async fn pass_on(&self, money: &str, method: Method, path: &str, body: Bytes) -> Response {
        let request = self.http.request(method, format!("{money}{path}"));
        let answer = request
            .bearer_auth(SECRET_KEY)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap();
        (answer.status(), answer.bytes().await.unwrap()).into_response()
    }

    /// Pays at the other Stripe; its intent.
    async fn pay_there(&self, money: &str, session: &Value) -> String {
        let post = async |path: &str, form: &[(&str, String)]| {
            let request = self
                .http
                .post(format!("{money}{path}"))
                .bearer_auth(SECRET_KEY);
            let answer = request.form(form).send().await.unwrap();
            let status = answer.status();
            let body: Value = answer.json().await.unwrap();
            assert!(status.is_success(), "{body}");
            body
        };
        let method = post(
            "/v1/payment_methods",
            &[
                ("type", "card".into()),
                ("card[number]", "4242424242424242".into()),
                ("card[exp_month]", "12".into()),
                ("card[exp_year]", "2040".into()),
                ("card[cvc]", "123".into()),
            ],
        )
        .await;
        let payment_id = session["client_reference_id"].as_str().unwrap();
        let intent = post(
            "/v1/payment_intents",
            &[
                ("amount", session["amount_total"].to_string()),
                ("currency", session["currency"].as_str().unwrap().to_owned()),
                ("payment_method", method["id"].as_str().unwrap().to_owned()),
                ("confirm", "true".into()),
                ("metadata[payment_id]", payment_id.to_owned()),
            ],
        )
        .await;
        assert_eq!(intent["status"], "succeeded");
        intent["id"].as_str().unwrap().to_owned()
    }
}

/// Who asks shows the key, and says which version is meant.
async fn authenticate(request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let ours = {
        let header = |name: &str| {
            let value = request.headers().get(name);
            value.map(|value| value.to_str().unwrap())
        };
        assert_eq!(header("stripe-version"), Some("2025-03-31.basil"));
        header("authorization") == Some(&format!("Bearer {SECRET_KEY}"))
    };
    if !ours {
        let kind = "invalid_request_error";
        let refusal = Refusal(
            StatusCode::UNAUTHORIZED,
            kind,
            "api_key_expired",
            "Who?".to_owned(),
        );
        let (status, body) = refusal.answer();
        return (status, body.to_string()).into_response();
    }
    next.run(request).await
}

async fn api(
    State(double): State<Arc<Double>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let of_sessions = path.starts_with("/v1/checkout/");
    if let (Some(money), false) = (&double.money, of_sessions) {
        let path = uri.path_and_query().unwrap().as_str();
        return double.pass_on(money, method, path, body).await;
    }
    let form = match method {
        Method::GET => pairs(uri.query().unwrap_or_default().as_bytes()),
        _ => pairs(&body),
    };
    let key = headers
        .get("idempotency-key")
        .map(|key| key.to_str().unwrap().to_owned());
    let base = format!("http://{}", double.address);
    let mut books = double.books();
    let asked = format!("{path}?{form:?}");
    if let Some(key) = &key
        && let Some((before, status, answer)) = books.keys.get(key)
    {
        if *before != asked {
            let why = "Keys for idempotent requests can only be used with the same parameters.";
            let kind = "idempotency_error";
            let refusal = Refusal(
                StatusCode::BAD_REQUEST,
                kind,
                "idempotency_error",
                why.to_owned(),
            );
            let (status, body) = refusal.answer();
            return (status, body.to_string()).into_response();
        }
        return (
            *status,
            [("idempotent-replayed", "true")],
            answer.to_string(),
        )
            .into_response();
    }
    let (status, answer) = if key.is_some() && std::mem::take(&mut books.breaking) {
        let why = "An unknown error occurred".to_owned();
        let refusal = Refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "api_error",
            "api_error",
            why,
        );
        refusal.answer()
    } else {
        match books.answer(&method, &path, &form, &base) {
            Ok(value) => {
                shapes::check(&value);
                (StatusCode::OK, value)
            }
            Err(refusal) => refusal.answer(),
        }
    };
    // Of parameters that couldn't be, nothing is remembered; of what was refused for another reason it is.
    let code = answer["error"]["code"].as_str().unwrap_or_default();
    if let (Some(key), false) = (key, code.starts_with("parameter_")) {
        books.keys.insert(key, (asked, status, answer.clone()));
    }
    (status, [("request-id", "req_double")], answer.to_string()).into_response()
}

async fn show(State(double): State<Arc<Double>>, Path(id): Path<String>) -> Response {
    double.books().sessions[&id].to_string().into_response()
}

/// What a person does.
async fn press(
    State(double): State<Arc<Double>>,
    Path(id): Path<String>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let session = {
        let mut books = double.books();
        books.expire();
        if form.contains_key("duplicate") {
            books.twice.push(id.clone());
        }
        books.sessions[&id].clone()
    };
    let open = session["status"] == "open";
    match form["action"].as_str() {
        "pay" if open => {
            if let Some(money) = &double.money {
                let intent = double.pay_there(money, &session).await;
                let mut books = double.books();
                let session = books.sessions.get_mut(&id).unwrap();
                session["status"] = json!("complete");
                session["payment_status"] = json!("paid");
                session["url"] = Value::Null;
                session["payment_intent"] = json!(intent);
                let session = session.clone();
                books.tell("checkout.session.completed", &session);
            } else {
                let mut books = double.books();
                let intent = books.begin(&id);
                if !form.contains_key("delay_s") {
                    books.capture(&id, &intent);
                }
                let session = books.sessions[&id].clone();
                books.tell("checkout.session.completed", &session);
            }
        }
        action @ ("dispute" | "dispute_won" | "dispute_lost") => {
            let intent = session["payment_intent"].as_str().unwrap();
            let status = action.strip_prefix("dispute_");
            let part = form.get("part").map(|part| part.parse().unwrap());
            let stands = form.get("stands").map_or("needs_response", String::as_str);
            double.books().dispute(intent, status, part, stands);
        }
        // A try that is declined leaves the session as it is, and so does leaving the page.
        _ => {}
    }
    Redirect::to(&format!("/pay/{id}")).into_response()
}

/// Sends webhooks, each until it is taken.
async fn deliver(double: Arc<Double>, ending: CancellationToken) {
    while !ending.is_cancelled() {
        let next = {
            let mut books = double.books();
            if books.holding {
                None
            } else {
                books.webhooks.pop_front()
            }
        };
        if let Some(event) = next {
            let body = event.to_string();
            let signature = sign(&double.webhook_secret, body.as_bytes(), 0);
            let sent = double
                .http
                .post(&double.webhook_url)
                .header("stripe-signature", signature)
                .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
                .body(body)
                .send()
                .await;
            if sent.is_ok_and(|answer| answer.status().is_success()) {
                continue;
            }
            let mut books = double.books();
            books.untaken += 1;
            books.webhooks.push_back(event);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
            () = ending.cancelled() => {}
        }
    }
}
