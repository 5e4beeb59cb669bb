//! Putting a show's records back, many at a time.
//!
//! Always holds: the hash is that of what was put there; what follows from holds, sales and requests is
//! made once, when all of them are there. Leaves to `restore` what may come when.

use std::sync::Arc;

use holdfast_types::{Fence, UserId};

use super::{Count, Sale, Show};
use crate::{RequestId, kept_hold::KeptHold, paged::PagedMap, record_hash, request::Done};

impl Show {
    /// As [`Self::insert_hold`], without what follows from it.
    pub(crate) fn restore_hold(&mut self, kept: KeptHold) {
        self.hash.add(self.hash_of(&kept));
        self.holds.insert(kept.id, Arc::new(kept));
    }

    /// As [`Self::insert_sale`], without what follows from it.
    pub(crate) fn restore_sale(&mut self, fence: Fence, sale: Sale) {
        self.hash.add(record_hash::sale(self.id, fence, &sale));
        self.sales.insert(fence, sale);
    }

    /// As [`Self::remember`], without what follows from it.
    pub(crate) fn restore_done(&mut self, id: RequestId, done: Done) {
        self.hash.add(record_hash::done(self.id, id, &done));
        self.done.insert(id, done);
    }

    /// Makes all that follows from holds, sales and requests at once, when all are there: sorting is
    /// several times faster than finding the place of each.
    pub(crate) fn restore_what_follows(&mut self) {
        let mut overdue = Vec::new();
        let mut finished: Vec<_> = self
            .done
            .iter()
            .map(|(id, done)| ((done.keep_until, *id), ()))
            .collect();
        let mut customers: Vec<(UserId, Count)> = Vec::new();
        for kept in self.holds.values() {
            if let Some(keep_until) = kept.keep_until() {
                finished.push(((keep_until, kept.id.into()), ()));
                continue;
            }
            overdue.push(((kept.overdue_at(), kept.id), ()));
            let (held, sold) = (kept.seat_count(), 0);
            customers.push((kept.holder, Count { held, sold }));
        }
        for sale in self.sales.values() {
            let (held, sold) = (0, sale.seat_count);
            customers.push((sale.holder, Count { held, sold }));
        }
        overdue.sort_unstable();
        finished.sort_unstable();
        customers.sort_unstable_by_key(|(customer, _)| *customer);
        customers.dedup_by(|(customer, more), (other, count)| {
            let same = customer == other;
            if same {
                count.held += more.held;
                count.sold += more.sold;
            }
            same
        });
        self.live = overdue.len();
        self.overdue = PagedMap::of_sorted(&overdue);
        self.finished = PagedMap::of_sorted(&finished);
        self.customers = PagedMap::of_sorted(&customers);
    }
}
