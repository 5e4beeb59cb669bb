//! The state machine from outside: scenarios, a naive model beside it, and the record round trip.

mod cancelling;
mod kit;
mod model;
mod model_test;
mod records;
mod scenarios;
