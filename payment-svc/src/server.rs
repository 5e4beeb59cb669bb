//! Puts payment-svc together: pool, provider, stream, background loop, gRPC.

use std::{sync::Arc, time::Duration};

use holdfast_eventlog::ConsumerConfig;
use holdfast_mesh::{self as mesh, auth::Verifier, client::Channel, deadline::Deadline};
use holdfast_proto::{
    identity::v1::{GetJwksRequest, identity_service_client::IdentityServiceClient},
    part,
    payment::v1::payment_service_server::PaymentServiceServer,
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tonic::{Request, service::Routes};

use crate::{
    Config, Error, ProviderName,
    app::{
        App, BookingEvents, ask_fees, forget_old_webhooks, hear_news, publish::OUTBOX, reconcile,
        sweep,
    },
    grpc::Service,
    provider::{Provider, Sandbox, Stripe},
};

/// The part's name in readiness and logs, and the consumer's in the stream.
pub const NAME: &str = "payment";

/// How long a request waits for a connection of the pool.
const ACQUIRE_MAX: Duration = Duration::from_secs(5);

/// How long the keys of access tokens may take to come.
const KEYS_MAX: Duration = Duration::from_secs(2);

/// How often old webhooks are looked for.
const FORGET_PERIOD: Duration = Duration::from_secs(3_600);

/// Serves until `context.shutdown`, then drains: calls, event handlers and the relay end, in
/// bounded time.
///
/// # Errors
/// [`Error`] if it can't start, or its server breaks.
pub async fn serve(config: Config, context: mesh::Context) -> Result<(), Error> {
    config.check(context.identity.is_some())?;
    let pool = connect(
        config.database_url.expose(),
        config.database_connections_max,
    )
    .await?;
    crate::migrate(&pool).await?;
    match config.provider {
        ProviderName::Sandbox => run(&config, context, pool, Sandbox::new(&config)?).await,
        ProviderName::Stripe => run(&config, context, pool, Stripe::new(&config)).await,
    }
}

pub(crate) async fn connect(url: &str, connections_max: u32) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_MAX)
        .connect(url)
        .await
}

/// Longest wait for connections that are still in use when everything else has ended.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// Closes the pool; a connection that isn't given back in time is left to the process's end.
pub(crate) async fn close(pool: &PgPool) {
    if tokio::time::timeout(CLOSE_MAX, pool.close()).await.is_err() {
        tracing::warn!("a database connection was still in use at shutdown");
    }
}

async fn run<P: Provider>(
    config: &Config,
    context: mesh::Context,
    pool: PgPool,
    provider: P,
) -> Result<(), Error> {
    let verifier = verifier(context.channel(&config.identity, part::IDENTITY)?);
    let reconcile_after = config.reconcile_after();
    let app = Arc::new(App {
        pool: pool.clone(),
        provider,
        reconcile_after,
    });
    // Ends the loops with the server, whichever way that ends.
    let ending = context.shutdown.child_token();
    let relay = holdfast_eventlog::relay(pool.clone(), &OUTBOX, ending.clone());
    let consumer = holdfast_eventlog::consume(
        pool.clone(),
        ConsumerConfig::new(NAME, &["booking"]),
        BookingEvents(app.clone()),
        ending.clone(),
    );
    let reconciler = mesh::task::periodic(
        "payment reconciler",
        config.reconcile_period(),
        ending.clone(),
        || reconcile(&app),
    );
    let sweeper = mesh::task::periodic(
        "payment sweep",
        config.reconcile_period(),
        ending.clone(),
        || sweep(&app),
    );
    let fees = mesh::task::periodic(
        "payment fees",
        config.reconcile_period(),
        ending.clone(),
        || ask_fees(&app),
    );
    let news = mesh::task::periodic(
        "payment news",
        config.reconcile_period(),
        ending.clone(),
        || hear_news(&app),
    );
    let forgetter = mesh::task::periodic("payment webhooks", FORGET_PERIOD, ending.clone(), || {
        forget_old_webhooks(&app)
    });
    let options = mesh::server::Options {
        name: NAME,
        listen: config.listen,
        insecure: config.insecure,
        descriptor_set: holdfast_proto::FILE_DESCRIPTOR_SET,
    };
    let service = Service {
        app: app.clone(),
        verifier,
    };
    let routes = Routes::new(PaymentServiceServer::new(service));
    let server = async {
        let served = mesh::server::serve_grpc(options, routes, &context).await;
        ending.cancel();
        served
    };
    let (served, (), (), (), (), (), (), ()) = tokio::join!(
        server, relay, consumer, reconciler, sweeper, fees, news, forgetter
    );
    close(&pool).await;
    Ok(served?)
}

fn verifier(identity: Channel) -> Verifier {
    let client = IdentityServiceClient::new(identity);
    Verifier::new(move || {
        let mut client = client.clone();
        async move {
            let mut request = Request::new(GetJwksRequest {});
            Deadline::after(KEYS_MAX).apply(&mut request);
            Ok(client.get_jwks(request).await?.into_inner().jwks)
        }
    })
}
