//! Keys of messages that have not come yet: bounded in number and age, and apart from the ratchet.

use alloc::vec::Vec;

use sottovoce_statements::X25519Key;

use crate::ratchet::{MessageKey, RatchetHeader};
use crate::secret::redacted_debug;

/// Most keys kept for messages that have not come. Beyond it the oldest are forgotten first: a new
/// message always gets through, and what is lost is what was least likely to come. Sized to hold one
/// whole [`MAX_FORWARD_JUMP`](crate::MAX_FORWARD_JUMP), about 150 KB of stored state.
pub const MAX_SKIPPED_KEYS: usize = 2_000;

/// Longest a key is kept for a message that has not come, in milliseconds: 7 days. A kept key is a
/// message that a thief of the state could read; links that reorder by more than this do not exist.
pub const MAX_SKIPPED_AGE_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// A key just derived for a message that was passed over.
pub(crate) struct SkippedKey {
    pub(crate) ratchet_key: X25519Key,
    pub(crate) number: u32,
    pub(crate) key: MessageKey,
}

redacted_debug!(SkippedKey);

/// A skipped key and when it was put away.
pub(crate) struct StoredKey {
    pub(crate) skipped: SkippedKey,
    /// Unix time in milliseconds.
    pub(crate) stored_at_ms: u64,
}

impl StoredKey {
    /// A clock that went backwards makes a key younger, never older.
    fn is_expired(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.stored_at_ms) > MAX_SKIPPED_AGE_MS
    }
}

redacted_debug!(StoredKey);

/// All skipped keys of a session, oldest first.
#[derive(Debug, Default)]
pub(crate) struct SkippedKeys(Vec<StoredKey>);

impl SkippedKeys {
    /// Takes keys as they were stored. The caller has checked them.
    pub(crate) fn from_stored(stored: Vec<StoredKey>) -> Self {
        Self(stored)
    }

    pub(crate) fn stored(&self) -> &[StoredKey] {
        &self.0
    }

    /// Where the key of a message is, if it was kept and has not expired, and the key. It stays until
    /// [`take`](Self::take), for the message may be a forgery.
    pub(crate) fn find(&self, header: &RatchetHeader, now_ms: u64) -> Option<(usize, &MessageKey)> {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, stored)| !stored.is_expired(now_ms))
            .map(|(position, stored)| (position, &stored.skipped))
            .find(|(_, skipped)| skipped.number == header.number && skipped.ratchet_key == header.ratchet_key)
            .map(|(position, skipped)| (position, &skipped.key))
    }

    /// Whether any key is kept for a message under this ratchet key.
    pub(crate) fn has_chain(&self, ratchet_key: &X25519Key) -> bool {
        self.0
            .iter()
            .any(|stored| stored.skipped.ratchet_key == *ratchet_key)
    }

    /// Erases the key at `position`, which a message has used, and those whose time is over.
    pub(crate) fn take(&mut self, position: usize, now_ms: u64) {
        if position < self.0.len() {
            drop(self.0.remove(position));
        }
        self.expire(now_ms);
    }

    /// Puts new keys away, and erases those whose time is over or for which there is no room.
    pub(crate) fn keep(&mut self, new: Vec<SkippedKey>, now_ms: u64) {
        self.expire(now_ms);
        self.0.extend(new.into_iter().map(|skipped| StoredKey {
            skipped,
            stored_at_ms: now_ms,
        }));
        let surplus = self.0.len().saturating_sub(MAX_SKIPPED_KEYS);
        self.0.drain(..surplus);
    }

    fn expire(&mut self, now_ms: u64) {
        self.0.retain(|stored| !stored.is_expired(now_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret32;

    fn skipped(number: u32) -> SkippedKey {
        SkippedKey {
            ratchet_key: X25519Key::from_slice(&[9; 32]).unwrap(),
            number,
            key: MessageKey::new(Secret32::copy_from(&[1; 32])),
        }
    }

    fn header(number: u32) -> RatchetHeader {
        RatchetHeader {
            ratchet_key: X25519Key::from_slice(&[9; 32]).unwrap(),
            previous: 0,
            number,
        }
    }

    #[test]
    fn the_oldest_skipped_keys_make_room_for_new_ones() {
        let mut keys = SkippedKeys::default();
        for number in 0..2_000 {
            keys.keep([skipped(number)].into(), 0);
        }
        assert_eq!(keys.stored().len(), MAX_SKIPPED_KEYS);
        keys.keep([skipped(2_000), skipped(2_001)].into(), 0);
        assert_eq!(keys.stored().len(), MAX_SKIPPED_KEYS);
        assert!(keys.find(&header(1), 0).is_none());
        assert!(keys.find(&header(2), 0).is_some());
        assert!(keys.find(&header(2_001), 0).is_some());
    }

    #[test]
    fn a_skipped_key_expires() {
        let mut keys = SkippedKeys::default();
        keys.keep([skipped(1)].into(), 1_000);
        assert!(keys.find(&header(1), 1_000 + MAX_SKIPPED_AGE_MS).is_some());
        assert!(keys.find(&header(1), 1_001 + MAX_SKIPPED_AGE_MS).is_none());
        assert!(keys.find(&header(1), 0).is_some(), "a clock may go backwards");
        keys.keep([].into(), 1_001 + MAX_SKIPPED_AGE_MS);
        assert!(keys.stored().is_empty(), "and is erased");
    }

    #[test]
    fn a_skipped_key_is_taken_once() {
        let mut keys = SkippedKeys::default();
        keys.keep([skipped(1), skipped(2)].into(), 0);
        let (position, _) = keys.find(&header(2), 0).unwrap();
        keys.take(position, 0);
        assert!(keys.find(&header(2), 0).is_none());
        assert!(keys.find(&header(1), 0).is_some());
    }
}
