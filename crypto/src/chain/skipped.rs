//! Keys of messages that have not come yet: bounded in number and age, and apart from the chain.
//!
//! Each key is a record of its own, found by its id. What a message costs, in work and in what has to be
//! saved, does not grow with the keys that happen to be kept.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::chain::MessageKey;
use crate::secret::redacted_debug;

/// Most message keys one message may make us derive and keep for messages that did not come, over all
/// chains it touches. An unauthenticated header can cost this much work (two HMACs each, a few
/// milliseconds in all); a peer whose messages were lost in larger numbers needs a new session.
pub const MAX_FORWARD_JUMP: u32 = 2_000;

/// Most keys kept for messages that have not come. Beyond it the oldest are forgotten first: a new
/// message always gets through, and what is lost is what was least likely to come. Sized to hold one
/// whole [`MAX_FORWARD_JUMP`].
pub const MAX_SKIPPED_KEYS: usize = 2_000;

/// Longest a key is kept for a message that has not come, in milliseconds: 7 days. A kept key is a
/// message that a thief of the state could read; links that reorder by more than this do not exist.
pub const MAX_SKIPPED_AGE_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// The skipped keys of a session or a sender key. `Id` names a message: its chain and number.
pub(crate) struct SkippedKeys<Id> {
    keys: BTreeMap<Id, StoredKey>,
    /// The same by time, for those whose time is over.
    by_time: BTreeSet<(u64, Id)>,
    /// The same in the order they were put away, for making room. A clock may be wrong for a while or stand
    /// still; neither must make the newest key the oldest, or keep one for longer than its own time says.
    by_order: BTreeMap<u64, Id>,
}

struct StoredKey {
    key: MessageKey,
    /// Unix time in milliseconds.
    stored_at_ms: u64,
    order: u64,
}

/// What has to be saved after a change: ids of keys that are new, and of those that are gone.
#[derive(Debug)]
pub(crate) struct Change<Id> {
    pub(crate) added: Vec<Id>,
    pub(crate) removed: Vec<Id>,
}

impl<Id: Ord + Copy> SkippedKeys<Id> {
    /// Takes keys as they were stored, each with the time it was put away. `None` if there are too many
    /// or one comes twice.
    pub(crate) fn from_stored(stored: impl IntoIterator<Item = (Id, u64, MessageKey)>) -> Option<Self> {
        let mut all = Self::default();
        for (id, stored_at_ms, key) in stored {
            if all.keys.contains_key(&id) || all.keys.len() == MAX_SKIPPED_KEYS {
                return None;
            }
            all.put(id, key, stored_at_ms);
        }
        // What is stored tells the order by its times.
        all.by_order = (0..).zip(all.by_time.iter().map(|&(_, id)| id)).collect();
        for (&order, id) in &all.by_order {
            if let Some(stored) = all.keys.get_mut(id) {
                stored.order = order;
            }
        }
        Some(all)
    }

    /// The key of a message, if it is kept and has not expired. It stays until
    /// [`commit`](Self::commit), for the message may be a forgery.
    pub(crate) fn get(&self, id: &Id, now_ms: u64) -> Option<&MessageKey> {
        let stored = self.keys.get(id)?;
        (!is_expired(stored.stored_at_ms, now_ms)).then_some(&stored.key)
    }

    /// The key of a message and when it was put away, expired or not.
    pub(crate) fn stored(&self, id: &Id) -> Option<(u64, &MessageKey)> {
        self.keys.get(id).map(|stored| (stored.stored_at_ms, &stored.key))
    }

    /// The ids of all keys that are kept, in their order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> {
        self.keys.keys().copied()
    }

    /// Whether any key in this range is kept.
    pub(crate) fn has_any(&self, range: RangeInclusive<Id>) -> bool {
        self.keys.range(range).next().is_some()
    }

    /// After a message has authenticated: erases the key it `used`, and those whose time is over, puts
    /// `new` ones away, and makes room for them.
    pub(crate) fn commit(&mut self, used: Option<Id>, new: Vec<(Id, MessageKey)>, now_ms: u64) -> Change<Id> {
        let mut removed = Vec::new();
        if let Some(id) = used {
            self.erase(id, &mut removed);
        }
        while let Some(&(stored_at_ms, id)) = self.by_time.first()
            && is_expired(stored_at_ms, now_ms)
        {
            self.erase(id, &mut removed);
        }
        let mut added = Vec::with_capacity(new.len());
        for (id, key) in new {
            self.put(id, key, now_ms);
            added.push(id);
        }
        while self.keys.len() > MAX_SKIPPED_KEYS
            && let Some((_, &id)) = self.by_order.first_key_value()
        {
            self.erase(id, &mut removed);
        }
        // One that was put away and erased at once never has to be saved; erasing it does no harm.
        added.retain(|id| self.keys.contains_key(id));
        Change { added, removed }
    }

    fn put(&mut self, id: Id, key: MessageKey, stored_at_ms: u64) {
        let order = self.by_order.last_key_value().map_or(0, |(last, _)| last + 1);
        let stored = StoredKey {
            key,
            stored_at_ms,
            order,
        };
        self.keys.insert(id, stored);
        self.by_time.insert((stored_at_ms, id));
        self.by_order.insert(order, id);
    }

    fn erase(&mut self, id: Id, removed: &mut Vec<Id>) {
        if let Some(stored) = self.keys.remove(&id) {
            self.by_time.remove(&(stored.stored_at_ms, id));
            self.by_order.remove(&stored.order);
            removed.push(id);
        }
    }
}

