//! `holdfast serve`: one role of a process, or all but the lock store.
//!
//! Always holds: the configuration is checked before a port is bound; when one role ends, all of
//! the process drain and it ends, those that are called from outside before those that they call.

use std::{
    convert::Infallible,
    error::Error as StdError,
    future::Future,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Utc};
use holdfast_mesh::{self as mesh, tls::Identity};
use rustix::process::Signal;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    callers, child,
    cli::{Role, ServeArgs},
    error::Error,
    open_files,
    settings::{Config, Identities},
    supervisor::say,
};

/// How long before its end a certificate is warned of: time for somebody to come back from a holiday.
const ENDS_SOON: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often it is.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long the front may drain before the rest does: with the rest's own limit of 10 s
/// ([`mesh::server::DRAIN_MAX`]) less than the supervisor waits before it kills.
const FRONT_DRAIN_MAX: Duration = Duration::from_secs(8);

impl Role {
    /// The roles of `serve all`.
    pub(crate) const IN_ALL: [Self; 7] = [
        Self::Identity,
        Self::Catalog,
        Self::Booking,
        Self::Payment,
        Self::Search,
        Self::Sandbox,
        Self::Gateway,
    ];

    /// Whether it is called from outside, and calls the others for that.
    fn is_front(self) -> bool {
        matches!(self, Self::Gateway | Self::Sandbox)
    }

    /// Its name in readiness.
    fn part(self) -> &'static str {
        match self {
            Self::Lockstore => "lockstore",
            Self::Identity => "identity",
            Self::Catalog => "catalog",
            Self::Booking => "booking",
            Self::Payment => "payment",
            Self::Search => "search",
            Self::Sandbox => "sandbox",
            Self::Gateway => "gateway",
            Self::All => "all",
        }
    }

    /// Its name towards others, where it speaks gRPC.
    pub(crate) fn identity(self) -> Option<&'static str> {
        (!matches!(self, Self::Sandbox | Self::All)).then(|| self.part())
    }

    /// What runs in a process of this role.
    fn each(&self) -> &[Self] {
        match self {
            Self::All => &Self::IN_ALL,
            one => std::slice::from_ref(one),
        }
    }
}

/// Runs until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// [`Error::Config`] naming the key; whatever ends a role early.
pub(crate) fn run(args: ServeArgs) -> Result<(), Error> {
    child::end_with_parent(Signal::TERM)?;
    let mut config: Config = mesh::config::load(args.config.as_deref())?;
    if args.insecure {
        config.allow_insecure();
    }
    if let Some(url) = args.meili_url.filter(|url| !url.is_empty()) {
        config.search.meili_url = url;
        // Not a flag: others see those.
        if let Ok(key) = std::env::var("MEILI_API_KEY") {
            config.search.meili_api_key = mesh::config::Secret::new(key);
        }
    }
    if args.dump_config {
        say(toml::to_string(&config)
            .context("the configuration can't be printed")?
            .trim_end());
        return Ok(());
    }
    config.check(args.role)?;
    let identities = config.identities(args.role.each())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start a runtime")?;
    let _runtime = runtime.enter();
    let traces = mesh::telemetry::init(&config.log, &config.trace, args.role.part())
        .map_err(|e| Error::Config(e.to_string()))?;
    open_files::allow_most();
    let served = runtime.block_on(serve(args.role, config, identities));
    traces.end();
    served
}

