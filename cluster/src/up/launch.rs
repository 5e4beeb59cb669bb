//! Starting processes together, and waiting until enough of them are ready.
//!
//! Always holds: only the process that was started counts as ready, never another one that
//! answers on its port.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use futures::future::join_all;
use tokio::time::Instant;

use super::{DEATHS_MAX, POLL, Start, progress::Progress};
use crate::{
    error::Error,
    ports::listens,
    supervisor::{Spec, Supervised, say},
};

/// How long the rest is waited for when enough are ready: a node that replays a long log may take
/// longer, and then catches up while the others sell.
const REST_LIMIT: Duration = Duration::from_secs(10);

/// How long one look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

impl Start {
    /// Starts processes together and waits until all are ready; or `enough` of them, where the
    /// rest died or takes too long. The rest is then warned of, and restarted like any other.
    pub(super) async fn launch(
        &mut self,
        what: &str,
        specs: Vec<Spec>,
        enough: usize,
    ) -> Result<(), Error> {
        let progress = Progress::start(what);
        let start = |spec| Supervised::start(spec, Arc::clone(&self.board));
        self.groups.push(specs.iter().cloned().map(start).collect());
        let client = reqwest::Client::builder()
            .timeout(LOOK_LIMIT)
            .no_proxy()
            .build()
            .context("can't make an HTTP client")?;
        let end = Instant::now() + self.ready_limit;
        let mut enough_since = None;
        loop {
            let looks = join_all(specs.iter().map(|spec| self.look(&client, spec))).await;
            let missing: Vec<(&Spec, String)> = specs
                .iter()
                .zip(looks)
                .filter_map(|(spec, look)| Some((spec, look.err()?)))
                .collect();
            if missing.is_empty() {
                progress.done("");
                return Ok(());
            }
            let refused = self.board.hopeless.is_cancelled();
            if specs.len() - missing.len() >= enough && !refused {
                let since = *enough_since.get_or_insert_with(Instant::now);
                let died = |(spec, _): &(&Spec, _)| self.board.restarts(&spec.name) > 0;
                if missing.iter().all(died) || since.elapsed() >= REST_LIMIT {
                    let ready = specs.len() - missing.len();
                    progress.done(&format!("({ready} of {})", specs.len()));
                    missing.iter().for_each(|(spec, why)| self.warn(spec, why));
                    return Ok(());
                }
            } else {
                enough_since = None;
                let dying = |spec: &Spec| self.board.restarts(&spec.name) >= DEATHS_MAX;
                let lost = missing.iter().filter(|(spec, _)| dying(spec)).count();
                if refused || specs.len() - lost < enough || Instant::now() >= end {
                    let culprit = missing.iter().find(|(spec, _)| dying(spec));
                    let (spec, why) = culprit.unwrap_or(&missing[0]);
                    let why = match dying(spec) {
                        _ if refused => {
                            "is not ready: it or another process refused its configuration"
                                .to_owned()
                        }
                        true => format!("died {DEATHS_MAX} times"),
                        false => {
                            format!(
                                "was not ready after {} s: {why}",
                                self.ready_limit.as_secs()
                            )
                        }
                    };
                    let error = anyhow!("{} {why}", spec.name);
                    return Err(self.with_log(&spec.name, error).into());
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether a process is ready, else why not.
    async fn look(&self, client: &reqwest::Client, spec: &Spec) -> Result<(), String> {
        let (Some(port), Some(url)) = (spec.ops_port, spec.ops_url()) else {
            return Ok(());
        };
        let Some(pid) = self.board.pid(&spec.name) else {
            return Err("it ended".into());
        };
        if !listens(pid, port) {
            return Err(format!("it doesn't listen on port {port}"));
        }
        match client.get(format!("{url}/readyz")).send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(answer.text().await.unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn warn(&self, spec: &Spec, why: &str) {
        say(&format!(
            "warning: {} is not ready ({why}): the others are enough, and it is tried again; see {}",
            spec.name,
            self.dir.log_file(&spec.name).display()
        ));
    }
}
