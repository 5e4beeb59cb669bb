//! `holdfast events inspect`: what is wrong with a key, and what its events say.
//!
//! Always holds: it changes nothing; a payload that can't be read is shown as it is.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chrono::{DateTime, SecondsFormat, Utc};
use holdfast_eventlog::{Event, Inspected};
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value as Field};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::events::AS_SERVICE;
use crate::{
    cli::{EventsInspectArgs, Output},
    data_dir::DataDir,
    database::connect_as,
    error::Error,
    supervisor::say,
};

/// Package of what is in the stream; an event's type is its message's name there.
const PACKAGE: &str = "holdfast.events.v1";

/// What is printed. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Serialize)]
struct Shown {
    consumer: String,
    key: String,
    state: String,
    tries: i32,
    failures: i32,
    error: String,
    /// RFC 3339, UTC, like every time here.
    since: String,
    next_try_at: Option<String>,
    waiting: i64,
    /// The failing one first.
    events: Vec<ShownEvent>,
}

#[derive(Debug, Serialize)]
struct ShownEvent {
    seq: i64,
    id: Uuid,
    event_type: String,
    producer: String,
    topic: String,
    key: String,
    occurred_at: String,
    trace_id: Option<String>,
    /// By field names of the contract; ids as text, other bytes in base64.
    payload: Option<Value>,
    /// Of a payload that can't be read: why not, and what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Shown {
    fn of(inspected: Inspected, contracts: &DescriptorPool) -> Self {
        let events = inspected.events.into_iter();
        Self {
            consumer: inspected.consumer,
            key: inspected.key,
            state: inspected.state,
            tries: inspected.tries,
            failures: inspected.failures,
            error: inspected.error,
            since: time(inspected.since),
            next_try_at: inspected.next_try_at.map(time),
            waiting: inspected.waiting,
            events: events
                .map(|event| ShownEvent::of(event, contracts))
                .collect(),
        }
    }
}

impl ShownEvent {
    fn of(event: Event, contracts: &DescriptorPool) -> Self {
        let read = read(&event, contracts);
        let (payload, unreadable) = match read {
            Ok(payload) => (Some(payload), None),
            Err(why) => (None, Some(why)),
        };
        Self {
            payload_base64: unreadable.is_some().then(|| BASE64.encode(&event.payload)),
            seq: event.seq,
            id: event.id,
            event_type: event.event_type,
            producer: event.producer,
            topic: event.topic,
            key: event.key,
            occurred_at: time(event.occurred_at),
            trace_id: event.traceparent.as_deref().and_then(trace_id),
            payload,
            unreadable,
        }
    }
}

/// Of a W3C `traceparent`: version, trace, span, flags.
fn trace_id(traceparent: &str) -> Option<String> {
    traceparent.split('-').nth(1).map(str::to_owned)
}

/// What an event says; or why that can't be told.
fn read(event: &Event, contracts: &DescriptorPool) -> Result<Value, String> {
    let name = format!("{PACKAGE}.{}", event.event_type);
    let message = contracts
        .get_message_by_name(&name)
        .ok_or_else(|| format!("this release knows no message {name}"))?;
    let message = DynamicMessage::decode(message, &event.payload[..]);
    message
        .map(|message| of_message(&message))
        .map_err(|error| error.to_string())
}

/// Every field, those with their default too: what an event doesn't say may be what is wrong with it.
fn of_message(message: &DynamicMessage) -> Value {
    let fields = message.descriptor();
    let fields = fields.fields().map(|field| {
        let is_unset = field.supports_presence() && !message.has_field(&field);
        let value = if is_unset {
            Value::Null
        } else {
            of_field(&message.get_field(&field))
        };
        (field.name().to_owned(), value)
    });
    Value::Object(fields.collect())
}

fn of_field(field: &Field) -> Value {
    match field {
        Field::Bool(value) => (*value).into(),
        Field::I32(value) | Field::EnumNumber(value) => (*value).into(),
        Field::I64(value) => (*value).into(),
        Field::U32(value) => (*value).into(),
        Field::U64(value) => (*value).into(),
        Field::F32(value) => (*value).into(),
        Field::F64(value) => (*value).into(),
        Field::String(value) => value.as_str().into(),
        Field::Bytes(value) => match Uuid::from_slice(value) {
            Ok(id) => id.to_string().into(),
            Err(_) => BASE64.encode(value).into(),
        },
        Field::Message(value) => of_message(value),
        Field::List(values) => values.iter().map(of_field).collect(),
        Field::Map(values) => {
            let values = values.iter();
            let values = values.map(|(key, value)| (format!("{key:?}"), of_field(value)));
            Value::Object(values.collect::<Map<_, _>>())
        }
    }
}

