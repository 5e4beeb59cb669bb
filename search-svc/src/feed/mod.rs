//! Keeping the index what the catalogue is: `news` takes the catalogue's events, `keeper` builds
//! an index where there is none, `writer` is where both write.

mod keeper;
mod news;
mod writer;

pub(crate) use keeper::{Keeper, Status};
pub(crate) use news::{BATCH_CHANGES_MAX, News, NewsDesk};
pub(crate) use writer::Writer;

use crate::{clients::catalog, index};

/// Why the index couldn't be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    #[error(transparent)]
    Index(#[from] index::Error),
    /// More changed while an index was built than is kept in mind.
    #[error("too much changed while the index was built")]
    Overtaken,
}
