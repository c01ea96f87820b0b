//! A session's key schedule and messages, worked out by hand beside the library's (specification sections 5
//! to 9). It knows both sides' secrets.

use serde_json::{Value, json};
use sottovoce_crypto::{KemPrekeyPair, Party};

use super::by_hand::{
    decapsulate, dh, encapsulate, hkdf, hmac, identity_x25519, kem_public, seal, sha256, x25519_public,
};
use super::json::hex;
use super::people::Device;

/// Who begins a session, and who takes it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Initiator,
    Responder,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Initiator => "initiator",
            Self::Responder => "responder",
        }
    }
}

/// Which prekeys a handshake uses.
#[derive(Clone, Copy)]
pub(crate) struct Used<'a> {
    pub(crate) one_time: bool,
    pub(crate) kem: Option<&'a KemPrekeyPair>,
}

#[derive(Clone)]
pub(crate) struct Trace {
    suite: u8,
    handshake: Vec<u8>,
    associated_data: [u8; 32],
    root_key: [u8; 32],
    /// The ratchet key that the next chain answers.
    newest: [u8; 32],
    /// Seed of the KEM key that the next chain has to answer.
    offer: Option<[u8; 64]>,
    answered: bool,
    initiators: Option<Chain>,
    responders: Option<Chain>,
}

#[derive(Clone)]
struct Chain {
    ratchet_key: [u8; 32],
    key: [u8; 32],
    previous: u32,
    next: u32,
    kem: Vec<u8>,
}

impl Trace {
    /// The handshake (5), with what the initiator drew: ephemeral secret, randomness of the encapsulation if
    /// there is one, first ratchet secret.
    pub(crate) fn begin(alice: &Device, bob: &Device, used: Used<'_>, drawn: &[Vec<u8>]) -> (Self, Value) {
        let suite = if used.kem.is_some() { 2 } else { 1 };
        let ephemeral: [u8; 32] = drawn[0].as_slice().try_into().unwrap();
        let alices_identity = identity_x25519(&alice.identity.to_secret_bytes());
        let bobs_identity = x25519_public(&identity_x25519(&bob.identity.to_secret_bytes()));
        let signed = *bob.signed_prekey.statement().claimed().key.as_bytes();
        let one_time = used.one_time.then(|| {
            (
                bob.one_time_prekey.id(),
                *bob.one_time_prekey.public().key.as_bytes(),
            )
        });

        let dh1 = dh(&alices_identity, &signed);
        let dh2 = dh(&ephemeral, &bobs_identity);
        let dh3 = dh(&ephemeral, &signed);
        let dh4 = one_time.map(|(_, key)| dh(&ephemeral, &key));
        let kem = used.kem.map(|prekey| {
            let key = prekey.statement().claimed().key.as_bytes();
            let (ciphertext, secret) = encapsulate(key, drawn[1].as_slice().try_into().unwrap());
            (prekey.id(), *key, ciphertext, secret)
        });
        let mut ikm = [[0xff; 32], dh1, dh2, dh3].concat();
        ikm.extend(dh4.iter().flatten());
        ikm.extend(kem.iter().flat_map(|(_, _, _, secret)| secret));
        let root_key = hkdf(
            &[0; 32],
            &ikm,
            &[b"Sottovoce-v1 handshake".as_slice(), &[suite]].concat(),
        );

        let mut handshake = vec![suite];
        handshake.extend(bob.signed_prekey.id().to_be_bytes());
        match one_time {
            None => handshake.push(0),
            Some((id, _)) => handshake.extend([&[1], id.to_be_bytes().as_slice()].concat()),
        }
        handshake.extend(x25519_public(&ephemeral));
        if let Some((id, _, ciphertext, _)) = &kem {
            handshake.extend(id.to_be_bytes());
            handshake.extend(ciphertext);
        }

        let mut bound = [b"Sottovoce-v1 associated data".as_slice(), &handshake, &signed].concat();
        bound.extend(one_time.iter().flat_map(|(_, key)| key));
        bound.extend(kem.iter().flat_map(|(_, key, _, _)| key));
        for party in [&alice.party, &bob.party] {
            bound.extend(party_bytes(party));
        }
        let digest = sha256(&[b"Sottovoce-v1 handshake digest".as_slice(), &handshake].concat());
        let json = json!({
            "ephemeral secret": hex(ephemeral),
            "ephemeral key": hex(x25519_public(&ephemeral)),
            "DH1": hex(dh1),
            "DH2": hex(dh2),
            "DH3": hex(dh3),
            "DH4": dh4.map(hex),
            "KEM ciphertext": kem.as_ref().map(|kem| hex(kem.2)),
            "KEM shared secret": kem.as_ref().map(|kem| hex(kem.3)),
            "IKM": hex(&ikm),
            "root key": hex(root_key),
            "handshake header": hex(&handshake),
            "handshake digest": hex(digest),
            "under the associated data": hex(&bound),
            "associated data": hex(sha256(&bound)),
        });
        let mut trace = Self {
            suite,
            handshake,
            associated_data: sha256(&bound),
            root_key,
            newest: signed,
            offer: None,
            answered: false,
            initiators: None,
            responders: None,
        };
        let first = drawn.last().unwrap().as_slice().try_into().unwrap();
        let mut json = json;
        json["first chain"] = trace.begin_chain(Side::Initiator, first, Kem::None);
        (trace, json)
    }

