//! `shows/{show_id}/live`: a WebSocket that is sent what changes.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use holdfast_mesh::server::ConnectionSlot;
use holdfast_types::{ErrorCode, ShowId};
use tokio::time::{Instant, timeout};

use crate::{
    call::Call,
    extract::{Params, PathId},
    failure::ApiError,
    limits::Viewer,
    live::{
        message::LiveMessage,
        viewer::{self, MESSAGE_BYTES_MAX, READ_BUFFER_BYTES},
    },
    routes::availability::not_on_sale,
    server::{App, Shared},
};

/// How long the catalogue may take to say that there is such a show; longer, and it is believed.
const CATALOGUE_WAIT: Duration = Duration::from_secs(1);
/// How long a show may take to be known here when somebody comes; also how long one that isn't
/// there may take to appear, because it was published this second.
const THERE_WAIT: Duration = Duration::from_secs(2);
/// How long this process may take to come as far as a viewer that was elsewhere before.
const SINCE_WAIT: Duration = Duration::from_secs(1);

/// Watch seats change
///
/// A WebSocket. Every message is JSON text with a `type`: first `snapshot`, or `resumed` where
/// `since` is honoured; then a `delta` with what changed of seats and the show's state, and a
/// `bookmark` about every second. The first change after a quiet while is told at once; where more
/// follow, one `delta` tells of a quarter of a second, each seat once as it was at its end. Nothing
/// is asked of the viewer, who answers pings. A close (1001 the server stops, 1012, 1013 read too
/// slowly) says in its reason with which `since` to connect again, and nothing is missed then; if
/// what happened since isn't remembered any more, the first message is a `snapshot`. It never
/// begins with less than `since`: a server that hasn't come as far answers UNAVAILABLE. A show that
/// is announced and never was for sale has no seats to watch: SHOW_NOT_ON_SALE.
#[utoipa::path(
    get, path = "/shows/{show_id}/live", tag = "buying",
    params(
        ("show_id" = uuid::Uuid, Path),
        ("since" = Option<String>, Query, description = "The latest revision that was received: what came after it follows.", example = json!("36028797019029504")),
    ),
    responses((status = 101, description = "The WebSocket is open.", body = LiveMessage)),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "SHOW_NOT_FOUND", "SHOW_NOT_ON_SALE"]))),
)]
pub(crate) async fn watch_show(
    State(app): State<Shared>,
    call: Call,
    PathId(show_id): PathId<ShowId>,
    mut params: Params,
    Extension(slot): Extension<ConnectionSlot>,
    viewer: Viewer,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let since = params.revision("since")?;
    params.finish()?;
    let upgrade = upgrade
        .map_err(|_| ApiError::invalid("Upgrade", "this route is a WebSocket; open it as one"))?;
    let busy = |what: &str| ApiError::new(ErrorCode::Unavailable, what);
    let place = Arc::clone(&app.live.places)
        .try_acquire_owned()
        .map_err(|_| busy("too many viewers are connected"))?;
    let show = match app.live.find(show_id, Instant::now()) {
        Some(show) => show,
        None => {
            announced(&app, &call, show_id).await?;
            let followed = app.live.follow(show_id, Instant::now());
            followed.ok_or_else(|| busy("too many shows are watched"))?
        }
    };
    match show.is_there(THERE_WAIT).await {
        Some(true) => {}
        Some(false) => {
            app.live.forget(show_id);
            let unknown = ApiError::new(ErrorCode::ShowNotFound, "no such show");
            return Err(not_on_sale(&app, &call, show_id, unknown).await);
        }
        None => return Err(busy("what is free isn't known now")),
    }
    if let Some(since) = since
        && !show.reach(since, SINCE_WAIT).await
    {
        // What is known here is older than what the viewer has.
        return Err(busy("this server hasn't come as far as `since` yet"));
    }
    let view = show
        .view(since)
        .ok_or_else(|| busy("what is free isn't known now"))?;
    let shutdown = app.live.shutdown.clone();
    let tasks = app.live.tasks.clone();
    Ok(upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(move |socket| {
            tasks.track_future(viewer::serve(socket, view, shutdown, (place, slot, viewer)))
        }))
}

/// Refuses an id that the catalogue doesn't know, so that ids that somebody made up take no show's
/// place among those that are followed. Says nothing while the catalogue is away: seats are shown
/// without it.
async fn announced(app: &App, call: &Call, show_id: ShowId) -> Result<(), ApiError> {
    let asking = timeout(CATALOGUE_WAIT, app.kept.show(app, call, show_id));
    match asking.await {
        Ok(Err(error)) if error.code() == ErrorCode::ShowNotFound => Err(error),
        Ok(Err(error)) => {
            tracing::debug!(show.id = %show_id, ?error, "a show wasn't looked up");
            Ok(())
        }
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}
