//! Two parties on a link and a clock that the fuzzer controls, against what must come of each message.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::{MAX_SKIPPED_AGE_MS, Session, SessionMessage, SkippedChanges};

use crate::people::{Alice, Bob, people};

const NOW: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 60 * 60 * 1_000;

/// Most steps of one run: enough for many turns, few enough to run often, and far from the limits beyond
/// which messages may be lost.
const MAX_STEPS: usize = 256;
/// Most round trips of one run that are taken at a stroke: enough for a KEM exchange by count, which takes
/// 25, and not so many that little else is tried.
const MAX_ROUND_TRIPS: u8 = 28;

/// Runs a conversation. The first byte says how it begins; each pair of bytes after is a step: what
/// happens, and to which message or how.
pub fn two_parties(data: &[u8]) {
    let Some((&seed, steps)) = data.split_first() else {
        return;
    };
    let mut pair = Pair::new(seed);
    for step in steps.as_chunks::<2>().0.iter().take(MAX_STEPS) {
        pair.step(*step);
    }
    // In the end everything still under way arrives.
    pair.deliver_sent_before(u64::MAX);
}

/// Both ends of a session and the messages between them.
pub(crate) struct Pair {
    rng: ChaCha20Rng,
    now_ms: u64,
    round_trips_left: u8,
    alices: End,
    bobs: Option<End>,
    alice: Alice,
    bob: Bob,
    link: Vec<InFlight>,
}

/// A session, and what a client that believes what it is told would have kept of its skipped keys.
struct End {
    session: Session,
    kept: Kept,
}

type Kept = BTreeMap<[u8; 36], Vec<u8>>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Alice,
    Bob,
}

struct InFlight {
    to: To,
    sent_at_ms: u64,
    bytes: Vec<u8>,
    plaintext: Vec<u8>,
    /// Already decrypted once: a copy.
    read: bool,
}

#[derive(PartialEq, Eq)]
enum Copies {
    Last,
    MoreToCome,
}

impl Pair {
    /// The lowest bits of the seed choose: the suite, whether there is a one-time prekey, the role of the
    /// KEM prekey.
    pub(crate) fn new(seed: u8) -> Self {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let (alice, bob) = people(&mut rng, NOW);
        let session = alice.begin(&mut rng, NOW, &bob, seed);
        Self {
            rng,
            now_ms: NOW,
            round_trips_left: MAX_ROUND_TRIPS,
            alices: End::new(session, SkippedChanges::default()),
            bobs: None,
            alice,
            bob,
            link: Vec::new(),
        }
    }

    /// After a message each way.
    pub(crate) fn established(seed: u8) -> Self {
        let mut pair = Self::new(seed);
        pair.round_trip();
        pair
    }

    /// Both ends, stored, without skipped keys.
    pub(crate) fn states(&self) -> Vec<Vec<u8>> {
        let ends = [Some(&self.alices), self.bobs.as_ref()];
        ends.into_iter()
            .flatten()
            .map(|end| end.session.to_bytes().to_vec())
            .collect()
    }

    /// The stored end that messages to this side are for, followed by its skipped keys.
    pub(crate) fn state(&self, to: To) -> Vec<u8> {
        let end = match to {
            To::Alice => &self.alices,
            To::Bob => self.bobs.as_ref().unwrap(),
        };
        let records = end.kept.values().flatten();
        end.session.to_bytes().iter().chain(records).copied().collect()
    }

    /// A message that never arrives.
    pub(crate) fn lost(&mut self, to: To, length: usize) -> Vec<u8> {
        self.send(to, length);
        self.link.pop().unwrap().bytes
    }

    /// A message each way that arrives at once.
    pub(crate) fn round_trip(&mut self) {
        self.one_way(To::Bob);
        self.one_way(To::Alice);
    }

    pub(crate) fn one_way(&mut self, to: To) {
        self.send(to, 5);
        if let Some(message) = self.link.pop() {
            self.deliver(message, Copies::Last);
        }
    }

    /// Time passes. What would be late by more than a key is kept for arrives before.
    pub(crate) fn wait(&mut self, hours: u64) {
        let now_ms = self.now_ms + hours * HOUR_MS;
        self.deliver_sent_before(now_ms.saturating_sub(MAX_SKIPPED_AGE_MS));
        self.now_ms = now_ms;
    }

    fn step(&mut self, [action, detail]: [u8; 2]) {
        match action % 8 {
            0 => self.send(To::Bob, usize::from(detail) * 3),
            1 => self.send(To::Alice, usize::from(detail) * 3),
            2 => self.wait(u64::from(detail)),
            3 => self.restore(detail),
            4 => {
                let count = self.round_trips_left.min(detail % 32);
                self.round_trips_left -= count;
                (0..count).for_each(|_| self.round_trip());
            }
            _ if self.link.is_empty() => {}
            5 => {
                let message = self.pick(detail);
                self.deliver(message, Copies::Last);
            }
            6 => {
                let message = self.pick(detail);
                self.deliver(message, Copies::MoreToCome);
            }
            _ => self.damage(action, detail),
        }
    }

