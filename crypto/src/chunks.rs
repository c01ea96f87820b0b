//! Long texts in chunks, each authenticated with its place, in constant memory: the layer below
//! attachments and backups.
//!
//! It is the STREAM construction with ChaCha20-Poly1305: a nonce is the chunk's index and whether it is
//! the last, so chunks cannot be reordered, dropped or added. Nonces never repeat because a key seals one
//! stream: [`ChunkSealer`] counts by itself, and its last chunk consumes it.

use crate::primitives::aead::{NONCE_LEN, TAG_LEN, open_in_place, seal_in_place};
use crate::primitives::kdf::hkdf_sha256;
use crate::secret::{Secret32, redacted_debug};

/// Seals the chunks of one stream, front to back.
pub(crate) struct ChunkSealer {
    key: ChunkKey,
    next: u64,
}

impl ChunkSealer {
    /// `key` must never have sealed a stream under this label before. `context` is authenticated with
    /// every chunk; whoever opens must know it. Labels are such that none is the beginning of another.
    pub(crate) fn new(key: &Secret32, label: &[u8], context: &[u8]) -> Self {
        Self {
            key: ChunkKey::new(key, label, context),
            next: 0,
        }
    }

    /// Encrypts the next chunk, of exactly [`CHUNK_LEN`] bytes, in place. Returns its tag.
    pub(crate) fn seal(&mut self, text: &mut [u8]) -> Result<[u8; TAG_LEN], ChunkError> {
        let after = self.next.checked_add(1).ok_or(ChunkError)?;
        let tag = self.key.seal(Place::Before(self.next), text)?;
        self.next = after;
        Ok(tag)
    }

    /// Encrypts the last chunk, of at most [`CHUNK_LEN`] bytes, in place. Returns its tag.
    pub(crate) fn seal_last(self, text: &mut [u8]) -> Result<[u8; TAG_LEN], ChunkError> {
        self.key.seal(Place::Last(self.next), text)
    }
}

/// Opens the chunks of one stream, in any order.
pub(crate) struct ChunkOpener(ChunkKey);

impl ChunkOpener {
    /// Takes the key, label and context the stream was sealed under.
    pub(crate) fn new(key: &Secret32, label: &[u8], context: &[u8]) -> Self {
        Self(ChunkKey::new(key, label, context))
    }

    /// Decrypts a sealed chunk in place, if it is the one that belongs there. Returns its text, which is
    /// the chunk without the tag. A chunk that is refused is left as it was.
    pub(crate) fn open<'a>(&self, place: Place, chunk: &'a mut [u8]) -> Result<&'a mut [u8], ChunkError> {
        let (text, tag) = chunk.split_last_chunk_mut::<TAG_LEN>().ok_or(ChunkError)?;
        place.check(text.len())?;
        open_in_place(self.0.0.as_bytes(), &place.nonce(), &[], text, tag).map_err(|_| ChunkError)?;
        Ok(text)
    }
}

redacted_debug!(ChunkSealer);
redacted_debug!(ChunkOpener);

/// Where a chunk stands in its stream, by its index from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Another chunk follows, so this one is full.
    Before(u64),
    /// The stream ends here.
    Last(u64),
}

impl Place {
    /// One stream, one division into chunks: all are full but the last, and the last is empty only if
    /// the stream is.
    fn check(self, length: usize) -> Result<(), ChunkError> {
        let fits = match self {
            Self::Before(_) => length == CHUNK_LEN,
            Self::Last(0) => length <= CHUNK_LEN,
            Self::Last(_) => (1..=CHUNK_LEN).contains(&length),
        };
        if fits { Ok(()) } else { Err(ChunkError) }
    }

    fn nonce(self) -> [u8; NONCE_LEN] {
        let (index, last) = match self {
            Self::Before(index) => (index, 0),
            Self::Last(index) => (index, 1),
        };
        let [a, b, c, d, e, f, g, h] = index.to_be_bytes();
        [0, 0, 0, a, b, c, d, e, f, g, h, last]
    }
}

/// A chunk is out of place, of another stream, or was tampered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkError;

/// Bytes of text in a chunk, unless it is the last: 64 KiB, small enough to hold anywhere, and large
/// enough that tags and nonces cost nothing to speak of.
pub(crate) const CHUNK_LEN: usize = 65_536;

/// Bytes of a full chunk with its tag.
pub(crate) const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;

/// Bytes of [`STREAM_HEADER`].
pub(crate) const STREAM_HEADER_LEN: usize = 5;

/// What stands before the first chunk, and is authenticated with each of them: the version of the
/// format, and the length of a chunk.
pub(crate) const STREAM_HEADER: [u8; STREAM_HEADER_LEN] = {
    let [a, b, c, d] = (CHUNK_LEN as u32).to_be_bytes();
    [STREAM_VERSION, a, b, c, d]
};

/// First byte of every stream.
const STREAM_VERSION: u8 = 0x01;

/// Sees that these are the first bytes of a stream that this version reads.
pub(crate) fn check_stream_header(bytes: &[u8]) -> Result<(), StreamHeaderError> {
    match bytes.first() {
        _ if bytes == STREAM_HEADER => Ok(()),
        Some(&version) if version != STREAM_VERSION => Err(StreamHeaderError::UnsupportedVersion),
        _ => Err(StreamHeaderError::Malformed),
    }
}

/// Why bytes do not begin a stream. Each caller turns this into its own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamHeaderError {
    UnsupportedVersion,
    Malformed,
}

