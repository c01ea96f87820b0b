//! Keys kept for messages of a sender key that have not come yet, as records of their own: saving a
//! sender key costs the same however many there are.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::chain::{Change, MessageKey, SkippedKeys};
use crate::codec::{StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::secret::{Secret32, redacted_debug};
use crate::sender_keys::context::SenderKeyId;

/// Which message a key was kept for. Not secret: the message shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SkippedMessageId {
    /// The sender key.
    pub key_id: SenderKeyId,
    /// The message's place in it.
    pub iteration: u32,
}

impl SkippedMessageId {
    /// Length of [`to_bytes`](Self::to_bytes).
    pub const LEN: usize = SenderKeyId::LEN + 4;

    /// A name for the key's record: the sender key's id, then the iteration.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let id = self.key_id.as_bytes().iter().copied();
        for (to, from) in bytes.iter_mut().zip(id.chain(self.iteration.to_be_bytes())) {
            *to = from;
        }
        bytes
    }
}

/// One kept key, secret, to be sealed before it is kept.
pub struct SkippedMessageRecord {
    /// What to keep it under.
    pub id: SkippedMessageId,
    /// What to keep, 62 bytes. It names its message itself, so that the records of a sender key can be
    /// read back in any order.
    pub bytes: Zeroizing<Vec<u8>>,
}

redacted_debug!(SkippedMessageRecord);

/// What decrypting a message did to a sender key's kept keys. Save it together with the sender key.
#[derive(Debug, Default)]
pub struct SkippedMessageChanges {
    /// Records to keep.
    pub added: Vec<SkippedMessageRecord>,
    /// Records to erase. One that was never kept may be among them.
    pub removed: Vec<SkippedMessageId>,
}

impl SkippedMessageChanges {
    pub(crate) fn new(key_id: SenderKeyId, change: Change<u32>, keys: &SkippedKeys<u32>) -> Self {
        let id = |iteration| SkippedMessageId { key_id, iteration };
        Self {
            added: change
                .added
                .into_iter()
                .filter_map(|iteration| record(id(iteration), keys))
                .collect(),
            removed: change.removed.into_iter().map(id).collect(),
        }
    }
}

/// The record of one key, if it is kept.
pub(crate) fn record(id: SkippedMessageId, keys: &SkippedKeys<u32>) -> Option<SkippedMessageRecord> {
    let (stored_at_ms, key) = keys.stored(&id.iteration)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(RECORD_LEN));
    begin_state(StateKind::SkippedSenderKeyMessage, &mut bytes);
    bytes.put(id.key_id.as_bytes());
    bytes.put_u32(id.iteration);
    bytes.put_u64(stored_at_ms);
    bytes.put(key.as_bytes());
    Some(SkippedMessageRecord { id, bytes })
}

/// Reads what [`record`] wrote: id, when it was put away, and the key.
pub(crate) fn read_record(bytes: &[u8]) -> Result<(SkippedMessageId, u64, MessageKey), StateError> {
    let mut reader = read_state(StateKind::SkippedSenderKeyMessage, bytes)?;
    let id = SkippedMessageId {
        key_id: SenderKeyId::from_bytes(*reader.array()?),
        iteration: reader.u32()?,
    };
    let stored_at_ms = reader.u64()?;
    let key = MessageKey::new(Secret32::copy_from(reader.array()?));
    reader.finish()?;
    Ok((id, stored_at_ms, key))
}

/// Version and kind, id, time, key.
const RECORD_LEN: usize = 2 + SkippedMessageId::LEN + 8 + 32;
