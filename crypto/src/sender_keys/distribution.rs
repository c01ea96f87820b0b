//! How a member comes to a sender key: inside a pairwise session.

use alloc::vec::Vec;

use sottovoce_statements::{ChannelId, RosterHead};
use zeroize::Zeroizing;

use crate::chain::ChainKey;
use crate::codec::{Reader, Write};
use crate::error::DecodeError;
use crate::secret::{Secret32, redacted_debug};
use crate::sender_keys::context::SenderKeyId;
use crate::sender_keys::message::VERSION;
use crate::sender_keys::roster::{ROSTER_HEAD_LEN, read_head, write_head};
use crate::sender_keys::signature::SenderVerifyingKey;

/// Second byte of a distribution.
const KIND_DISTRIBUTION: u8 = 0x11;

/// A sender key as its owner hands it out: all that is needed to read what is sent from now on.
///
/// It is secret. Send [`encode`](Self::encode)'s bytes in pairwise sessions with members' devices and in
/// no other way; take one from a session's plaintext only, and take that session's peer for its sender.
pub struct SenderKeyDistribution {
    pub(crate) channel_id: ChannelId,
    pub(crate) key_id: SenderKeyId,
    pub(crate) iteration: u32,
    pub(crate) chain: ChainKey,
    pub(crate) signing_key: SenderVerifyingKey,
    pub(crate) roster_head: RosterHead,
}

impl SenderKeyDistribution {
    /// Length of an encoded distribution, in bytes.
    pub const LEN: usize = 2 + 32 + SenderKeyId::LEN + 4 + 32 + 32 + ROSTER_HEAD_LEN;

    /// Reads a distribution.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not the one encoding of a distribution, or of a version this one
    /// does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(DecodeError::UnsupportedVersion);
        }
        if reader.u8()? != KIND_DISTRIBUTION {
            return Err(DecodeError::Malformed);
        }
        let distribution = Self {
            channel_id: ChannelId::from_bytes(*reader.array()?),
            key_id: SenderKeyId::from_bytes(*reader.array()?),
            iteration: reader.u32()?,
            chain: ChainKey::new(Secret32::copy_from(reader.array()?)),
            signing_key: SenderVerifyingKey::from_bytes(reader.array()?)?,
            roster_head: read_head(&mut reader)?,
        };
        reader.finish()?;
        Ok(distribution)
    }

    /// The bytes [`decode`](Self::decode) reads, for a pairwise session.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::LEN));
        bytes.put_u8(VERSION);
        bytes.put_u8(KIND_DISTRIBUTION);
        bytes.put(self.channel_id.as_bytes());
        bytes.put(self.key_id.as_bytes());
        bytes.put_u32(self.iteration);
        bytes.put(self.chain.as_bytes());
        bytes.put(self.signing_key.as_bytes());
        write_head(&self.roster_head, &mut *bytes);
        bytes
    }

    /// The channel it is for.
    #[must_use]
    pub fn channel_id(&self) -> ChannelId {
        self.channel_id
    }

    /// The sender key's name.
    #[must_use]
    pub fn key_id(&self) -> SenderKeyId {
        self.key_id
    }

    /// The first message that can be read with it.
    #[must_use]
    pub fn iteration(&self) -> u32 {
        self.iteration
    }

    /// The newest entry of the roster that its sender knew.
    #[must_use]
    pub fn roster_head(&self) -> RosterHead {
        self.roster_head
    }
}

redacted_debug!(SenderKeyDistribution);
