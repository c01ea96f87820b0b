//! Padding to size buckets, so that a ciphertext tells little of how long the message was.
//!
//! A padded plaintext is a 4-byte length, the plaintext, and zeros up to the next bucket. Buckets are
//! powers of two: short messages, reactions and receipts look alike, and above the smallest bucket
//! padding at most doubles a message.

use alloc::vec::Vec;

use zeroize::{Zeroize, Zeroizing};

use crate::codec::{Reader, Write};

/// Longest plaintext, in bytes: 64 KiB. Longer content travels as an attachment.
pub const MAX_PLAINTEXT_LEN: usize = 65_536;

/// Smallest bucket, in bytes: holds a sentence with its metadata, and every receipt and reaction.
pub const MIN_BUCKET_LEN: usize = 256;

/// Bytes of the length before the plaintext.
const LENGTH_LEN: usize = 4;

/// How long a plaintext is once padded, or `None` if it is longer than [`MAX_PLAINTEXT_LEN`].
pub(crate) fn padded_len(plaintext: &[u8]) -> Option<usize> {
    bucket_for(plaintext.len()).map(|bucket| LENGTH_LEN + bucket)
}

/// Appends the padded plaintext. `None`, and nothing appended, if it is longer than
/// [`MAX_PLAINTEXT_LEN`]. The caller has made room, so that no growth leaves a copy behind.
pub(crate) fn pad_onto(bytes: &mut Vec<u8>, plaintext: &[u8]) -> Option<()> {
    let padded_len = padded_len(plaintext)?;
    let length = u32::try_from(plaintext.len()).ok()?;
    let end = bytes.len() + padded_len;
    bytes.put_u32(length);
    bytes.put(plaintext);
    bytes.resize(end, 0);
    Some(())
}

/// Takes the padding off again where it stands, or `None` if it is not exactly what [`pad_onto`] writes.
pub(crate) fn unpad(mut padded: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    let mut reader = Reader::new(&padded);
    let length = usize::try_from(reader.u32().ok()?).ok()?;
    reader.bytes(length).ok()?;
    let padding = reader.rest();
    let canonical =
        bucket_for(length)? == length + padding.len() && padding.iter().fold(0, |all, byte| all | byte) == 0;
    if !canonical {
        return None;
    }
    let end = LENGTH_LEN + length;
    padded.copy_within(LENGTH_LEN..end, 0);
    // The last bytes stand there twice; truncating alone would leave them.
    if let Some(rest) = padded.get_mut(length..) {
        rest.zeroize();
    }
    padded.truncate(length);
    Some(padded)
}

/// Whether a padded plaintext can have this length.
pub(crate) fn is_padded_len(length: usize) -> bool {
    length
        .checked_sub(LENGTH_LEN)
        .is_some_and(|bucket| bucket_for(bucket) == Some(bucket))
}

fn bucket_for(length: usize) -> Option<usize> {
    (length <= MAX_PLAINTEXT_LEN).then(|| length.next_power_of_two().max(MIN_BUCKET_LEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pad(plaintext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut padded = Zeroizing::new(Vec::new());
        pad_onto(&mut padded, plaintext).map(|()| padded)
    }
    use alloc::vec;

    #[test]
    fn every_length_pads_to_a_bucket_and_back() {
        for length in (0..600).chain([1023, 1024, 1025, 65_535, 65_536]) {
            let plaintext = vec![0x5a; length];
            let padded = pad(&plaintext).unwrap();
            let bucket = padded.len() - LENGTH_LEN;
            assert!(bucket.is_power_of_two() && (256..=65_536).contains(&bucket) && bucket >= length);
            assert!(
                bucket == 256 || bucket / 2 < length,
                "the smallest bucket that fits"
            );
            assert!(is_padded_len(padded.len()));
            assert_eq!(*unpad(padded.clone()).unwrap(), plaintext);
        }
    }

    #[test]
    fn a_plaintext_over_the_limit_is_refused() {
        assert!(pad(&vec![0; MAX_PLAINTEXT_LEN + 1]).is_none());
    }

    #[test]
    fn padding_has_one_form() {
        let mut dirty = pad(b"word").unwrap();
        *dirty.last_mut().unwrap() = 1;
        assert!(unpad(dirty).is_none(), "padding is zeros");

        let mut longer = pad(b"word").unwrap();
        longer.resize(LENGTH_LEN + 512, 0);
        assert!(unpad(longer).is_none(), "the smallest bucket that fits");

        let mut beyond = pad(b"word").unwrap();
        beyond[..4].copy_from_slice(&257_u32.to_be_bytes());
        assert!(unpad(beyond.clone()).is_none(), "the length lies within");
        beyond[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(unpad(beyond.clone()).is_none());

        assert!(unpad(Zeroizing::new(vec![])).is_none());
        assert!(unpad(Zeroizing::new(vec![0; 4])).is_none());
        assert!(!is_padded_len(0) && !is_padded_len(4) && !is_padded_len(259) && !is_padded_len(131_076));
    }
}
