//! Keeping the index what the catalogue is: `news` takes the catalogue's events, `keeper` builds
//! an index where there is none or where that is the sooner way to be up to date, `writer` is where
//! both write, `stream` knows which events an index needn't be told of.

mod keeper;
mod news;
mod stream;
mod writer;

pub(crate) use keeper::{Keeper, Status};
pub(crate) use news::{BATCH_CHANGES_MAX, News, NewsDesk};
pub(crate) use stream::{Stream, TOPIC};
pub(crate) use writer::{Writer, Written};

use crate::{clients::catalog, index};

/// Why the index couldn't be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    #[error(transparent)]
    Index(#[from] index::Error),
    /// More changed while an index was built than is kept in mind, or a change of it failed.
    #[error(
        "the index that was built was given up: too much changed meanwhile, or a change of it failed"
    )]
    Overtaken,
}
