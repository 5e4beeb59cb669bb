//! Puts search-svc together: engine, feed, gRPC.
//!
//! Always holds: it starts without its database, its peers and its engine, and answers as soon as
//! there is an index.

use std::{sync::Arc, time::Duration};

use holdfast_eventlog::ConsumerConfig;
use holdfast_mesh as mesh;
use holdfast_proto::part;
use holdfast_proto::search::v1::{
    search_admin_service_server::SearchAdminServiceServer,
    search_service_server::SearchServiceServer,
};
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{
    Config, Error,
    clients::{self, catalog::Catalog},
    embedded::Embedded,
    feed::{Keeper, News, NewsDesk, Status, Stream, TOPIC, Writer},
    grpc::{Admin, Searches},
    index::Index,
    meili::{Keys, Meili},
    metric,
};

/// The part's name in readiness and logs.
pub const NAME: &str = "search";

/// Connections of the pool: one for status and lag; the stream takes two of its own.
const CONNECTIONS_MAX: u32 = 2;

/// How long a call waits for a connection.
const ACQUIRE_MAX: Duration = Duration::from_secs(3);

/// How long connections may take to end at shutdown.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// How long an event may take: one that waits for an index of ten million shows to be built is the
/// longest. What is done for it has closer limits.
const HANDLE_MAX: Duration = Duration::from_secs(3_600);

/// Longest pause before an event is tried again: search goes on soon after what it needs is back.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How often it is looked how far search is behind.
const LAG_PERIOD: Duration = Duration::from_secs(5);

/// Serves search until shutdown, then drains.
///
/// # Errors
/// [`Error`] if a setting is wrong, the embedded index's folder can't be used, or the listener
/// breaks.
pub async fn serve(config: Config, context: mesh::Context) -> Result<(), Error> {
    context.readiness.declare(NAME);
    config.check(context.identity.is_some())?;
    if config.meili_url.is_empty() {
        let index = Embedded::open(&config.data_dir)?;
        run(config, context, index).await
    } else {
        // It isn't kept up to date meanwhile.
        Embedded::forget(&config.data_dir)?;
        let keys = Keys {
            all: &config.meili_api_key,
            search: &config.meili_search_key,
        };
        let index = Meili::new(&config.meili_url, keys, &config.meili_index)?;
        run(config, context, index).await
    }
}

async fn run<I: Index>(config: Config, context: mesh::Context, index: I) -> Result<(), Error> {
    let verifier = clients::identity::verifier(context.channel(&config.identity, part::IDENTITY)?);
    let catalog = Catalog::new(context.channel(&config.catalog, part::CATALOG)?);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_MAX)
        .connect_lazy_with(config.database()?.application_name("holdfast-search"));
    let index = Arc::new(index);
    let writer = Arc::new(Writer::new(Arc::clone(&index)));
    let stream = Arc::new(Stream::new(pool.clone(), &config.consumer));
    let status = Arc::new(Status::default());
    // Ends the loops with the server, whichever way that ends.
    let ending = context.shutdown.child_token();

    let keeper = Keeper {
        index: Arc::clone(&index),
        writer: Arc::clone(&writer),
        catalog: catalog.clone(),
        stream: Arc::clone(&stream),
        status: Arc::clone(&status),
        may_build: config.feed,
    };
    let fed = async {
        if config.feed {
            let (news, changes) = News::new(Arc::clone(&stream));
            let desk = NewsDesk {
                catalog: catalog.clone(),
                writer,
            };
            let consumer = consumer(&config.consumer);
            let consuming =
                holdfast_eventlog::consume(pool.clone(), consumer, news, ending.clone());
            // The consumer ends in bounded time; what the desk hasn't done then comes again.
            let indexing = async {
                tokio::select! { () = consuming => {} () = desk.run(changes) => {} }
            };
            tokio::join!(indexing, show_lag(&stream, &ending));
        }
    };
    let options = mesh::server::Options {
        name: NAME,
        listen: config.listen,
        insecure: config.insecure,
        descriptor_set: holdfast_proto::FILE_DESCRIPTOR_SET,
    };
    let admin = Admin {
        index: Arc::clone(&index),
        status,
        verifier,
        stream: Arc::clone(&stream),
        catalog: catalog.clone(),
        feeds: config.feed,
    };
    let routes = Routes::new(SearchServiceServer::new(Searches { index }))
        .add_service(SearchAdminServiceServer::new(admin));
    let server = async {
        let served = mesh::server::serve_grpc(options, routes, &context).await;
        ending.cancel();
        served
    };
    let (served, (), ()) = tokio::join!(server, keeper.keep(&ending), fed);
    if tokio::time::timeout(CLOSE_MAX, pool.close()).await.is_err() {
        tracing::warn!("a database connection was still used at shutdown");
    }
    Ok(served?)
}

fn consumer(name: &str) -> ConsumerConfig {
    ConsumerConfig {
        keys_in_flight_max: crate::feed::BATCH_CHANGES_MAX,
        backoff_max: BACKOFF_MAX,
        handle_timeout: HANDLE_MAX,
        ..ConsumerConfig::new(name, &[TOPIC])
    }
}

async fn show_lag(stream: &Stream, ending: &CancellationToken) {
    let look = || async {
        let lag = stream.lag().await?;
        metrics::gauge!(metric::LAG_SECONDS).set(lag.as_secs_f64());
        Ok::<_, holdfast_eventlog::Error>(())
    };
    mesh::task::periodic("search lag", LAG_PERIOD, ending.clone(), look).await;
}
