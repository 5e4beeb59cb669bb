//! One index on disk: a folder, a writer, a reader.
//!
//! Always holds: a write that returned is on disk and can be found. After one that failed the
//! writer is opened anew, which takes back what wasn't committed.

use std::{fs, io, path::Path, sync::Mutex};

use holdfast_types::ShowId;

use tantivy::{
    Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument,
    directory::MmapDirectory, indexer::IndexWriterOptions,
};

use super::{
    kept::Kept,
    schema::{self, Fields},
};
use crate::{
    document::{Changes, Document},
    index::Found,
    query::Query,
    suggest::{Begun, Kind},
};

/// Memory of the writer, at most; more makes fewer and larger segments while an index is built.
const WRITER_BYTES: usize = 48 * 1024 * 1024;

/// An index.
pub(super) struct Shelf {
    index: Index,
    fields: Fields,
    reader: IndexReader,
    kept: Kept,
    /// None until the first write, and after one that failed.
    writer: Mutex<Option<IndexWriter>>,
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

impl Shelf {
    /// An empty one in the place of whatever is in `folder`.
    pub(super) fn create(folder: &Path) -> tantivy::Result<Self> {
        remove(folder)?;
        fs::create_dir_all(folder)?;
        let (schema, fields) = schema::schema();
        let index = Index::builder()
            .schema(schema)
            .tokenizers(schema::tokenizers())
            .create_in_dir(folder)?;
        Self::of(index, fields)
    }

    /// The one in `folder`.
    pub(super) fn open(folder: &Path) -> tantivy::Result<Self> {
        let (schema, fields) = schema::schema();
        let mut index = Index::open(MmapDirectory::open(folder)?)?;
        if index.schema() != schema {
            let why = "the index on disk has other fields".to_owned();
            return Err(tantivy::TantivyError::SchemaError(why));
        }
        index.set_tokenizers(schema::tokenizers());
        Self::of(index, fields)
    }

    fn of(index: Index, fields: Fields) -> tantivy::Result<Self> {
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        Ok(Self {
            index,
            fields,
            reader,
            kept: Kept::new(),
            writer: Mutex::new(None),
        })
    }

    pub(super) fn shows(&self) -> u64 {
        self.searcher().num_docs()
    }

    /// All as it is now, whatever changes.
    pub(super) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    pub(super) fn search(&self, query: &Query) -> tantivy::Result<Found> {
        let searcher = self.searcher();
        super::search::search(&searcher, &self.fields, &self.kept, query)
    }

    pub(super) fn names(&self, kind: Kind, begun: &Begun) -> tantivy::Result<Vec<String>> {
        let known = &self.kept.words;
        super::names::names(&self.searcher(), &self.fields, known, kind, begun)
    }

    pub(super) fn contents(
        &self,
        after: Option<ShowId>,
        up_to: Option<ShowId>,
        max: usize,
    ) -> tantivy::Result<Vec<(ShowId, u64)>> {
        let searcher = self.searcher();
        super::contents::contents(&searcher, &self.fields, after, up_to, max)
    }

    /// Hands changes to the writer, which writes them some time, at the latest with
    /// [`Shelf::commit`].
    pub(super) fn add(&self, changes: &Changes) -> tantivy::Result<()> {
        self.with_writer(|writer| {
            for id in &changes.removes {
                writer.delete_term(self.fields.of_show(*id));
            }
            for document in &changes.puts {
                writer.delete_term(self.fields.of_show(document.show_id));
                writer.add_document(self.fields.document(document))?;
            }
            Ok(())
        })
    }

    /// Hands shows that aren't here to the writer. Nothing is deleted for them: every segment that is
    /// written would look for each.
    pub(super) fn fill(&self, documents: &[Document]) -> tantivy::Result<()> {
        self.with_writer(|writer| {
            for document in documents {
                writer.add_document(self.fields.document(document))?;
            }
            Ok(())
        })
    }

    /// Puts what was added on disk and before searchers, all at once.
    pub(super) fn commit(&self) -> tantivy::Result<()> {
        self.with_writer(|writer| writer.commit().map(drop))?;
        self.reader.reload()
    }

    /// Ends the writer, so that the folder can be removed.
    pub(super) fn close(&self) {
        let mut writer = self
            .writer
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        writer.take();
    }

    fn with_writer(
        &self,
        work: impl FnOnce(&mut IndexWriter) -> tantivy::Result<()>,
    ) -> tantivy::Result<()> {
        // A writer that a panic interrupted is opened anew, too.
        let mut place = self.writer.lock().unwrap_or_else(|poisoned| {
            let mut place = poisoned.into_inner();
            *place = None;
            place
        });
        let mut writer = match place.take() {
            Some(writer) => writer,
            None => self.open_writer()?,
        };
        work(&mut writer)?;
        *place = Some(writer);
        Ok(())
    }

    fn open_writer(&self) -> tantivy::Result<IndexWriter> {
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(WRITER_BYTES)
            .build();
        self.index.writer_with_options::<TantivyDocument>(options)
    }
}

/// Removes a folder; one that isn't there is as good.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
