//! What the fuzzer starts from: an input of each kind, so that it need not guess them.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::people::people;
use crate::two_parties::{Pair, To};

/// A file below `seeds`: target, name, contents.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// The seeds that depend on the formats of this version. `cargo run -p sottovoce-fuzz --example seeds`
/// writes them; a test sees to it that they are the ones on disk.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let mut all = Vec::new();
    messages(&mut all);
    states(&mut all);
    prekeys(&mut all);
    all.extend([
        ("two_parties", "conversation", conversation(0)),
        ("two_parties", "conversation_x3dh", conversation(3)),
        ("two_parties", "damage", damage()),
        ("two_parties", "lost_and_late", lost_and_late()),
        (
            "two_parties",
            "healing_by_count",
            vec![4, 4, 24, 0, 3, 3, 0, 5, 0, 3, 1, 1, 3, 3, 1, 5, 0, 4, 3],
        ),
        ("two_parties", "healing_by_age", healing_by_age()),
    ]);
    all
}

fn messages(all: &mut Vec<Seed>) {
    let target = "session_message";
    all.push((target, "initial", Pair::new(0).lost(To::Bob, 5)));
    all.push((target, "initial_x3dh", Pair::new(1).lost(To::Bob, 5)));
    let mut pair = Pair::established(0);
    all.push((target, "ratchet", pair.lost(To::Bob, 300)));
    let mut pair = Pair::established(0);
    pair.wait(8 * 24);
    all.push((target, "kem_offer", pair.lost(To::Bob, 5)));
    let mut pair = awaiting_answer();
    all.push((target, "kem_answer", pair.lost(To::Alice, 5)));
}

fn states(all: &mut Vec<Seed>) {
    for (seed, name) in [(0, "opening"), (1, "opening_x3dh")] {
        let mut pair = Pair::new(seed);
        pair.lost(To::Bob, 5);
        all.push(("state", name, pair.states().remove(0)));
    }
    for (seed, names) in [
        (0, ["following", "leading"]),
        (1, ["following_x3dh", "leading_x3dh"]),
    ] {
        let states = Pair::established(seed).states();
        all.extend(
            names
                .into_iter()
                .zip(states)
                .map(|(name, state)| ("state", name, state)),
        );
    }
    let mut pair = Pair::established(0);
    pair.lost(To::Alice, 5);
    pair.lost(To::Alice, 5);
    pair.round_trip();
    all.push(("state", "following_with_skipped_keys", pair.state(To::Alice)));
    let pair = awaiting_answer();
    all.push(("state", "leading_with_kem_offer", pair.state(To::Alice)));
    all.push(("state", "following_with_kem_offer", pair.state(To::Bob)));
    let mut pair = awaiting_answer();
    pair.lost(To::Alice, 5);
    all.push(("state", "leading_with_kem_answer", pair.state(To::Bob)));
}

/// Bob has Alice's KEM key, and has not answered.
fn awaiting_answer() -> Pair {
    let mut pair = Pair::established(0);
    pair.wait(8 * 24);
    pair.one_way(To::Bob);
    pair
}

fn prekeys(all: &mut Vec<Seed>) {
    let (_, bob) = people(&mut ChaCha20Rng::from_seed([1; 32]), 1_800_000_000_000);
    let [last_resort, one_time] = &bob.kem_prekeys;
    all.extend([
        ("state", "signed_prekey", bob.signed_prekey.to_bytes().to_vec()),
        (
            "state",
            "one_time_prekey",
            bob.one_time_prekey.to_bytes().to_vec(),
        ),
        ("state", "kem_prekey", one_time.to_bytes().to_vec()),
        (
            "statement",
            "signed_prekey",
            bob.signed_prekey.statement().statement_bytes().to_vec(),
        ),
        (
            "statement",
            "kem_prekey_last_resort",
            last_resort.statement().statement_bytes().to_vec(),
        ),
        (
            "statement",
            "kem_prekey_one_time",
            one_time.statement().statement_bytes().to_vec(),
        ),
    ]);
}

/// Both write, in turns and more at a time, and everything arrives.
fn conversation(seed: u8) -> Vec<u8> {
    let steps = [
        [0, 4],
        [5, 0],
        [1, 2],
        [1, 90],
        [5, 0],
        [5, 0],
        [0, 255],
        [1, 1],
        [5, 1],
        [5, 0],
        [3, 0],
        [3, 1],
        [4, 2],
    ];
    [seed].into_iter().chain(steps.into_iter().flatten()).collect()
}

/// Copies arrive damaged, then whole, then again.
fn damage() -> Vec<u8> {
    let mut input = vec![0];
    for position in 0..12 {
        input.extend([
            0,
            9,
            7 + 8 * position,
            position,
            6,
            0,
            1,
            9,
            7 + 8 * position,
            1,
            5,
            0,
        ]);
    }
    input
}

/// Messages overtake each other, over several chains and through storage.
fn lost_and_late() -> Vec<u8> {
    let steps = [
        [0, 1],
        [0, 2],
        [0, 3],
        [5, 2],
        [1, 1],
        [1, 2],
        [5, 3],
        [0, 4],
        [3, 0],
        [3, 1],
        [5, 4],
        [2, 24],
        [5, 0],
        [5, 0],
        [5, 0],
        [5, 0],
    ];
    [2].into_iter().chain(steps.into_iter().flatten()).collect()
}

/// An exchange falls due by age while messages of the chains before it are still under way.
fn healing_by_age() -> Vec<u8> {
    let steps = [
        [4, 1],
        [1, 1],
        [1, 2],
        [5, 1],
        [2, 168],
        [0, 1],
        [0, 2],
        [3, 0],
        [3, 1],
        [5, 1],
        [1, 3],
        [1, 4],
        [5, 3],
        [5, 1],
        [0, 5],
        [2, 100],
        [5, 0],
        [5, 0],
        [4, 3],
    ];
    [0].into_iter().chain(steps.into_iter().flatten()).collect()
}
