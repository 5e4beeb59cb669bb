//! What the embedded index has of a show.
//!
//! Always holds: a change here raises [`SCHEMA_VERSION`](crate::document::SCHEMA_VERSION).

use std::hash::Hasher as _;

use holdfast_proto::search::v1::FoundShow;
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

use crate::{document::Document, facet::Facet, fold, suggest::Kind};

/// Splits at spaces: words are made by [`fold::indexed`], the same for documents and questions.
const TOKENIZER: &str = "folded";
/// As it is.
const RAW: &str = "raw";

/// Fast fields, by the names that collectors want.
pub(super) const STARTS_AT: &str = "starts_at_ms";
pub(super) const DAY: &str = "day";
pub(super) const SALE_FROM: &str = "sale_from_ms";
pub(super) const SALE_UNTIL: &str = "sale_until_ms";
pub(super) const PRICE_FROM: &str = "price_from";
pub(super) const PRICE_MAX: &str = "price_max";
pub(super) const PLACE: &str = "place";
pub(super) const TIE: &str = "tie";
pub(super) const PRICE_ORDER: &str = "price_order";
pub(super) const CONTENT: &str = "content";

/// Between the words of a pair, and those of a category path: in no word.
const PAIRED: &str = "_";
pub(super) const BELOW: char = '/';

/// The fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) show_id: Field,
    pub(super) title: Field,
    pub(super) performers: Field,
    pub(super) venue: Field,
    pub(super) city: Field,
    pub(super) description: Field,
    /// Words of a name that are next to each other.
    pub(super) pairs: Field,
    /// Whole names, and the same written as one word.
    pub(super) names: Field,
    /// Each of the category path.
    pub(super) category: Field,
    /// The whole city, folded.
    pub(super) city_key: Field,
    pub(super) country: Field,
    pub(super) state: Field,
    pub(super) currency: Field,
    pub(super) starts_at_ms: Field,
    pub(super) day: Field,
    pub(super) sale_from_ms: Field,
    pub(super) sale_until_ms: Field,
    /// Only of shows that have prices.
    pub(super) price_from: Field,
    pub(super) price_max: Field,
    /// The lowest price; of shows without one more than any.
    price_order: Field,
    /// Cells of all grids ([`Place::cells`](crate::place::Place::cells)).
    pub(super) cells: Field,
    /// As [`Place::pack`](crate::place::Place::pack) makes it.
    place: Field,
    /// Orders what is equal otherwise: the end of the show's id, which is random.
    tie: Field,
    /// [`Document::content`].
    content: Field,
    /// Values that are counted: the category path in one, the city as it is written.
    category_path: Field,
    city_name: Field,
    /// Names as numbers ([`name_number`]), by kind.
    title_number: Field,
    performer_number: Field,
    venue_number: Field,
    city_number: Field,
    /// What is answered: an encoded `FoundShow`.
    pub(super) shown: Field,
}

/// The schema and its fields.
pub(super) fn schema() -> (Schema, Fields) {
    let indexed = |tokenizer| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(tokenizer)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        TextOptions::default().set_indexing_options(indexing)
    };
    let words = || indexed(TOKENIZER);
    let exact = || indexed(RAW);
    let counted = || TextOptions::default().set_fast(RAW);
    let mut schema = Schema::builder();
    let fields = Fields {
        show_id: schema.add_bytes_field("show_id", BytesOptions::from(INDEXED)),
        title: schema.add_text_field("title", words()),
        performers: schema.add_text_field("performers", words()),
        venue: schema.add_text_field("venue", words()),
        city: schema.add_text_field("city", words()),
        description: schema.add_text_field("description", words()),
        pairs: schema.add_text_field("pairs", words()),
        names: schema.add_text_field("names", exact()),
        category: schema.add_text_field("category", exact()),
        city_key: schema.add_text_field("city_key", exact()),
        country: schema.add_text_field("country", exact().set_fast(RAW)),
        state: schema.add_text_field("state", exact().set_fast(RAW)),
        currency: schema.add_text_field("currency", exact()),
        starts_at_ms: schema.add_i64_field(STARTS_AT, NumericOptions::from(FAST)),
        day: schema.add_i64_field(DAY, NumericOptions::from(FAST)),
        sale_from_ms: schema.add_i64_field(SALE_FROM, NumericOptions::from(FAST)),
        sale_until_ms: schema.add_i64_field(SALE_UNTIL, NumericOptions::from(FAST)),
        price_from: schema.add_i64_field(PRICE_FROM, NumericOptions::from(FAST)),
        price_max: schema.add_i64_field(PRICE_MAX, NumericOptions::from(FAST)),
        price_order: schema.add_i64_field(PRICE_ORDER, NumericOptions::from(FAST)),
        cells: schema.add_u64_field("cells", NumericOptions::from(INDEXED)),
        place: schema.add_u64_field(PLACE, NumericOptions::from(FAST)),
        tie: schema.add_u64_field(TIE, NumericOptions::from(FAST)),
        content: schema.add_u64_field(CONTENT, NumericOptions::from(FAST)),
        category_path: schema.add_text_field(counted_in(Facet::Category), counted()),
        city_name: schema.add_text_field(counted_in(Facet::City), counted()),
        title_number: schema.add_u64_field(numbered_in(Kind::Title), NumericOptions::from(FAST)),
        performer_number: schema
            .add_u64_field(numbered_in(Kind::Performer), NumericOptions::from(FAST)),
        venue_number: schema.add_u64_field(numbered_in(Kind::Venue), NumericOptions::from(FAST)),
        city_number: schema.add_u64_field(numbered_in(Kind::City), NumericOptions::from(FAST)),
        shown: schema.add_bytes_field("shown", BytesOptions::from(STORED)),
    };
    (schema.build(), fields)
}

