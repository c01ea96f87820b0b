//! Sealing an attachment, chunk by chunk, in the caller's buffer.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::error::AttachmentSealError;
use super::layout::Layout;
use super::pointer::{AttachmentKey, AttachmentPointer};
use super::{LABEL_ATTACHMENT, context};
use crate::chunks::{ChunkSealer, Place, STREAM_HEADER, STREAM_HEADER_LEN};
use crate::primitives::aead::TAG_LEN;
use crate::secret::{Secret32, redacted_debug};

/// Seals one attachment, front to back. It draws its key itself, so that none is ever used twice.
///
/// ```
/// # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
/// # let rng = &mut ChaCha20Rng::from_seed([1; 32]);
/// # let content = [7; 100_000];
/// use std::io::{Read, Write};
/// use sottovoce_crypto::{AttachmentSealer, SEALED_ATTACHMENT_CHUNK_LEN};
///
/// let (mut file, mut upload) = (content.as_slice(), Vec::new());
/// let mut sealer = AttachmentSealer::new(rng, file.len() as u64)?;
/// upload.write_all(&sealer.header())?;
/// let mut buffer = vec![0; SEALED_ATTACHMENT_CHUNK_LEN];
/// while let Some(length) = sealer.next_content_len() {
///     file.read_exact(&mut buffer[..length])?;
///     upload.write_all(sealer.seal_next(&mut buffer)?)?;
/// }
/// let pointer = sealer.finish()?;
/// assert_eq!(upload.len() as u64, pointer.sealed_len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AttachmentSealer {
    key: AttachmentKey,
    layout: Layout,
    next: u64,
    /// Gone once the last chunk is sealed.
    chunks: Option<ChunkSealer>,
}

impl AttachmentSealer {
    /// Begins an attachment of `content_len` bytes. The length must be known: it decides the padding, and
    /// every chunk is authenticated with it.
    ///
    /// # Errors
    /// [`AttachmentSealError::TooLong`] if it is over [`MAX_ATTACHMENT_LEN`](crate::MAX_ATTACHMENT_LEN).
    pub fn new<R: CryptoRng + ?Sized>(rng: &mut R, content_len: u64) -> Result<Self, AttachmentSealError> {
        let layout = Layout::new(content_len).ok_or(AttachmentSealError::TooLong)?;
        let key = AttachmentKey(Secret32::random(rng));
        let chunks = ChunkSealer::new(&key.0, LABEL_ATTACHMENT, &context(layout));
        Ok(Self {
            key,
            layout,
            next: 0,
            chunks: Some(chunks),
        })
    }

    /// The first bytes of the sealed attachment.
    #[must_use]
    pub fn header(&self) -> [u8; STREAM_HEADER_LEN] {
        STREAM_HEADER
    }

    /// Bytes of the whole sealed attachment.
    #[must_use]
    pub fn sealed_len(&self) -> u64 {
        self.layout.sealed_len()
    }

    /// How many bytes of content the next chunk takes: 0 if it is all padding, `None` after the last.
    #[must_use]
    pub fn next_content_len(&self) -> Option<usize> {
        self.layout.chunk(self.next).map(|chunk| chunk.content_len)
    }

    /// Seals the next chunk in place. The buffer holds the chunk's content, of
    /// [`next_content_len`](Self::next_content_len) bytes, at its front, and has
    /// [`SEALED_ATTACHMENT_CHUNK_LEN`](crate::SEALED_ATTACHMENT_CHUNK_LEN) bytes in all. Returns the part
    /// to write out, right after what came before it.
    ///
    /// # Errors
    /// [`AttachmentSealError`] when the buffer is too short, or no chunk is left. Nothing was sealed.
    pub fn seal_next<'a>(&mut self, buffer: &'a mut [u8]) -> Result<&'a [u8], AttachmentSealError> {
        let chunk = self
            .layout
            .chunk(self.next)
            .ok_or(AttachmentSealError::Complete)?;
        let sealed = buffer
            .get_mut(..chunk.sealed_len())
            .ok_or(AttachmentSealError::ShortBuffer)?;
        let (text, tag) = sealed
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(AttachmentSealError::ShortBuffer)?;
        text.get_mut(chunk.content_len..)
            .ok_or(AttachmentSealError::ShortBuffer)?
            .fill(0);
        *tag = match chunk.place {
            Place::Before(_) => self.chunks.as_mut().map(|chunks| chunks.seal(text)),
            Place::Last(_) => self.chunks.take().map(|chunks| chunks.seal_last(text)),
        }
        .and_then(Result::ok)
        .ok_or(AttachmentSealError::Complete)?;
        self.next += 1;
        Ok(sealed)
    }

    /// What to put in the message, once all chunks are sealed.
    ///
    /// # Errors
    /// [`AttachmentSealError::Incomplete`] if they are not.
    pub fn finish(self) -> Result<AttachmentPointer, AttachmentSealError> {
        if self.chunks.is_some() {
            return Err(AttachmentSealError::Incomplete);
        }
        Ok(AttachmentPointer::new(self.key, self.layout))
    }

    fn next_sealed_len(&self) -> usize {
        self.layout.chunk(self.next).map_or(0, |chunk| chunk.sealed_len())
    }
}

redacted_debug!(AttachmentSealer);

/// Seals an attachment that is in memory as a whole. Returns the bytes to store and the pointer to send.
///
/// # Errors
/// [`AttachmentSealError::TooLong`] if it is over [`MAX_ATTACHMENT_LEN`](crate::MAX_ATTACHMENT_LEN), or
/// over what this machine can address.
pub fn seal_attachment<R: CryptoRng + ?Sized>(
    rng: &mut R,
    content: &[u8],
) -> Result<(Vec<u8>, AttachmentPointer), AttachmentSealError> {
    let content_len = u64::try_from(content.len()).map_err(|_| AttachmentSealError::TooLong)?;
    let mut sealer = AttachmentSealer::new(rng, content_len)?;
    let sealed_len = usize::try_from(sealer.sealed_len()).map_err(|_| AttachmentSealError::TooLong)?;
    let mut sealed = Vec::with_capacity(sealed_len);
    sealed.extend_from_slice(&sealer.header());
    let mut rest = content;
    while let Some(length) = sealer.next_content_len() {
        let (taken, after) = rest
            .split_at_checked(length)
            .ok_or(AttachmentSealError::Incomplete)?;
        rest = after;
        // The chunk is put where it will stay, and sealed there.
        let start = sealed.len();
        let chunk_len = sealer.next_sealed_len();
        sealed.extend_from_slice(taken);
        sealed.resize(start + chunk_len, 0);
        let chunk = sealed.get_mut(start..).unwrap_or_default();
        sealer.seal_next(chunk)?;
    }
    Ok((sealed, sealer.finish()?))
}
