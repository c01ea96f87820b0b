//! From nothing to a first message, and from a first message to a session. Ours is X3DH with a one-time prekey
//! and the ratchet's first step, five Diffie-Hellmans a side; Olm's is 3DH and no step, three.
//!
//! The rows that end in `_pq` are post-quantum, by PQXDH, beside the same classical peer, for there is no other:
//! they have one more signature to verify, and an ML-KEM-768 encapsulation or decapsulation, from a seed, to
//! do.

use sottovoce_benches::{medians, rounds, timed};
use sottovoce_crypto::Suite;
use vodozemac::olm::Account;

use crate::row::Row;
use crate::{olm, ours};

/// The signatures over the peer's keys are verified, the session begun, its first message encrypted.
pub(crate) fn start(name: &'static str, suite: Suite, mark: f64) -> Row {
    let rng = &mut ours::rng();
    let (alice, bob) = ours::alice_and_bob(rng);
    let (olm_alice, mut olm_bob) = (Account::new(), Account::new());
    let key = olm::publish(&mut olm_bob);
    let (session, message) = alice.start(rng, suite, &bob);
    let (olm_session, olm_message) = olm::start(&olm_alice, &olm_bob, &key);
    Row {
        name,
        medians_ns: medians(
            rounds(2_000),
            || timed(|| alice.start(rng, suite, &bob)).0,
            || timed(|| olm::start(&olm_alice, &olm_bob, &key)).0,
        ),
        mark,
        ours: ours::sizes(&message, &session),
        peer: olm::sizes(&olm_message, &olm_session),
    }
}

/// The first message is decoded, its session taken up, and what it says decrypted.
pub(crate) fn accept(name: &'static str, suite: Suite, mark: f64) -> Row {
    let rng = &mut ours::rng();
    let (alice, bob) = ours::alice_and_bob(rng);
    let (olm_alice, mut olm_bob) = (Account::new(), Account::new());
    let (_, message) = alice.start(rng, suite, &bob);
    let (session, _) = bob.accept(&alice.party, &message);
    let key = olm::publish(&mut olm_bob);
    let (_, olm_message) = olm::start(&olm_alice, &olm_bob, &key);
    let (olm_session, _) = olm::accept(&mut olm_bob, olm_alice.curve25519_key(), &olm_message);
    Row {
        name,
        medians_ns: medians(
            rounds(2_000),
            || timed(|| bob.accept(&alice.party, &message)).0,
            || {
                // A one-time key serves once, so each round has its own.
                let key = olm::publish(&mut olm_bob);
                let (_, message) = olm::start(&olm_alice, &olm_bob, &key);
                timed(|| olm::accept(&mut olm_bob, olm_alice.curve25519_key(), &message)).0
            },
        ),
        mark,
        ours: ours::sizes(&message, &session),
        peer: olm::sizes(&olm_message, &olm_session),
    }
}
