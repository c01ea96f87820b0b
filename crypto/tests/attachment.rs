//! Attachments from the outside: what comes back, what is refused, and the bytes in between.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use sottovoce_crypto::{
    ATTACHMENT_CHUNK_LEN, ATTACHMENT_HEADER_LEN, AttachmentOpenError, AttachmentOpener, AttachmentPointer,
    AttachmentPointerError, AttachmentSealError, AttachmentSealer, MAX_ATTACHMENT_LEN,
    SEALED_ATTACHMENT_CHUNK_LEN, open_attachment, seal_attachment,
};

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// Seals chunk by chunk in one buffer.
fn streamed(seed: u8, content: &[u8]) -> (Vec<u8>, AttachmentPointer) {
    let mut sealer = AttachmentSealer::new(&mut rng(seed), content.len() as u64).unwrap();
    let mut sealed = sealer.header().to_vec();
    // Whatever the buffer held before must not show.
    let mut buffer = vec![0xee; SEALED_ATTACHMENT_CHUNK_LEN];
    let mut rest = content;
    while let Some(length) = sealer.next_content_len() {
        let (taken, after) = rest.split_at(length);
        buffer[..length].copy_from_slice(taken);
        sealed.extend_from_slice(sealer.seal_next(&mut buffer).unwrap());
        rest = after;
    }
    (sealed, sealer.finish().unwrap())
}

/// Opens chunk by chunk.
fn opened(pointer: &AttachmentPointer, stored: &[u8]) -> Result<Vec<u8>, AttachmentOpenError> {
    let (header, mut rest) = stored.split_at_checked(ATTACHMENT_HEADER_LEN).unwrap_or_default();
    let mut opener = AttachmentOpener::new(pointer, stored.len() as u64, header)?;
    let mut content = Vec::new();
    while let Some(length) = opener.next_sealed_len() {
        let (chunk, after) = rest.split_at(length);
        content.extend_from_slice(opener.open_next(&mut chunk.to_vec())?);
        rest = after;
    }
    opener.finish().map(|()| content)
}

fn refused(pointer: &AttachmentPointer, stored: &[u8]) {
    assert!(opened(pointer, stored).is_err());
    assert!(open_attachment(pointer, stored).is_err());
}

#[test]
fn an_attachment_comes_back_whatever_its_length() {
    for length in [
        0, 1, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 131_072, 300_000,
    ] {
        let content = content(length);
        let (sealed, pointer) = streamed(1, &content);
        assert_eq!(pointer.content_len(), length as u64);
        assert_eq!(pointer.sealed_len(), sealed.len() as u64);
        assert_eq!(opened(&pointer, &sealed).unwrap(), content, "{length} bytes");
        assert_eq!(*open_attachment(&pointer, &sealed).unwrap(), content);
        let (at_once, same_pointer) = seal_attachment(&mut rng(1), &content).unwrap();
        assert!(
            at_once == sealed && same_pointer == pointer,
            "one stream, one encoding"
        );
    }
}

#[test]
fn the_bytes_of_an_attachment_do_not_change() {
    let (sealed, pointer) = streamed(7, &content(70_000));
    assert_eq!(sealed[..ATTACHMENT_HEADER_LEN], [1, 0, 1, 0, 0]);
    assert_eq!(
        hex::encode(Sha256::digest(&sealed)),
        "83ff3e50010d9178a47e6e34c38096655a5aace4d354703457d01e191a526d45"
    );
    assert_eq!(
        hex::encode(pointer.to_bytes()),
        "01f400927857aaf64114f561baacb379708c79a1dc1476ab573216a4020764bde500000000000111700000000000011825"
    );
}

#[test]
fn any_chunk_opens_by_itself() {
    let content = content(200_000);
    let (sealed, pointer) = streamed(2, &content);
    let header = &sealed[..ATTACHMENT_HEADER_LEN];
    let opener = AttachmentOpener::new(&pointer, sealed.len() as u64, header).unwrap();
    for index in (0..pointer.chunk_count()).rev() {
        let range = pointer.sealed_chunk(index).unwrap();
        let mut chunk = sealed[range.start as usize..range.end as usize].to_vec();
        let start = index as usize * ATTACHMENT_CHUNK_LEN;
        let end = content.len().min(start + ATTACHMENT_CHUNK_LEN);
        assert_eq!(
            opener.open_chunk(index, &mut chunk).unwrap(),
            &content[start..end]
        );
    }
    assert_eq!(pointer.sealed_chunk(pointer.chunk_count()), None);
    assert!(opener.open_chunk(pointer.chunk_count(), &mut [0; 16]).is_err());
}

