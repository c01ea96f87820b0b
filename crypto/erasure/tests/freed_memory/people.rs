//! Two devices, their keys and prekeys, and the ways they begin.

use sottovoce_crypto::statements::{Address, DeviceId, KemPrekeyRole};
use sottovoce_crypto::{
    AccountKeyPair, Decrypted, HandshakeError, IdentityKeyPair, KemPrekeyPair, OneTimePrekeyPair, Party,
    PrekeyBundle, Prekeys, Session, SessionMessage, SignedPrekeyPair, Suite, X3dhPrekeyBundle, X3dhPrekeys,
};
use sottovoce_erasure::Secrets;

use crate::schedule::{Handshake, identity, note_arriving, note_begun, public};
use crate::script::{End, Script, Written};
use crate::state::{Message, State};

/// Which handshake.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) suite: Suite,
    pub(crate) one_time: bool,
}

pub(crate) struct Device {
    pub(crate) party: Party,
    pub(crate) identity: IdentityKeyPair,
    signed_prekey: SignedPrekeyPair,
    one_time_prekey: OneTimePrekeyPair,
    kem_prekey: KemPrekeyPair,
    /// In the first run: the secrets of identity and prekeys, as drawn.
    drawn: Vec<Vec<u8>>,
}

impl Device {
    /// Every key goes to storage and back before it is used.
    pub(crate) fn new(script: &mut Script, address: &str, device: u8) -> Self {
        let account = AccountKeyPair::generate(&mut script.rng);
        let account = AccountKeyPair::from_secret_bytes(&account.to_secret_bytes()).unwrap();
        script.drawn();
        let rng = &mut script.rng;
        let identity = IdentityKeyPair::generate(rng);
        let identity = IdentityKeyPair::from_secret_bytes(&identity.to_secret_bytes()).unwrap();
        let id = DeviceId::from_bytes([device; 16]);
        let role = KemPrekeyRole::LastResort;
        let signed_prekey = SignedPrekeyPair::generate(rng, &identity, id, 1, script.now_ms).unwrap();
        let one_time_prekey = OneTimePrekeyPair::generate(rng, 1);
        let kem_prekey = KemPrekeyPair::generate(rng, &identity, id, role, 1, script.now_ms).unwrap();
        let stored = [
            script.seal(&signed_prekey.to_bytes()),
            script.seal(&one_time_prekey.to_bytes()),
            script.seal(&kem_prekey.to_bytes()),
        ];
        let storage = script.storage.as_ref().unwrap();
        let stored = stored.map(|sealed| storage.open(b"context", &sealed).unwrap());
        Self {
            party: Party {
                address: Address::parse(address).unwrap(),
                device_id: id,
                account_key: account.public(),
                identity_key: identity.public(),
            },
            identity,
            signed_prekey: SignedPrekeyPair::from_bytes(&stored[0]).unwrap(),
            one_time_prekey: OneTimePrekeyPair::from_bytes(&stored[1]).unwrap(),
            kem_prekey: KemPrekeyPair::from_bytes(&stored[2]).unwrap(),
            drawn: script.drawn(),
        }
    }

    /// In the first run: the X25519 form of the identity.
    pub(crate) fn identity_secret(&self) -> Option<[u8; 32]> {
        let drawn = self.drawn.first()?;
        Some(identity(&mut Secrets::default(), &secret(drawn)))
    }

    /// Begins a session with a device.
    pub(crate) fn begin(&self, script: &mut Script, them: &Self, way: Way) -> End {
        let key = &them.party.identity_key;
        let signed_prekey = them.signed_prekey.statement().clone().verify(key).unwrap();
        let one_time_prekey = way.one_time.then(|| them.one_time_prekey.public());
        let (rng, now_ms) = (&mut script.rng, script.now_ms);
        let session = if way.suite == Suite::X3dh {
            let bundle = X3dhPrekeyBundle {
                signed_prekey,
                one_time_prekey,
            };
            Session::initiate_x3dh(rng, now_ms, &self.identity, &self.party, &them.party, &bundle)
        } else {
            let bundle = PrekeyBundle {
                signed_prekey,
                one_time_prekey,
                kem_prekey: them.kem_prekey.statement().clone().verify(key).unwrap(),
            };
            Session::initiate(rng, now_ms, &self.identity, &self.party, &them.party, &bundle)
        };
        let session = session.unwrap();
        let drawn = script.drawn();
        if let Some(state) = script.state(&session) {
            let root = self.agreed(script, them, way, &drawn);
            let ratchet_secret = secret(drawn.last().unwrap());
            let prekey = public(&secret(&them.drawn[1]));
            let notes = script.notes.as_mut().unwrap();
            note_begun(notes, &root, ratchet_secret, prekey, &state);
        }
        let kept = Vec::new();
        End { session, kept }
    }

