//! Keys kept for messages of a sender key that have not come yet, as records of their own: saving a
//! sender key costs the same however many there are.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::chain::{Change, MessageKey, SkippedKeys};
use crate::codec::{StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::secret::{Secret32, redacted_debug};
use crate::sender_keys::context::{AssociatedData, SenderKeyId};

/// Which message a key was kept for, of all channels and senders. Not secret.
///
/// A sender chooses the ids of its own sender keys, and may choose another's: so the channel and the sender
/// are part of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SkippedMessageId {
    associated_data: AssociatedData,
    key_id: SenderKeyId,
    iteration: u32,
}

impl SkippedMessageId {
    /// Length of [`to_bytes`](Self::to_bytes).
    pub const LEN: usize = 32 + SenderKeyId::LEN + 4;

    pub(crate) fn new(associated_data: AssociatedData, key_id: SenderKeyId, iteration: u32) -> Self {
        Self {
            associated_data,
            key_id,
            iteration,
        }
    }

    /// A name for the key's record, the only one that it has to itself: a hash of channel and sender, the
    /// sender key's id, the iteration.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let whose = self.associated_data.iter().chain(self.key_id.as_bytes()).copied();
        for (to, from) in bytes.iter_mut().zip(whose.chain(self.iteration.to_be_bytes())) {
            *to = from;
        }
        bytes
    }

    /// The sender key, by the id that its sender gave it: unique within channel and sender.
    #[must_use]
    pub fn key_id(&self) -> SenderKeyId {
        self.key_id
    }

    /// The message's place in it.
    #[must_use]
    pub fn iteration(&self) -> u32 {
        self.iteration
    }
}

/// One kept key, secret, to be sealed before it is kept.
pub struct SkippedMessageRecord {
    /// What to keep it under.
    pub id: SkippedMessageId,
    /// What to keep, 62 bytes. It names its message within the sender key itself, so that the records of
    /// one can be read back in any order.
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
    pub(crate) fn new(
        associated_data: AssociatedData,
        key_id: SenderKeyId,
        change: Change<u32>,
        keys: &SkippedKeys<u32>,
    ) -> Self {
        let id = |iteration| SkippedMessageId::new(associated_data, key_id, iteration);
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

/// A record as it was read: of which message, when it was put away, and the key.
pub(crate) struct StoredMessageKey {
    pub(crate) key_id: SenderKeyId,
    pub(crate) iteration: u32,
    pub(crate) stored_at_ms: u64,
    pub(crate) key: MessageKey,
}

/// Reads what [`record`] wrote.
pub(crate) fn read_record(bytes: &[u8]) -> Result<StoredMessageKey, StateError> {
    let mut reader = read_state(StateKind::SkippedSenderKeyMessage, bytes)?;
    let stored = StoredMessageKey {
        key_id: SenderKeyId::from_bytes(*reader.array()?),
        iteration: reader.u32()?,
        stored_at_ms: reader.u64()?,
        key: MessageKey::new(Secret32::copy_from(reader.array()?)),
    };
    reader.finish()?;
    Ok(stored)
}

/// Version and kind, id, iteration, time, key.
const RECORD_LEN: usize = 2 + SenderKeyId::LEN + 4 + 8 + 32;
