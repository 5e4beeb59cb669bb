//! The index within this process: tantivy, in a folder.
//!
//! The folder has `current.json`, which names the folder with the index that is searched (`a` or
//! `b`) and its schema; the next is built in the other. Always holds: `current.json` is replaced in
//! one step, after all it names is on disk; a folder that it doesn't name is rubbish. An index that
//! can't be opened, or is of another schema, counts as none, and is built anew.

mod block;
mod contents;
mod kept;
mod names;
mod schema;
mod search;
mod shelf;
mod spelt;
mod tally;
mod top;
mod words;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

use holdfast_types::ShowId;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use self::shelf::Shelf;
use crate::{
    Error as ServeError,
    document::{Changes, Document, SCHEMA_VERSION},
    index::{Error, Found, Index},
    query::Query,
    suggest::{Begun, Kind},
};

/// Searches at once; more wait. Each takes a core for some milliseconds.
const SEARCHES_AT_ONCE_MAX: usize = 32;

const CURRENT: &str = "current.json";

/// What `current.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct Current {
    schema: u32,
    folder: Folder,
}

/// One of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Folder {
    A,
    B,
}

impl Folder {
    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn of(self, dir: &Path) -> PathBuf {
        dir.join(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

/// The index.
#[derive(Debug)]
pub(crate) struct Embedded {
    dir: PathBuf,
    shelves: Arc<RwLock<Shelves>>,
    searches: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Shelves {
    live: Option<(Folder, Arc<Shelf>)>,
    next: Option<(Folder, Arc<Shelf>)>,
}

impl Embedded {
    /// The index in `dir`, which is made where it is missing.
    pub(crate) fn open(dir: &Path) -> Result<Self, ServeError> {
        let live = open_current(dir).map_err(|source| ServeError::Folder {
            path: dir.to_owned(),
            source,
        })?;
        let shelves = Shelves { live, next: None };
        Ok(Self {
            dir: dir.to_owned(),
            shelves: Arc::new(RwLock::new(shelves)),
            searches: Arc::new(Semaphore::new(SEARCHES_AT_ONCE_MAX)),
        })
    }

    /// Makes the index in `dir`, if there is one, count as none.
    pub(crate) fn forget(dir: &Path) -> Result<(), ServeError> {
        remove_current(dir).map_err(|source| ServeError::Folder {
            path: dir.to_owned(),
            source,
        })
    }

    fn next(&self) -> Result<Arc<Shelf>, Error> {
        let shelves = read(&self.shelves);
        let next = shelves.next.as_ref().map(|(_, shelf)| Arc::clone(shelf));
        next.ok_or(Error::NotBuilt)
    }

    /// Looks something up, when it is its turn.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shelf) -> tantivy::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let shelf = self.live()?;
        let permit = Arc::clone(&self.searches).acquire_owned().await;
        blocking(move || {
            // Until it is done, though nobody may wait for it any more.
            let _permit = permit.expect("the semaphore is never closed");
            look(&shelf)
        })
        .await
    }

    fn live(&self) -> Result<Arc<Shelf>, Error> {
        let shelves = read(&self.shelves);
        let live = shelves.live.as_ref().map(|(_, shelf)| Arc::clone(shelf));
        live.ok_or(Error::NotBuilt)
    }
}

impl Index for Embedded {
    const ENGINE: &'static str = "tantivy";

    const SPELLS_LOOSER: bool = true;

    async fn is_built(&self) -> Result<bool, Error> {
        Ok(read(&self.shelves).live.is_some())
    }

    async fn shows(&self) -> Result<u64, Error> {
        Ok(self.live()?.shows())
    }

    async fn search(&self, query: &Query) -> Result<Found, Error> {
        let query = query.clone();
        self.look(move |shelf| shelf.search(&query)).await
    }

    async fn names(&self, kind: Kind, begun: &Begun) -> Result<Vec<String>, Error> {
        let begun = begun.clone();
        self.look(move |shelf| shelf.names(kind, &begun)).await
    }

    async fn contents(
        &self,
        after: Option<ShowId>,
        up_to: Option<ShowId>,
        max: usize,
    ) -> Result<Vec<(ShowId, u64)>, Error> {
        self.look(move |shelf| shelf.contents(after, up_to, max))
            .await
    }

    async fn write(&self, changes: Changes) -> Result<(), Error> {
        let shelf = self.live()?;
        blocking(move || {
            shelf.add(&changes)?;
            shelf.commit()
        })
        .await
    }

    async fn begin_next(&self) -> Result<(), Error> {
        let (dir, shelves) = (self.dir.clone(), Arc::clone(&self.shelves));
        blocking(move || {
            let (live, old) = {
                let mut shelves = write(&shelves);
                let live = shelves.live.as_ref().map(|(folder, _)| *folder);
                (live, shelves.next.take())
            };
            if let Some((_, old)) = old {
                old.close();
            }
            if live.is_none() {
                // It may name the folder that is built in now.
                remove_current(&dir)?;
            }
            let free = live.unwrap_or(Folder::B).other();
            let shelf = Shelf::create(&free.of(&dir))?;
            write(&shelves).next = Some((free, Arc::new(shelf)));
            Ok(())
        })
        .await
    }

    async fn fill_next(&self, documents: Vec<Document>) -> Result<(), Error> {
        let shelf = self.next()?;
        blocking(move || shelf.fill(&documents)).await
    }

    async fn write_next(&self, changes: Changes) -> Result<(), Error> {
        let shelf = self.next()?;
        blocking(move || shelf.add(&changes)).await
    }

    async fn swap(&self) -> Result<(), Error> {
        let (dir, shelves) = (self.dir.clone(), Arc::clone(&self.shelves));
        let next = write(&self.shelves).next.take();
        let (folder, shelf) = next.ok_or(Error::NotBuilt)?;
        blocking(move || {
            shelf.commit()?;
            let current = Current {
                schema: SCHEMA_VERSION,
                folder,
            };
            write_current(&dir, &current)?;
            let old = write(&shelves).live.replace((folder, shelf));
            if let Some((folder, old)) = old {
                old.close();
                if let Err(error) = shelf::remove(&folder.of(&dir)) {
                    tracing::warn!(%error, "the old search index wasn't removed");
                }
            }
            Ok(())
        })
        .await
    }
}

/// Runs off the threads that serve: a commit waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> tantivy::Result<T> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Error::Away(error.to_string())),
        Err(panic) => Err(Error::Away(panic.to_string())),
    }
}

// Nothing panics while one of these locks is held; what one guards is whole in any case.
fn read(shelves: &RwLock<Shelves>) -> std::sync::RwLockReadGuard<'_, Shelves> {
    shelves
        .read()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn write(shelves: &RwLock<Shelves>) -> std::sync::RwLockWriteGuard<'_, Shelves> {
    shelves
        .write()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What `current.json` names, if it can be opened.
fn open_current(dir: &Path) -> io::Result<Option<(Folder, Arc<Shelf>)>> {
    fs::create_dir_all(dir)?;
    let text = match fs::read(dir.join(CURRENT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let why = match serde_json::from_slice::<Current>(&text) {
        Ok(current) if current.schema != SCHEMA_VERSION => {
            format!("it is of schema {}, not {SCHEMA_VERSION}", current.schema)
        }
        Ok(current) => match Shelf::open(&current.folder.of(dir)) {
            Ok(shelf) => return Ok(Some((current.folder, Arc::new(shelf)))),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    tracing::warn!(
        why,
        "the search index on disk can't be used; it is built anew"
    );
    Ok(None)
}

fn remove_current(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(CURRENT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed?;
            File::open(dir)?.sync_all()
        }
    }
}

fn write_current(dir: &Path, current: &Current) -> io::Result<()> {
    let new = dir.join("current.json.new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(current)?)?;
    file.sync_all()?;
    fs::rename(&new, dir.join(CURRENT))?;
    File::open(dir)?.sync_all()
}
