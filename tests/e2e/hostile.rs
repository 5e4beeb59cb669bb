//! Hostile text in every place for text that the OpenAPI document has, and other types in every place for
//! any: refused, or taken for what it is; nothing fails, nothing internal is shown, nothing changes.

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Answer, Customer, Rest, System};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::bad_input::is_error;

/// Stands in for what can't be written in a URL's path as it is.
const TOO_LONG_FOR_A_PATH: usize = 4_096;

/// Texts that have broken others.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        // SQL, in strings, numbers and identifiers.
        "' OR '1'='1",
        "'; DROP TABLE booking.bookings; --",
        "1; SELECT pg_sleep(30)",
        "%' UNION SELECT version(), null --",
        "\\'; --",
        "$1",
        // Filters of search engines.
        "*:*",
        "\") OR (\"",
        "city = \"x\" OR city EXISTS",
        "title:(a AND",
        "[* TO *]",
        "+-&&||!(){}^~?:\\/",
        // Paths and addresses.
        "../../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        // Templates, markup, lines of a header or a log.
        "{{7*7}}",
        "${jndi:ldap://x/y}",
        "%s%n%x",
        "<script>alert(1)</script>",
        "a\r\nset-cookie: x=1",
        // Characters that aren't seen, turn the line around, or are none.
        "\u{0}",
        "a\u{0}b",
        "\u{1}\u{7f}\u{9f}",
        "\u{202e}gnp.exe",
        "\u{2066}a\u{2069}",
        "a\u{200b}b",
        "\u{feff}",
        "\u{2028}",
        "\u{fffd}\u{10ffff}",
        "e\u{301}\u{301}\u{301}",
        "𝕊𝕖𝕒𝕥",
        // Numbers that are none, and too large ones.
        "NaN",
        "-Infinity",
        "1e400",
        "-1",
        "0x10",
        "99999999999999999999999999",
        // Dates and zones that there aren't.
        "2026-02-30T00:00:00Z",
        "2026-11-22T25:00:00Z",
        "2026-11-22T20:00:00+99:00",
        "2026-11-22T20:00:00[Mars/Olympus]",
        "+292277026596-12-04T15:30:07Z",
        " ",
        "null",
        "true",
    ]
    .map(str::to_owned)
    .into();
    texts.push("a".repeat(TOO_LONG_FOR_A_PATH));
    texts.push("\u{1f3ad}".repeat(TOO_LONG_FOR_A_PATH));
    texts
}

/// In place of any value of a body.
fn values() -> Vec<Value> {
    let mut deep = json!(0);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!([]),
        json!({}),
        json!([null]),
        json!({ "$gt": "" }),
        deep,
    ]
}

/// The demo show, a customer of it, and what the document says.
struct Attack<'a> {
    rest: Rest,
    customer: &'a Customer,
    show: Uuid,
    document: Value,
    tried: usize,
}

/// Tries them all.
pub(crate) async fn everywhere(system: &System, customer: &Customer, show: Uuid) -> Result<()> {
    let rest = system.rest()?;
    let before = seen(system, &rest, show).await?;
    let document = rest.get("/openapi.json").await?.ok()?.body;
    let mut attack = Attack {
        rest,
        customer,
        show,
        document,
        tried: 0,
    };
    let paths = attack.document["paths"]
        .as_object()
        .context("paths")?
        .clone();
    for (path, operations) in &paths {
        for (method, operation) in operations.as_object().context("operations")? {
            attack.operation(path, method, operation).await?;
        }
    }
    println!("{} requests with hostile text and values", attack.tried);
    ensure!(attack.tried > 1_500, "only {} were tried", attack.tried);
    let after = seen(system, &attack.rest, show).await?;
    ensure!(
        before == after,
        "it changed something: {before:?}, {after:?}"
    );
    Ok(())
}

/// Tries every route about one booking or hold with somebody else's.
pub(crate) async fn with_others_ids(
    system: &System,
    stranger: &Customer,
    booking: &str,
    hold: &str,
) -> Result<()> {
    let rest = system.rest()?;
    let document = rest.get("/openapi.json").await?.ok()?.body;
    let mut attack = Attack {
        rest,
        customer: stranger,
        show: Uuid::nil(),
        document,
        tried: 0,
    };
    let paths = attack.document["paths"]
        .as_object()
        .context("paths")?
        .clone();
    for (path, operations) in &paths {
        let others = path
            .replace("{booking_id}", booking)
            .replace("{hold_id}", hold);
        if others == *path {
            continue;
        }
        for (method, operation) in operations.as_object().context("operations")? {
            let method: Method = method.to_uppercase().parse()?;
            let request = attack.request(&method, &others);
            let request = request.header("idempotency-key", Uuid::new_v4().to_string());
            let request = match attack.body(operation) {
                Some(body) => request.json(&body),
                None => request,
            };
            let answer = attack.rest.send(request).await?;
            attack.tried += 1;
            ensure!(answer.status == 404, "{method} {path}: {answer:?}");
            is_error(path, &answer)?;
        }
    }
    ensure!(attack.tried >= 8, "only {} were tried", attack.tried);
    Ok(())
}

