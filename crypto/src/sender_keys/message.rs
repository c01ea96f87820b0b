//! A message to a channel as it travels: encrypted once, signed, the same for every member.

use alloc::vec::Vec;

use sottovoce_statements::RosterHead;

use crate::codec::{Malformed, Reader, Write};
use crate::error::DecodeError;
use crate::padding::is_padded_len;
use crate::primitives::aead::TAG_LEN;
use crate::sender_keys::context::SenderKeyId;
use crate::sender_keys::roster::{ROSTER_HEAD_LEN, read_head, write_head};
use crate::sender_keys::signature::SIGNATURE_LEN;

/// First byte of a message to a channel, and of a distribution: the version of these encodings.
pub(crate) const VERSION: u8 = 0x01;
/// Second byte of a message to a channel. No message of a session has it.
const KIND_MESSAGE: u8 = 0x10;

/// A message to a channel, decoded and not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderKeyMessage {
    pub(crate) header: MessageHeader,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

/// What a message shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageHeader {
    pub(crate) key_id: SenderKeyId,
    pub(crate) iteration: u32,
    pub(crate) roster_head: RosterHead,
}

impl SenderKeyMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not the one encoding of a message to a channel, or of a version
    /// this one does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(DecodeError::UnsupportedVersion);
        }
        if reader.u8()? != KIND_MESSAGE {
            return Err(DecodeError::Malformed);
        }
        let header = MessageHeader::read(&mut reader)?;
        let (ciphertext, signature) = reader
            .rest()
            .split_last_chunk::<SIGNATURE_LEN>()
            .ok_or(DecodeError::Malformed)?;
        let whole_bucket = ciphertext.len().checked_sub(TAG_LEN).is_some_and(is_padded_len);
        if !whole_bucket {
            return Err(DecodeError::Malformed);
        }
        Ok(Self {
            header,
            ciphertext: ciphertext.to_vec(),
            signature: *signature,
        })
    }

    /// The bytes [`decode`](Self::decode) reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.prefix(self.ciphertext.len() + SIGNATURE_LEN);
        bytes.put(&self.ciphertext);
        bytes.put(&self.signature);
        bytes
    }

    /// The sender key it is under: what to look the [`ReceivingSenderKey`](crate::ReceivingSenderKey) up
    /// by, together with the channel and the sender, and never by itself: two senders may use one id.
    #[must_use]
    pub fn key_id(&self) -> SenderKeyId {
        self.header.key_id
    }

    /// Its place among the sender key's messages, from 0. Authenticated once it decrypts.
    #[must_use]
    pub fn iteration(&self) -> u32 {
        self.header.iteration
    }
}

impl MessageHeader {
    const LEN: usize = SenderKeyId::LEN + 4 + ROSTER_HEAD_LEN;

    /// Everything that stands before the ciphertext, with room for what follows.
    pub(crate) fn prefix(&self, room: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + Self::LEN + room);
        bytes.put_u8(VERSION);
        bytes.put_u8(KIND_MESSAGE);
        bytes.put(self.key_id.as_bytes());
        bytes.put_u32(self.iteration);
        write_head(&self.roster_head, &mut bytes);
        bytes
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            key_id: SenderKeyId::from_bytes(*reader.array()?),
            iteration: reader.u32()?,
            roster_head: read_head(reader)?,
        })
    }
}
