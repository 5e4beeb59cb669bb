//! What Stripe says of its objects and parameters: names and types, as far as they are used here, noted by
//! hand from its published OpenAPI description (github.com/stripe/openapi, MIT licence) and its reference.
//! The double's answers and webhooks, and the requests that it gets, are held against them.

use serde_json::Value;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    TextOrNull,
    /// One of these words.
    Word(&'static [&'static str]),
    WordOrNull(&'static [&'static str]),
    Number,
    NumberOrNull,
    Flag,
    /// Texts by name.
    Texts,
    /// An id, or the object where it was asked for.
    Ref(&'static str),
    RefOrNull(&'static str),
    /// A page of such objects.
    List,
    Object,
    Any,
}
use Kind::*;

type Fields = &'static [(&'static str, Kind)];

const SESSION: Fields = &[
    ("id", Text),
    ("object", Word(&["checkout.session"])),
    ("amount_total", NumberOrNull),
    ("client_reference_id", TextOrNull),
    ("created", Number),
    ("currency", TextOrNull),
    ("expires_at", Number),
    ("livemode", Flag),
    ("metadata", Texts),
    ("mode", Word(&["payment", "setup", "subscription"])),
    ("payment_intent", RefOrNull("payment_intent")),
    (
        "payment_status",
        Word(&["no_payment_required", "paid", "unpaid"]),
    ),
    ("status", WordOrNull(&["complete", "expired", "open"])),
    ("success_url", TextOrNull),
    ("cancel_url", TextOrNull),
    ("url", TextOrNull),
];

const INTENT: Fields = &[
    ("id", Text),
    ("object", Word(&["payment_intent"])),
    ("amount", Number),
    ("amount_received", Number),
    ("created", Number),
    ("currency", Text),
    ("latest_charge", RefOrNull("charge")),
    ("livemode", Flag),
    ("metadata", Texts),
    (
        "status",
        Word(&[
            "canceled",
            "processing",
            "requires_action",
            "requires_capture",
            "requires_confirmation",
            "requires_payment_method",
            "succeeded",
        ]),
    ),
];

const CHARGE: Fields = &[
    ("id", Text),
    ("object", Word(&["charge"])),
    ("amount", Number),
    ("amount_refunded", Number),
    ("balance_transaction", RefOrNull("balance_transaction")),
    ("captured", Flag),
    ("created", Number),
    ("currency", Text),
    ("disputed", Flag),
    ("livemode", Flag),
    ("metadata", Texts),
    ("paid", Flag),
    ("payment_intent", RefOrNull("payment_intent")),
    ("refunded", Flag),
    ("status", Word(&["failed", "pending", "succeeded"])),
];

const BALANCE_TRANSACTION: Fields = &[
    ("id", Text),
    ("object", Word(&["balance_transaction"])),
    ("amount", Number),
    ("currency", Text),
    ("fee", Number),
    ("net", Number),
    ("status", Text),
    ("type", Text),
];

const REFUND: Fields = &[
    ("id", Text),
    ("object", Word(&["refund"])),
    ("amount", Number),
    ("charge", RefOrNull("charge")),
    ("created", Number),
    ("currency", Text),
    ("metadata", Texts),
    ("payment_intent", RefOrNull("payment_intent")),
    // Of the reference: pending, requires_action, succeeded, failed, canceled.
    ("status", TextOrNull),
];

const DISPUTE: Fields = &[
    ("id", Text),
    ("object", Word(&["dispute"])),
    ("amount", Number),
    ("charge", Ref("charge")),
    ("created", Number),
    ("currency", Text),
    ("is_charge_refundable", Flag),
    ("livemode", Flag),
    ("metadata", Texts),
    ("payment_intent", RefOrNull("payment_intent")),
    ("reason", Text),
    (
        "status",
        Word(&[
            "lost",
            "needs_response",
            "prevented",
            "under_review",
            "warning_closed",
            "warning_needs_response",
            "warning_under_review",
            "won",
        ]),
    ),
];

const EVENT: Fields = &[
    ("id", Text),
    ("object", Word(&["event"])),
    ("api_version", TextOrNull),
    ("created", Number),
    ("data", Object),
    ("livemode", Flag),
    ("pending_webhooks", Number),
    ("request", Any),
    ("type", Text),
];

const LIST: Fields = &[
    ("object", Word(&["list"])),
    ("data", List),
    ("has_more", Flag),
    ("url", Text),
];

const ERROR: Fields = &[
    (
        "type",
        Word(&[
            "api_error",
            "card_error",
            "idempotency_error",
            "invalid_request_error",
        ]),
    ),
    ("message", Text),
    ("code", TextOrNull),
    ("param", TextOrNull),
];

fn fields_of(object: &str) -> Fields {
    match object {
        "checkout.session" => SESSION,
        "payment_intent" => INTENT,
        "charge" => CHARGE,
        "balance_transaction" => BALANCE_TRANSACTION,
        "refund" => REFUND,
        "dispute" => DISPUTE,
        "event" => EVENT,
        "list" => LIST,
        other => panic!("no object of Stripe's is called {other:?}"),
    }
}

