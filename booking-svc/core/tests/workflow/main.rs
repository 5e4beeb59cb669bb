//! The workflow as facts: each ending of the crate's table, each input twice, and random
//! histories against a model of the store; and a walk through every state.

mod fixtures;
mod histories;
mod scenarios;
mod walk;
