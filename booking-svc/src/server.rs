//! Puts the service together: pool, clients, tasks, server, drain.

use std::{sync::Arc, time::Duration};

use holdfast_eventlog::{ConsumerConfig, consume, relay};
use holdfast_mesh::{
    Context,
    auth::Verifier,
    client::Channel,
    deadline::Deadline,
    server::{self, serve_grpc},
    task::periodic,
    trace,
};
use holdfast_proto::identity::v1::{
    GetJwksRequest, identity_service_client::IdentityServiceClient,
};
use holdfast_proto::part;
use rand::Rng;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    app::{
        App, TAKINGS_AT_ONCE_MAX,
        announce::OUTBOX,
        changes::{self, Changes},
        closing_accounts,
        inventory::Inventories,
        requests::UnderWay,
        sale_times::{self, SaleChanges},
        ticket_code::TicketKey,
        unreadable::Unreadable,
    },
    clients::identity::Identity,
    error::ServeError,
    grpc, rebuild, store,
    tasks::{
        holds,
        payments::{CONSUMER, Payments, TOPICS},
        sales::{self, SaleTimesTold},
        watch,
    },
};

/// The part's name in readiness and logs.
const NAME: &str = "booking";

/// Longest wait for a connection: shorter than a caller waits.
const ACQUIRE_MAX: Duration = Duration::from_secs(5);

/// Longest wait for connections that are still in use when everything else has ended.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// Longest that identity-svc is asked about accounts.
const ASK_MAX: Duration = Duration::from_secs(5);

/// Runs booking-svc until shutdown and a drain: brings its schema up to date, loads the lock store if
/// it was lost, serves gRPC, relays its outbox, consumes payments, sweeps. Schema `eventlog` must be there.
///
/// # Errors
/// [`ServeError`] if it can't start, or the listener breaks, or a background loop ends early.
pub async fn serve(config: Config, context: Context) -> Result<(), ServeError> {
    config
        .check(context.identity.is_some())
        .map_err(|(key, why)| ServeError::Config { key, why })?;
    let pool = PgPoolOptions::new()
        .max_connections(config.database_connections_max)
        .acquire_timeout(ACQUIRE_MAX)
        .connect(config.database_url.expose())
        .await?;
    crate::migrate(&pool).await?;
    let app = Arc::new(compose(&config, pool.clone(), &context).await?);
    tokio::select! {
        rebuilt = rebuild::if_pending(&app) => drop(rebuilt?),
        () = context.shutdown.cancelled() => return Ok(()),
    }
    let channel = context.channel(&config.identity, part::IDENTITY)?;
    let identity = Identity::new(channel.clone());
    let verifier = verifier(channel);

    let tasks_end = CancellationToken::new();
    let mut tasks = start_tasks(&app, &config, &tasks_end);
    tasks.spawn(end_closing(
        app.clone(),
        identity.clone(),
        tasks_end.clone(),
    ));
    let options = server::Options {
        name: NAME,
        listen: config.listen,
        insecure: config.insecure,
        descriptor_set: holdfast_proto::FILE_DESCRIPTOR_SET,
    };
    let serving = serve_grpc(options, grpc::routes(app, verifier, identity), &context);
    // The loops end by `tasks_end` only: without one of them nothing may seem to be well.
    let served = tokio::select! {
        served = serving => served.map_err(ServeError::from),
        ended = tasks.join_next() => Err(ServeError::LoopEnded(ended.and_then(Result::err))),
    };
    tasks_end.cancel();
    while tasks.join_next().await.is_some() {}
    close(&pool).await;
    served
}

/// Closes the pool; a connection that isn't given back in time is left to the process's end.
async fn close(pool: &PgPool) {
    if tokio::time::timeout(CLOSE_MAX, pool.close()).await.is_err() {
        tracing::warn!("a database connection was still in use at shutdown");
    }
}

