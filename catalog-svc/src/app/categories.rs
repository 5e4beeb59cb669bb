//! The tree of categories: admins change it, events name one of it, imports find theirs in it.
//!
//! Always holds: nothing belongs to itself, however far up; the tree is bounded in depth and in number; a
//! category that something is of, or belongs to, isn't taken away; when a category is moved, it is recorded
//! with that that the shows of all events within it are to be told as changed (`tell_events`).
//! Leaves to others: who is an admin (`grpc`).

use std::collections::{BTreeSet, HashMap, HashSet};

use holdfast_mesh::Failure;
use holdfast_types::ErrorCode;
use sqlx::PgConnection;

use super::Catalog;
use crate::{
    batch::Batch,
    fields::Fields,
    model::{Category, Classification},
    store,
};

/// From one of the broadest down; three levels are what catalogues of others have.
const DEPTH_MAX: usize = 4;

/// Of all: a page of the tree stays small, and a list by a broad category cheap.
const CATEGORIES_MAX: usize = 1_000;

/// Of events that nobody classified; it is always there.
const UNCLASSIFIED: &str = "other";

/// What came of a `put`.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) category: Category,
    /// It wasn't there before.
    pub(crate) made: bool,
}

impl Catalog {
    pub(crate) async fn put_category(&self, category: Category) -> Result<Put, Failure> {
        let mut transaction = self.begin().await?;
        store::categories::lock_tree(&mut transaction).await?;
        let tree = Tree::of(store::categories::tree(&mut transaction).await?);
        let there = tree.find(&category.slug).cloned();
        if there.as_ref() == Some(&category) {
            return Ok(Put {
                category,
                made: false,
            });
        }
        if there.is_none() && tree.len() >= CATEGORIES_MAX {
            let message = format!("there are {CATEGORIES_MAX} categories already");
            return Err(Failure::new(ErrorCode::InvalidState, message));
        }
        let path = tree.path_with(&category)?;
        let slug = &category.slug;
        store::categories::put(&mut transaction, &category, &path).await?;
        let is_moved = there
            .as_ref()
            .is_some_and(|there| there.parent != category.parent);
        if is_moved {
            store::categories::move_within(&mut transaction, slug, &path).await?;
            let within = store::categories::within(&mut transaction, slug).await?;
            store::categories::tell_events_of(&mut transaction, &within).await?;
        }
        // What there is to tell is told from the table.
        transaction.commit().await.map_err(store::Error::from)?;
        tracing::info!(category = slug, is_moved, "category put");
        let made = there.is_none();
        Ok(Put { category, made })
    }

    pub(crate) async fn delete_category(&self, slug: &str) -> Result<(), Failure> {
        if slug == UNCLASSIFIED {
            return Err(used(slug, "is what events are of that nobody classified"));
        }
        let mut transaction = self.begin().await?;
        store::categories::lock_tree(&mut transaction).await?;
        if !store::categories::lock(&mut transaction, slug).await? {
            return Ok(());
        }
        if store::categories::has_children(&mut transaction, slug).await? {
            return Err(used(slug, "has categories that belong to it"));
        }
        if store::categories::has_events(&mut transaction, slug).await? {
            return Err(used(slug, "has events"));
        }
        store::categories::delete(&mut transaction, slug).await?;
        transaction.commit().await.map_err(store::Error::from)?;
        tracing::info!(category = slug, "category deleted");
        Ok(())
    }
}

fn used(slug: &str, why: &str) -> Failure {
    let message = format!("{slug} can't be deleted: it {why}");
    Failure::new(ErrorCode::InvalidState, message)
}

/// What is said of a word that is no category.
pub(super) const UNKNOWN: &str = "is none of the categories, which GET categories lists";

/// Gives each event of a batch the category that it named or that its classification says; refuses what
/// there isn't.
pub(super) async fn classify(
    connection: &mut PgConnection,
    batch: &mut Batch,
) -> Result<(), Failure> {
    let words = batch.events.iter().flat_map(|event| {
        let event = &event.value.event;
        candidates(&event.category, &event.classification)
    });
    let words: Vec<String> = words.collect::<BTreeSet<_>>().into_iter().collect();
    let known = store::categories::known(connection, &words).await?;
    let known: HashSet<String> = known.into_iter().collect();
    let mut fields = Fields::default();
    for (index, event) in batch.events.iter_mut().enumerate() {
        let event = &mut event.value.event;
        let mut words = candidates(&event.category, &event.classification).into_iter();
        match words.find(|word| known.contains(word)) {
            Some(word) => event.category = word,
            None => fields.note(format!("events[{index}].event.category"), UNKNOWN),
        }
    }
    fields.finish(Some(()))
}

