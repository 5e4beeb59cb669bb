//! Somebody with a seat map open: a WebSocket, and what it has shown.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};
use uuid::Uuid;

/// How long a message may take; bookmarks come each second, and not while there is no leader.
const MESSAGE_LIMIT: Duration = Duration::from_secs(30);

/// A viewer of one show, from when it was opened.
pub(crate) struct Viewer {
    socket: WebSocketStream<TcpStream>,
    /// The latest revision that was received.
    pub(crate) since: String,
    /// Every change that was received, in order: seat number and state.
    pub(crate) changes: Vec<(u64, String)>,
    /// What `type` the first message had.
    pub(crate) began_with: String,
}

impl Viewer {
    /// Opens `shows/{show}/live` of the API at `base`, with `since` where it was there before.
    pub(crate) async fn open(base: &str, show: Uuid, since: Option<&str>) -> Result<Self> {
        let host = base.strip_prefix("http://").context("no http address")?;
        let query = since.map_or(String::new(), |since| format!("?since={since}"));
        let url = format!("ws://{host}/api/v1/shows/{show}/live{query}");
        let stream = TcpStream::connect(host).await?;
        let (socket, _) = client_async(url, stream).await?;
        let mut viewer = Self {
            socket,
            since: String::new(),
            changes: Vec::new(),
            began_with: String::new(),
        };
        viewer.began_with = viewer.next().await?;
        Ok(viewer)
    }

    /// Takes one message, and says its `type`.
    async fn next(&mut self) -> Result<String> {
        let text = loop {
            let next = tokio::time::timeout(MESSAGE_LIMIT, self.socket.next()).await;
            match next.context("nothing came")?.context("it ended")?? {
                Message::Text(text) => break text,
                Message::Ping(_) | Message::Pong(_) => {}
                other => bail!("{other:?} came"),
            }
        };
        let message: Value = serde_json::from_str(&text)?;
        let of = |field: &str| {
            let value = message[field].as_str();
            value.with_context(|| format!("{message} has no {field}"))
        };
        if of("type")? == "delta" {
            let (previous, at) = (
                of("previous_revision")?.parse::<u64>()?,
                self.since.parse()?,
            );
            ensure!(previous <= at, "{message} doesn't follow on {at}");
            for change in message["changes"].as_array().context("no changes")? {
                let seat_no = change["seat_no"].as_u64().context("no seat")?;
                let state = change["state"].as_str().context("no state")?;
                self.changes.push((seat_no, state.to_owned()));
            }
        }
        of("revision")?.clone_into(&mut self.since);
        Ok(of("type")?.to_owned())
    }

    /// Takes messages until one of these seats was said to be `state`.
    pub(crate) async fn wait_for(&mut self, seat_no: u64, state: &str) -> Result<()> {
        let wanted = (seat_no, state.to_owned());
        let waiting = async {
            while !self.changes.contains(&wanted) {
                self.next().await?;
            }
            Ok(())
        };
        let waited = tokio::time::timeout(MESSAGE_LIMIT, waiting).await;
        waited.with_context(|| format!("seat {seat_no} wasn't said to be {state}"))?
    }

    /// What each seat that changed was, one after another.
    pub(crate) fn histories(&self) -> BTreeMap<u64, Vec<&str>> {
        let mut histories = BTreeMap::<u64, Vec<&str>>::new();
        for (seat_no, state) in &self.changes {
            histories.entry(*seat_no).or_default().push(state);
        }
        histories
    }
}