/// The cipher's key. Header and context went into it, so every tag answers for them. As associated data
/// they would cost a tenth of the speed: they would push the text off the boundary of four blocks that
/// vectorized Poly1305 works on.
struct ChunkKey(Secret32);

impl ChunkKey {
    fn new(key: &Secret32, label: &[u8], context: &[u8]) -> Self {
        let key = hkdf_sha256::<32>(&SALT, key.as_bytes(), &[label, &STREAM_HEADER, context]);
        Self(Secret32::copy_from(&key))
    }

    fn seal(&self, place: Place, text: &mut [u8]) -> Result<[u8; TAG_LEN], ChunkError> {
        place.check(text.len())?;
        seal_in_place(self.0.as_bytes(), &place.nonce(), &[], text).map_err(|_| ChunkError)
    }
}

/// HKDF salt: as many zeros as SHA-256 has output bytes.
const SALT: [u8; 32] = [0; 32];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    const LABEL: &[u8] = b"label";

    fn key() -> Secret32 {
        Secret32::copy_from(&[0x5e; 32])
    }

    /// The sealed chunks of a text.
    fn seal(text: &[u8], label: &[u8], context: &[u8]) -> Vec<Vec<u8>> {
        let mut sealer = ChunkSealer::new(&key(), label, context);
        let mut chunks: Vec<Vec<u8>> = text.chunks(CHUNK_LEN).map(<[u8]>::to_vec).collect();
        let mut last = chunks.pop().unwrap_or_default();
        for chunk in &mut chunks {
            let tag = sealer.seal(chunk).unwrap();
            chunk.extend_from_slice(&tag);
        }
        let tag = sealer.seal_last(&mut last).unwrap();
        last.extend_from_slice(&tag);
        chunks.push(last);
        chunks
    }

    #[test]
    fn a_chunk_opens_in_its_place_only() {
        let text: Vec<u8> = (0..3 * CHUNK_LEN).map(|i| (i / 251) as u8).collect();
        let chunks = seal(&text, LABEL, b"context");
        let opener = ChunkOpener::new(&key(), LABEL, b"context");
        let own_places = [Place::Before(0), Place::Before(1), Place::Last(2)];
        for (chunk, own) in chunks.iter().zip(own_places) {
            for place in (0..4).flat_map(|index| [Place::Before(index), Place::Last(index)]) {
                let mut copy = chunk.clone();
                assert_eq!(opener.open(place, &mut copy).is_ok(), place == own, "{place:?}");
                assert!(
                    place == own || &copy == chunk,
                    "a refused chunk is left as it was"
                );
            }
        }
    }

    #[test]
    fn a_chunk_opens_under_its_key_label_and_context_only() {
        let chunks = seal(b"words", LABEL, b"context");
        let opens = |key: &Secret32, label: &[u8], context: &[u8]| {
            let mut chunk = chunks[0].clone();
            ChunkOpener::new(key, label, context)
                .open(Place::Last(0), &mut chunk)
                .is_ok()
        };
        assert!(opens(&key(), LABEL, b"context"));
        assert!(!opens(&Secret32::copy_from(&[0x5f; 32]), LABEL, b"context"));
        assert!(!opens(&key(), b"other", b"context"));
        assert!(!opens(&key(), LABEL, b""));
    }

    #[test]
    fn a_stream_has_one_division_into_chunks() {
        let sealer = || ChunkSealer::new(&key(), LABEL, b"");
        let mut text = vec![0; CHUNK_LEN + 1];
        assert_eq!(sealer().seal(&mut text), Err(ChunkError));
        assert_eq!(sealer().seal(&mut text[..CHUNK_LEN - 1]), Err(ChunkError));
        assert_eq!(sealer().seal_last(&mut text), Err(ChunkError));
        assert!(
            sealer().seal_last(&mut []).is_ok(),
            "an empty stream is one empty chunk"
        );
        let mut begun = sealer();
        begun.seal(&mut text[..CHUNK_LEN]).unwrap();
        assert_eq!(begun.seal_last(&mut []), Err(ChunkError));
        // One that another implementation sealed all the same.
        let key = ChunkKey::new(&key(), LABEL, b"");
        let place = Place::Last(1);
        let mut tag = seal_in_place(key.0.as_bytes(), &place.nonce(), &[], &mut []).unwrap();
        let opener = ChunkOpener(key);
        assert_eq!(opener.open(place, &mut tag), Err(ChunkError));
        assert_eq!(opener.open(place, &mut [0; 15]), Err(ChunkError));
    }

    #[test]
    fn a_nonce_is_the_index_and_whether_it_is_the_last() {
        assert_eq!(Place::Before(0).nonce(), [0; 12]);
        assert_eq!(
            Place::Before(0x0102_0304_0506_0708).nonce(),
            [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0]
        );
        assert_eq!(Place::Last(1).nonce(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn a_stream_begins_with_its_version_and_the_length_of_a_chunk() {
        assert_eq!(STREAM_HEADER, [1, 0, 1, 0, 0]);
        assert_eq!(check_stream_header(&STREAM_HEADER), Ok(()));
        let newer = check_stream_header(&[2, 0, 1, 0, 0]);
        assert_eq!(newer, Err(StreamHeaderError::UnsupportedVersion));
        for other in [
            &[][..],
            &[1],
            &[1, 0, 1, 0],
            &[1, 0, 1, 0, 1],
            &[1, 0, 1, 0, 0, 0],
        ] {
            assert_eq!(check_stream_header(other), Err(StreamHeaderError::Malformed));
        }
    }
}