impl<Id: Ord> Default for SkippedKeys<Id> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            by_time: BTreeSet::new(),
            by_order: BTreeMap::new(),
        }
    }
}

redacted_debug!(StoredKey);

/// A clock that went backwards makes a key younger, never older.
fn is_expired(stored_at_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(stored_at_ms) > MAX_SKIPPED_AGE_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret32;
    use alloc::vec;

    fn skipped(number: u32) -> (u32, MessageKey) {
        (number, MessageKey::new(Secret32::copy_from(&[1; 32])))
    }

    #[test]
    fn the_oldest_skipped_keys_make_room_for_new_ones() {
        let mut keys = SkippedKeys::default();
        for number in 0..2_000 {
            keys.commit(None, vec![skipped(number)], 0);
        }
        assert_eq!(keys.ids().count(), MAX_SKIPPED_KEYS);
        let change = keys.commit(None, vec![skipped(2_000), skipped(2_001)], 0);
        assert_eq!((change.added, change.removed), (vec![2_000, 2_001], vec![0, 1]));
        assert_eq!(keys.ids().count(), MAX_SKIPPED_KEYS);
        assert!(keys.get(&1, 0).is_none());
        assert!(keys.get(&2, 0).is_some());
        assert!(keys.get(&2_001, 0).is_some());
    }

    #[test]
    fn a_skipped_key_expires() {
        let mut keys = SkippedKeys::default();
        keys.commit(None, vec![skipped(1)], 1_000);
        assert!(keys.get(&1, 1_000 + MAX_SKIPPED_AGE_MS).is_some());
        assert!(keys.get(&1, 1_001 + MAX_SKIPPED_AGE_MS).is_none());
        assert!(keys.get(&1, 0).is_some(), "a clock may go backwards");
        let change = keys.commit(None, vec![], 1_001 + MAX_SKIPPED_AGE_MS);
        assert_eq!(change.removed, [1], "and is erased");
        assert_eq!(keys.ids().count(), 0);
    }

    #[test]
    fn no_clock_makes_the_newest_key_the_oldest() {
        // Numbers going down, so that no order but that of putting away helps; a clock that stands, and one
        // that is set back.
        for now_ms in [5_000, 1] {
            let mut keys = SkippedKeys::default();
            for number in (10..2_010).rev() {
                keys.commit(None, vec![skipped(number)], 5_000);
            }
            let change = keys.commit(None, vec![skipped(1)], now_ms);
            assert_eq!((change.added, change.removed), (vec![1], vec![2_009]));
        }
    }

    #[test]
    fn a_clock_that_was_ahead_once_lets_later_keys_expire_in_time() {
        let mut keys = SkippedKeys::default();
        keys.commit(None, vec![skipped(1)], u64::MAX / 2);
        keys.commit(None, vec![skipped(2)], 1_000);
        assert!(keys.get(&2, 1_001 + MAX_SKIPPED_AGE_MS).is_none());
        let change = keys.commit(None, vec![skipped(3)], 1_001 + MAX_SKIPPED_AGE_MS);
        assert_eq!(
            (change.added, change.removed),
            (vec![3], vec![2]),
            "a new key erases what expired"
        );
    }

    #[test]
    fn stored_keys_keep_the_order_of_their_times() {
        let stored = (0..2_000).map(|number| (number, u64::from(9_999 - number), skipped(number).1));
        let mut keys = SkippedKeys::from_stored(stored).unwrap();
        let change = keys.commit(None, vec![skipped(5_000)], 0);
        assert_eq!((change.added, change.removed), (vec![5_000], vec![1_999]));
        assert_eq!(keys.commit(None, vec![skipped(5_001)], 0).removed, [1_998]);
    }

    #[test]
    fn a_skipped_key_is_taken_once() {
        let mut keys = SkippedKeys::default();
        keys.commit(None, vec![skipped(1), skipped(2)], 0);
        assert_eq!(keys.commit(Some(2), vec![], 0).removed, [2]);
        assert!(keys.get(&2, 0).is_none());
        assert!(keys.get(&1, 0).is_some());
    }

    #[test]
    fn stored_keys_that_are_too_many_or_twice_are_refused() {
        let stored = |number| (number, 0, skipped(number).1);
        assert!(SkippedKeys::from_stored((0..2_000).map(stored)).is_some());
        assert!(SkippedKeys::from_stored((0..2_001).map(stored)).is_none());
        assert!(SkippedKeys::from_stored([1, 2, 1].map(stored)).is_none());
    }
}
