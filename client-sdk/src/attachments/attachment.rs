//! What a message carries of an attachment.

use std::fmt;

use sottovoce_crypto::AttachmentPointer;
use zeroize::Zeroizing;

/// Bytes of a blob's id, and of an upload's.
pub(super) const ID_LEN: usize = 16;

/// Where an attachment lies and how it is opened. Who has it can read the attachment: it travels inside
/// messages only, and is kept like them.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    pub(super) blob_id: [u8; ID_LEN],
    pub(super) pointer: AttachmentPointer,
}

/// Why bytes are not an [`Attachment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes do not describe an attachment this version can open")]
pub struct AttachmentError;

impl Attachment {
    /// Bytes of an encoded attachment.
    pub const LEN: usize = ID_LEN + AttachmentPointer::LEN;

    /// Reads what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`AttachmentError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AttachmentError> {
        let (blob_id, pointer) = read_id(bytes).ok_or(AttachmentError)?;
        Ok(Self { blob_id, pointer })
    }

    /// The [`LEN`](Self::LEN) bytes to put into a message.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        with_id(&self.blob_id, &self.pointer)
    }

    /// Bytes of content.
    #[must_use]
    pub fn content_len(&self) -> u64 {
        self.pointer.content_len()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attachment([redacted])")
    }
}

/// An id, then a pointer.
pub(super) fn with_id(id: &[u8; ID_LEN], pointer: &AttachmentPointer) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(Attachment::LEN));
    bytes.extend_from_slice(id);
    bytes.extend_from_slice(&pointer.to_bytes());
    bytes
}

/// Back from [`with_id`].
pub(super) fn read_id(bytes: &[u8]) -> Option<([u8; ID_LEN], AttachmentPointer)> {
    let (id, pointer) = bytes.split_first_chunk()?;
    Some((*id, AttachmentPointer::from_bytes(pointer).ok()?))
}