/// Shows what a consumer's trouble with a key is.
///
/// # Errors
/// It has none; no database answers.
pub(crate) async fn events_inspect(args: EventsInspectArgs) -> Result<(), Error> {
    let contracts =
        DescriptorPool::decode(holdfast_proto::FILE_DESCRIPTOR_SET).map_err(anyhow::Error::from)?;
    let pool = connect_as(&DataDir::choose(args.dir.data_dir)?, AS_SERVICE).await?;
    let inspected = holdfast_eventlog::inspect(&pool, &args.consumer, &args.key)
        .await
        .map_err(anyhow::Error::from)?;
    pool.close().await;
    let Some(inspected) = inspected else {
        return Err(Error::Refused(format!(
            "{} has no trouble with a key {}; `holdfast events parked` lists what there is",
            args.consumer, args.key
        )));
    };
    let shown = Shown::of(inspected, &contracts);
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&shown).map_err(anyhow::Error::from)?),
        Output::Table => say(&text(&shown)),
    }
    Ok(())
}

fn text(shown: &Shown) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // A string takes all that is written.
        let _ = writeln!(text, "{name:<9} {value}");
    };
    line("consumer", &shown.consumer);
    line("key", &shown.key);
    line("state", &shown.state);
    let tries = format!("{}, of which {} count", shown.tries, shown.failures);
    line("tries", &tries);
    line("since", &shown.since);
    if let Some(next) = &shown.next_try_at {
        line("next try", next);
    }
    line("error", &shown.error);
    line("waiting", &shown.waiting.to_string());
    for event in &shown.events {
        let of = format!(
            "\n{} {} of {} at {}, trace {}",
            event.seq,
            event.event_type,
            event.producer,
            event.occurred_at,
            event.trace_id.as_deref().unwrap_or("none"),
        );
        let says = match (&event.payload, &event.unreadable) {
            (Some(payload), _) => format!("{payload:#}"),
            (None, why) => format!(
                "can't be read ({}): {}",
                why.as_deref().unwrap_or_default(),
                event.payload_base64.as_deref().unwrap_or_default()
            ),
        };
        let _ = write!(text, "{of}\n{says}\n");
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use holdfast_proto::events::v1;
    use prost::Message as _;

    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_764_200_000_000 + millis).expect("a time")
    }

    fn event(seq: i64, event_type: &str, payload: Vec<u8>) -> Event {
        Event {
            seq,
            id: Uuid::from_u128(7),
            producer: "payment".to_owned(),
            topic: "payment".to_owned(),
            key: "k".to_owned(),
            event_type: event_type.to_owned(),
            payload,
            occurred_at: at(seq),
            traceparent: (seq == 1)
                .then(|| "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        }
    }

    fn shown() -> Shown {
        let paid = v1::PaymentSucceeded {
            payment_id: Uuid::from_u128(1).into_bytes().to_vec(),
            booking_id: vec![1, 2, 3],
            amount: Some(v1::Money {
                amount: 2_500,
                currency: "EUR".to_owned(),
            }),
            again: true,
        };
        let unpaid = v1::PaymentSucceeded {
            amount: None,
            ..paid.clone()
        };
        let inspected = Inspected {
            consumer: "booking".to_owned(),
            key: "k".to_owned(),
            state: "PARKED".to_owned(),
            tries: 9,
            failures: 8,
            error: "no booking of that id".to_owned(),
            since: at(0),
            next_try_at: None,
            waiting: 4,
            events: vec![
                event(1, "PaymentSucceeded", paid.encode_to_vec()),
                event(2, "PaymentSucceeded", unpaid.encode_to_vec()),
                event(3, "PaymentSucceeded", vec![0xff]),
                event(4, "OfALaterRelease", vec![1]),
            ],
        };
        let contracts = DescriptorPool::decode(holdfast_proto::FILE_DESCRIPTOR_SET);
        Shown::of(inspected, &contracts.expect("ours"))
    }

    #[test]
    fn text_of_a_key_in_trouble() {
        insta::assert_snapshot!(text(&shown()));
    }

    #[test]
    fn json_of_a_key_in_trouble() {
        insta::assert_json_snapshot!(shown());
    }

    #[test]
    fn every_event_is_in_the_contracts() {
        let contracts = DescriptorPool::decode(holdfast_proto::FILE_DESCRIPTOR_SET).expect("ours");
        for name in ["BookingCreated", "RefundSucceeded", "ShowChanged"] {
            let name = format!("{PACKAGE}.{name}");
            assert!(contracts.get_message_by_name(&name).is_some(), "{name}");
        }
    }
}
