//! What a failed try means: where to go on, and whether it may have had an effect.

use std::{error::Error as _, time::Duration};

use holdfast_types::Lineage;
use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt;

/// Retry hint taken where an overloaded store gives none, and the longest that is believed.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_millis(100);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// Why a revision of another life of the cluster is refused.
const LINEAGE_CHANGED: &str = "LINEAGE_CHANGED";

/// A failed try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Another node leads; here is where, if it is known. Nothing was done.
    NotLeader(Option<String>),
    /// The node can't decide now, or can't be reached. Nothing was done.
    NotNow,
    /// It may have been done.
    Unknown,
    /// Too busy. Nothing was done.
    Overloaded { retry_after: Duration },
    /// The leader has too little disk space and takes no writes. Nothing was done.
    OutOfSpace,
    /// The node is of this lineage, and was asked for a revision of another.
    LineageChanged(Lineage),
    /// No try will do better.
    Invalid(String),
}

impl Failed {
    pub(crate) fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        match (status.code(), info.map_or("", |info| info.reason.as_str())) {
            (Code::Unavailable, "NOT_LEADER") => {
                let leader = info.and_then(|info| info.metadata.get("leader_addr"));
                Self::NotLeader(leader.filter(|uri| !uri.is_empty()).cloned())
            }
            (Code::Unavailable, "NO_QUORUM" | "UPGRADING" | "BEHIND") => Self::NotNow,
            (Code::FailedPrecondition, LINEAGE_CHANGED) => {
                let lineage = info.and_then(|info| info.metadata.get("lineage")?.parse().ok());
                lineage.map_or(Self::Unknown, |lineage| {
                    Self::LineageChanged(Lineage(lineage))
                })
            }
            (Code::Unavailable, _) if never_connected(status) => Self::NotNow,
            (Code::ResourceExhausted, "OVERLOADED") => {
                let hint = details.retry_info().and_then(|info| info.retry_delay);
                let retry_after = hint.unwrap_or(RETRY_AFTER_DEFAULT).min(RETRY_AFTER_MAX);
                Self::Overloaded { retry_after }
            }
            (Code::ResourceExhausted, "OUT_OF_SPACE") => Self::OutOfSpace,
            // Out of range is a message that is too large to be read.
            (
                Code::InvalidArgument
                | Code::Unimplemented
                | Code::PermissionDenied
                | Code::OutOfRange,
                _,
            ) => Self::Invalid(status.message().to_owned()),
            _ => Self::Unknown,
        }
    }
}

/// Whether a revision was of another life of the cluster.
pub(crate) fn is_lineage_changed(status: &Status) -> bool {
    let details = status.get_error_details();
    details
        .error_info()
        .is_some_and(|info| info.reason == LINEAGE_CHANGED)
}

/// The connection was never made, so nothing can have been sent.
fn never_connected(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn with_reason(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Status {
        let metadata: HashMap<String, String> = metadata
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let details = ErrorDetails::with_error_info(reason, "holdfast", metadata);
        Status::with_error_details(code, "message", details)
    }

    #[test]
    fn each_status_means_what_the_contract_says() {
        let leader = with_reason(
            Code::Unavailable,
            "NOT_LEADER",
            &[("leader_addr", "http://a:1")],
        );
        assert_eq!(
            Failed::of(&leader),
            Failed::NotLeader(Some("http://a:1".to_owned()))
        );
        let none = with_reason(Code::Unavailable, "NOT_LEADER", &[]);
        assert_eq!(Failed::of(&none), Failed::NotLeader(None));
        let quorum = with_reason(Code::Unavailable, "NO_QUORUM", &[]);
        assert_eq!(Failed::of(&quorum), Failed::NotNow);
        let upgrading = with_reason(Code::Unavailable, "UPGRADING", &[]);
        assert_eq!(Failed::of(&upgrading), Failed::NotNow);
        let behind = with_reason(Code::Unavailable, "BEHIND", &[]);
        assert_eq!(Failed::of(&behind), Failed::NotNow);
        let of_two = with_reason(
            Code::FailedPrecondition,
            "LINEAGE_CHANGED",
            &[("lineage", "2")],
        );
        assert_eq!(Failed::of(&of_two), Failed::LineageChanged(Lineage(2)));
        let full = with_reason(Code::ResourceExhausted, "OUT_OF_SPACE", &[]);
        assert_eq!(Failed::of(&full), Failed::OutOfSpace);
        let unknown = with_reason(Code::Unavailable, "OUTCOME_UNKNOWN", &[]);
        assert_eq!(Failed::of(&unknown), Failed::Unknown);
        for code in [
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::Cancelled,
            Code::Internal,
        ] {
            assert_eq!(
                Failed::of(&Status::new(code, "")),
                Failed::Unknown,
                "{code:?}"
            );
        }
        let invalid = Status::invalid_argument("show_id: 16 bytes");
        assert_eq!(
            Failed::of(&invalid),
            Failed::Invalid("show_id: 16 bytes".to_owned())
        );
        let too_large = Status::out_of_range("2097152 bytes");
        assert!(matches!(Failed::of(&too_large), Failed::Invalid(_)));
    }

    #[test]
    fn overload_says_when_to_come_back_within_reason() {
        let details = |delay| {
            let mut details =
                ErrorDetails::with_error_info("OVERLOADED", "holdfast", HashMap::new());
            details.set_retry_info(delay);
            Failed::of(&Status::with_error_details(
                Code::ResourceExhausted,
                "",
                details,
            ))
        };
        let after = |retry_after| Failed::Overloaded { retry_after };
        assert_eq!(
            details(Some(Duration::from_millis(7))),
            after(Duration::from_millis(7))
        );
        assert_eq!(
            details(Some(Duration::from_secs(999))),
            after(RETRY_AFTER_MAX)
        );
        assert_eq!(details(None), after(RETRY_AFTER_DEFAULT));
    }
}