    fn send(&mut self, to: To, length: usize) {
        let end = match to {
            To::Bob => Some(&mut self.alices),
            // Until he has heard from her he has nothing to answer with.
            To::Alice => self.bobs.as_mut(),
        };
        if let Some(end) = end {
            let plaintext = vec![b'x'; length];
            let bytes = end
                .session
                .encrypt(&mut self.rng, self.now_ms, &plaintext)
                .unwrap();
            self.link.push(InFlight {
                to,
                sent_at_ms: self.now_ms,
                bytes,
                plaintext,
                read: false,
            });
        }
    }

    fn restore(&mut self, detail: u8) {
        if detail.is_multiple_of(2) {
            self.alices.restore();
        } else if let Some(end) = &mut self.bobs {
            end.restore();
        }
    }

    fn pick(&mut self, detail: u8) -> InFlight {
        let position = usize::from(detail) % self.link.len();
        self.link.swap_remove(position)
    }

    fn deliver_sent_before(&mut self, time_ms: u64) {
        let (due, rest) = std::mem::take(&mut self.link)
            .into_iter()
            .partition(|message| message.sent_at_ms < time_ms);
        self.link = rest;
        // The newest first: the worst order there is.
        for message in due.into_iter().rev() {
            self.deliver(message, Copies::Last);
        }
    }

    fn deliver(&mut self, mut message: InFlight, copies: Copies) {
        let result = self.arrive(message.to, &message.bytes);
        if message.read {
            assert_eq!(result, None, "a repeated message is refused");
        } else {
            assert_eq!(result.as_ref(), Some(&message.plaintext), "a new message is read");
            message.read = true;
        }
        if copies == Copies::MoreToCome {
            self.link.push(message);
        }
    }

    /// A damaged copy arrives; the message itself stays under way.
    fn damage(&mut self, action: u8, detail: u8) {
        let message = self.pick(detail);
        let mut bytes = message.bytes.clone();
        // The header is the interesting part: most damage goes there.
        let position = usize::from(action / 8) * usize::from(1 + detail % 5) % bytes.len();
        if let Some(byte) = bytes.get_mut(position) {
            *byte ^= 1 << (detail % 8);
        }
        assert_eq!(
            self.arrive(message.to, &bytes),
            None,
            "a damaged message is refused"
        );
        self.link.push(message);
    }

    fn arrive(&mut self, to: To, bytes: &[u8]) -> Option<Vec<u8>> {
        let message = SessionMessage::decode(bytes).ok()?;
        assert_eq!(message.encode(), bytes);
        let end = match to {
            To::Alice => Some(&mut self.alices),
            To::Bob => self.bobs.as_mut(),
        };
        if let Some(end) = end {
            return end.decrypt(self.now_ms, &message);
        }
        let SessionMessage::Initial(initial) = message else {
            return None;
        };
        let (session, first) = self.bob.accept(self.now_ms, &self.alice, &initial)?;
        self.bobs = Some(End::new(session, first.skipped));
        Some(first.plaintext.to_vec())
    }
}

impl End {
    fn new(session: Session, changes: SkippedChanges) -> Self {
        let mut kept = BTreeMap::new();
        keep(&mut kept, changes);
        let end = Self { session, kept };
        end.check();
        end
    }

    fn decrypt(&mut self, now_ms: u64, message: &SessionMessage) -> Option<Vec<u8>> {
        let before = self.session.to_bytes();
        let Ok(decrypted) = self.session.decrypt(now_ms, message) else {
            assert_eq!(self.session.to_bytes(), before, "a refusal changes nothing");
            self.check();
            return None;
        };
        keep(&mut self.kept, decrypted.skipped);
        self.check();
        Some(decrypted.plaintext.to_vec())
    }

    fn restore(&mut self) {
        self.session = Session::from_bytes(&self.session.to_bytes(), self.kept.values()).unwrap();
        self.check();
    }

    /// What a client was told to keep is what there is.
    fn check(&self) {
        let mut held = BTreeMap::new();
        for record in self.session.skipped_keys() {
            held.insert(record.id.to_bytes(), record.bytes.to_vec());
        }
        assert_eq!(held, self.kept, "skipped keys are kept as told");
    }
}

fn keep(kept: &mut Kept, changes: SkippedChanges) {
    for record in changes.added {
        kept.insert(record.id.to_bytes(), record.bytes.to_vec());
    }
    for id in changes.removed {
        kept.remove(&id.to_bytes());
    }
}
