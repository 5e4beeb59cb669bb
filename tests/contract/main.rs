//! What the source tree promises about itself: who may depend on whom, read from `cargo metadata`.

mod dependency_rules;
