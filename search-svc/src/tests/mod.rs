//! What both engines are held to (`contract`, Meilisearch as it was recorded: `recording`), what else of
//! Meilisearch's recorded answers becomes (`recorded`),
//! news and building (`building`, `catching_up`), and the service over real ports with a real catalogue
//! behind it (`served`). What is found where nothing fits as it was asked is in `looser`, of any engine.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod blame;
mod building;
mod catching_up;
mod comparing;
mod contract;
mod looser;
mod on_disk;
mod operators;
mod recorded;
mod recording;
mod replay;
mod served;
pub(crate) mod shows;
