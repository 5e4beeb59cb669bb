//! The lock store, as its operator asks it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use holdfast_mesh::client::Channel;
use holdfast_proto::{
    lockstore::v1::{
        GetStatusRequest, GetStatusResponse, InspectShowRequest, InspectShowResponse,
        admin_service_client::AdminServiceClient,
    },
    part,
};
use holdfast_types::ShowId;
use tonic::Code;

use crate::{
    cli::ClusterSource, data_dir::DataDir, error::Error, operator::channel_to, run_file::RunFile,
};

/// How long one call may take: a show of 100,000 seats is looked through.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How long a leader is looked for that answers: longer than an election takes.
const LIMIT: Duration = Duration::from_secs(20);
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Largest answer read: a show of 100,000 seats that were sold one by one is 9 MB.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The nodes there are.
pub(super) struct Store {
    nodes: Vec<(String, Channel)>,
    /// Which answered last: it leads.
    leader: AtomicUsize,
}

impl Store {
    /// # Errors
    /// Nothing runs where it is looked for; a certificate that can't be used.
    pub(super) fn of(dir: &DataDir, source: &ClusterSource) -> Result<Self, Error> {
        let endpoints = if source.endpoint.is_empty() {
            RunFile::read(dir)?.lockstore
        } else {
            source.endpoint.clone()
        };
        let nodes = endpoints.into_iter().map(|address| {
            let channel = channel_to(dir, &address, part::LOCKSTORE)?;
            Ok((address, channel))
        });
        Ok(Self {
            nodes: nodes.collect::<Result<_, Error>>()?,
            leader: AtomicUsize::new(0),
        })
    }

    /// What each node says of itself.
    pub(super) async fn statuses(&self) -> Vec<(String, Result<GetStatusResponse, String>)> {
        let asked = self.nodes.iter().map(|(address, channel)| async move {
            let mut request = tonic::Request::new(GetStatusRequest {});
            request.set_timeout(CALL_LIMIT);
            let mut admin = AdminServiceClient::new(channel.clone());
            let answer = match tokio::time::timeout(CALL_LIMIT, admin.get_status(request)).await {
                Ok(Ok(answer)) => Ok(answer.into_inner()),
                Ok(Err(status)) => Err(status.message().to_owned()),
                Err(_) => Err("no answer".to_owned()),
            };
            (address.clone(), answer)
        });
        futures::future::join_all(asked).await
    }

    /// A show as it is now: the leader's answer, as soon as there is one.
    ///
    /// # Errors
    /// No node answers within the limit.
    pub(super) async fn inspect(&self, show_id: ShowId) -> anyhow::Result<InspectShowResponse> {
        let begun = Instant::now();
        let mut why = "no node leads".to_owned();
        while begun.elapsed() < LIMIT {
            for _ in 0..self.nodes.len() {
                let nth = self.leader.load(Ordering::Relaxed) % self.nodes.len();
                let (address, channel) = self.nodes.get(nth).context("no nodes")?;
                let mut request = tonic::Request::new(InspectShowRequest {
                    show_id: show_id.to_bytes().to_vec().into(),
                });
                request.set_timeout(CALL_LIMIT);
                let mut admin = AdminServiceClient::new(channel.clone())
                    .max_decoding_message_size(MESSAGE_BYTES_MAX);
                match tokio::time::timeout(CALL_LIMIT, admin.inspect_show(request)).await {
                    Ok(Ok(answer)) => return Ok(answer.into_inner()),
                    Ok(Err(status)) if !passes(status.code()) => {
                        bail!("{address}: {}", status.message())
                    }
                    Ok(Err(status)) => why = format!("{address}: {}", status.message()),
                    Err(_) => why = format!("{address}: no answer"),
                }
                // Others may have moved it on.
                let next = (nth + 1) % self.nodes.len();
                let _ =
                    self.leader
                        .compare_exchange(nth, next, Ordering::Relaxed, Ordering::Relaxed);
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
        bail!("no leader of the lock store answers: {why}")
    }
}

/// Whether it is worth another try.
fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled
    )
}
