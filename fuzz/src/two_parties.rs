//! Two parties on a link that the fuzzer controls, against what must come of each message.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{
    AccountKeyPair, IdentityKeyPair, OneTimePrekeyPair, Party, PrekeyBundle, Session, SessionMessage,
    SignedPrekeyPair,
};

const NOW: u64 = 1_800_000_000_000;

/// Most steps of one run: enough for many turns, few enough to run often, and far from the limits beyond
/// which messages may be lost.
const MAX_STEPS: usize = 256;

/// Runs a conversation. Each pair of bytes is a step: what happens, and to which message or how.
pub fn two_parties(data: &[u8]) {
    let Some((&seed, steps)) = data.split_first() else {
        return;
    };
    let mut pair = Pair::new(seed);
    for step in steps.as_chunks::<2>().0.iter().take(MAX_STEPS) {
        pair.step(*step);
    }
    // In the end everything still under way arrives.
    while let Some(message) = pair.link.pop() {
        pair.deliver(message, Copies::Last);
    }
}

/// Both ends of a session and the messages between them.
pub(crate) struct Pair {
    rng: ChaCha20Rng,
    alices: Session,
    bobs: Option<Session>,
    bob: Device,
    alice: Party,
    link: Vec<InFlight>,
}

struct Device {
    party: Party,
    identity: IdentityKeyPair,
    signed_prekey: SignedPrekeyPair,
    one_time_prekey: OneTimePrekeyPair,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Alice,
    Bob,
}

struct InFlight {
    to: To,
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
    pub(crate) fn new(seed: u8) -> Self {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let alice = Device::new(&mut rng, "alice@one.example", 1);
        let bob = Device::new(&mut rng, "bob@two.example", 2);
        let statement = bob.signed_prekey.statement().clone();
        let bundle = PrekeyBundle {
            signed_prekey: statement.verify(&bob.party.identity_key).unwrap(),
            // Half of all seeds go without.
            one_time_prekey: seed.is_multiple_of(2).then(|| bob.one_time_prekey.public()),
        };
        let alices = Session::initiate(&mut rng, &alice.identity, &alice.party, &bob.party, &bundle).unwrap();
        Self {
            rng,
            alices,
            bobs: None,
            bob,
            alice: alice.party,
            link: Vec::new(),
        }
    }

    /// Both ends, stored, after a message each way.
    pub(crate) fn established(mut self) -> [Vec<u8>; 2] {
        for to in [To::Bob, To::Alice] {
            self.send(to, 5);
            let message = self.link.remove(0);
            self.deliver(message, Copies::Last);
        }
        [
            self.alices.to_bytes().to_vec(),
            self.bobs.unwrap().to_bytes().to_vec(),
        ]
    }

    fn step(&mut self, [action, detail]: [u8; 2]) {
        match action % 8 {
            0 | 1 => self.send(To::Bob, usize::from(detail) * 3),
            2 | 3 => self.send(To::Alice, usize::from(detail) * 3),
            4 => self.restore(detail),
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
        let session = match to {
            To::Bob => Some(&mut self.alices),
            // Until he has heard from her he has nothing to answer with.
            To::Alice => self.bobs.as_mut(),
        };
        if let Some(session) = session {
            let plaintext = vec![b'x'; length];
            let bytes = session.encrypt(&mut self.rng, &plaintext).unwrap();
            self.link.push(InFlight {
                to,
                bytes,
                plaintext,
                read: false,
            });
        }
    }

    fn restore(&mut self, detail: u8) {
        if detail.is_multiple_of(2) {
            self.alices = restored(&self.alices);
        } else {
            self.bobs = self.bobs.as_ref().map(restored);
        }
    }

    fn pick(&mut self, detail: u8) -> InFlight {
        let position = usize::from(detail) % self.link.len();
        self.link.swap_remove(position)
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
        let session = match to {
            To::Alice => Some(&mut self.alices),
            To::Bob => self.bobs.as_mut(),
        };
        if let Some(session) = session {
            let before = session.to_bytes();
            let result = session.decrypt(NOW, &message).ok();
            if result.is_none() {
                assert_eq!(session.to_bytes(), before, "a refusal changes nothing");
            }
            return result.map(|text| text.to_vec());
        }
        let SessionMessage::Initial(initial) = message else {
            return None;
        };
        let one_time_prekey = initial.one_time_prekey_id().map(|_| &self.bob.one_time_prekey);
        let (session, plaintext) = Session::accept(
            NOW,
            &self.bob.identity,
            &self.bob.party,
            &self.alice,
            &self.bob.signed_prekey,
            one_time_prekey,
            &initial,
        )
        .ok()?;
        self.bobs = Some(session);
        Some(plaintext.to_vec())
    }
}

impl Device {
    fn new(rng: &mut ChaCha20Rng, address: &str, device: u8) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        let device_id = DeviceId::from_bytes([device; 16]);
        Self {
            party: Party {
                address: Address::parse(address).unwrap(),
                device_id,
                account_key: AccountKeyPair::generate(rng).public(),
                identity_key: identity.public(),
            },
            signed_prekey: SignedPrekeyPair::generate(rng, &identity, device_id, 1, NOW).unwrap(),
            one_time_prekey: OneTimePrekeyPair::generate(rng, 1),
            identity,
        }
    }
}

fn restored(session: &Session) -> Session {
    Session::from_bytes(&session.to_bytes()).unwrap()
}
