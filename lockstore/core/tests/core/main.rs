//! The state machine from outside: scenarios, a naive model beside it, and the record round trip.

mod blocking;
mod cancelling;
mod choosing;
mod kit;
mod measure;
mod model;
mod model_test;
mod naive;
mod precedence;
mod records;
mod scenarios;
