//! The watch itself: it finds what it should.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

use std::hint::black_box;

use sottovoce_erasure::{Findings, Secrets, WatchingAllocator, watch};
use zeroize::Zeroizing;

#[global_allocator]
static ALLOCATOR: WatchingAllocator = WatchingAllocator;

/// Thirty-two bytes that nothing else has.
const SECRET: [u8; 32] =
    *b"W\x8a\x01\xe9\x55kP\xd2~3\x90\xc1\x12\xfe\x08z\xa7\xb6&\x44\x9d\xf3\x5e\x0c\x81\xd9mT\x2f\xe0\x17\xbb";

fn watched(action: impl FnOnce()) -> Findings {
    let mut secrets = Secrets::default();
    secrets.add("the secret", &SECRET);
    watch(secrets, action)
}

#[test]
fn a_secret_in_freed_memory_is_found_wherever_it_stands() {
    for offset in 0..24 {
        for (from, length) in [(0, 32), (0, 16), (16, 16), (7, 16), (3, 29)] {
            let findings = watched(|| {
                let mut block = vec![0xff; 64];
                block[offset..offset + length].copy_from_slice(&SECRET[from..from + length]);
                drop(black_box(block));
            });
            let (found, stack) = &findings.found[0];
            assert_eq!(found.name, "the secret");
            assert_eq!((found.position, found.length, found.block), (offset, length, 64));
            assert!(stack.contains("wherever_it_stands"), "{stack}");
        }
    }
}

#[test]
fn less_than_half_a_key_is_not_taken_for_one() {
    let findings = watched(|| drop(black_box(SECRET[..15].to_vec())));
    assert!(findings.found.is_empty() && findings.blocks > 0);
}

#[test]
fn a_copy_left_behind_by_growth_is_found() {
    let findings = watched(|| {
        let mut growing = Zeroizing::new(SECRET.to_vec());
        growing.push(1);
        black_box(&growing);
    });
    assert_eq!(findings.found.len(), 1);
}

#[test]
fn an_erased_secret_is_not_found() {
    let findings = watched(|| drop(black_box(Zeroizing::new(SECRET.to_vec()))));
    assert!(findings.found.is_empty() && findings.blocks > 0);
    assert_eq!(findings.largest_used, 0);
}

#[test]
fn nothing_is_watched_before_and_after() {
    drop(black_box(SECRET.to_vec()));
    let findings = watched(|| {});
    drop(black_box(SECRET.to_vec()));
    assert!(findings.found.is_empty() && findings.blocks == 0);
}
