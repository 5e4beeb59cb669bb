//! What the source tree promises about itself: who may depend on whom, read from `cargo metadata`;
//! where crates come from; what rpcs promise about being repeated; and pages that are generated from
//! the sources.

mod configuration;
mod dependency_rules;
mod documents;
mod lock_files;
mod metrics;
mod repeating;