#[test]
fn an_attachment_cut_short_or_lengthened_is_refused() {
    let (sealed, pointer) = streamed(3, &content(5_000));
    for length in 0..sealed.len() {
        refused(&pointer, &sealed[..length]);
    }
    refused(&pointer, &[sealed.as_slice(), &[0]].concat());

    // A store that lies about the length is found out where the end is missing.
    let opener = AttachmentOpener::new(&pointer, sealed.len() as u64, &sealed[..5]).unwrap();
    assert_eq!(opener.finish(), Err(AttachmentOpenError::Refused));
    let (sealed, pointer) = streamed(3, &content(100_000));
    let mut opener = AttachmentOpener::new(&pointer, sealed.len() as u64, &sealed[..5]).unwrap();
    let end = 5 + SEALED_ATTACHMENT_CHUNK_LEN;
    opener.open_next(&mut sealed[5..end].to_vec()).unwrap();
    assert!(
        opener
            .open_next(&mut sealed[end..sealed.len() - 1].to_vec())
            .is_err()
    );
    assert!(
        opener
            .open_next(&mut [sealed[end..].to_vec(), vec![0]].concat())
            .is_err()
    );
    opener.open_next(&mut sealed[end..].to_vec()).unwrap();
    assert!(
        opener.open_next(&mut [0; 100]).is_err(),
        "nothing follows the last chunk"
    );
    opener.finish().unwrap();
}

#[test]
fn chunks_out_of_order_or_of_another_attachment_are_refused() {
    // Twice as long as a chunk, so that the chunks are equally long.
    let (sealed, pointer) = streamed(4, &content(131_072));
    let (other, other_pointer) = streamed(5, &content(131_072));
    let end = ATTACHMENT_HEADER_LEN + SEALED_ATTACHMENT_CHUNK_LEN;
    let (header, first, second) = (&sealed[..5], &sealed[5..end], &sealed[end..]);
    let joined = |a: &[u8], b: &[u8]| [header, a, b].concat();
    assert!(opened(&pointer, &joined(first, second)).is_ok());
    refused(&pointer, &joined(second, first));
    refused(&pointer, &joined(first, first));
    refused(&pointer, &joined(second, second));
    refused(&pointer, &joined(first, &other[end..]));
    refused(&pointer, &joined(&other[5..end], second));
    refused(&pointer, &other);
    refused(&other_pointer, &sealed);
}

#[test]
fn every_bit_of_an_attachment_is_authenticated() {
    let (sealed, pointer) = streamed(6, &content(600));
    for position in 0..sealed.len() {
        for bit in 0..8 {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1 << bit;
            refused(&pointer, &damaged);
        }
    }
    let mut newer = sealed;
    newer[0] = 2;
    assert_eq!(
        opened(&pointer, &newer),
        Err(AttachmentOpenError::UnsupportedVersion)
    );
}

#[test]
fn the_true_length_is_authenticated_with_every_chunk() {
    let (sealed, pointer) = streamed(8, &content(100_000));
    let mut bytes = pointer.to_bytes().to_vec();
    // The same sealed length, and so the same chunks, but one byte of content less.
    bytes[33..41].copy_from_slice(&99_999_u64.to_be_bytes());
    let shorter = AttachmentPointer::from_bytes(&bytes).unwrap();
    assert_eq!(shorter.sealed_len(), pointer.sealed_len());
    let opener = AttachmentOpener::new(&shorter, sealed.len() as u64, &sealed[..5]).unwrap();
    for index in 0..shorter.chunk_count() {
        let range = shorter.sealed_chunk(index).unwrap();
        let mut chunk = sealed[range.start as usize..range.end as usize].to_vec();
        assert!(opener.open_chunk(index, &mut chunk).is_err());
    }
}

#[test]
fn attachments_of_like_lengths_are_equally_long() {
    let sealed_len = |length: usize| streamed(9, &content(length)).0.len();
    assert_eq!(sealed_len(0), sealed_len(4_096));
    assert_eq!(sealed_len(0), 5 + 4_096 + 16);
    assert_eq!(sealed_len(100_000), sealed_len(99_000));
}

#[test]
fn a_refused_chunk_is_left_as_it_was_and_still_opens() {
    let (sealed, pointer) = streamed(10, &content(100));
    let mut opener = AttachmentOpener::new(&pointer, sealed.len() as u64, &sealed[..5]).unwrap();
    let mut damaged = sealed[5..].to_vec();
    damaged[50] ^= 1;
    let before = damaged.clone();
    assert!(opener.open_next(&mut damaged).is_err());
    assert_eq!(damaged, before);
    damaged[50] ^= 1;
    assert_eq!(opener.open_next(&mut damaged).unwrap(), content(100));
    opener.finish().unwrap();
}

#[test]
fn an_attachment_over_the_limit_is_refused() {
    let rng = &mut rng(11);
    let largest = AttachmentSealer::new(rng, MAX_ATTACHMENT_LEN).unwrap();
    assert_eq!(largest.sealed_len(), 5 + MAX_ATTACHMENT_LEN + 16 * 65_536);
    let larger = AttachmentSealer::new(rng, MAX_ATTACHMENT_LEN + 1);
    assert_eq!(larger.unwrap_err(), AttachmentSealError::TooLong);
}