/// What an event's category may be, the best first.
fn candidates(named: &str, classification: &Classification) -> Vec<String> {
    if !named.is_empty() {
        return vec![named.to_owned()];
    }
    let Classification {
        segment,
        genre,
        sub_genre,
    } = classification;
    let mut words: Vec<String> = Vec::new();
    let mut joined = String::new();
    for word in [segment, genre, sub_genre].map(|text| slug(text)) {
        if word.is_empty() {
            break;
        }
        if !joined.is_empty() {
            joined.push('-');
        }
        joined.push_str(&word);
        words.push(joined.clone());
    }
    words.reverse();
    words.push(UNCLASSIFIED.to_owned());
    words
}

/// `Arts & Theatre` is `arts-theatre`, `Children's Music` is `childrens-music`.
fn slug(text: &str) -> String {
    let text = text.to_ascii_lowercase().replace(['\'', '’'], "");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

/// The tree as it is while it is locked.
struct Tree {
    by_slug: HashMap<String, Category>,
}

impl Tree {
    fn of(categories: Vec<Category>) -> Self {
        let by_slug = categories
            .into_iter()
            .map(|category| (category.slug.clone(), category));
        Self {
            by_slug: by_slug.collect(),
        }
    }

    fn len(&self) -> usize {
        self.by_slug.len()
    }

    fn find(&self, slug: &str) -> Option<&Category> {
        self.by_slug.get(slug)
    }

    /// What `category` belongs to when it is put, and itself.
    fn path_with(&self, category: &Category) -> Result<Vec<String>, Failure> {
        let refused = |why: &str| Failure::invalid("category.parent", why);
        let mut path = vec![category.slug.clone()];
        let mut parent = category.parent.as_deref();
        while let Some(slug) = parent {
            if slug == category.slug {
                return Err(refused("belongs to it"));
            }
            let Some(above) = self.find(slug) else {
                return Err(refused(UNKNOWN));
            };
            path.push(slug.to_owned());
            parent = above.parent.as_deref();
        }
        if path.len() + self.depth_below(&category.slug) > DEPTH_MAX {
            let why = format!("would make the tree more than {DEPTH_MAX} levels deep");
            return Err(refused(&why));
        }
        path.reverse();
        Ok(path)
    }

    /// Levels below a category.
    fn depth_below(&self, slug: &str) -> usize {
        let mut level: Vec<&str> = vec![slug];
        let mut depth = 0;
        loop {
            let is_of_level = |one: &&Category| {
                one.parent
                    .as_deref()
                    .is_some_and(|parent| level.contains(&parent))
            };
            let below = self.by_slug.values().filter(is_of_level);
            level = below.map(|one| one.slug.as_str()).collect();
            // The tree is no deeper than it may be: whatever was put in was checked.
            if level.is_empty() || depth == DEPTH_MAX {
                return depth;
            }
            depth += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(segment: &str, genre: &str, sub_genre: &str) -> Classification {
        Classification {
            segment: segment.to_owned(),
            genre: genre.to_owned(),
            sub_genre: sub_genre.to_owned(),
        }
    }

    #[test]
    fn a_classification_says_categories_from_the_narrowest_on() {
        for (said, expected) in [
            (words("", "", ""), vec!["other"]),
            (words("Music", "", ""), vec!["music", "other"]),
            (
                words("Arts & Theatre", "Children's Theatre", "Puppetry"),
                vec![
                    "arts-theatre-childrens-theatre-puppetry",
                    "arts-theatre-childrens-theatre",
                    "arts-theatre",
                    "other",
                ],
            ),
            // What is no word is nothing, and so is what is narrower than that.
            (words("東京", "Rock", ""), vec!["other"]),
        ] {
            assert_eq!(candidates("", &said), expected);
        }
        assert_eq!(candidates("film", &words("Music", "Rock", "")), ["film"]);
    }

    #[test]
    fn nothing_belongs_to_itself_and_the_tree_is_so_deep_and_no_deeper() {
        let category = |slug: &str, parent: Option<&str>| Category {
            slug: slug.to_owned(),
            parent: parent.map(str::to_owned),
            name: slug.to_uppercase(),
        };
        let tree = Tree::of(vec![
            category("a", None),
            category("b", Some("a")),
            category("c", Some("b")),
            category("d", None),
            category("e", Some("d")),
        ]);
        let put = |slug, parent| tree.path_with(&category(slug, parent));
        let fourth = put("f", Some("c")).expect("is so deep");
        assert_eq!(fourth, ["a", "b", "c", "f"]);
        let moved = put("d", Some("b")).expect("is so deep");
        assert_eq!(moved, ["a", "b", "d"]);
        for (slug, parent) in [("a", "c"), ("a", "a"), ("x", "nowhere"), ("d", "c")] {
            let refused = put(slug, Some(parent)).expect_err("it is refused");
            assert_eq!(refused.fields()[0].field, "category.parent", "{slug}");
        }
    }
}
