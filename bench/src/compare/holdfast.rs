//! Three lock-store nodes and nothing else of Holdfast.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use holdfast_types::{DurationMs, HoldId, SeatNo, ShowId, UserId};
use lockstore_client::{BestAvailable, Client, HoldOutcome, HoldSeats, RefusalReason, Selection};
use uuid::Uuid;

use super::{
    CONNECTIONS, Distinct, HOLD_TTL_MS, Operation, RUSH_PARTY, RUSH_SEATS, Running, SEATS_PER_SHOW,
    Work,
};
use crate::{
    holds::{CALL_LIMIT, open_hall, open_show},
    load::Ended,
    nodes::Nodes,
    servers::version,
};

/// Three nodes of their own, with as many shows as `work` may need.
///
/// # Errors
/// They don't start.
pub async fn start(dir: &Path, program: &Path, work: Work) -> Result<Running> {
    let nodes = Nodes::start(dir, program).await?;
    let client = nodes.client(CONNECTIONS);
    Ok(Running {
        version: version(program, "--version")?,
        operation: match work {
            Work::Distinct(work) => holding(client, work).await?,
            Work::Rush => rushing(client).await?,
        },
        nodes: Some(nodes),
        servers: Vec::new(),
    })
}

async fn holding(client: Client, work: Distinct) -> Result<Operation> {
    let mut shows: Vec<ShowId> = Vec::new();
    for _ in 0..work.shows() {
        shows.push(open_show(&client, SEATS_PER_SHOW).await?);
    }
    let shows = Arc::new(shows);
    Ok(Arc::new(move |_| {
        let (client, shows, work) = (client.clone(), Arc::clone(&shows), work.clone());
        Box::pin(async move {
            let (show, seats) = work.next();
            let Some(show_id) = shows.get(show as usize) else {
                return Ok(Ended::Exhausted);
            };
            let selection = Selection::Seats(seats.map(SeatNo).collect());
            let request = request(*show_id, selection);
            let answer = client.hold(request, CALL_LIMIT).await?;
            Ok(match answer.outcome {
                HoldOutcome::Held { .. } => Ended::Done,
                HoldOutcome::Refused(_) => Ended::Refused,
            })
        })
    }))
}

async fn rushing(client: Client) -> Result<Operation> {
    let show_id = open_hall(&client, RUSH_SEATS).await?;
    Ok(Arc::new(move |_| {
        let client = client.clone();
        Box::pin(async move {
            let best = BestAvailable {
                count: RUSH_PARTY,
                sections: Vec::new(),
                categories: Vec::new(),
                adjacent: true,
                accessible: false,
            };
            let request = request(show_id, Selection::BestAvailable(best));
            let answer = client.hold(request, CALL_LIMIT).await?;
            Ok(match answer.outcome {
                HoldOutcome::Held { .. } => Ended::Done,
                HoldOutcome::Refused(refusal) if refusal.reason == RefusalReason::NoBlock => {
                    Ended::Exhausted
                }
                HoldOutcome::Refused(_) => Ended::Refused,
            })
        })
    }))
}

fn request(show_id: ShowId, selection: Selection) -> HoldSeats {
    HoldSeats {
        hold_id: HoldId::from_uuid(Uuid::new_v4()),
        show_id,
        // A customer buys once: the cap is never met.
        holder: UserId::from_uuid(Uuid::new_v4()),
        selection,
        ttl: DurationMs(HOLD_TTL_MS),
        price_version: 1,
        late_money: false,
    }
}
