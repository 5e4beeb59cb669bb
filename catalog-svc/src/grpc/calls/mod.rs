//! The calls of `CatalogService`, a file for what they are about: who calls, what they ask, the answer.

mod categories;
mod events;
mod performers;
mod plans;
mod shows;
mod venues;