async fn serve(role: Role, config: Config, identities: Identities) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).context("can't listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can't listen for signals")?;
    let told = async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
    };
    let roles = role.each();
    // Before anything is recorded.
    mesh::metrics::install();
    identities.values().for_each(Identity::record_expiry);
    let callers = callers::table();
    let contract = mesh::client::Contract::read(holdfast_proto::FILE_DESCRIPTOR_SET)
        .context("the contracts can't be read")?;
    let (mut front, mut rest) = Stage::pair(contract);
    for role in roles {
        rest.context.readiness.declare(role.part());
    }
    for role in roles {
        let stage = if role.is_front() {
            &mut front
        } else {
            &mut rest
        };
        let context = mesh::Context {
            identity: role
                .identity()
                .and_then(|name| identities.get(name).cloned()),
            callers: callers.clone(),
            ..stage.context.clone()
        };
        start(*role, &config, context, &mut stage.running);
    }
    tokio::spawn(warn_of_ends(identities, rest.context.shutdown.clone()));
    let ops = (config.ops.listen, config.ops.insecure);
    let context = rest.context.clone();
    spawn(&mut rest.running, "ops", async move {
        mesh::ops::serve(ops.0, ops.1, &context).await
    });
    let ended = until_ended(front, rest, told, FRONT_DRAIN_MAX).await;
    ended.map_or(Ok(()), |error| Err(error.into()))
}

/// Says every day which of the process's certificates end soon, until shutdown.
async fn warn_of_ends(identities: Identities, shutdown: CancellationToken) {
    let look = || {
        for identity in end_soon(&identities, SystemTime::now()) {
            tracing::warn!(
                name = identity.name(),
                file = identity.first_to_end(),
                ends = %DateTime::<Utc>::from(identity.expires()),
                "a certificate ends soon: make the next with `holdfast certs issue --renew` where the authority \
                 is (`holdfast up` has made it; after another ca.pem all are made anew), and start this process \
                 again, which reads it"
            );
        }
        std::future::ready(Ok::<(), Infallible>(()))
    };
    mesh::task::periodic("certificates", DAY, shutdown, look).await;
}

fn end_soon(identities: &Identities, now: SystemTime) -> impl Iterator<Item = &Identity> {
    let ends_soon = move |identity: &&Identity| identity.expires() < now + ENDS_SOON;
    identities.values().filter(ends_soon)
}

type Running = JoinSet<anyhow::Result<()>>;

/// Roles that drain together.
struct Stage {
    context: mesh::Context,
    running: Running,
}

impl Stage {
    /// Two that share the process's readiness, and may repeat what `contract` says.
    fn pair(contract: mesh::client::Contract) -> (Self, Self) {
        let stage = |context| Self {
            context,
            running: JoinSet::new(),
        };
        let context = mesh::Context {
            contract,
            ..mesh::Context::new()
        };
        let other = mesh::Context {
            readiness: context.readiness.clone(),
            contract: context.contract.clone(),
            ..mesh::Context::new()
        };
        (stage(context), stage(other))
    }
}

/// Runs until a role ends or `told` says so. Then `front` drains; and when it has, or after
/// `front_limit`, `rest`. Gives the first failure.
async fn until_ended(
    mut front: Stage,
    mut rest: Stage,
    told: impl Future<Output = ()>,
    front_limit: Duration,
) -> Option<anyhow::Error> {
    let mut first = None;
    tokio::select! {
        () = told => {}
        Some(ended) = front.running.join_next() => note(&mut first, ended),
        Some(ended) = rest.running.join_next() => note(&mut first, ended),
    }
    front.context.shutdown.cancel();
    let drained = async {
        while let Some(ended) = front.running.join_next().await {
            note(&mut first, ended);
        }
    };
    if tokio::time::timeout(front_limit, drained).await.is_err() {
        tracing::warn!("the rest drains, though calls from outside are still under way");
    }
    rest.context.shutdown.cancel();
    for stage in [&mut front, &mut rest] {
        while let Some(ended) = stage.running.join_next().await {
            note(&mut first, ended);
        }
    }
    first
}

/// Logs a failure, and keeps it if it is the first.
fn note(first: &mut Option<anyhow::Error>, ended: Result<anyhow::Result<()>, JoinError>) {
    let ended = ended.unwrap_or_else(|panic| Err(anyhow!("a role panicked: {panic}")));
    if let Err(error) = ended {
        tracing::error!(error = %format!("{error:#}"), "a role ended");
        first.get_or_insert(error);
    }
}