    /// Takes up the session a message begins, after refusing damaged forms of it.
    pub(crate) fn accept(&self, script: &mut Script, them: &Self, alice: &End, message: &Written) -> End {
        let ratchet_key = Message::ratchet_key_position(&message.bytes);
        for position in [message.bytes.len() - 1, ratchet_key] {
            let mut damaged = message.bytes.clone();
            damaged[position] ^= 1;
            if let Some(alices) = script.state(&alice.session) {
                self.note_accepting(script, &alices, &damaged);
            }
            assert!(self.try_accept(script, them, &damaged).is_err());
        }
        let (session, first) = self.try_accept(script, them, &message.bytes).unwrap();
        let kept = Vec::new();
        let mut end = End { session, kept };
        script.told(&mut end, message, first);
        end
    }

    fn try_accept(
        &self,
        script: &Script,
        them: &Self,
        bytes: &[u8],
    ) -> Result<(Session, Decrypted), HandshakeError> {
        let SessionMessage::Initial(message) = SessionMessage::decode(bytes).unwrap() else {
            panic!("not an initial message");
        };
        let (now_ms, signed_prekey) = (script.now_ms, &self.signed_prekey);
        let one_time_prekey = message.one_time_prekey_id().map(|_| &self.one_time_prekey);
        if message.suite() == Suite::X3dh {
            let prekeys = X3dhPrekeys {
                signed_prekey,
                one_time_prekey,
            };
            Session::accept_x3dh(
                now_ms,
                &self.identity,
                &self.party,
                &them.party,
                &prekeys,
                &message,
            )
        } else {
            let prekeys = Prekeys {
                signed_prekey,
                one_time_prekey,
                kem_prekey: &self.kem_prekey,
            };
            Session::accept(
                now_ms,
                &self.identity,
                &self.party,
                &them.party,
                &prekeys,
                &message,
            )
        }
    }

    /// What the responder derives from the ratchet key of a first message, be it damaged.
    fn note_accepting(&self, script: &mut Script, alices: &State, bytes: &[u8]) {
        let root = script.first_root.unwrap();
        let before = State {
            suite: alices.suite,
            root,
            secret: Some(secret(&self.drawn[1])),
            sending: None,
            theirs: None,
            receiving: None,
            kem_seed: None,
            offer: None,
        };
        note_arriving(script.notes.as_mut().unwrap(), &before, &Message::read(bytes));
    }

    /// Both sides of the handshake, in the first run.
    fn agreed(&self, script: &mut Script, them: &Self, way: Way, drawn: &[Vec<u8>]) -> [u8; 32] {
        let notes = script.notes.as_mut().unwrap();
        let handshake = Handshake {
            suite: way.suite.byte(),
            identities: [&self.drawn[0], &them.drawn[0]].map(|drawn| identity(notes, &secret(drawn))),
            ephemeral: secret(&drawn[0]),
            signed_prekey: secret(&them.drawn[1]),
            one_time_prekey: way.one_time.then(|| secret(&them.drawn[2])),
            kem: (way.suite == Suite::Pqxdh)
                .then(|| (them.drawn[3].as_slice().try_into().unwrap(), secret(&drawn[1]))),
        };
        let root = handshake.agree(notes);
        script.first_root = Some(root);
        root
    }
}

fn secret(drawn: &[u8]) -> [u8; 32] {
    drawn.try_into().unwrap()
}
