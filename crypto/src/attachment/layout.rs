//! How an attachment of a given length is padded and cut up. Nothing here is secret but the length.

use core::ops::Range;

use crate::chunks::{CHUNK_LEN, Place, SEALED_CHUNK_LEN, STREAM_HEADER_LEN};
use crate::primitives::aead::TAG_LEN;

/// Longest attachment, in bytes: 4 GiB. A store's own limit is usually lower.
pub const MAX_ATTACHMENT_LEN: u64 = 1 << 32;

/// Bytes of content in every chunk that content does not end in: 64 KiB.
pub const ATTACHMENT_CHUNK_LEN: usize = CHUNK_LEN;

/// Bytes of a whole chunk with its tag: as long as a buffer need be.
pub const SEALED_ATTACHMENT_CHUNK_LEN: usize = SEALED_CHUNK_LEN;

/// Bytes before the first chunk.
pub const ATTACHMENT_HEADER_LEN: usize = STREAM_HEADER_LEN;

/// Shortest padded attachment, in bytes: documents, thumbnails and previews of a line or two look alike.
pub const MIN_PADDED_ATTACHMENT_LEN: u64 = 4_096;

/// The chunks of an attachment whose content has a given length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    content_len: u64,
    padded_len: u64,
}

impl Layout {
    /// `None` if the content is longer than [`MAX_ATTACHMENT_LEN`].
    pub(super) fn new(content_len: u64) -> Option<Self> {
        (content_len <= MAX_ATTACHMENT_LEN).then(|| Self {
            content_len,
            padded_len: padded_len(content_len),
        })
    }

    pub(super) fn content_len(&self) -> u64 {
        self.content_len
    }

    /// At least 1.
    pub(super) fn chunk_count(&self) -> u64 {
        self.padded_len.div_ceil(CHUNK_LEN as u64)
    }

    pub(super) fn sealed_len(&self) -> u64 {
        STREAM_HEADER_LEN as u64 + self.padded_len + self.chunk_count() * TAG_LEN as u64
    }

    pub(super) fn chunk(&self, index: u64) -> Option<Chunk> {
        let last = self.chunk_count().checked_sub(1)?;
        let place = if index < last {
            Place::Before(index)
        } else if index == last {
            Place::Last(index)
        } else {
            return None;
        };
        let start = index * CHUNK_LEN as u64;
        let within = |whole: u64| {
            let rest = whole.saturating_sub(start).min(CHUNK_LEN as u64);
            usize::try_from(rest).unwrap_or(CHUNK_LEN)
        };
        let sealed_start = STREAM_HEADER_LEN as u64 + index * SEALED_CHUNK_LEN as u64;
        let text_len = within(self.padded_len);
        Some(Chunk {
            place,
            content_len: within(self.content_len),
            text_len,
            sealed: sealed_start..sealed_start + (text_len + TAG_LEN) as u64,
        })
    }
}

/// One chunk of an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) place: Place,
    /// Bytes of content in it, at its front.
    pub(super) content_len: usize,
    /// Bytes of content and padding.
    pub(super) text_len: usize,
    /// Where it lies in the sealed attachment.
    pub(super) sealed: Range<u64>,
}

impl Chunk {
    /// Bytes with the tag.
    pub(super) fn sealed_len(&self) -> usize {
        self.text_len + TAG_LEN
    }
}

/// Rounds up so that only the leading bits of the length show: Padmé (Nikitin et al., "Reducing Metadata
/// Leakage from Encrypted Files and Communication with PURBs", section 4). From 4 KiB on it adds at most
/// a sixteenth, and what shows of a length grows as the logarithm of its logarithm.
fn padded_len(length: u64) -> u64 {
    let length = length.max(MIN_PADDED_ATTACHMENT_LEN);
    let exponent = length.ilog2();
    let free_bits = exponent - (exponent.ilog2() + 1);
    length.next_multiple_of(1 << free_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_padded_as_padme_says() {
        for (length, padded) in [
            (0, 4_096),
            (1, 4_096),
            (4_096, 4_096),
            (4_097, 4_352),
            (65_536, 65_536),
            (65_537, 67_584),
            (1_000_000, 1_015_808),
            (64 << 20, 64 << 20),
            ((64 << 20) + 1, 66 << 20),
            (MAX_ATTACHMENT_LEN - 1, MAX_ATTACHMENT_LEN),
            (MAX_ATTACHMENT_LEN, MAX_ATTACHMENT_LEN),
        ] {
            assert_eq!(padded_len(length), padded, "{length} bytes");
        }
        assert_eq!(Layout::new(MAX_ATTACHMENT_LEN + 1), None);
    }

    #[test]
    fn padding_adds_at_most_a_sixteenth_and_never_cuts() {
        let lengths = (12..32).flat_map(|power| {
            let base = 1_u64 << power;
            [base, base + 1, base + base / 3, base + base / 2 + 1, 2 * base - 1]
        });
        for length in lengths {
            let padded = padded_len(length);
            assert!(
                padded >= length && padded - length <= length / 16,
                "{length} bytes"
            );
            assert_eq!(padded_len(padded), padded, "a padded length stays as it is");
        }
    }

    #[test]
    fn the_chunks_fill_the_sealed_attachment() {
        for length in [0, 4_096, 65_535, 65_536, 65_537, 131_072, 1_000_000, 66_900_000] {
            let layout = Layout::new(length).unwrap();
            let mut content = 0;
            let mut end = STREAM_HEADER_LEN as u64;
            for index in 0..layout.chunk_count() {
                let chunk = layout.chunk(index).unwrap();
                assert_eq!(chunk.sealed.start, end);
                assert_eq!(chunk.sealed.end - chunk.sealed.start, chunk.sealed_len() as u64);
                end = chunk.sealed.end;
                content += chunk.content_len as u64;
                assert_eq!(
                    chunk.place == Place::Last(index),
                    index == layout.chunk_count() - 1
                );
            }
            assert_eq!((end, content), (layout.sealed_len(), length));
            assert_eq!(layout.chunk(layout.chunk_count()), None);
            assert_eq!(layout.chunk(u64::MAX), None);
        }
    }
}
