//! LISTEN/NOTIFY as a hint: whoever waits also polls, so a lost notification costs time only.

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::sync::Notify;

/// Pause before listening anew after the connection failed.
const RELISTEN_PAUSE: Duration = Duration::from_millis(200);

/// How long one attempt to connect may go on. While a server is starting, the pool waits between
/// tries for up to a fifth of it, so this also bounds how late a restarted server is noticed:
/// with the pool's own 30 s that would be 6 s of events found by polling alone.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Calls `woken` for every notification on `channel` whose payload `wanted` takes, and after every
/// reconnect, since notifications may have been missed. Never returns; drop it to stop.
pub(crate) async fn listen(
    pool: &PgPool,
    channel: &str,
    wanted: impl Fn(&str) -> bool,
    woken: &Notify,
) -> std::convert::Infallible {
    // A connection of its own: a pool's are for queries, and few.
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(pool.connect_options().as_ref().clone());
    loop {
        let error = match listen_until_lost(&own, channel, &wanted, woken).await {
            Ok(()) => continue,
            Err(error) => error,
        };
        tracing::warn!(%channel, %error, "lost the notification channel; polling meanwhile");
        tokio::time::sleep(RELISTEN_PAUSE).await;
    }
}

async fn listen_until_lost(
    own: &PgPool,
    channel: &str,
    wanted: &impl Fn(&str) -> bool,
    woken: &Notify,
) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(own).await?;
    listener.listen(channel).await?;
    woken.notify_one();
    while let Some(notification) = listener.try_recv().await? {
        if wanted(notification.payload()) {
            woken.notify_one();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Instant};

    use tokio::{
        net::{TcpListener, TcpStream},
        task::JoinSet,
    };

    use super::*;

    /// Long enough for tries to connect to have become rare, if they may become so.
    const OUTAGE: Duration = Duration::from_secs(3);
    /// How soon notifications must be heard again.
    const BACK_WITHIN: Duration = Duration::from_millis(1_500);
    /// A busy machine may be late by itself, but not every time.
    const OUTAGES_MAX: usize = 5;
    const LIMIT: Duration = Duration::from_secs(20);

    /// Passes connections at `listen` on to `server`; ends them all when dropped.
    fn server_at(listen: TcpListener, host: String, port: u16) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut from, _)) = listen.accept().await {
                let host = host.clone();
                connections.spawn(async move {
                    let to = TcpStream::connect((host.as_str(), port)).await;
                    let mut to = to.expect("the database answers");
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                });
            }
        });
        tasks
    }

    #[sqlx::test(migrations = false)]
    async fn notifications_are_heard_soon_after_the_server_came_back(pool: PgPool) {
        let real = pool.connect_options();
        let (host, port) = (real.get_host().to_owned(), real.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("bound");
        let options = real.as_ref().clone();
        let options = options.host("127.0.0.1").port(address.port());
        let through = PgPoolOptions::new().connect_lazy_with(options);
        let woken = std::sync::Arc::new(Notify::new());
        let mut server = server_at(listener, host.clone(), port);
        let listening = tokio::spawn({
            let woken = woken.clone();
            async move { listen(&through, "news", |_| true, &woken).await }
        });
        let heard = || tokio::time::timeout(LIMIT, woken.notified());
        heard().await.expect("listening from the start");

        let mut took = Vec::new();
        while took.last().is_none_or(|took| *took >= BACK_WITHIN) {
            assert!(took.len() < OUTAGES_MAX, "{took:?}");
            server.shutdown().await;
            tokio::time::sleep(OUTAGE).await;
            let listener = TcpListener::bind(address).await.expect("the same port");
            let back = Instant::now();
            server = server_at(listener, host.clone(), port);
            heard().await.expect("listening again");
            took.push(back.elapsed());
        }
        sqlx::query("SELECT pg_notify('news', 'x')")
            .execute(&pool)
            .await
            .expect("notified");
        heard().await.expect("a notification after the outage");
        listening.abort();
    }
}
