//! Opening an attachment, in order or at any place, in the caller's buffer.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::error::AttachmentOpenError;
use super::layout::Layout;
use super::pointer::AttachmentPointer;
use super::{LABEL_ATTACHMENT, context};
use crate::chunks::{ChunkOpener, STREAM_HEADER_LEN, check_stream_header};
use crate::secret::redacted_debug;

/// Opens one attachment: front to back with [`open_next`](Self::open_next), or any chunk of it with
/// [`open_chunk`](Self::open_chunk).
///
/// What a chunk gives is authentic as soon as it is there. That nothing is missing is known when
/// [`finish`](Self::finish) says so.
///
/// ```
/// # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
/// # use sottovoce_crypto::seal_attachment;
/// # let rng = &mut ChaCha20Rng::from_seed([1; 32]);
/// # let content = [7; 100_000];
/// # let (stored, pointer) = seal_attachment(rng, &content)?;
/// use std::io::{Read, Write};
/// use sottovoce_crypto::AttachmentOpener;
///
/// let (mut download, mut file) = (stored.as_slice(), Vec::new());
/// let mut header = [0; 5];
/// download.read_exact(&mut header)?;
/// let mut opener = AttachmentOpener::new(&pointer, stored.len() as u64, &header)?;
/// let mut chunk = Vec::new();
/// while let Some(length) = opener.next_sealed_len() {
///     chunk.resize(length, 0);
///     download.read_exact(&mut chunk)?;
///     file.write_all(opener.open_next(&mut chunk)?)?;
/// }
/// opener.finish()?;
/// assert_eq!(file, content);
///
/// // A hundred bytes out of the middle of a film.
/// let opener = AttachmentOpener::new(&pointer, stored.len() as u64, &header)?;
/// let index = 70_000 / sottovoce_crypto::ATTACHMENT_CHUNK_LEN as u64;
/// let range = pointer.sealed_chunk(index).unwrap();
/// let mut chunk = stored[range.start as usize..range.end as usize].to_vec();
/// assert_eq!(opener.open_chunk(index, &mut chunk)?[4_464..4_564], content[70_000..70_100]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AttachmentOpener {
    layout: Layout,
    next: u64,
    chunks: ChunkOpener,
}

impl AttachmentOpener {
    /// Begins with the pointer from the message, how many bytes the store says it holds, and the first
    /// [`ATTACHMENT_HEADER_LEN`](crate::ATTACHMENT_HEADER_LEN) of them.
    ///
    /// # Errors
    /// [`AttachmentOpenError`] when the attachment is not as long as it was sealed, or of another version.
    pub fn new(
        pointer: &AttachmentPointer,
        stored_len: u64,
        header: &[u8],
    ) -> Result<Self, AttachmentOpenError> {
        if stored_len != pointer.sealed_len() {
            return Err(AttachmentOpenError::Refused);
        }
        check_stream_header(header)?;
        let layout = pointer.layout();
        Ok(Self {
            layout,
            next: 0,
            chunks: ChunkOpener::new(pointer.key(), LABEL_ATTACHMENT, &context(layout)),
        })
    }

    /// How many bytes the next sealed chunk has, or `None` after the last.
    #[must_use]
    pub fn next_sealed_len(&self) -> Option<usize> {
        self.layout.chunk(self.next).map(|chunk| chunk.sealed_len())
    }

