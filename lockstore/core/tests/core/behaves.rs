//! The behaviour suite, asked of the state machine itself.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use holdfast_types::{ClusterTime, HoldId, SeatState, ShowId, UserId};
use lockstore_core::{Command, Hold, Outcome, Refusal, ShowState};

use crate::{behaviour, kit};

impl behaviour::Store for kit::Store {
    const NAMES_REQUESTS: bool = true;

    async fn ask(&mut self, command: Command) -> Outcome {
        self.apply(command)
    }

    async fn now(&mut self) -> ClusterTime {
        kit::Store::now(self)
    }

    async fn pass(&mut self, time: ClusterTime) {
        self.wait(kit::Store::now(self).until(time).0);
    }

    async fn show(&mut self, show_id: ShowId) -> Option<(ShowState, Vec<SeatState>)> {
        let show = self.state.show(show_id)?;
        Some((show.state(), show.seat_states().collect()))
    }

    async fn hold(
        &mut self,
        show_id: ShowId,
        hold_id: HoldId,
        holder: UserId,
    ) -> Result<Arc<Hold>, Refusal> {
        self.state.hold(show_id, hold_id, holder)
    }
}

/// Nothing here waits for anything.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the state machine waits for nothing"),
    }
}

#[test]
fn state_machine_behaves_as_every_scenario_says() {
    for scenario in behaviour::all() {
        assert!(
            scenario.is_for::<kit::Store>(),
            "it can be asked everything"
        );
        let mut store = kit::Store::new();
        at_once(scenario.run(&mut store, kit::show_id(1)));
    }
}

#[test]
fn no_two_scenarios_have_the_same_name() {
    let scenarios = behaviour::all();
    let names: std::collections::BTreeSet<_> = scenarios.iter().map(|s| &s.name).collect();
    assert_eq!(names.len(), scenarios.len());
}
