//! One purchase is one trace, from the client's request over the store and the events to the
//! tickets; and traces that nobody collects stop no sale.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Collector, Customer, Expected, Look, Options, Trace, until, with_system};
use tokio::net::TcpSocket;

use crate::{assert_agreed, demo_show, options};

/// For every process to have sent its spans.
const LIMIT: Duration = Duration::from_secs(30);

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT_SPAN: &str = "b7ad6b7169203331";

const HOLD: &str = "holdfast.lockstore.v1.LockStoreService/HoldSeats";
const EXTEND: &str = "holdfast.lockstore.v1.LockStoreService/ExtendHold";
const COMMIT: &str = "holdfast.lockstore.v1.LockStoreService/CommitHold";
const CREATE_HOLD: &str = "holdfast.booking.v1.BookingService/CreateHold";
const CREATE_BOOKING: &str = "holdfast.booking.v1.BookingService/CreateBooking";

/// How seats come to be held.
const OF_HOLD: &[&[&str]] = &[&["POST /api/v1/holds", CREATE_HOLD, HOLD, "propose"]];

/// What follows from a booking: each name is of the span whose parent has the name before it.
const OF_BOOKING: &[&[&str]] = &[
    &["POST /api/v1/bookings", CREATE_BOOKING, EXTEND, "propose"],
    &[CREATE_BOOKING, "process BookingCreated", "create session"],
    &["process BookingCreated", "process PaymentSessionCreated"],
    &[
        "process BookingCreated",
        "settle payment",
        "process PaymentSucceeded",
        COMMIT,
        "propose",
    ],
    &["process PaymentSucceeded", "process BookingConfirmed"],
];

/// Who looks, with the same trace context.
const OF_LOOKS: &[&[&str]] = &[
    &[
        "GET /api/v1/bookings/{booking_id}",
        "holdfast.booking.v1.BookingService/GetBooking",
    ],
    &[
        "GET /api/v1/bookings/{booking_id}/tickets",
        "holdfast.booking.v1.BookingService/ListTickets",
    ],
];

fn exporting_to(endpoint: &str) -> Options {
    let mut options = options();
    options.env.push((
        "HOLDFAST__TRACE__OTLP_ENDPOINT".to_owned(),
        endpoint.to_owned(),
    ));
    options
}

/// Waits until a trace has all `chains`, and every parent in it but `root` is there too.
async fn whole(
    collector: &Collector,
    trace_id: &str,
    root: &str,
    chains: &[&[&str]],
) -> Result<Trace> {
    until("the spans of a purchase", LIMIT, async || {
        let trace = collector.trace(trace_id);
        let missing = chains.iter().find(|chain| trace.chain(chain).is_empty());
        let orphans = trace.orphans(root);
        Ok(match missing {
            Some(chain) => Look::NotYet(format!("no {chain:?} in {:#?}", names(&trace))),
            None if !orphans.is_empty() => Look::NotYet(format!("without parents: {orphans:#?}")),
            None => Look::Found(trace),
        })
    })
    .await
}

fn names(trace: &Trace) -> Vec<String> {
    let names = trace.0.iter();
    names
        .map(|span| format!("{} <- {} {}", span.span_id, span.parent_id, span.name))
        .collect()
}

#[tokio::test]
async fn one_purchase_is_one_trace() {
    let collector = Collector::start().await.expect("a collector");
    with_system(exporting_to(&collector.endpoint), async |system| {
        let show = demo_show(system)?;
        let rest = system.rest()?;
        let mut customer = Customer::register(&rest).await?;
        let seats = rest.free_seats(show).await?;
        let untraced = customer.rest.clone();
        customer.rest = untraced
            .clone()
            .in_trace(&format!("00-{TRACE_ID}-{CLIENT_SPAN}-01"));
        let booking = customer.buy(show, &[&seats[0], &seats[1]]).await?;
        ensure!(customer.valid_tickets(&booking).await?.len() == 2);

        let chains = [OF_HOLD, OF_BOOKING, OF_LOOKS].concat();
        let trace = whole(&collector, TRACE_ID, CLIENT_SPAN, &chains).await?;
        check_spans(&trace)?;
        check_webhook(&collector, &trace).await?;

        // Nobody names a trace: the hold begins one, and the booking another, with all that follows.
        customer.rest = untraced;
        customer.buy(show, &[&seats[2]]).await?;
        let of_booking = until("the second booking's trace", LIMIT, async || {
            let spans = collector.spans();
            let found = spans
                .into_iter()
                .find(|span| span.name == "POST /api/v1/bookings" && span.trace_id != TRACE_ID);
            Ok(found.map_or_else(|| Look::NotYet("none".to_owned()), Look::Found))
        })
        .await?;
        ensure!(of_booking.parent_id.is_empty(), "{of_booking:?}");
        whole(&collector, &of_booking.trace_id, "", OF_BOOKING).await?;

        check_secrets(&collector, &customer)?;
        assert_agreed(system, show, 3).await
    })
    .await;
}