    /// Opens the next chunk in place, and returns its content, which is empty if it is all padding.
    ///
    /// # Errors
    /// [`AttachmentOpenError::Refused`] unless these are exactly the bytes sealed there. The chunk is
    /// still the next one.
    pub fn open_next<'a>(&mut self, chunk: &'a mut [u8]) -> Result<&'a [u8], AttachmentOpenError> {
        let content = self.open_chunk(self.next, chunk)?;
        self.next += 1;
        Ok(content)
    }

    /// Opens any chunk in place, by its index from 0, and returns its content. The bytes are those
    /// [`sealed_chunk`](AttachmentPointer::sealed_chunk) tells.
    ///
    /// # Errors
    /// [`AttachmentOpenError::Refused`] unless these are exactly the bytes sealed there.
    pub fn open_chunk<'a>(&self, index: u64, chunk: &'a mut [u8]) -> Result<&'a [u8], AttachmentOpenError> {
        let expected = self.layout.chunk(index).ok_or(AttachmentOpenError::Refused)?;
        if chunk.len() != expected.sealed_len() {
            return Err(AttachmentOpenError::Refused);
        }
        let text = self
            .chunks
            .open(expected.place, chunk)
            .map_err(|_| AttachmentOpenError::Refused)?;
        let (content, padding) = text
            .split_at_mut_checked(expected.content_len)
            .ok_or(AttachmentOpenError::Refused)?;
        if padding.iter().fold(0, |all, byte| all | *byte) != 0 {
            // The sender broke the format: what came of it is not handed out, not even by the way.
            content.fill(0);
            padding.fill(0);
            return Err(AttachmentOpenError::Refused);
        }
        Ok(content)
    }

    /// Confirms that all of the attachment was opened with [`open_next`](Self::open_next).
    ///
    /// # Errors
    /// [`AttachmentOpenError::Refused`] if a part is missing: what was opened is not the attachment.
    pub fn finish(self) -> Result<(), AttachmentOpenError> {
        match self.next_sealed_len() {
            None => Ok(()),
            Some(_) => Err(AttachmentOpenError::Refused),
        }
    }
}

redacted_debug!(AttachmentOpener);

/// Opens an attachment that is in memory as a whole.
///
/// # Errors
/// [`AttachmentOpenError`] unless these are exactly the bytes that were sealed.
pub fn open_attachment(
    pointer: &AttachmentPointer,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, AttachmentOpenError> {
    let (header, mut rest) = sealed
        .split_at_checked(STREAM_HEADER_LEN)
        .ok_or(AttachmentOpenError::Refused)?;
    let stored_len = u64::try_from(sealed.len()).map_err(|_| AttachmentOpenError::Refused)?;
    let mut opener = AttachmentOpener::new(pointer, stored_len, header)?;
    // Room for each chunk where it is opened, so that no growth leaves a copy behind.
    let mut content = Zeroizing::new(Vec::with_capacity(sealed.len()));
    while let Some(length) = opener.next_sealed_len() {
        let (chunk, after) = rest
            .split_at_checked(length)
            .ok_or(AttachmentOpenError::Refused)?;
        rest = after;
        let start = content.len();
        content.extend_from_slice(chunk);
        let opened = opener
            .open_next(content.get_mut(start..).unwrap_or_default())?
            .len();
        content.truncate(start + opened);
    }
    opener.finish()?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachment::pointer::AttachmentKey;
    use crate::chunks::{ChunkSealer, STREAM_HEADER};
    use crate::secret::Secret32;
    use alloc::vec;

    #[test]
    fn padding_that_is_not_zeros_is_refused_and_nothing_of_it_shown() {
        let key = AttachmentKey(Secret32::copy_from(&[3; 32]));
        let layout = Layout::new(5).unwrap();
        let chunks = ChunkSealer::new(&key.0, LABEL_ATTACHMENT, &context(layout));
        let mut chunk = vec![0; 4_096];
        chunk[..5].copy_from_slice(b"words");
        *chunk.last_mut().unwrap() = 1;
        let tag = chunks.seal_last(&mut chunk).unwrap();
        chunk.extend_from_slice(&tag);

        let pointer = AttachmentPointer::new(key, layout);
        let mut opener = AttachmentOpener::new(&pointer, pointer.sealed_len(), &STREAM_HEADER).unwrap();
        assert_eq!(opener.open_next(&mut chunk), Err(AttachmentOpenError::Refused));
        assert_eq!(chunk[..4_096], [0; 4_096]);
    }
}
