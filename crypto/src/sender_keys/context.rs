//! Whose sender key it is, and for which channel.

use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;
use sottovoce_statements::ChannelId;

use crate::codec::Write;
use crate::handshake::Party;
use crate::primitives::kdf::sha256;
use crate::sender_keys::LABEL_SENDER_KEY;

/// The channel a sender key is for and the device it belongs to. All of it is bound into every message:
/// a sender key cannot be passed off as another device's, nor its messages moved to another channel.
///
/// The device is named in full, with its account key and its identity key, as in a pairwise session: a
/// member whose account key changed has to hand out a new sender key before anything of theirs decrypts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderKeyContext {
    /// The channel.
    pub channel_id: ChannelId,
    /// The device that sends.
    pub sender: Party,
}

impl SenderKeyContext {
    /// A hash of everything here, in a form that reads back in one way only.
    pub(crate) fn associated_data(&self) -> AssociatedData {
        let mut party = Vec::with_capacity(256);
        let address = self.sender.address.as_str().as_bytes();
        // An address has at most 161 bytes.
        party.put_u8(address.len() as u8);
        party.put(address);
        party.put(self.sender.device_id.as_bytes());
        party.put(self.sender.account_key.as_bytes());
        party.put(self.sender.identity_key.as_bytes());
        sha256(&[LABEL_SENDER_KEY, self.channel_id.as_bytes(), &party])
    }
}

/// What a [`SenderKeyContext`] comes to in a message.
pub(crate) type AssociatedData = [u8; 32];

/// The name of a sender key: 16 random bytes, that its sender draws. Not secret: every message shows it.
///
/// It is unique within channel and sender, and no further: a member can give a key of its own the id of
/// another member's. Whatever is kept under it is kept under the channel and the sender as well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderKeyId([u8; Self::LEN]);

impl SenderKeyId {
    /// Length in bytes.
    pub const LEN: usize = 16;

    pub(crate) fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = [0; Self::LEN];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The id these bytes name.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for SenderKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SenderKeyId(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}
