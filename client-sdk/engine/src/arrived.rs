//! An envelope as it arrived: where it claims to come from, and what is in it.
//!
//! A sealed one names its sender inside, and only this device can open it. That is a claim until the
//! message decrypts in a session with exactly that device (`crypto/SPEC.md` 14.5).

use sottovoce_crypto::statements::{Address, ChannelId, DeviceId};
use sottovoce_crypto::{OpenedEnvelope, Party, SealedEnvelope};
use sottovoce_proto::v1;

use crate::event::Unreadable;
use crate::inbox::{MAX_CIPHERTEXT_LEN, Source};
use crate::own::Own;

/// Longest sender name kept in an event about something unreadable, in bytes.
const UNREADABLE_FROM_LEN: usize = 192;

/// An envelope on its way to being opened.
pub(crate) struct Arrived {
    pub(crate) id: [u8; 16],
    /// Who the server says sent it; nothing where the sender is sealed.
    pub(crate) from: String,
    /// Nothing of it is stored at the server, so nothing is acknowledged.
    pub(crate) ephemeral: bool,
    carried: Carried,
}

enum Carried {
    /// A session message, from whom the server says.
    Open(Vec<u8>),
    /// A session message, from whom the envelope says.
    Sealed(OpenedEnvelope),
    /// A post to a channel, from whom the server says.
    Post(ChannelId, Vec<u8>),
}

impl Arrived {
    /// Reads an envelope: where it claims to come from, and what it carries.
    pub(crate) fn read(id: [u8; 16], envelope: v1::Envelope, own: &Own) -> (Self, Option<Source>) {
        let read = if envelope.ciphertext.len() > MAX_CIPHERTEXT_LEN {
            None
        } else if !envelope.channel_id.is_empty() {
            let channel: Option<[u8; 32]> = envelope.channel_id.as_slice().try_into().ok();
            let post =
                channel.map(|id| Carried::Post(ChannelId::from_bytes(id), envelope.ciphertext.clone()));
            open_source(&envelope).zip(post)
        } else if envelope.sender.is_empty() && envelope.sender_device_id.is_empty() {
            unseal(&envelope.ciphertext, own)
        } else {
            open_source(&envelope).map(|source| (source, Carried::Open(envelope.ciphertext)))
        };
        let (source, carried) = read.map_or((None, Carried::Open(Vec::new())), |(source, carried)| {
            (Some(source), carried)
        });
        let arrived = Self {
            id,
            from: envelope.sender.chars().take(UNREADABLE_FROM_LEN).collect(),
            ephemeral: envelope.ephemeral,
            carried,
        };
        (arrived, source)
    }

    /// Whether nobody but the envelope itself says who it is from.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.carried, Carried::Sealed(_))
    }

    /// The version of the sender's own manifest that the envelope speaks of; a claim.
    pub(crate) fn claimed_manifest(&self) -> Option<u64> {
        match &self.carried {
            Carried::Open(_) | Carried::Post(..) => None,
            Carried::Sealed(opened) => Some(opened.sender().claimed().manifest_version),
        }
    }

    /// The channel it is a post to, and the post.
    pub(crate) fn post(&self) -> Option<(ChannelId, &[u8])> {
        match &self.carried {
            Carried::Post(channel, post) => Some((*channel, post)),
            _ => None,
        }
    }

    /// The session message in it.
    pub(crate) fn message(&self) -> &[u8] {
        match &self.carried {
            Carried::Open(message) | Carried::Post(_, message) => message,
            Carried::Sealed(opened) => opened.message(),
        }
    }

    /// Has the message decrypted as one of `them`. Of a sealed envelope that is what makes the claim true,
    /// and it is tried with nobody else.
    pub(crate) fn decrypt_as<T>(
        &self,
        them: &Party,
        decrypt: impl FnOnce() -> Option<T>,
    ) -> Result<T, Unreadable> {
        match &self.carried {
            Carried::Open(_) | Carried::Post(..) => decrypt().ok_or(Unreadable::NotAuthentic),
            Carried::Sealed(opened) => opened
                .confirm(them, |_| decrypt().ok_or(()))
                .map(|(_, decrypted)| decrypted)
                .map_err(|_| Unreadable::NotAuthentic),
        }
    }
}

fn unseal(bytes: &[u8], own: &Own) -> Option<(Source, Carried)> {
    let opened = SealedEnvelope::decode(bytes)
        .ok()?
        .open(&own.identity, &own.party)
        .ok()?;
    let claimed = opened.sender().claimed();
    let source = (claimed.address.clone(), claimed.device_id);
    // An envelope of a device to itself is no session's (`crypto/SPEC.md` 14.7).
    let is_own = source.0 == own.party.address && source.1 == own.party.device_id;
    (!is_own).then_some((source, Carried::Sealed(opened)))
}

/// Where an envelope that is not sealed claims to come from, if it is one that can be looked at.
fn open_source(envelope: &v1::Envelope) -> Option<Source> {
    let sender = Address::parse(&envelope.sender).ok()?;
    let device_id = DeviceId::from_slice(&envelope.sender_device_id).ok()?;
    Some((sender, device_id))
}
