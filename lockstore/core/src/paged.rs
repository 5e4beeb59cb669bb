//! An ordered map in pages of some kilobyte, each shared until it is changed.
//!
//! Always holds: a clone costs the same whatever the size, and a change after it copies one page and
//! the way to it; a page takes hardly more memory than its entries do, also when they come in order.
//! (`imbl`'s own pages are of sixteen places each, of which a third is empty on average, and half where
//! entries come in order.) No page is empty, and each stands under a key that is none of its entries'
//! later ones.

use std::{fmt, sync::Arc};

use imbl::OrdMap;

/// Entries of a page at most.
const PAGE_MAX: usize = 64;
/// A page with fewer is joined with one beside it, if both are [`JOINED_MAX`] at most.
const PAGE_LEAST: usize = PAGE_MAX / 4;
const JOINED_MAX: usize = 3 * PAGE_MAX / 4;
/// Places that a page gets more, or gives back, at a time.
const STEP: usize = 8;

#[derive(Clone)]
pub(crate) struct PagedMap<K, V> {
    pages: OrdMap<K, Arc<Vec<(K, V)>>>,
    len: usize,
}

impl<K, V> Default for PagedMap<K, V> {
    fn default() -> Self {
        Self {
            pages: OrdMap::new(),
            len: 0,
        }
    }
}

impl<K: Ord + Copy + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for PagedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.iter().map(|(key, value)| (key, value));
        f.debug_map().entries(entries).finish()
    }
}

/// Reading.
impl<K: Ord + Copy, V: Clone> PagedMap<K, V> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let (_, page) = self.pages.get_prev(key)?;
        let at = find(page, key).ok()?;
        Some(&page[at].1)
    }

    /// The entry with the lowest key.
    pub(crate) fn first(&self) -> Option<&(K, V)> {
        self.pages.get_min()?.1.first()
    }

    /// All entries, in the order of keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.pages.values().flat_map(|page| page.iter())
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

/// Changing.
impl<K: Ord + Copy, V: Clone> PagedMap<K, V> {
    /// Of these entries, whose keys are in ascending order and none there twice.
    pub(crate) fn of_sorted(entries: &[(K, V)]) -> Self {
        debug_assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
        let page = |page: &[(K, V)]| (page[0].0, Arc::new(page_of(page.iter().cloned())));
        Self {
            pages: entries.chunks(JOINED_MAX).map(page).collect(),
            len: entries.len(),
        }
    }

    /// Puts it there; what was there before under this key.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(page_key) = self.page_to_insert(key) else {
            self.pages.insert(key, Arc::new(page_of([(key, value)])));
            self.len = 1;
            return None;
        };
        let page = Arc::make_mut(self.pages.get_mut(&page_key).expect("it was just found"));
        let at = match find(page, &key) {
            Ok(at) => return Some(std::mem::replace(&mut page[at].1, value)),
            Err(at) => at,
        };
        if page.len() == page.capacity() {
            page.reserve_exact(STEP);
        }
        page.insert(at, (key, value));
        self.len += 1;
        if page.len() > PAGE_MAX {
            // Entries that come in order leave full pages behind.
            let half = if at == PAGE_MAX { at } else { page.len() / 2 };
            let more = page_of(page.drain(half..));
            page.shrink_to(page.len());
            self.pages.insert(more[0].0, Arc::new(more));
        }
        None
    }

    /// The key of the page in which `key` is, or belongs; `None` if there is no page.
    fn page_to_insert(&mut self, key: K) -> Option<K> {
        if let Some((page_key, _)) = self.pages.get_prev(&key) {
            return Some(*page_key);
        }
        // Before all others.
        let first = *self.pages.get_min().map(|(first, _)| first)?;
        let page = self.pages.remove(&first)?;
        self.pages.insert(key, page);
        Some(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (page_key, page) = self.pages.get_prev(key)?;
        let (page_key, at) = (*page_key, find(page, key).ok()?);
        let page = Arc::make_mut(self.pages.get_mut(&page_key)?);
        Some(&mut page[at].1)
    }

    /// Takes it out, if it is there.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (page_key, page) = self.pages.get_prev(key)?;
        let (page_key, at) = (*page_key, find(page, key).ok()?);
        let page = Arc::make_mut(self.pages.get_mut(&page_key)?);
        let (_, value) = page.remove(at);
        self.len -= 1;
        let left = page.len();
        if page.capacity() > left + 2 * STEP {
            page.shrink_to(left + STEP);
        }
        if left == 0 {
            self.pages.remove(&page_key);
        } else if left < PAGE_LEAST {
            self.join(page_key);
        }
        Some(value)
    }

    /// Joins a page that has few entries with the one after it, or before it.
    fn join(&mut self, page_key: K) {
        let after = (
            std::ops::Bound::Excluded(page_key),
            std::ops::Bound::Unbounded,
        );
        let next = self.pages.range(after).next().map(|(next, _)| *next);
        let before = self.pages.range(..page_key).next_back();
        let before = before.map(|(before, _)| *before);
        let pairs = [
            next.map(|next| (page_key, next)),
            before.map(|before| (before, page_key)),
        ];
        for (left, right) in pairs.into_iter().flatten() {
            let len = |key| self.pages.get(key).map_or(0, |page| page.len());
            if len(&left) + len(&right) > JOINED_MAX {
                continue;
            }
            let right = self.pages.remove(&right).expect("it was just found");
            let left = self.pages.get_mut(&left).expect("it was just found");
            let left = Arc::make_mut(left);
            left.reserve_exact(right.len());
            left.extend_from_slice(&right);
            return;
        }
    }
}