/// The fast field with the values of a facet.
pub(super) fn counted_in(facet: Facet) -> &'static str {
    match facet {
        Facet::Category => "category_path",
        Facet::City => "city_name",
        Facet::Country => "country",
        Facet::State => "state",
    }
}

/// The fast field with the numbers of names of a kind.
pub(super) fn numbered_in(kind: Kind) -> &'static str {
    match kind {
        Kind::Title => "title_number",
        Kind::Performer => "performer_number",
        Kind::Venue => "venue_number",
        Kind::City => "city_number",
    }
}

/// The tokenizers that the schema names.
pub(super) fn tokenizers() -> TokenizerManager {
    let tokenizers = TokenizerManager::default();
    let folded = TextAnalyzer::from(WhitespaceTokenizer::default());
    tokenizers.register(TOKENIZER, folded);
    tokenizers
}

/// A name as a number, the same however it is spelt. In 32 bits, which the index packs well: of
/// some hundred thousand names a few share one, and one of those isn't suggested.
pub(super) fn name_number(name: &str) -> u64 {
    // FNV-1a.
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    for word in fold::words(name) {
        hash.write(word.as_bytes());
        hash.write(b" ");
    }
    let hash = hash.finish();
    (hash >> 32) ^ (hash & u64::from(u32::MAX))
}

struct Fnv(u64);

impl std::hash::Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// Two words that are next to each other.
pub(super) fn pair(one: &str, other: &str) -> String {
    [one, other].join(PAIRED)
}

impl Fields {
    pub(super) fn document(&self, document: &Document) -> TantivyDocument {
        let shown = &document.shown;
        let mut indexed = TantivyDocument::default();
        indexed.add_bytes(self.show_id, &document.show_id.to_bytes());
        let mut words = |field, text: &str| indexed.add_text(field, fold::indexed(text).join(" "));
        words(self.title, &shown.title);
        for name in &shown.performers {
            words(self.performers, name);
        }
        words(self.venue, &shown.venue_name);
        words(self.city, &shown.city);
        words(self.description, &document.description);
        self.add_names(&mut indexed, shown);
        for category in &shown.category_path {
            indexed.add_text(self.category, category);
        }
        indexed.add_text(self.category_path, shown.category_path.join("/"));
        indexed.add_text(self.city_key, fold::key(&shown.city));
        indexed.add_text(self.city_name, &shown.city);
        indexed.add_text(self.country, &shown.country);
        indexed.add_text(self.state, &shown.state);
        indexed.add_text(self.currency, &shown.currency);
        indexed.add_i64(self.starts_at_ms, shown.starts_at_ms);
        indexed.add_i64(self.day, document.day.into());
        indexed.add_i64(self.sale_from_ms, document.sale.from_ms);
        indexed.add_i64(self.sale_until_ms, document.sale.until_ms);
        if let Some(amount) = shown.price_from {
            indexed.add_i64(self.price_from, amount);
        }
        if let Some(amount) = shown.price_max {
            indexed.add_i64(self.price_max, amount);
        }
        indexed.add_i64(self.price_order, shown.price_from.unwrap_or(i64::MAX));
        for cell in document.place.cells() {
            indexed.add_u64(self.cells, cell);
        }
        indexed.add_u64(self.place, document.place.pack());
        indexed.add_u64(self.tie, tie(document.show_id));
        indexed.add_u64(self.content, document.content());
        indexed.add_bytes(self.shown, &shown.encode_to_vec());
        indexed
    }

    /// Whole names, their pairs of words, and their numbers.
    fn add_names(&self, indexed: &mut TantivyDocument, shown: &FoundShow) {
        let performers = shown.performers.iter();
        let names = [
            (self.title_number, &shown.title),
            (self.venue_number, &shown.venue_name),
            (self.city_number, &shown.city),
        ];
        let names = names
            .into_iter()
            .chain(performers.map(|name| (self.performer_number, name)));
        for (number, name) in names {
            let words = fold::words(name);
            let pairs: Vec<String> = words
                .windows(2)
                .map(|words| pair(&words[0], &words[1]))
                .collect();
            indexed.add_text(self.pairs, pairs.join(" "));
            indexed.add_text(self.names, words.join(" "));
            if words.len() > 1 {
                indexed.add_text(self.names, words.concat());
            }
            indexed.add_u64(number, name_number(name));
        }
    }

    /// Where the words of names of a kind are.
    pub(super) fn words_of(&self, kind: Kind) -> Field {
        match kind {
            Kind::Title => self.title,
            Kind::Performer => self.performers,
            Kind::Venue => self.venue,
            Kind::City => self.city,
        }
    }

    /// The one document of a show.
    pub(super) fn of_show(&self, id: ShowId) -> Term {
        Term::from_field_bytes(self.show_id, &id.to_bytes())
    }
}

/// Names of a kind that a show has.
pub(super) fn names_of(kind: Kind, shown: &FoundShow) -> Vec<&String> {
    match kind {
        Kind::Title => vec![&shown.title],
        Kind::Performer => shown.performers.iter().collect(),
        Kind::Venue => vec![&shown.venue_name],
        Kind::City => vec![&shown.city],
    }
}

fn tie(id: ShowId) -> u64 {
    let bytes = id.to_bytes();
    let last = bytes.last_chunk().expect("an id has 16 bytes");
    u64::from_be_bytes(*last)
}
