//! Two parties on a link that drops, repeats, reorders and corrupts, against a model that says what each
//! message must come to.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{Device, NOW, SUITES, TURN, alice_and_bob, restored, rng, stored};
use proptest::prelude::*;
use proptest::sample::Index;
use rand_chacha::ChaCha20Rng;
use sottovoce_crypto::{MAX_HEALING_AGE_MS, Session, SessionMessage, Suite};

#[derive(Clone, Debug)]
enum Op {
    /// A side writes a message of some length; it joins those under way.
    Send { to_bob: bool, length: usize },
    /// A message under way arrives, whichever it is.
    Deliver(Index),
    /// One arrives, and stays under way: a duplicate to come.
    DeliverCopy(Index),
    /// One arrives damaged, and stays under way.
    DeliverDamaged(Index, Index, u8),
    /// One is lost.
    Drop(Index),
    /// A side goes to storage and back.
    Restore { bob: bool },
    /// Time passes, some hours at a time; two days of it in all, so that no skipped key expires.
    Wait { hours: u64 },
    /// The sessions' last KEM exchange becomes a week older, so that the next is due.
    Age,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any::<bool>(), 0..700_usize).prop_map(|(to_bob, length)| Op::Send { to_bob, length }),
        6 => any::<Index>().prop_map(Op::Deliver),
        2 => any::<Index>().prop_map(Op::DeliverCopy),
        2 => (any::<Index>(), any::<Index>(), 1..=u8::MAX).prop_map(|(m, p, x)| Op::DeliverDamaged(m, p, x)),
        1 => any::<Index>().prop_map(Op::Drop),
        2 => any::<bool>().prop_map(|bob| Op::Restore { bob }),
        1 => (0..2_u64).prop_map(|hours| Op::Wait { hours }),
        1 => Just(Op::Age),
    ]
}

struct InFlight {
    to_bob: bool,
    bytes: Vec<u8>,
    plaintext: Vec<u8>,
    /// Set once it has been decrypted: any further copy must be refused.
    read: bool,
}

struct World {
    rng: ChaCha20Rng,
    now_ms: u64,
    alice: Device,
    bob: Device,
    alices: Session,
    bobs: Option<Session>,
    link: Vec<InFlight>,
}

impl World {
    fn new(seed: u8, suite: Suite, one_time: bool) -> Self {
        let mut rng = rng(seed);
        let (alice, bob) = alice_and_bob(&mut rng);
        let alices = alice.begin(&mut rng, suite, &bob, one_time);
        Self {
            rng,
            now_ms: NOW,
            alice,
            bob,
            alices,
            bobs: None,
            link: Vec::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Send { to_bob, length } => self.send(*to_bob, *length),
            Op::Wait { hours } => self.now_ms += hours * 3_600_000,
            Op::Age => {
                self.alices = aged(&self.alices);
                self.bobs = self.bobs.as_ref().map(aged);
            }
            Op::Restore { bob: false } => self.alices = restored(&self.alices),
            Op::Restore { bob: true } => self.bobs = self.bobs.as_ref().map(restored),
            _ if self.link.is_empty() => {}
            Op::Deliver(which) => {
                let position = which.index(self.link.len());
                self.deliver(position);
                self.link.swap_remove(position);
            }
            Op::DeliverCopy(which) => self.deliver(which.index(self.link.len())),
            Op::DeliverDamaged(which, position, xor) => {
                let message = &self.link[which.index(self.link.len())];
                let mut bytes = message.bytes.clone();
                let position = position.index(bytes.len());
                bytes[position] ^= xor;
                let to_bob = message.to_bob;
                assert_eq!(self.arrive(to_bob, &bytes), None, "a damaged message is refused");
            }
            Op::Drop(which) => drop(self.link.swap_remove(which.index(self.link.len()))),
        }
    }

    fn send(&mut self, to_bob: bool, length: usize) {
        let plaintext = vec![0x61; length];
        let session = if to_bob {
            Some(&mut self.alices)
        } else {
            self.bobs.as_mut()
        };
        // Bob has nothing to write on until Alice's first message is there.
        if let Some(session) = session {
            let bytes = session.encrypt(&mut self.rng, self.now_ms, &plaintext).unwrap();
            self.link.push(InFlight {
                to_bob,
                bytes,
                plaintext,
                read: false,
            });
        }
    }

    fn deliver(&mut self, position: usize) {
        let InFlight {
            to_bob, ref bytes, ..
        } = self.link[position];
        let result = self.arrive(to_bob, &bytes.clone());
        let message = &mut self.link[position];
        if message.read {
            assert_eq!(result, None, "a repeated message is refused");
        } else {
            assert_eq!(result.as_ref(), Some(&message.plaintext), "a new message is read");
            message.read = true;
        }
    }

    /// Hands bytes to a side. Checks that a refusal leaves it as it was.
    fn arrive(&mut self, to_bob: bool, bytes: &[u8]) -> Option<Vec<u8>> {
        let message = SessionMessage::decode(bytes).ok()?;
        let session = if to_bob {
            self.bobs.as_mut()
        } else {
            Some(&mut self.alices)
        };
        if let Some(session) = session {
            let before = stored(session);
            let result = session.decrypt(self.now_ms, &message).ok();
            if result.is_none() {
                assert_eq!(stored(session), before, "a refusal changes nothing");
            }
            return result.map(|decrypted| decrypted.plaintext.to_vec());
        }
        let SessionMessage::Initial(initial) = message else {
            return None;
        };
        let (session, plaintext) = self.bob.accept(&self.alice.party, &initial).ok()?;
        self.bobs = Some(session);
        Some(plaintext)
    }
}

/// The same session, its last KEM exchange a week further back.
fn aged(session: &Session) -> Session {
    let mut state = session.to_bytes();
    if session.suite() == Suite::Pqxdh {
        let exchanged_at = TURN - 8;
        let field = &mut state[exchanged_at..TURN];
        let earlier = u64::from_be_bytes(field.try_into().unwrap()) - MAX_HEALING_AGE_MS;
        field.copy_from_slice(&earlier.to_be_bytes());
    }
    Session::from_bytes(&state, session.skipped_keys().map(|record| record.bytes)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_message_is_read_exactly_once_whatever_the_link_does(
        seed in any::<u8>(),
        suite in proptest::sample::select(&SUITES),
        one_time in any::<bool>(),
        ops in proptest::collection::vec(op(), 1..120),
        order in proptest::collection::vec(any::<Index>(), 120),
    ) {
        let mut world = World::new(seed, suite, one_time);
        for op in &ops {
            world.apply(op);
        }
        // In the end everything still under way arrives, in any order.
        for which in order {
            if world.link.is_empty() {
                break;
            }
            world.apply(&Op::Deliver(which));
        }
        prop_assert!(world.link.is_empty());
        // And the two can still talk, both ways.
        for to_bob in [true, false] {
            world.send(to_bob, 5);
            world.deliver(0);
            world.link.clear();
        }
    }
}