fn find<K: Ord, V>(page: &[(K, V)], key: &K) -> Result<usize, usize> {
    page.binary_search_by(|(other, _)| other.cmp(key))
}

/// A page of these, with room for a few more.
fn page_of<K, V>(entries: impl IntoIterator<Item = (K, V)>) -> Vec<(K, V)> {
    let entries = entries.into_iter();
    let mut page = Vec::new();
    page.reserve_exact(entries.size_hint().0.next_multiple_of(STEP));
    page.extend(entries);
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl PagedMap<u16, u32> {
        fn check(&self) -> usize {
            let mut entries = 0;
            for (key, page) in self.pages.iter() {
                assert!((1..=PAGE_MAX).contains(&page.len()));
                assert!(
                    page.capacity() <= page.len() + 2 * STEP,
                    "{}",
                    page.capacity()
                );
                assert!(*key <= page[0].0);
                entries += page.len();
            }
            assert!(self.iter().is_sorted_by(|a, b| a.0 < b.0));
            assert_eq!(entries, self.len());
            self.pages.len()
        }
    }

    #[test]
    fn entries_in_order_fill_their_pages() {
        for descending in [false, true] {
            let mut map = PagedMap::default();
            for n in 0..6_400_u16 {
                map.insert(if descending { 6_399 - n } else { n }, u32::from(n));
            }
            let pages = map.check();
            assert!(pages <= if descending { 200 } else { 100 }, "{pages}");
            // From the front, as a queue is used.
            for n in 0..6_400 {
                assert_eq!(map.first().map(|(key, _)| *key), Some(n));
                assert!(map.remove(&n).is_some());
                map.check();
            }
            assert!(map.is_empty());
        }
    }

    #[test]
    fn entries_that_are_there_at_once_are_in_pages_with_room() {
        for len in [0, 1, 47, 48, 49, 1_000] {
            let entries: Vec<_> = (0..len).map(|n| (n, u32::from(n))).collect();
            let mut map = PagedMap::of_sorted(&entries);
            map.check();
            assert!(map.iter().eq(&entries));
            for n in 0..len {
                assert_eq!(map.insert(n, 7), Some(u32::from(n)));
            }
            assert_eq!(map.insert(len, 7), None);
            map.check();
        }
    }

    proptest! {
        /// Half of the keys are near one another, so that pages fill, split, empty and are joined.
        #[test]
        fn it_does_what_an_ordinary_map_does(
            steps in prop::collection::vec((0..10_u8, 0..3_000_u16), 1..4_000),
            growing in any::<bool>(),
        ) {
            let mut map = PagedMap::default();
            let mut model = BTreeMap::new();
            let mut kept = (map.clone(), model.clone());
            for (n, (what, key)) in (0..).zip(steps) {
                match what {
                    0..=2 => prop_assert_eq!(map.insert(key, n), model.insert(key, n)),
                    3..=5 if growing => prop_assert_eq!(map.insert(key, n), model.insert(key, n)),
                    6 => {
                        if let Some(value) = map.get_mut(&key) {
                            *value = n;
                        }
                        model.entry(key).and_modify(|value| *value = n);
                    }
                    7 => kept = (map.clone(), model.clone()),
                    8 => {
                        let first = model.first_key_value().map(|(key, _)| *key);
                        prop_assert_eq!(map.first().map(|(key, _)| *key), first);
                        prop_assert_eq!(first.and_then(|key| map.remove(&key)), first.and_then(|key| model.remove(&key)));
                    }
                    _ => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
            }
            for (map, model) in [(map, model), kept] {
                map.check();
                prop_assert!(map.iter().map(|(key, value)| (key, value)).eq(&model));
            }
        }
    }
}