/// Whose spans they are, and what they say.
fn check_spans(trace: &Trace) -> Result<()> {
    for (name, part, kind) in [
        ("POST /api/v1/holds", "gateway", "Server"),
        (CREATE_HOLD, "booking", "Server"),
        (HOLD, "lockstore", "Server"),
        ("propose", "lockstore", "Internal"),
        ("process BookingCreated", "payment", "Consumer"),
        ("create session", "payment", "Client"),
        ("settle payment", "payment", "Internal"),
        ("process PaymentSucceeded", "booking", "Consumer"),
    ] {
        let span = trace.chain(&[name]).first().copied();
        let span = span.with_context(|| format!("no {name}"))?;
        let attribute = |key: &str| span.attributes.get(key).map_or("", String::as_str);
        ensure!(attribute("holdfast.part") == part, "{span:?}");
        ensure!(attribute("service.name") == "holdfast", "{span:?}");
        ensure!(!attribute("service.instance.id").is_empty(), "{span:?}");
        ensure!(format!("{:?}", span.kind) == kind, "{span:?}");
    }
    let hold = trace.chain(&["POST /api/v1/holds"])[0];
    let says = |key: &str| hold.attributes.get(key).map_or("", String::as_str);
    ensure!(says("http.response.status_code") == "201", "{hold:?}");
    ensure!(says("http.route") == "/api/v1/holds", "{hold:?}");
    let proposals = trace.chain(&[HOLD, "propose"]);
    ensure!(
        proposals
            .iter()
            .any(|span| !span.failed && span.events == ["proposed"]),
        "{proposals:?}"
    );
    Ok(())
}

/// The provider's request is a trace of its own; what it brought about points at it.
async fn check_webhook(collector: &Collector, trace: &Trace) -> Result<()> {
    let settled = trace.chain(&["settle payment"])[0];
    let (told_in, told_by) = settled.links.first().context("no link")?;
    ensure!(told_in != TRACE_ID, "{settled:?}");
    let chain = [
        "POST /api/v1/payments/webhooks/{provider}",
        "holdfast.payment.v1.PaymentService/ReceiveWebhook",
    ];
    let told = whole(collector, told_in, "", &[&chain]).await?;
    ensure!(told.chain(&chain)[0].span_id == *told_by, "{told:?}");
    Ok(())
}

fn check_secrets(collector: &Collector, customer: &Customer) -> Result<()> {
    let text = collector.text();
    for secret in [&customer.token, &customer.email] {
        ensure!(!text.contains(secret.as_str()), "{secret} was exported");
    }
    let probes = collector.spans().into_iter();
    let mut probes = probes.filter(|span| span.name.starts_with("grpc."));
    ensure!(probes.next().is_none(), "probes begin no traces");
    Ok(())
}

#[tokio::test]
async fn a_sale_goes_on_while_the_collector_is_down_and_little_is_said_of_it() {
    const SAID: &str = "spans were not exported";
    // Bound and not listening, so that nobody else gets the port.
    let nobody = TcpSocket::new_v4().expect("a socket");
    let any = "127.0.0.1:0".parse().expect("an address");
    nobody.bind(any).expect("a free port");
    let endpoint = format!("http://{}", nobody.local_addr().expect("it is bound"));
    let options = exporting_to(&endpoint).expecting(&[Expected {
        process: "",
        words: &["holdfast_mesh::telemetry::traces", SAID],
        reason: "there is no collector",
    }]);
    with_system(options, async |system| {
        let show = demo_show(system)?;
        let customer = Customer::register(&system.rest()?).await?;
        let seats = customer.rest.free_seats(show).await?;
        customer.buy(show, &[&seats[0]]).await?;
        assert_agreed(system, show, 1).await?;
        let log = system.dir().join("logs/all.log");
        until("a word of the lost spans", LIMIT, async || {
            let said = fs::read_to_string(&log)?.matches(SAID).count();
            Ok(match said {
                0 => Look::NotYet("nothing".to_owned()),
                said => Look::Found(said),
            })
        })
        .await?;
        customer.buy(show, &[&seats[1]]).await?;
        for entry in fs::read_dir(system.dir().join("logs"))? {
            let path = entry?.path();
            let said = String::from_utf8_lossy(&fs::read(&path)?)
                .matches(SAID)
                .count();
            ensure!(said <= 5, "{} says it {said} times", path.display());
        }
        assert_agreed(system, show, 2).await
    })
    .await;
}
