//! Messages of a session both sides know. Ours pads to a bucket (here the 1 KiB one) and Olm to a cipher block;
//! ours runs ChaCha20-Poly1305, Olm AES-256-CBC and HMAC-SHA-256.

use sottovoce_benches::{medians, rounds, timed};

use crate::row::Row;
use crate::{olm, ours};

/// One message after another in the same chain.
pub(crate) fn encrypt() -> Row {
    let rng = &mut ours::rng();
    let (mut alice, _bob) = ours::established(rng);
    let (mut olm_alice, _olm_bob) = olm::established();
    let sizes = (
        ours::sizes(&ours::send(&mut alice, rng), &alice),
        olm::sizes(&olm::send(&mut olm_alice), &olm_alice),
    );
    Row {
        name: "session_encrypt",
        medians_ns: medians(
            rounds(10_000),
            || timed(|| ours::send(&mut alice, rng)).0,
            || timed(|| olm::send(&mut olm_alice)).0,
        ),
        mark: 0.30,
        ours: sizes.0,
        peer: sizes.1,
    }
}

/// The same messages, in the order they were sent. Even would be 1.00, and the mark leaves room above it: of
/// what a message takes, three parts in five are ChaCha20-Poly1305, and half of that is before its first byte;
/// the peer's AES is one instruction a round. Compiled for x86-64-v3 the row is at 0.8.
pub(crate) fn decrypt() -> Row {
    let rng = &mut ours::rng();
    let (mut alice, mut bob) = ours::established(rng);
    let (mut olm_alice, mut olm_bob) = olm::established();
    let (first, olm_first) = (ours::send(&mut alice, rng), olm::send(&mut olm_alice));
    ours::receive(&mut bob, &first);
    olm::receive(&mut olm_bob, &olm_first);
    let sizes = (ours::sizes(&first, &bob), olm::sizes(&olm_first, &olm_bob));
    Row {
        name: "session_decrypt",
        medians_ns: medians(
            rounds(10_000),
            || {
                let message = ours::send(&mut alice, rng);
                timed(|| ours::receive(&mut bob, &message)).0
            },
            || {
                let message = olm::send(&mut olm_alice);
                timed(|| olm::receive(&mut olm_bob, &message)).0
            },
        ),
        mark: 1.50,
        ours: sizes.0,
        peer: sizes.1,
    }
}

/// A message each way, encrypted and decrypted, with a Diffie-Hellman step for each. Even by nature: four X25519
/// and two new keys, the same code on both sides, are nineteen parts in twenty. Compiled for x86-64-v3 the row is
/// at 0.97.
pub(crate) fn ping_pong() -> Row {
    let rng = &mut ours::rng();
    let (mut alice, mut bob) = ours::established(rng);
    let (mut olm_alice, mut olm_bob) = olm::established();
    let (ping, olm_ping) = (ours::send(&mut alice, rng), olm::send(&mut olm_alice));
    ours::receive(&mut bob, &ping);
    olm::receive(&mut olm_bob, &olm_ping);
    let sizes = (ours::sizes(&ping, &bob), olm::sizes(&olm_ping, &olm_bob));
    Row {
        name: "ping_pong",
        medians_ns: medians(
            rounds(2_000),
            || {
                timed(|| {
                    let pong = ours::send(&mut bob, rng);
                    ours::receive(&mut alice, &pong);
                    let ping = ours::send(&mut alice, rng);
                    ours::receive(&mut bob, &ping)
                })
                .0
            },
            || {
                timed(|| {
                    let pong = olm::send(&mut olm_bob);
                    olm::receive(&mut olm_alice, &pong);
                    let ping = olm::send(&mut olm_alice);
                    olm::receive(&mut olm_bob, &ping)
                })
                .0
            },
        ),
        mark: 1.00,
        ours: sizes.0,
        peer: sizes.1,
    }
}