fn start(role: Role, config: &Config, context: mesh::Context, running: &mut Running) {
    let name = role.part();
    match role {
        Role::Lockstore => spawn(
            running,
            name,
            lockstore_node::serve(config.lockstore.clone(), context),
        ),
        Role::Identity => spawn(
            running,
            name,
            identity_svc::serve(config.identity.clone(), context),
        ),
        Role::Catalog => spawn(
            running,
            name,
            catalog_svc::serve(config.catalog.clone(), context),
        ),
        Role::Booking => spawn(
            running,
            name,
            booking_svc::serve(config.booking.clone(), context),
        ),
        Role::Payment => spawn(
            running,
            name,
            payment_svc::serve(config.payment.clone(), context),
        ),
        Role::Search => spawn(
            running,
            name,
            search_svc::serve(config.search.clone(), context),
        ),
        Role::Sandbox => spawn(
            running,
            name,
            payment_svc::sandbox::serve_sandbox(config.sandbox.clone(), context),
        ),
        Role::Gateway => spawn(
            running,
            name,
            gateway::serve(config.gateway.clone(), context),
        ),
        Role::All => {}
    }
}

fn spawn<E>(
    running: &mut Running,
    name: &'static str,
    work: impl Future<Output = Result<(), E>> + Send + 'static,
) where
    E: StdError + Send + Sync + 'static,
{
    running.spawn(async move { work.await.with_context(|| format!("{name} failed")) });
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Stages of one role each; the front takes `front` to drain, the rest tells whether the front
    /// had drained when it was told to.
    fn stages(front_takes: Duration) -> (Stage, Stage) {
        let (mut front, mut rest) = Stage::pair(mesh::client::Contract::default());
        let (drained, of_rest) = (mesh::Context::new().shutdown, rest.context.clone());
        let (of_front, done) = (front.context.clone(), drained.clone());
        front.running.spawn(async move {
            of_front.shutdown.cancelled().await;
            tokio::time::sleep(front_takes).await;
            done.cancel();
            Ok(())
        });
        rest.running.spawn(async move {
            of_rest.shutdown.cancelled().await;
            anyhow::ensure!(drained.is_cancelled(), "before the front");
            Ok(())
        });
        (front, rest)
    }

    #[test]
    fn certificates_that_end_within_a_month_are_warned_of() {
        let temp = tempfile::tempdir().unwrap();
        let folder = crate::certs::Folder::new(temp.path().to_owned());
        folder.ensure().unwrap();
        let mut config = Config::default();
        config.tls.dir = temp.path().to_owned();
        let identities = config.identities(&[Role::Booking]).unwrap();
        let ends = identities["booking"].expires();
        assert_eq!(identities["booking"].first_to_end(), "booking.pem");
        let warned_of = |now| {
            end_soon(&identities, now)
                .map(Identity::name)
                .collect::<Vec<_>>()
        };
        assert!(warned_of(ends - ENDS_SOON).is_empty());
        assert_eq!(warned_of(ends - ENDS_SOON + DAY), ["booking"]);
    }

    #[tokio::test]
    async fn the_rest_drains_when_the_front_has() {
        let (front, rest) = stages(Duration::from_millis(50));
        let ended = until_ended(front, rest, async {}, LONG).await;
        assert!(ended.is_none(), "{ended:?}");
    }

    #[tokio::test]
    async fn a_front_that_does_not_drain_does_not_keep_the_rest() {
        let (front, rest) = stages(Duration::from_millis(500));
        let ended = until_ended(front, rest, async {}, Duration::from_millis(10)).await;
        assert!(ended.unwrap().to_string().contains("before the front"));
    }

    #[tokio::test]
    async fn a_role_that_fails_ends_the_others_and_its_failure_is_told() {
        let (front, mut rest) = stages(Duration::ZERO);
        rest.running.spawn(async { Err(anyhow!("no disk")) });
        let never = std::future::pending();
        let ended = until_ended(front, rest, never, LONG).await;
        assert_eq!(ended.unwrap().to_string(), "no disk");
    }
}
