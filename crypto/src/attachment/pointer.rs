//! What a message carries of an attachment: everything it takes to open it, but not where it lies.

use alloc::vec::Vec;
use core::ops::Range;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::error::AttachmentPointerError;
use super::layout::Layout;
use crate::codec::{Malformed, Reader, Write};
use crate::secret::{Secret32, redacted_debug};

/// The key and the length of one sealed attachment. Whoever has it can read the attachment, so it
/// travels inside messages only, and is kept like them.
#[derive(Clone)]
pub struct AttachmentPointer {
    key: AttachmentKey,
    layout: Layout,
}

impl AttachmentPointer {
    /// Bytes of an encoded pointer.
    pub const LEN: usize = 1 + 32 + 8 + 8;

    pub(super) fn new(key: AttachmentKey, layout: Layout) -> Self {
        Self { key, layout }
    }

    /// Reads a pointer.
    ///
    /// # Errors
    /// [`AttachmentPointerError`] when the bytes are not the one encoding of a pointer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AttachmentPointerError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != POINTER_VERSION {
            return Err(AttachmentPointerError::UnsupportedVersion);
        }
        let key = AttachmentKey(Secret32::copy_from(reader.array()?));
        let layout = Layout::new(reader.u64()?).ok_or(Malformed)?;
        if reader.u64()? != layout.sealed_len() {
            return Err(AttachmentPointerError::Malformed);
        }
        reader.finish()?;
        Ok(Self { key, layout })
    }

    /// The [`LEN`](Self::LEN) bytes that [`from_bytes`](Self::from_bytes) reads.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::LEN));
        bytes.put_u8(POINTER_VERSION);
        bytes.put(self.key.0.as_bytes());
        bytes.put_u64(self.layout.content_len());
        bytes.put_u64(self.layout.sealed_len());
        bytes
    }

    /// Bytes of content.
    #[must_use]
    pub fn content_len(&self) -> u64 {
        self.layout.content_len()
    }

    /// Bytes of the sealed attachment, as stored: header, content, padding and tags.
    #[must_use]
    pub fn sealed_len(&self) -> u64 {
        self.layout.sealed_len()
    }

    /// How many chunks it has: at least one. The byte of content at `offset` is in chunk
    /// `offset / ATTACHMENT_CHUNK_LEN`; the last ones may hold nothing but padding.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        self.layout.chunk_count()
    }

    /// Where a sealed chunk lies in the sealed attachment, in bytes from its start, if there is such a
    /// chunk.
    #[must_use]
    pub fn sealed_chunk(&self, index: u64) -> Option<Range<u64>> {
        self.layout.chunk(index).map(|chunk| chunk.sealed)
    }

    pub(super) fn key(&self) -> &Secret32 {
        &self.key.0
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }
}

impl PartialEq for AttachmentPointer {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.key.0.ct_eq(&other.key.0)) && self.layout == other.layout
    }
}

impl Eq for AttachmentPointer {}

redacted_debug!(AttachmentPointer);

/// The key of one attachment, drawn for it and never used for another.
#[derive(Clone)]
pub(super) struct AttachmentKey(pub(super) Secret32);

/// First byte of an encoded pointer.
const POINTER_VERSION: u8 = 0x01;