#[test]
fn a_sealer_gives_no_pointer_to_half_an_attachment() {
    let rng = &mut rng(12);
    let mut sealer = AttachmentSealer::new(rng, 70_000).unwrap();
    let mut buffer = vec![0; SEALED_ATTACHMENT_CHUNK_LEN];
    let short = SEALED_ATTACHMENT_CHUNK_LEN - 1;
    assert_eq!(
        sealer.seal_next(&mut buffer[..short]),
        Err(AttachmentSealError::ShortBuffer)
    );
    sealer.seal_next(&mut buffer).unwrap();
    assert_eq!(sealer.next_content_len(), Some(70_000 - 65_536));
    sealer.seal_next(&mut buffer).unwrap();
    assert_eq!(sealer.next_content_len(), None);
    assert_eq!(sealer.seal_next(&mut buffer), Err(AttachmentSealError::Complete));
    assert!(sealer.finish().is_ok());

    let mut cut_off = AttachmentSealer::new(rng, 70_000).unwrap();
    cut_off.seal_next(&mut buffer).unwrap();
    assert_eq!(cut_off.finish().unwrap_err(), AttachmentSealError::Incomplete);
}

#[test]
fn a_pointer_has_one_encoding() {
    let (_, pointer) = streamed(13, &content(5_000));
    let bytes = pointer.to_bytes();
    assert_eq!(bytes.len(), AttachmentPointer::LEN);
    assert_eq!(AttachmentPointer::from_bytes(&bytes).unwrap(), pointer);
    for length in 0..bytes.len() {
        let cut = AttachmentPointer::from_bytes(&bytes[..length]);
        assert_eq!(cut, Err(AttachmentPointerError::Malformed));
    }
    let longer = AttachmentPointer::from_bytes(&[bytes.as_slice(), &[0]].concat());
    assert_eq!(longer, Err(AttachmentPointerError::Malformed));
    let with = |position: usize, field: &[u8]| {
        let mut changed = bytes.to_vec();
        changed[position..position + field.len()].copy_from_slice(field);
        AttachmentPointer::from_bytes(&changed).map(|_| ())
    };
    assert_eq!(with(0, &[2]), Err(AttachmentPointerError::UnsupportedVersion));
    let malformed = Err(AttachmentPointerError::Malformed);
    assert_eq!(
        with(33, &6_000_u64.to_be_bytes()),
        malformed,
        "lengths that do not belong together"
    );
    assert_eq!(with(41, &(pointer.sealed_len() + 1).to_be_bytes()), malformed);
    assert_eq!(with(33, &(MAX_ATTACHMENT_LEN + 1).to_be_bytes()), malformed);
    assert_eq!(with(33, &[0xff; 16]), malformed);
}

#[test]
fn attachments_print_no_secret() {
    let (sealed, pointer) = streamed(14, b"words");
    assert_eq!(format!("{pointer:?}"), "AttachmentPointer([redacted])");
    let opener = AttachmentOpener::new(&pointer, sealed.len() as u64, &sealed[..5]).unwrap();
    assert_eq!(format!("{opener:?}"), "AttachmentOpener([redacted])");
    let sealer = AttachmentSealer::new(&mut rng(14), 5).unwrap();
    assert_eq!(format!("{sealer:?}"), "AttachmentSealer([redacted])");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_sealed_opens_and_no_damaged_byte_does(
        length in 0..150_000_usize,
        seed: u8,
        position: proptest::sample::Index,
        mask in 1..=u8::MAX,
    ) {
        let content = content(length);
        let (sealed, pointer) = streamed(seed, &content);
        prop_assert_eq!(opened(&pointer, &sealed).unwrap(), content);
        let mut damaged = sealed.clone();
        damaged[position.index(sealed.len())] ^= mask;
        refused(&pointer, &damaged);
        let padded = sealed.len() - 5 - 16 * pointer.chunk_count() as usize;
        prop_assert!(padded >= 4_096 && (length <= 4_096 || padded - length <= length / 16));
    }

    #[test]
    fn no_bytes_make_reading_an_attachment_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..5_000),
        pointer in proptest::collection::vec(any::<u8>(), 0..60),
        length in 0..5_000_u64,
        index: u64,
    ) {
        let _ = AttachmentPointer::from_bytes(&pointer);
        let _ = AttachmentPointer::from_bytes(&[&[1], pointer.as_slice()].concat());
        let (_, pointer) = streamed(15, &content(length as usize));
        refused(&pointer, &bytes);
        let opener = AttachmentOpener::new(&pointer, pointer.sealed_len(), &[1, 0, 1, 0, 0]).unwrap();
        prop_assert!(opener.open_chunk(index, &mut bytes.clone()).is_err());
    }
}
