//! A run of a conversation: once to learn its secrets, once to be watched.

use std::convert::Infallible;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use sottovoce_crypto::{Decrypted, Session, SessionMessage, SkippedKeyRecord, StorageKey};
use sottovoce_erasure::Secrets;

use crate::schedule::{note_arriving, note_sent, note_state};
use crate::state::{Message, State};

/// What a script draws its secrets from. Everything drawn is remembered while secrets are being learned.
pub(crate) struct Draws {
    inner: ChaCha20Rng,
    drawn: Option<Vec<Vec<u8>>>,
}

/// One run. Both runs draw the same and say the same, so what the first notes is what the second must not
/// leave behind. The second notes nothing: it holds no secret but those the library hands out, on its stack.
pub(crate) struct Script {
    pub(crate) rng: Draws,
    /// For what is drawn and no secret.
    pub(crate) public_rng: ChaCha20Rng,
    words_rng: ChaCha20Rng,
    pub(crate) now_ms: u64,
    pub(crate) notes: Option<Secrets>,
    pub(crate) storage: Option<StorageKey>,
    /// In the first run: the newest handshake's root key.
    pub(crate) first_root: Option<[u8; 32]>,
}

/// A session and the records of its skipped keys.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) kept: Vec<SkippedKeyRecord>,
}

/// A message under way, and what it says.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    words: u8,
}

/// Long enough for a bucket above the smallest, and not on the heap.
pub(crate) type Words = [u8; 700];

impl Script {
    pub(crate) fn new(notes: Option<Secrets>) -> Self {
        let rng = |seed| ChaCha20Rng::from_seed([seed; 32]);
        Self {
            rng: Draws {
                inner: rng(1),
                drawn: notes.as_ref().map(|_| Vec::new()),
            },
            public_rng: rng(2),
            words_rng: rng(3),
            now_ms: 1_800_000_000_000,
            notes,
            storage: None,
            first_root: None,
        }
    }

    /// What was drawn since this was last asked; nothing in the second run.
    pub(crate) fn drawn(&mut self) -> Vec<Vec<u8>> {
        let drawn = self.rng.drawn.as_mut().map(std::mem::take).unwrap_or_default();
        // Ids are drawn as well, and are no secrets.
        for secret in drawn.iter().filter(|drawn| drawn.len() >= 32) {
            self.note("drawn", secret);
        }
        drawn
    }

    pub(crate) fn note(&mut self, name: &str, secret: &[u8]) {
        if let Some(notes) = &mut self.notes {
            notes.add(name, secret);
        }
    }

    /// Something new to say, on the caller's stack.
    pub(crate) fn words(&mut self) -> Words {
        let seed = self.next_words();
        spoken(seed)
    }

    fn next_words(&mut self) -> u8 {
        let mut seed = [0; 1];
        self.words_rng.fill_bytes(&mut seed);
        self.note("plaintext", &spoken(seed[0]));
        seed[0]
    }

    pub(crate) fn wait(&mut self, hours: u64) {
        self.now_ms += hours * 60 * 60 * 1_000;
    }

    pub(crate) fn write(&mut self, end: &mut End) -> Written {
        let seed = self.next_words();
        let words = spoken(seed);
        let before = self.state(&end.session);
        // Every third message is short.
        let length = if seed.is_multiple_of(3) { 20 } else { words.len() };
        let bytes = end
            .session
            .encrypt(&mut self.rng, self.now_ms, &words[..length])
            .unwrap();
        let drawn = self.drawn();
        if let (Some(before), Some(after)) = (before, self.state(&end.session)) {
            note_sent(self.notes.as_mut().unwrap(), &before, &drawn, &after);
        }
        Written { bytes, words: seed }
    }

    /// The message arrives damaged, then whole, then once more.
    pub(crate) fn read(&mut self, end: &mut End, message: &Written) {
        for position in [message.bytes.len() - 1, 40, 3] {
            let mut damaged = message.bytes.clone();
            damaged[position] ^= 1;
            self.refused(end, &damaged);
        }
        self.arriving(end, &message.bytes);
        let decoded = SessionMessage::decode(&message.bytes).unwrap();
        let decrypted = end.session.decrypt(self.now_ms, &decoded).unwrap();
        self.told(end, message, decrypted);
        self.refused(end, &message.bytes);
    }

    pub(crate) fn refused(&mut self, end: &mut End, bytes: &[u8]) {
        let Ok(decoded) = SessionMessage::decode(bytes) else {
            return;
        };
        self.arriving(end, bytes);
        assert!(end.session.decrypt(self.now_ms, &decoded).is_err());
    }

    /// Compares what came out of a message with what went in, and keeps what is to be kept.
    pub(crate) fn told(&mut self, end: &mut End, message: &Written, decrypted: Decrypted) {
        assert!(spoken(message.words).starts_with(&decrypted.plaintext));
        for record in &decrypted.skipped.added {
            self.note("skipped key", &record.bytes[46..]);
        }
        let removed = decrypted.skipped.removed;
        end.kept.retain(|record| !removed.contains(&record.id));
        end.kept.extend(decrypted.skipped.added);
        self.state(&end.session);
    }

    /// To storage, sealed, and back.
    pub(crate) fn restore(&mut self, end: &mut End) {
        let sealed = self.seal(&end.session.to_bytes());
        let records: Vec<_> = end.kept.iter().map(|record| self.seal(&record.bytes)).collect();
        let storage = self.storage.as_ref().unwrap();
        let state = storage.open(b"context", &sealed).unwrap();
        let records = records
            .iter()
            .map(|sealed| storage.open(b"context", sealed).unwrap());
        end.session = Session::from_bytes(&state, records).unwrap();
        assert_eq!(end.session.skipped_keys().count(), end.kept.len());
    }

    pub(crate) fn seal(&mut self, record: &[u8]) -> Vec<u8> {
        let storage = self.storage.as_ref().unwrap();
        storage.seal(&mut self.public_rng, b"context", record).unwrap()
    }

    /// Both directions, so that each side makes a new ratchet key.
    pub(crate) fn round_trip(&mut self, alice: &mut End, bob: &mut End) {
        let there = self.write(alice);
        self.read(bob, &there);
        let back = self.write(bob);
        self.read(alice, &back);
    }

    /// Looks into a session, in the first run.
    pub(crate) fn state(&mut self, session: &Session) -> Option<State> {
        let notes = self.notes.as_mut()?;
        let state = State::read(&session.to_bytes());
        note_state(notes, &state);
        Some(state)
    }

    fn arriving(&mut self, end: &End, bytes: &[u8]) {
        if let Some(state) = self.state(&end.session) {
            note_arriving(self.notes.as_mut().unwrap(), &state, &Message::read(bytes));
        }
    }
}

/// Words that differ from all others, made again rather than kept.
pub(crate) fn spoken(seed: u8) -> Words {
    let mut words = [0; 700];
    let mut key = [0x5a; 32];
    key[0] = seed;
    ChaCha20Rng::from_seed(key).fill_bytes(&mut words);
    words
}

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.inner.fill_bytes(bytes);
        if let Some(drawn) = &mut self.drawn {
            drawn.push(bytes.to_vec());
        }
        Ok(())
    }
}

impl TryCryptoRng for Draws {}