/// The use cases on `pool` and the lock store named in `config`.
pub(crate) async fn compose(
    config: &Config,
    pool: PgPool,
    context: &Context,
) -> Result<App, ServeError> {
    let mut fresh = [0; 32];
    rand::rng().fill_bytes(&mut fresh);
    let public = ed25519_dalek::SigningKey::from_bytes(&fresh)
        .verifying_key()
        .to_bytes();
    let (key_id, private) = store::tickets::signing_key(&pool, &fresh, &public)
        .await
        .map_err(ServeError::Store)?;
    let identity = context.identity.as_ref();
    let store_options = lockstore_client::Options {
        tls: identity.map(|identity| identity.client_config(part::LOCKSTORE)),
        decorate: Some(trace::apply),
        ..lockstore_client::Options::default()
    };
    Ok(App {
        lock_store: lockstore_client::Client::connect_with(config.lockstore.clone(), store_options),
        inventories: Inventories::new(pool.clone()),
        ticket_key: TicketKey::new(key_id, &private),
        payment_window: Duration::from_millis(config.payment_window_ms),
        under_way: UnderWay::default(),
        sale_changes: SaleChanges::default(),
        changes: Changes::default(),
        unreadable: Unreadable::default(),
        takings: Semaphore::new(TAKINGS_AT_ONCE_MAX),
        pool,
    })
}

fn start_tasks(app: &Arc<App>, config: &Config, end: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let pool = app.pool.clone();
    tasks.spawn(relay(pool.clone(), &OUTBOX, end.clone()));
    let payments = Payments { app: app.clone() };
    tasks.spawn(consume(
        pool.clone(),
        ConsumerConfig::new(CONSUMER, TOPICS),
        payments,
        end.clone(),
    ));
    let told = SaleTimesTold { app: app.clone() };
    let config_of_sales = ConsumerConfig::new(sales::CONSUMER, sales::TOPICS);
    tasks.spawn(consume(pool, config_of_sales, told, end.clone()));
    let sweeping = app.clone();
    tasks.spawn(periodic(
        "booking.sweep",
        config.sweep_period(),
        end.clone(),
        move || {
            let app = sweeping.clone();
            async move { app.sweep().await }
        },
    ));
    tasks.spawn(holds::follow(app.clone(), end.clone()));
    let recovering = app.clone();
    tasks.spawn(periodic(
        "booking.recover",
        config.sweep_period(),
        end.clone(),
        move || {
            let app = recovering.clone();
            async move {
                app.recover().await?;
                app.forget_requests().await
            }
        },
    ));
    let refunding = app.clone();
    tasks.spawn(periodic(
        "booking.refund_shows",
        config.sweep_period(),
        end.clone(),
        move || {
            let app = refunding.clone();
            async move { app.refund_shows().await }
        },
    ));
    let comparing = app.clone();
    tasks.spawn(periodic(
        "booking.house_seats",
        config.sweep_period(),
        end.clone(),
        move || {
            let app = comparing.clone();
            async move { app.compare_house_seats().await }
        },
    ));
    let looking = app.clone();
    tasks.spawn(periodic(
        "booking.changes",
        changes::PERIOD,
        end.clone(),
        move || {
            let app = looking.clone();
            async move { app.look_for_changes().await }
        },
    ));
    let following = app.clone();
    tasks.spawn(periodic(
        "booking.sales",
        sale_times::PERIOD,
        end.clone(),
        move || {
            let app = following.clone();
            async move { app.follow_sales().await }
        },
    ));
    let watching = app.clone();
    tasks.spawn(periodic(
        "booking.watch",
        watch::PERIOD,
        end.clone(),
        move || {
            let app = watching.clone();
            async move {
                app.ask_refunds_again().await?;
                app.watch_payments().await.map(drop)
            }
        },
    ));
    tasks
}

/// Goes on until the end with accounts that were marked as closing.
async fn end_closing(app: Arc<App>, identity: Identity, end: CancellationToken) {
    periodic(
        "booking.closing",
        closing_accounts::PERIOD,
        end,
        move || {
            let (app, identity) = (app.clone(), identity.clone());
            async move {
                let ask = |users| identity.standings(users, Deadline::after(ASK_MAX));
                app.end_closing(ask).await
            }
        },
    )
    .await;
}

fn verifier(identity: Channel) -> Verifier {
    let client = IdentityServiceClient::new(identity);
    Verifier::new(move || {
        let mut client = client.clone();
        async move { Ok(client.get_jwks(GetJwksRequest {}).await?.into_inner().jwks) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[sqlx::test(migrations = false)]
    async fn connection_that_is_never_given_back_holds_no_shutdown_up(pool: PgPool) {
        let _kept = pool.acquire().await.expect("a connection");
        tokio::time::timeout(CLOSE_MAX * 4, close(&pool))
            .await
            .expect("goes on without it");
    }
}
