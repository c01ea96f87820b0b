//! Skipped keys of a session as records of their own, so that saving a session costs the same however many
//! of them it holds.

use alloc::vec::Vec;

use sottovoce_statements::X25519Key;
use zeroize::Zeroizing;

use crate::chain::{Change, MessageKey, SkippedKeys};
use crate::codec::{Malformed, StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::secret::{Secret32, redacted_debug};

/// Which message of a session a key was kept for. Not secret: every message shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SkippedKeyId {
    pub(crate) ratchet_key: X25519Key,
    pub(crate) number: u32,
}

impl SkippedKeyId {
    /// Length of [`to_bytes`](Self::to_bytes).
    pub const LEN: usize = 36;

    /// A name for the key's record, unique within its session: ratchet key, then number.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let parts = self
            .ratchet_key
            .as_bytes()
            .iter()
            .copied()
            .chain(self.number.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = from;
        }
        bytes
    }

    /// First and last possible id under a ratchet key.
    pub(crate) fn all_under(ratchet_key: X25519Key) -> core::ops::RangeInclusive<Self> {
        let id = |number| Self { ratchet_key, number };
        id(0)..=id(u32::MAX)
    }
}

/// One skipped key, secret, to be sealed before it is kept.
pub struct SkippedKeyRecord {
    /// What to keep it under.
    pub id: SkippedKeyId,
    /// What to keep, 78 bytes. It names its message itself, so the records of a session can be read back
    /// in any order.
    pub bytes: Zeroizing<Vec<u8>>,
}

redacted_debug!(SkippedKeyRecord);

/// What decrypting a message did to a session's skipped keys. Save it together with the session.
#[derive(Debug, Default)]
pub struct SkippedChanges {
    /// Records to keep.
    pub added: Vec<SkippedKeyRecord>,
    /// Records to erase. One that was never kept may be among them.
    pub removed: Vec<SkippedKeyId>,
}

impl SkippedChanges {
    pub(crate) fn new(change: Change<SkippedKeyId>, keys: &SkippedKeys<SkippedKeyId>) -> Self {
        Self {
            added: change
                .added
                .into_iter()
                .filter_map(|id| record(id, keys))
                .collect(),
            removed: change.removed,
        }
    }
}

/// The record of one key, if it is kept.
pub(crate) fn record(id: SkippedKeyId, keys: &SkippedKeys<SkippedKeyId>) -> Option<SkippedKeyRecord> {
    let (stored_at_ms, key) = keys.stored(&id)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(RECORD_LEN));
    begin_state(StateKind::SkippedKey, &mut bytes);
    bytes.put(&id.to_bytes());
    bytes.put_u64(stored_at_ms);
    bytes.put(key.as_bytes());
    Some(SkippedKeyRecord { id, bytes })
}

/// Reads what [`record`] wrote: id, when it was put away, and the key.
pub(crate) fn read_record(bytes: &[u8]) -> Result<(SkippedKeyId, u64, MessageKey), StateError> {
    let mut reader = read_state(StateKind::SkippedKey, bytes)?;
    let ratchet_key = X25519Key::from_slice(reader.array::<32>()?).map_err(|_| Malformed)?;
    let number = reader.u32()?;
    let stored_at_ms = reader.u64()?;
    let key = MessageKey::new(Secret32::copy_from(reader.array()?));
    reader.finish()?;
    let id = SkippedKeyId { ratchet_key, number };
    Ok((id, stored_at_ms, key))
}

/// Version and kind, id, time, key.
const RECORD_LEN: usize = 2 + SkippedKeyId::LEN + 8 + 32;
