//! Between a message and the plaintext of a session: a [`Content`] in protobuf.

use prost::Message;
use sottovoce_crypto::statements::DeviceId;
use sottovoce_crypto::{AccessKey, ManifestView};
use sottovoce_proto::content::{Content, ManifestView as ViewField};
use zeroize::Zeroizing;

use crate::error::InputError;
use crate::message::Body;
use crate::outbox::Outgoing;
use crate::peers::Peer;
use crate::said::Said;

/// Longest body of a message, in bytes as encoded. Leaves room for the rest of [`Content`] within the
/// plaintext a session takes.
pub const MAX_BODY_LEN: usize = 60 * 1024;

/// Checks that a body can be sent.
pub(crate) fn check_body(body: &Body) -> Result<(), InputError> {
    let body = body.to_content().ok_or(InputError::NotSendable)?;
    let content = Content {
        body: Some(body),
        ..Default::default()
    };
    if content.encoded_len() > MAX_BODY_LEN {
        return Err(InputError::TooLong);
    }
    Ok(())
}

/// The plaintext of `message` for one device of a peer.
pub(crate) fn encode(
    message: &Outgoing,
    peer: &Peer,
    device_id: DeviceId,
    own: ManifestView,
    access_key: Option<&AccessKey>,
) -> Zeroizing<Vec<u8>> {
    let content = Content {
        message_id: message.message_id.0.to_vec(),
        sent_at_ms: message.queued_at_ms,
        sender_manifest: Some(to_field(own)),
        recipient_manifest: Some(to_field(peer.account.view())),
        sequence: peer.next_sequence(device_id),
        access_key: access_key
            .map(|key| key.to_secret_bytes().to_vec())
            .unwrap_or_default(),
        body: message.said.to_content(),
    };
    Zeroizing::new(content.encode_to_vec())
}

/// A message as its sender meant it, checked for what every message must have.
pub(crate) struct Decoded {
    pub(crate) message_id: [u8; 16],
    pub(crate) sent_at_ms: u64,
    pub(crate) sequence: u64,
    pub(crate) sender_manifest: ManifestView,
    pub(crate) recipient_manifest: ManifestView,
    /// The sender's access key, where it is told.
    pub(crate) access_key: Option<AccessKey>,
    pub(crate) said: Said,
}

/// Reads a plaintext; `None` when it is not a message.
pub(crate) fn decode(plaintext: &[u8]) -> Option<Decoded> {
    let content = Content::decode(plaintext).ok()?;
    Some(Decoded {
        message_id: content.message_id.try_into().ok()?,
        sent_at_ms: content.sent_at_ms,
        sequence: Some(content.sequence).filter(|sequence| *sequence > 0)?,
        sender_manifest: from_field(content.sender_manifest?)?,
        recipient_manifest: from_field(content.recipient_manifest?)?,
        access_key: read_access_key(&content.access_key)?,
        said: Said::from_content(content.body)?,
    })
}

/// The access key in a message, if one is; `None` when it is none that there could be.
fn read_access_key(bytes: &[u8]) -> Option<Option<AccessKey>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let key = bytes.try_into().ok()?;
    Some(Some(AccessKey::from_secret_bytes(key)))
}

fn to_field(view: ManifestView) -> ViewField {
    let (version, hash) = (view.version, view.hash.to_vec());
    ViewField { version, hash }
}

fn from_field(field: ViewField) -> Option<ManifestView> {
    let (version, hash) = (field.version, field.hash.try_into().ok()?);
    Some(ManifestView { version, hash })
}
