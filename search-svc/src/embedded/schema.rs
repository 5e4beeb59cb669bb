//! What the embedded index has of a show.
//!
//! Always holds: a change here raises [`SCHEMA_VERSION`](crate::document::SCHEMA_VERSION).

use holdfast_types::ShowId;
use prost::Message;
use tantivy::{
    TantivyDocument, Term,
    schema::{
        BytesOptions, FAST, Field, INDEXED, IndexRecordOption, NumericOptions, STORED, Schema,
        TextFieldIndexing, TextOptions,
    },
    tokenizer::{TextAnalyzer, TokenizerManager, WhitespaceTokenizer},
};

use crate::{document::Document, fold};

/// Splits at spaces: words are made by [`fold::words`], the same for documents and questions.
const TOKENIZER: &str = "folded";

/// Fast fields, by the names that collectors want.
pub(super) const STARTS_AT: &str = "starts_at_ms";
pub(super) const PLACE: &str = "place";
pub(super) const TIE: &str = "tie";

/// The fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) show_id: Field,
    pub(super) title: Field,
    pub(super) venue: Field,
    pub(super) city: Field,
    pub(super) description: Field,
    pub(super) category: Field,
    /// The whole city, folded.
    pub(super) city_key: Field,
    pub(super) starts_at_ms: Field,
    /// Cells of all grids ([`Place::cells`](crate::place::Place::cells)).
    pub(super) cells: Field,
    /// As [`Place::pack`](crate::place::Place::pack) makes it.
    place: Field,
    /// Orders what is equal otherwise: the end of the show's id, which is random.
    tie: Field,
    /// What is answered: an encoded `FoundShow`.
    pub(super) shown: Field,
}

/// The schema and its fields.
pub(super) fn schema() -> (Schema, Fields) {
    let words = || {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        TextOptions::default().set_indexing_options(indexing)
    };
    let exact = || {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        TextOptions::default().set_indexing_options(indexing)
    };
    let mut schema = Schema::builder();
    let fields = Fields {
        show_id: schema.add_bytes_field("show_id", BytesOptions::from(INDEXED)),
        title: schema.add_text_field("title", words()),
        venue: schema.add_text_field("venue", words()),
        city: schema.add_text_field("city", words()),
        description: schema.add_text_field("description", words()),
        category: schema.add_text_field("category", exact()),
        city_key: schema.add_text_field("city_key", exact()),
        starts_at_ms: schema.add_i64_field(STARTS_AT, NumericOptions::from(FAST)),
        cells: schema.add_u64_field("cells", NumericOptions::from(INDEXED)),
        place: schema.add_u64_field(PLACE, NumericOptions::from(FAST)),
        tie: schema.add_u64_field(TIE, NumericOptions::from(FAST)),
        shown: schema.add_bytes_field("shown", BytesOptions::from(STORED)),
    };
    (schema.build(), fields)
}

/// The tokenizers that the schema names.
pub(super) fn tokenizers() -> TokenizerManager {
    let tokenizers = TokenizerManager::default();
    let folded = TextAnalyzer::from(WhitespaceTokenizer::default());
    tokenizers.register(TOKENIZER, folded);
    tokenizers
}

impl Fields {
    pub(super) fn document(&self, document: &Document) -> TantivyDocument {
        let shown = &document.shown;
        let mut indexed = TantivyDocument::default();
        indexed.add_bytes(self.show_id, &document.show_id.to_bytes());
        indexed.add_text(self.title, fold::key(&shown.title));
        indexed.add_text(self.venue, fold::key(&shown.venue_name));
        indexed.add_text(self.city, fold::key(&shown.city));
        indexed.add_text(self.description, fold::key(&document.description));
        indexed.add_text(self.category, &shown.category);
        indexed.add_text(self.city_key, fold::key(&shown.city));
        indexed.add_i64(self.starts_at_ms, shown.starts_at_ms);
        for cell in document.place.cells() {
            indexed.add_u64(self.cells, cell);
        }
        indexed.add_u64(self.place, document.place.pack());
        indexed.add_u64(self.tie, tie(document.show_id));
        indexed.add_bytes(self.shown, &shown.encode_to_vec());
        indexed
    }

    /// The one document of a show.
    pub(super) fn of_show(&self, id: ShowId) -> Term {
        Term::from_field_bytes(self.show_id, &id.to_bytes())
    }
}

fn tie(id: ShowId) -> u64 {
    let bytes = id.to_bytes();
    let last = bytes.last_chunk().expect("an id has 16 bytes");
    u64::from_be_bytes(*last)
}
