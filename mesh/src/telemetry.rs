//! Structured logs to standard error (text for people, JSON for machines), and traces.
//!
//! Always holds: one subscriber a process; a filter that can't be read is refused, not ignored; the
//! filter of logs is no filter of traces, whose spans are made apart from the log's; a line said
//! while a request or an event of a trace is worked on has the trace's id.
//! Leaves to others: where the lines go from there, and metrics.

mod traces;

use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

pub use self::traces::{TraceConfig, Traces};

/// The default: what happened, without the consensus library's own account of each message.
const FILTER: &str = "info,openraft=warn";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event, with the fields of its spans.
    Json,
}

/// The `[log]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// Directives of tracing-subscriber's `EnvFilter`: `info`, `info,holdfast_mesh=debug`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: FILTER.to_owned(),
        }
    }
}

/// Why logs or traces couldn't be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `log.filter` has a directive that can't be read.
    #[error("configuration: log.filter {filter:?} can't be read")]
    Filter {
        /// The value.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// A value of `[trace]` that can't be used.
    #[error("configuration: trace.{key}: {why}")]
    Trace {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The process has a subscriber already.
    #[error("logs are set up already")]
    AlreadySet(#[source] tracing_subscriber::util::TryInitError),
}

/// Sends the process's logs to standard error and the spans of a process in `role` to a collector,
/// as configured. Must be called within a Tokio runtime.
///
/// # Errors
/// [`Error`].
pub fn init(log: &LogConfig, trace: &TraceConfig, role: &'static str) -> Result<Traces, Error> {
    init_logs(log)?;
    traces::start(trace, role)
}

fn init_logs(config: &LogConfig) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&config.filter).map_err(|source| Error::Filter {
        filter: config.filter.clone(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .finish()
            .try_init(),
    }
    .map_err(Error::AlreadySet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_refused_by_name() {
        let config = LogConfig {
            filter: "info,x=loud".to_owned(),
            ..LogConfig::default()
        };
        let error = init_logs(&config).expect_err("refused");
        assert!(error.to_string().contains("log.filter"), "{error}");
    }
}
