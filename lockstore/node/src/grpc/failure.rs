//! Errors of the client plane, with the reasons that `lockstore.proto` names. They are the store's
//! own and not of the public table: only `lockstore-client` sees them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use holdfast_mesh::server::ELSEWHERE;
use holdfast_types::Lineage;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{behaviour::Lacking, codec::Field, limits, metrics};

const DOMAIN: &str = "holdfast";
/// After how long a client without a leader should ask again: a fraction of an election.
const NO_QUORUM_RETRY_AFTER: Duration = Duration::from_millis(100);

/// Another node leads; where, if it is known.
pub(super) fn not_leader(leader_addr: Option<&str>) -> Status {
    let metadata: HashMap<String, String> = leader_addr
        .map(|address| ("leader_addr".to_owned(), address.to_owned()))
        .into_iter()
        .collect();
    let details = ErrorDetails::with_error_info("NOT_LEADER", DOMAIN, metadata);
    let mut status =
        Status::with_error_details(Code::Unavailable, "this node doesn't lead", details);
    if leader_addr.is_some() {
        // A client that begins finds the leader so, and one whose leader has changed.
        status
            .metadata_mut()
            .insert(ELSEWHERE, MetadataValue::from_static("1"));
    }
    status
}

/// Nobody can decide now; nothing was done.
pub(super) fn no_quorum() -> Status {
    let mut details = ErrorDetails::with_error_info("NO_QUORUM", DOMAIN, HashMap::new());
    details.set_retry_info(Some(NO_QUORUM_RETRY_AFTER));
    Status::with_error_details(Code::Unavailable, "no leader with a quorum", details)
}

/// A member doesn't know the command yet, or hasn't said so; nothing was done.
pub(super) fn upgrading(lacking: &Lacking) -> Status {
    let ids = |ids: &[u64]| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.join(",")
    };
    let mut metadata = HashMap::from([("behaviour".to_owned(), lacking.behaviour.to_string())]);
    let mut message = "the command needs a newer release on every node".to_owned();
    for (key, what, members) in [
        ("too_old", "too old", &lacking.too_old),
        ("unheard", "not heard of", &lacking.unheard),
    ] {
        if !members.is_empty() {
            message += &format!("; {what}: {}", ids(members));
            metadata.insert(key.to_owned(), ids(members));
        }
    }
    let details = ErrorDetails::with_error_info("UPGRADING", DOMAIN, metadata);
    Status::with_error_details(Code::Unavailable, message, details)
}

/// It may or may not take effect.
pub(super) fn outcome_unknown() -> Status {
    let details = ErrorDetails::with_error_info("OUTCOME_UNKNOWN", DOMAIN, HashMap::new());
    let message =
        "the request was sent to the log and its outcome isn't known; ask again with the same id";
    Status::with_error_details(Code::Unavailable, message, details)
}

/// Too much waits; nothing was done.
pub(super) fn overloaded() -> Status {
    let mut details = ErrorDetails::with_error_info("OVERLOADED", DOMAIN, HashMap::new());
    details.set_retry_info(Some(limits::OVERLOAD_RETRY_AFTER));
    Status::with_error_details(Code::ResourceExhausted, "too many requests wait", details)
}

/// This node leads and has too little disk space to write more; nothing was done.
pub(super) fn out_of_space() -> Status {
    let mut details = ErrorDetails::with_error_info("OUT_OF_SPACE", DOMAIN, HashMap::new());
    details.set_retry_info(Some(limits::FREE_SPACE_LOOK_PERIOD));
    let message = "the leader has too little free disk space, and takes no writes";
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// A place for work that is bounded, or the refusal if none is free.
pub(super) fn place(places: &Semaphore) -> Result<SemaphorePermit<'_>, Status> {
    places.try_acquire().map_err(|_| {
        metrics::overloaded();
        overloaded()
    })
}

/// The same for work that outlives the call.
pub(super) fn own_place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
    Arc::clone(places).try_acquire_owned().map_err(|_| {
        metrics::overloaded();
        overloaded()
    })
}

/// A revision is of another life of the cluster than this one.
pub(super) fn lineage_changed(lineage: Lineage) -> Status {
    let metadata = HashMap::from([("lineage".to_owned(), lineage.to_string())]);
    let details = ErrorDetails::with_error_info("LINEAGE_CHANGED", DOMAIN, metadata);
    let message = "the revision is of another lineage; begin anew";
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

/// This node hasn't applied as far as is asked for.
pub(super) fn behind() -> Status {
    ask_another("this node hasn't come as far as the revision; ask another")
}

/// This node doesn't know its state to be as new as is asked for.
pub(super) fn not_new() -> Status {
    ask_another("this node doesn't know whether its state is so new; ask another")
}

fn ask_another(message: &str) -> Status {
    let details = ErrorDetails::with_error_info("BEHIND", DOMAIN, HashMap::new());
    let mut status = Status::with_error_details(Code::Unavailable, message, details);
    // A node that lags a little is none that failed.
    status
        .metadata_mut()
        .insert(ELSEWHERE, MetadataValue::from_static("1"));
    status
}

/// A field can't be read.
pub(super) fn invalid(field: Field) -> Status {
    let mut details = ErrorDetails::with_error_info("INVALID_REQUEST", DOMAIN, HashMap::new());
    details.add_bad_request_violation(field.name, field.why.clone());
    Status::with_error_details(Code::InvalidArgument, field.to_string(), details)
}

/// A defect: logged here, shown to nobody.
pub(super) fn internal(what: &str) -> Status {
    tracing::error!(what, "an answer didn't fit its request");
    let details = ErrorDetails::with_error_info("INTERNAL_ERROR", DOMAIN, HashMap::new());
    Status::with_error_details(Code::Internal, "internal error", details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_told_whom_to_ask_is_sent_elsewhere() {
        let sent_elsewhere = |status: Status| {
            assert_eq!(status.code(), Code::Unavailable);
            status.into_http::<()>().headers().contains_key(ELSEWHERE)
        };
        assert!(sent_elsewhere(not_leader(Some("http://a:1"))));
        assert!(!sent_elsewhere(not_leader(None)));
        assert!(sent_elsewhere(behind()) && sent_elsewhere(not_new()));
        assert!(!sent_elsewhere(no_quorum()));
        assert!(!sent_elsewhere(outcome_unknown()));
    }

    #[test]
    fn work_beyond_its_bound_is_refused_until_a_place_is_free() {
        let places = Semaphore::new(1);
        let taken = place(&places).expect("free");
        let status = place(&places).expect_err("taken");
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        assert_eq!(details.error_info().expect("info").reason, "OVERLOADED");
        assert!(details.retry_info().is_some());
        drop(taken);
        assert!(place(&places).is_ok());
    }
}