/// What must be the same afterwards.
async fn seen(
    system: &System,
    rest: &Rest,
    show: Uuid,
) -> Result<(Value, Vec<String>, Vec<String>)> {
    let page = rest.get(&format!("/shows/{show}")).await?.ok()?.body;
    let tables = "SELECT table_schema || '.' || table_name FROM information_schema.tables \
        WHERE table_schema IN ('booking', 'catalog', 'identity', 'payment') \
        AND table_schema <> $1::text ORDER BY 1";
    let tables = system.database().await?.texts(tables, Uuid::nil()).await?;
    ensure!(tables.len() > 10, "{tables:?}");
    Ok((page, rest.free_seats(show).await?, tables))
}

impl Attack<'_> {
    async fn operation(&mut self, path: &str, method: &str, operation: &Value) -> Result<()> {
        let method: Method = method.to_uppercase().parse()?;
        let what = |place: &str, text: &str| {
            let text: String = text.chars().take(40).collect();
            format!("{method} {path}: {place} {text:?}")
        };
        let body = self.body(operation);
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for parameter in &parameters {
            let name = parameter["name"].as_str().context("a name")?;
            for text in texts() {
                let request = match parameter["in"].as_str() {
                    Some("path") => {
                        let text = path_segment(&text);
                        self.request(&method, &path.replace(&format!("{{{name}}}"), &text))
                    }
                    Some("query") => self.request(&method, path).query(&[(name, &text)]),
                    _ => match reqwest::header::HeaderValue::from_bytes(text.as_bytes()) {
                        Ok(value) => self.request(&method, path).header(name, value),
                        // No client can send it.
                        Err(_) => continue,
                    },
                };
                let request = match &body {
                    Some(body) => request.json(body),
                    None => request,
                };
                self.send(&what(name, &text), request).await?;
            }
        }
        let Some(body) = body else { return Ok(()) };
        for place in places(&body) {
            let texts = texts().into_iter().map(Value::String);
            for value in texts.chain(values()) {
                let mut changed = body.clone();
                *changed.pointer_mut(&place).context("the place")? = value.clone();
                let request = self.request(&method, path).json(&changed);
                self.send(&what(&place, &value.to_string()), request)
                    .await?;
            }
        }
        Ok(())
    }

    /// With what it needs besides.
    fn request(&self, method: &Method, path: &str) -> RequestBuilder {
        let path = path
            .trim_start_matches("/api/v1")
            .split('/')
            .map(|part| match part {
                "{show_id}" => self.show.to_string(),
                "{provider}" => "sandbox".to_owned(),
                part if part.starts_with('{') => Uuid::nil().to_string(),
                part => part.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("/");
        let request = self.customer.request(method.clone(), &path);
        request.header("sec-fetch-site", "same-origin")
    }

    async fn send(&mut self, what: &str, request: RequestBuilder) -> Result<()> {
        let request = match request.try_clone().and_then(|request| request.build().ok()) {
            // Where a key is needed and isn't what is tried.
            Some(built) if !built.headers().contains_key("idempotency-key") => {
                request.header("idempotency-key", Uuid::new_v4().to_string())
            }
            _ => request,
        };
        let answer: Answer = self
            .rest
            .send(request)
            .await
            .with_context(|| what.to_owned())?;
        self.tried += 1;
        ensure!(answer.status < 500, "{what}: {answer:?}");
        if answer.status >= 400 {
            is_error(what, &answer)?;
        }
        Ok(())
    }

    /// A body that has everything.
    fn body(&self, operation: &Value) -> Option<Value> {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        schema.is_object().then(|| self.value("", schema))
    }

    fn value(&self, name: &str, schema: &Value) -> Value {
        if let Some(target) = schema["$ref"].as_str() {
            let target = self.document.pointer(target.trim_start_matches('#'));
            return self.value(name, target.unwrap_or(&Value::Null));
        }
        if name == "show_id" {
            return json!(self.show);
        }
        for kind in ["oneOf", "anyOf", "allOf"] {
            let choices = schema[kind].as_array();
            let choice = choices.and_then(|all| all.iter().find(|one| one["type"] != "null"));
            if let Some(choice) = choice {
                return self.value(name, choice);
            }
        }
        if let Some(properties) = schema["properties"].as_object() {
            let all = properties
                .iter()
                .map(|(name, schema)| (name.clone(), self.value(name, schema)));
            return Value::Object(all.collect::<Map<_, _>>());
        }
        if let Some(example) = schema.get("example") {
            return example.clone();
        }
        match schema["items"].is_object() {
            true => json!([self.value("", &schema["items"])]),
            false => json!("x"),
        }
    }
}

/// Each value of a body, by its pointer.
fn places(body: &Value) -> Vec<String> {
    fn within(at: &str, value: &Value, places: &mut Vec<String>) {
        if !at.is_empty() {
            places.push(at.to_owned());
        }
        match value {
            Value::Object(fields) => fields
                .iter()
                .for_each(|(name, value)| within(&format!("{at}/{name}"), value, places)),
            // All others are as the first.
            Value::Array(items) => items
                .iter()
                .take(1)
                .for_each(|value| within(&format!("{at}/0"), value, places)),
            _ => {}
        }
    }
    let mut places = Vec::new();
    within("", body, &mut places);
    places
}

/// As one segment of a path, whatever is in it; dots too, which a client would take out itself.
fn path_segment(text: &str) -> String {
    let bytes = text.bytes().take(TOO_LONG_FOR_A_PATH);
    let escaped = bytes.map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    escaped.collect()
}
