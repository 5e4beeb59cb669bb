//! The state machine from outside: scenarios, a naive model beside it, and the record round trip.

mod behaves;
#[path = "../behaviour/mod.rs"]
mod behaviour;
mod blocking;
mod cancelling;
mod choosing;
mod kit;
mod limits;
mod measure;
mod model;
mod model_test;
mod naive;
mod operating;
mod records;
mod scenarios;
mod sweeping;