    /// A root step (7.1, 7.10), and the chain it begins.
    pub(crate) fn begin_chain(&mut self, sender: Side, ratchet_secret: [u8; 32], kem: Kem) -> Value {
        let ratchet_key = x25519_public(&ratchet_secret);
        let shared = dh(&ratchet_secret, &self.newest);
        let label = |label: &str| [label.as_bytes(), &[self.suite]].concat();
        let mut ikm = shared.to_vec();
        let mut info = label("Sottovoce-v1 root");
        let mut part = Vec::new();
        let mut json = json!({
            "root key before": hex(self.root_key),
            "ratchet key": hex(ratchet_key),
            "DH": hex(shared),
        });
        match kem {
            Kem::None => {}
            Kem::Offer(seed) => {
                part = [[1].as_slice(), &kem_public(&seed)].concat();
                json["offered key"] = hex(kem_public(&seed));
            }
            Kem::Answer(randomness) => {
                let seed = self.offer.expect("an offer to answer");
                let key = kem_public(&seed);
                let (ciphertext, secret) = encapsulate(&key, &randomness);
                assert_eq!(decapsulate(&seed, &ciphertext), secret);
                ikm.extend(secret);
                info = label("Sottovoce-v1 root with KEM");
                info.extend([sha256(&key), sha256(&ciphertext)].concat());
                part = [[2].as_slice(), &ciphertext].concat();
                json["KEM ciphertext"] = hex(ciphertext);
                json["KEM shared secret"] = hex(secret);
            }
        }
        let output: [u8; 64] = hkdf(&self.root_key, &ikm, &info);
        self.root_key = output[..32].try_into().unwrap();
        self.newest = ratchet_key;
        self.offer = match kem {
            Kem::Offer(seed) => Some(seed),
            _ => None,
        };
        self.answered |= sender == Side::Responder;
        let previous = self.chain(sender).as_ref().map_or(0, |chain| chain.next);
        let key = output[32..].try_into().unwrap();
        *self.chain(sender) = Some(Chain {
            ratchet_key,
            key,
            previous,
            next: 0,
            kem: part,
        });
        json["IKM"] = hex(ikm);
        json["info"] = hex(info);
        json["root key"] = hex(self.root_key);
        json["chain key"] = hex(key);
        json
    }

    /// The next message of a side, with any text in it, without taking the chain on. Returns its keys, too.
    pub(crate) fn seal_next(&mut self, sender: Side, padded: &[u8]) -> (Vec<u8>, Value) {
        let carries_handshake = sender == Side::Initiator && !self.answered;
        let handshake = self.handshake.clone();
        let chain = self.chain(sender).clone().unwrap();
        let kind = match (carries_handshake, chain.kem.is_empty()) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        let mut message = vec![1, kind];
        if carries_handshake {
            message.extend(handshake);
        }
        message.extend(chain.ratchet_key);
        message.extend(chain.previous.to_be_bytes());
        message.extend(chain.next.to_be_bytes());
        message.extend(&chain.kem);

        let message_key = hmac(&chain.key, &[1]);
        let info = [b"Sottovoce-v1 message".as_slice(), &[self.suite]].concat();
        let keys: [u8; 44] = hkdf(&[0; 32], &message_key, &info);
        let (key, nonce) = (keys[..32].try_into().unwrap(), keys[32..].try_into().unwrap());
        let bound = [self.associated_data.as_slice(), &message].concat();
        let ciphertext = seal(&key, &nonce, &bound, padded);
        let json = json!({
            "number": chain.next,
            "chain key": hex(chain.key),
            "message key": hex(message_key),
            "encryption key": hex(key),
            "nonce": hex(nonce),
            "associated data": "AD of the handshake, then the message before its ciphertext",
            "bytes before the ciphertext": message.len(),
        });
        message.extend(ciphertext);
        (message, json)
    }

    /// Takes a side's chain on by one message.
    pub(crate) fn advance(&mut self, sender: Side) {
        let chain = self.chain(sender).as_mut().unwrap();
        chain.key = hmac(&chain.key, &[2]);
        chain.next += 1;
    }

    /// What a stored session must hold: digest, associated data and root key, right after the suite (11).
    pub(crate) fn check_state(&self, state: &[u8]) {
        assert_eq!(state[..3], [1, 1, self.suite]);
        assert_eq!(state[35..67], self.associated_data);
        assert_eq!(state[67..99], self.root_key);
    }

    /// Has the next chain answer a key that nobody offered.
    pub(crate) fn offer_by_force(&mut self, seed: [u8; 64]) {
        self.offer = Some(seed);
    }

    /// The handshake header that the initiator's messages carry.
    pub(crate) fn handshake(&self) -> &[u8] {
        &self.handshake
    }

    fn chain(&mut self, side: Side) -> &mut Option<Chain> {
        match side {
            Side::Initiator => &mut self.initiators,
            Side::Responder => &mut self.responders,
        }
    }
}

/// What a chain does for the exchange of KEM secrets, with what is drawn for it.
#[derive(Clone, Copy)]
pub(crate) enum Kem {
    None,
    Offer([u8; 64]),
    Answer([u8; 32]),
}

/// A party as it is hashed (6).
pub(crate) fn party_bytes(party: &Party) -> Vec<u8> {
    let address = party.address.as_str().as_bytes();
    let mut bytes = vec![u8::try_from(address.len()).unwrap()];
    bytes.extend(address);
    bytes.extend(party.device_id.as_bytes());
    bytes.extend(party.account_key.as_bytes());
    bytes.extend(party.identity_key.as_bytes());
    bytes
}
