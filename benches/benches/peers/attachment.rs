//! An attachment of 64 MiB, sealed and opened chunk by chunk where it lies. The peer is ChaCha20-Poly1305 and
//! nothing else, over the same bytes in the same chunks.

use std::time::Duration;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use sottovoce_benches::{is_full, medians, rounds, timed};
use sottovoce_crypto::{
    ATTACHMENT_CHUNK_LEN, ATTACHMENT_HEADER_LEN, AttachmentOpener, AttachmentPointer, AttachmentSealer,
    SEALED_ATTACHMENT_CHUNK_LEN,
};

use crate::ours;
use crate::row::{Row, Sizes};

const TAG_LEN: usize = SEALED_ATTACHMENT_CHUNK_LEN - ATTACHMENT_CHUNK_LEN;
/// Rounds are long, and each is the sum of a thousand chunks.
const ROUNDS: usize = 15;

/// What is timed begins with a key to draw and ends with a pointer to send.
pub(crate) fn seal() -> Row {
    let mut buffer = content();
    let (pointer, _) = seal_all(&mut buffer);
    let mut peers = content();
    row(
        "attachment_seal",
        &pointer,
        medians(
            rounds(ROUNDS),
            || seal_all(&mut buffer).1,
            || raw_seal(&mut peers),
        ),
    )
}

/// What is timed begins with a pointer, and ends with the knowledge that nothing is missing.
pub(crate) fn open() -> Row {
    let (mut ours, mut peers) = (content(), content());
    let (pointer, _) = seal_all(&mut ours);
    raw_seal(&mut peers);
    let (mut buffer, mut peers_buffer) = (ours.clone(), peers.clone());
    row(
        "attachment_open",
        &pointer,
        medians(
            rounds(ROUNDS),
            || {
                buffer.copy_from_slice(&ours);
                open_all(&pointer, &mut buffer)
            },
            || {
                peers_buffer.copy_from_slice(&peers);
                raw_open(&mut peers_buffer)
            },
        ),
    )
}

/// Chunks of content, each with room for its tag: 64 MiB, or 1 MiB when a run only wants to see that the
/// benchmark still works.
fn content() -> Vec<u8> {
    let chunks = if is_full() { 1_024 } else { 16 };
    vec![0x6d; chunks * SEALED_ATTACHMENT_CHUNK_LEN]
}

fn seal_all(buffer: &mut [u8]) -> (AttachmentPointer, Duration) {
    let mut rng = ours::rng();
    let content_len = buffer.len() / SEALED_ATTACHMENT_CHUNK_LEN * ATTACHMENT_CHUNK_LEN;
    let (time, pointer) = timed(|| {
        let mut sealer = AttachmentSealer::new(&mut rng, content_len as u64).unwrap();
        for chunk in buffer.chunks_mut(SEALED_ATTACHMENT_CHUNK_LEN) {
            sealer.seal_next(chunk).unwrap();
        }
        sealer.finish().unwrap()
    });
    (pointer, time)
}

fn open_all(pointer: &AttachmentPointer, buffer: &mut [u8]) -> Duration {
    let header = AttachmentSealer::new(&mut ours::rng(), 0).unwrap().header();
    timed(|| {
        let mut opener = AttachmentOpener::new(pointer, pointer.sealed_len(), &header).unwrap();
        for chunk in buffer.chunks_mut(SEALED_ATTACHMENT_CHUNK_LEN) {
            opener.open_next(chunk).unwrap();
        }
        opener.finish().unwrap();
    })
    .0
}

fn raw_seal(buffer: &mut [u8]) -> Duration {
    timed(|| {
        let cipher = ChaCha20Poly1305::new(&[4; 32].into());
        for (index, chunk) in buffer.chunks_mut(SEALED_ATTACHMENT_CHUNK_LEN).enumerate() {
            let (text, tag) = chunk.split_last_chunk_mut::<TAG_LEN>().unwrap();
            *tag = cipher
                .encrypt_inout_detached(&nonce(index), &[], text.into())
                .unwrap()
                .into();
        }
    })
    .0
}

fn raw_open(buffer: &mut [u8]) -> Duration {
    timed(|| {
        let cipher = ChaCha20Poly1305::new(&[4; 32].into());
        for (index, chunk) in buffer.chunks_mut(SEALED_ATTACHMENT_CHUNK_LEN).enumerate() {
            let (text, tag) = chunk.split_last_chunk_mut::<TAG_LEN>().unwrap();
            let tag = (&*tag).into();
            cipher
                .decrypt_inout_detached(&nonce(index), &[], text.into(), tag)
                .unwrap();
        }
    })
    .0
}

fn nonce(index: usize) -> Nonce {
    let [a, b, c, d, e, f, g, h] = (index as u64).to_be_bytes();
    [0, 0, 0, 0, a, b, c, d, e, f, g, h].into()
}

/// What is saved is what opens it: a pointer, and for the peer a key.
fn row(name: &'static str, pointer: &AttachmentPointer, medians_ns: (u128, u128)) -> Row {
    let wire = pointer.sealed_len() as usize;
    Row {
        name,
        medians_ns,
        mark: 1.10,
        ours: Sizes {
            wire,
            state: AttachmentPointer::LEN,
        },
        peer: Sizes {
            wire: wire - ATTACHMENT_HEADER_LEN,
            state: 32,
        },
    }
}