/// Panics unless `value` is an object of Stripe's.
pub(super) fn check(value: &Value) {
    let name = value["object"].as_str().unwrap();
    check_fields(name, fields_of(name), value);
    for inner in value["data"].as_array().into_iter().flatten() {
        check(inner);
    }
    if name == "event" {
        check(&value["data"]["object"]);
    }
}

/// Panics unless `value` is a refusal of Stripe's.
pub(super) fn check_error(value: &Value) {
    check_fields("error", ERROR, &value["error"]);
}

fn check_fields(name: &str, fields: Fields, value: &Value) {
    let object = value.as_object().unwrap();
    for (field, kind) in fields {
        let found = object.get(*field);
        let found = found.unwrap_or_else(|| panic!("{name} without {field}"));
        assert!(holds(*kind, found), "{name}.{field} is {found}");
    }
    for field in object.keys() {
        let known = fields.iter().any(|(known, _)| known == field);
        assert!(known, "{name} has no {field}");
    }
}

fn holds(kind: Kind, value: &Value) -> bool {
    let word = |words: &[&str]| value.as_str().is_some_and(|text| words.contains(&text));
    let reference = |name: &str| match value {
        Value::String(_) => true,
        Value::Object(_) if value["object"] == name => {
            check(value);
            true
        }
        _ => false,
    };
    match kind {
        Text => value.is_string(),
        TextOrNull => value.is_string() || value.is_null(),
        Word(words) => word(words),
        WordOrNull(words) => value.is_null() || word(words),
        Number => value.is_i64(),
        NumberOrNull => value.is_i64() || value.is_null(),
        Flag => value.is_boolean(),
        Texts => value
            .as_object()
            .is_some_and(|texts| texts.values().all(Value::is_string)),
        Ref(name) => reference(name),
        RefOrNull(name) => value.is_null() || reference(name),
        List => value.is_array(),
        Object => value.is_object(),
        Any => true,
    }
}

/// Why Stripe wouldn't take these parameters, if it wouldn't: one that it doesn't know (`parameter_unknown`),
/// one that is missing, or one that can't be. Names as on the wire; a name that ends in `[]` is a list.
pub(super) fn refuse(path: &str, form: &[(String, String)]) -> Option<(&'static str, String)> {
    let (known, required): (&[&str], &[&str]) = match path {
        "POST /v1/checkout/sessions" => (
            &[
                "mode",
                "client_reference_id",
                "metadata[payment_id]",
                "payment_intent_data[metadata][payment_id]",
                "line_items[0][quantity]",
                "line_items[0][price_data][currency]",
                "line_items[0][price_data][unit_amount]",
                "line_items[0][price_data][product_data][name]",
                "adaptive_pricing[enabled]",
                "success_url",
                "cancel_url",
                "expires_at",
            ],
            &[
                "mode",
                "success_url",
                "line_items[0][price_data][currency]",
                "line_items[0][price_data][product_data][name]",
            ],
        ),
        "GET /v1/checkout/sessions" => (
            &["limit", "starting_after", "ending_before", "expand[]"],
            &[],
        ),
        "POST /v1/checkout/sessions/{id}/expire" => (&["expand[]"], &[]),
        "GET /v1/checkout/sessions/{id}"
        | "GET /v1/payment_intents/{id}"
        | "GET /v1/charges/{id}"
        | "GET /v1/refunds/{id}" => (&["expand[]"], &[]),
        "GET /v1/refunds" => (
            &[
                "charge",
                "payment_intent",
                "limit",
                "starting_after",
                "ending_before",
            ],
            &[],
        ),
        "POST /v1/refunds" => (
            &[
                "charge",
                "payment_intent",
                "amount",
                "metadata[refund_id]",
                "metadata[attempt]",
            ],
            &[],
        ),
        "GET /v1/disputes" => (
            &[
                "charge",
                "payment_intent",
                "limit",
                "starting_after",
                "ending_before",
            ],
            &[],
        ),
        "GET /v1/events" => (
            &[
                "types[]",
                "created[gte]",
                "created[lte]",
                "limit",
                "starting_after",
                "ending_before",
            ],
            &[],
        ),
        other => panic!("Stripe has no {other}"),
    };
    for (name, value) in form {
        if !known.contains(&name.as_str()) {
            return Some((
                "parameter_unknown",
                format!("Received unknown parameter: {name}"),
            ));
        }
        let number = [
            "amount",
            "limit",
            "expires_at",
            "created[gte]",
            "created[lte]",
        ];
        if number.contains(&name.as_str()) && value.parse::<i64>().is_err() {
            return Some((
                "parameter_invalid_integer",
                format!("Invalid integer: {value}"),
            ));
        }
        if value.is_empty() {
            return Some(("parameter_invalid_empty", format!("{name} can't be empty")));
        }
    }
    let limit = form.iter().find(|(name, _)| name == "limit");
    if limit.is_some_and(|(_, value)| !(1..=100).contains(&value.parse().unwrap_or(0))) {
        return Some(("parameter_invalid_integer", "limit: 1 to 100".to_owned()));
    }
    if form.iter().filter(|(name, _)| name == "types[]").count() > 20 {
        return Some(("parameter_invalid", "types: at most 20".to_owned()));
    }
    let missing = |name: &&&str| !form.iter().any(|(given, _)| given == **name);
    let missing = required.iter().find(missing)?;
    Some((
        "parameter_missing",
        format!("Missing required param: {missing}."),
    ))
}
