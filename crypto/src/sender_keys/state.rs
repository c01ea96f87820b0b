//! Sender keys as they are stored.

use alloc::vec::Vec;

use sottovoce_statements::ChannelId;
use zeroize::Zeroizing;

use crate::chain::{ChainKey, SkippedKeys};
use crate::codec::{Malformed, Reader, StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::secret::Secret32;
use crate::sender_keys::context::SenderKeyId;
use crate::sender_keys::receiving::ReceivingSenderKey;
use crate::sender_keys::roster::{ROSTER_HEAD_LEN, read_head, write_head};
use crate::sender_keys::sending::{MAX_SENDER_KEY_MESSAGES, SendingSenderKey};
use crate::sender_keys::signature::{SenderSigningKey, SenderVerifyingKey};
use crate::sender_keys::skipped::read_record;

impl SendingSenderKey {
    /// The whole key, secrets included, to be sealed before it is kept: 199 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SENDING_LEN));
        begin_state(StateKind::SendingSenderKey, &mut bytes);
        bytes.put(self.channel_id.as_bytes());
        bytes.put(&self.associated_data);
        bytes.put(self.id.as_bytes());
        bytes.put_u32(self.iteration);
        bytes.put(self.chain.as_bytes());
        bytes.put(self.signing_key.secret());
        bytes.put_u64(self.made_at_ms);
        write_head(&self.made_under, &mut *bytes);
        bytes.put_u8(u8::from(self.retired));
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = read_state(StateKind::SendingSenderKey, bytes)?;
        let key = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(key)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let key = Self {
            channel_id: ChannelId::from_bytes(*reader.array()?),
            associated_data: *reader.array()?,
            id: SenderKeyId::from_bytes(*reader.array()?),
            iteration: reader.u32()?,
            chain: ChainKey::new(Secret32::copy_from(reader.array()?)),
            signing_key: SenderSigningKey::from_secret(&Secret32::copy_from(reader.array()?)),
            made_at_ms: reader.u64()?,
            made_under: read_head(reader)?,
            retired: match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(StateError::Malformed),
            },
        };
        if key.iteration > MAX_SENDER_KEY_MESSAGES {
            return Err(StateError::Malformed);
        }
        Ok(key)
    }
}

impl ReceivingSenderKey {
    /// The key without the records of [`skipped_messages`](Self::skipped_messages), to be sealed before it
    /// is kept: 150 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(RECEIVING_LEN));
        begin_state(StateKind::ReceivingSenderKey, &mut bytes);
        bytes.put(self.channel_id.as_bytes());
        bytes.put(&self.associated_data);
        bytes.put(self.id.as_bytes());
        bytes.put_u32(self.next);
        bytes.put(self.chain.as_bytes());
        bytes.put(self.signing_key.as_bytes());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, with the bytes of the records that are kept, in any
    /// order.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are anything else, or a record is not one of this key's.
    pub fn from_bytes(
        bytes: &[u8],
        skipped: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<Self, StateError> {
        let mut reader = read_state(StateKind::ReceivingSenderKey, bytes)?;
        let mut key = Self::read(&mut reader)?;
        reader.finish()?;
        let mut stored = Vec::new();
        for bytes in skipped {
            let record = read_record(bytes.as_ref())?;
            if record.key_id != key.id || record.iteration >= key.next {
                return Err(StateError::Malformed);
            }
            stored.push((record.iteration, record.stored_at_ms, record.key));
        }
        key.skipped = SkippedKeys::from_stored(stored).ok_or(StateError::Malformed)?;
        Ok(key)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            channel_id: ChannelId::from_bytes(*reader.array()?),
            associated_data: *reader.array()?,
            id: SenderKeyId::from_bytes(*reader.array()?),
            next: reader.u32()?,
            chain: ChainKey::new(Secret32::copy_from(reader.array()?)),
            signing_key: SenderVerifyingKey::from_bytes(reader.array()?)?,
            skipped: SkippedKeys::default(),
        })
    }
}

/// Version and kind, channel, associated data, id, iteration, chain key, signing key, time, head, mark.
const SENDING_LEN: usize = 2 + 32 + 32 + SenderKeyId::LEN + 4 + 32 + 32 + 8 + ROSTER_HEAD_LEN + 1;

/// Version and kind, channel, associated data, id, iteration, chain key, signing key.
const RECEIVING_LEN: usize = 2 + 32 + 32 + SenderKeyId::LEN + 4 + 32 + 32;
