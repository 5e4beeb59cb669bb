//! What an operator asks a process over HTTP: is it alive, is it ready, what does it count.
//!
//! Always holds: `/healthz` answers while the process runs; `/readyz` is 200 only while every
//! declared part is ready. Leaves to others: deciding when a part is ready.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde::Serialize;
use tokio::sync::watch;

use crate::{Context, metrics, server, task};

/// One part of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Whether it serves.
    pub ready: bool,
    /// Where it listens, if it does and once it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Why it isn't ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The parts of a process and whether each is ready. Clones share.
#[derive(Debug, Clone)]
pub struct Readiness {
    parts: watch::Sender<BTreeMap<String, Part>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            parts: watch::Sender::new(BTreeMap::new()),
        }
    }
}

impl Readiness {
    /// Names a part that isn't ready yet; the process isn't either until it is. A part that is
    /// there stays as it is.
    pub fn declare(&self, name: &str) {
        self.parts.send_if_modified(|parts| {
            let new = !parts.contains_key(name);
            if new {
                let why = Some("starting".to_owned());
                parts.insert(
                    name.to_owned(),
                    Part {
                        ready: false,
                        address: None,
                        why,
                    },
                );
            }
            new
        });
    }

    /// The part serves.
    pub fn set_ready(&self, name: &str) {
        self.change(name, |part| Part {
            ready: true,
            why: None,
            ..part
        });
    }

    /// The part listens at `address` and serves.
    pub fn set_listening(&self, name: &str, address: SocketAddr) {
        self.change(name, |_| Part {
            ready: true,
            address: Some(address),
            why: None,
        });
    }

    /// The part doesn't serve now.
    pub fn set_not_ready(&self, name: &str, why: &str) {
        self.change(name, |part| Part {
            ready: false,
            why: Some(why.to_owned()),
            ..part
        });
    }

    /// Whether every declared part is ready; false while none is declared.
    pub fn is_ready(&self) -> bool {
        let parts = self.parts.borrow();
        !parts.is_empty() && parts.values().all(|part| part.ready)
    }

    /// Every part, by name.
    pub fn parts(&self) -> BTreeMap<String, Part> {
        self.parts.borrow().clone()
    }

    /// Waits until the part listens, and says where. Callers bound the wait.
    pub async fn address(&self, name: &str) -> SocketAddr {
        let mut changes = self.parts.subscribe();
        loop {
            if let Some(address) = changes
                .borrow_and_update()
                .get(name)
                .and_then(|part| part.address)
            {
                return address;
            }
            changes.changed().await.expect("self holds the sender");
        }
    }

    /// Waits until every declared part is ready. Callers bound the wait.
    pub async fn all_ready(&self) {
        let mut changes = self.parts.subscribe();
        changes
            .wait_for(|parts| !parts.is_empty() && parts.values().all(|part| part.ready))
            .await
            .expect("self holds the sender");
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<BTreeMap<String, Part>> {
        self.parts.subscribe()
    }

    fn change(&self, name: &str, with: impl FnOnce(Part) -> Part) {
        self.parts.send_if_modified(|parts| {
            let old = parts.get(name).cloned();
            let new = with(old.clone().unwrap_or(Part {
                ready: false,
                address: None,
                why: None,
            }));
            let changed = old.as_ref() != Some(&new);
            parts.insert(name.to_owned(), new);
            changed
        });
    }
}

/// `/healthz`, `/readyz` and `/metrics`, to be served alone or merged into another router.
pub fn router(readiness: Readiness, prometheus: metrics::PrometheusHandle) -> Router {
    let ready = |State(readiness): State<Readiness>| async move {
        let status = if readiness.is_ready() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, Json(readiness.parts()))
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route(
            "/metrics",
            get(move || async move {
                (
                    [("content-type", "text/plain; version=0.0.4; charset=utf-8")],
                    prometheus.render(),
                )
            }),
        )
        .with_state(readiness)
}

/// Serves [`router`] at `listen` until shutdown, and keeps the metrics recorder trim. Its address
/// is in readiness under `ops`.
///
/// # Errors
/// [`server::Error`] if the address is refused or taken.
pub async fn serve(
    listen: SocketAddr,
    insecure: bool,
    context: &Context,
) -> Result<(), server::Error> {
    let prometheus = metrics::install();
    let router = router(context.readiness.clone(), prometheus.clone());
    let upkeep = async {
        let step = move || {
            prometheus.run_upkeep();
            std::future::ready(Ok::<(), std::convert::Infallible>(()))
        };
        task::periodic(
            "metrics upkeep",
            metrics::UPKEEP_PERIOD,
            context.shutdown.clone(),
            step,
        )
        .await;
        std::future::pending().await
    };
    tokio::select! {
        served = server::serve_http("ops", listen, insecure, router, context) => served,
        never = upkeep => never,
    }
}
