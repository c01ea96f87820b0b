//! The key schedule once more, from the specification alone: what a session derives and must erase.

use hmac::{Hmac, KeyInit, Mac};
use libcrux_ml_kem::mlkem768;
use sha2::{Digest, Sha256, Sha512};
use sottovoce_erasure::Secrets;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use crate::state::{Message, State};

const LABEL: &str = "Sottovoce-v1 ";

pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HKDF to 64 bytes. Notes what it extracts and all that it expands to.
fn hkdf(notes: &mut Secrets, name: &str, salt: &[u8], ikm: &[u8], info: &[&[u8]]) -> [u8; 64] {
    let extracted = hmac(salt, &[ikm]);
    let mut expanded = [0; 64];
    let first = hmac(&extracted, &[&info.concat(), &[1]]);
    expanded[..32].copy_from_slice(&first);
    expanded[32..].copy_from_slice(&hmac(&extracted, &[&first, &info.concat(), &[2]]));
    notes.add(format!("{name}, input"), ikm);
    notes.add(format!("{name}, extracted"), &extracted);
    notes.add(format!("{name}, expanded"), &expanded);
    expanded
}

fn half<const FROM: usize>(bytes: &[u8; 64]) -> [u8; 32] {
    bytes[FROM..FROM + 32].try_into().unwrap()
}

pub(crate) fn public(secret: &[u8; 32]) -> [u8; 32] {
    x25519(*secret, X25519_BASEPOINT_BYTES)
}

/// What is secret in an expanded ML-KEM-768 key and not in its seed; the public key stands after (FIPS 203
/// section 7.1).
fn expanded_secret(pair: &mlkem768::MlKem768KeyPair) -> &[u8] {
    &pair.private_key().as_slice()[..3 * 384]
}

/// What an Ed25519 secret expands to; the first half is the X25519 form (2.4).
pub(crate) fn identity(notes: &mut Secrets, secret: &[u8; 32]) -> [u8; 32] {
    let expanded: [u8; 64] = Sha512::digest(secret).into();
    notes.add("identity, expanded", &expanded);
    half::<0>(&expanded)
}

/// The secrets of both ends of a handshake.
pub(crate) struct Handshake {
    pub(crate) suite: u8,
    pub(crate) identities: [[u8; 32]; 2],
    pub(crate) ephemeral: [u8; 32],
    pub(crate) signed_prekey: [u8; 32],
    pub(crate) one_time_prekey: Option<[u8; 32]>,
    /// The seed of the KEM prekey, and what was drawn to encapsulate.
    pub(crate) kem: Option<([u8; 64], [u8; 32])>,
}

impl Handshake {
    /// 5.2. Returns the first root key.
    pub(crate) fn agree(&self, notes: &mut Secrets) -> [u8; 32] {
        let [alice, bob] = self.identities;
        let signed_prekey = public(&self.signed_prekey);
        let mut ikm = vec![
            [0xff; 32],
            x25519(alice, signed_prekey),
            x25519(self.ephemeral, public(&bob)),
            x25519(self.ephemeral, signed_prekey),
        ];
        ikm.extend(
            self.one_time_prekey
                .map(|secret| x25519(self.ephemeral, public(&secret))),
        );
        if let Some((seed, drawn)) = self.kem {
            let pair = mlkem768::generate_key_pair(seed);
            notes.add("KEM prekey, expanded", expanded_secret(&pair));
            ikm.push(mlkem768::encapsulate(pair.public_key(), drawn).1);
        }
        for secret in &ikm[1..] {
            notes.add("handshake, shared secret", secret);
        }
        let info = format!("{LABEL}handshake");
        let ikm = ikm.concat();
        half::<0>(&hkdf(
            notes,
            "handshake",
            &[0; 32],
            &ikm,
            &[info.as_bytes(), &[self.suite]],
        ))
    }
}

/// 7.1 and 7.10. Returns root key and chain key.
fn step(
    notes: &mut Secrets,
    suite: u8,
    root: &[u8; 32],
    dh: &[u8; 32],
    kem: Option<Kem<'_>>,
) -> [[u8; 32]; 2] {
    notes.add("ratchet, shared secret", dh);
    let label = format!("{LABEL}root");
    let expanded = match kem {
        None => hkdf(notes, "root", root, dh, &[label.as_bytes(), &[suite]]),
        Some(kem) => {
            notes.add("KEM, shared secret", &kem.shared);
            let (key, ciphertext) = (Sha256::digest(kem.key), Sha256::digest(kem.ciphertext));
            let label = format!("{label} with KEM");
            let info: [&[u8]; 4] = [label.as_bytes(), &[suite], &key, &ciphertext];
            hkdf(notes, "root with KEM", root, &[*dh, kem.shared].concat(), &info)
        }
    };
    let [root, chain] = [half::<0>(&expanded), half::<32>(&expanded)];
    notes.add("root key", &root);
    follow(notes, suite, chain);
    [root, chain]
}

struct Kem<'a> {
    shared: [u8; 32],
    key: &'a [u8],
    ciphertext: &'a [u8],
}

/// 7.2 and 7.3: a chain for as many messages as these tests send or skip on one.
pub(crate) fn follow(notes: &mut Secrets, suite: u8, chain: [u8; 32]) {
    let label = format!("{LABEL}message");
    follow_labelled(notes, &[label.as_bytes(), &[suite]], chain);
}

/// 13.3: the chain of a sender key.
pub(crate) fn follow_sender_key(notes: &mut Secrets, chain: [u8; 32]) {
    let label = format!("{LABEL}sender key message");
    follow_labelled(notes, &[label.as_bytes()], chain);
}

fn follow_labelled(notes: &mut Secrets, info: &[&[u8]], mut chain: [u8; 32]) {
    for _ in 0..8 {
        notes.add("chain key", &chain);
        let message_key = hmac(&chain, &[&[1]]);
        hkdf(notes, "message key", &[0; 32], &message_key, info);
        chain = hmac(&chain, &[&[2]]);
    }
}

/// 17: the key of an attachment's chunks.
pub(crate) fn note_attachment(notes: &mut Secrets, key: &[u8], content_len: usize) {
    let label = format!("{LABEL}attachment");
    let header = [0x01, 0x00, 0x01, 0x00, 0x00];
    let length = (content_len as u64).to_be_bytes();
    hkdf(
        notes,
        "attachment",
        &[0; 32],
        key,
        &[label.as_bytes(), &header, &length],
    );
}

/// What two keys that were drawn agree on.
pub(crate) fn note_shared(notes: &mut Secrets, ours: &[u8], theirs: &[u8]) {
    let theirs = public(theirs.try_into().unwrap());
    notes.add("shared secret", &x25519(ours.try_into().unwrap(), theirs));
}

/// 14.2: the key of an envelope.
pub(crate) fn note_envelope(notes: &mut Secrets, drawn: &[u8], identity: &[u8; 32], recipient: &[u8]) {
    let ephemeral: [u8; 32] = drawn.try_into().unwrap();
    let dh = x25519(ephemeral, public(identity));
    let label = format!("{LABEL}sealed sender");
    let info: [&[u8]; 4] = [label.as_bytes(), &[0x01], &public(&ephemeral), recipient];
    hkdf(notes, "envelope", &[0; 32], &dh, &info);
}

/// What a state holds, and what its chains come to.
pub(crate) fn note_state(notes: &mut Secrets, state: &State) {
    notes.add("root key", &state.root);
    for secret in [state.secret, state.sending, state.receiving]
        .into_iter()
        .flatten()
    {
        notes.add("state", &secret);
    }
    if let Some(seed) = &state.kem_seed {
        let pair = mlkem768::generate_key_pair(*seed);
        notes.add("offered KEM key, seed", seed);
        notes.add("offered KEM key, expanded", expanded_secret(&pair));
    }
    for chain in [state.sending, state.receiving].into_iter().flatten() {
        follow(notes, state.suite, chain);
    }
}

/// A message was sent from one state, and the state after is another. The draws say what was new.
pub(crate) fn note_sent(notes: &mut Secrets, before: &State, draws: &[Vec<u8>], after: &State) {
    let Some(ratchet_secret) = draws.first() else {
        return;
    };
    let dh = x25519(
        ratchet_secret.as_slice().try_into().unwrap(),
        before.theirs.unwrap(),
    );
    let answer = before.offer.as_ref().map(|key| {
        let drawn = draws[1].as_slice().try_into().unwrap();
        (key, mlkem768::encapsulate(&(**key).into(), drawn))
    });
    let kem = answer.as_ref().map(|(key, (ciphertext, shared))| Kem {
        shared: *shared,
        key: key.as_slice(),
        ciphertext: ciphertext.as_slice(),
    });
    let [root, _] = step(notes, before.suite, &before.root, &dh, kem);
    assert_eq!(root, after.root, "this is the key schedule of the session");
}

/// A session began: its first root key and first ratchet secret.
pub(crate) fn note_begun(
    notes: &mut Secrets,
    root: &[u8; 32],
    secret: [u8; 32],
    prekey: [u8; 32],
    after: &State,
) {
    let dh = x25519(secret, prekey);
    let [root, _] = step(notes, after.suite, root, &dh, None);
    assert_eq!(root, after.root, "this is the key schedule of the handshake");
}

/// What a state derives from the headers of a message that arrives, genuine or forged.
pub(crate) fn note_arriving(notes: &mut Secrets, before: &State, message: &Message<'_>) {
    let Some(secret) = before.secret else { return };
    if before.theirs.as_ref() == Some(message.ratchet_key) {
        return;
    }
    let dh = x25519(secret, *message.ratchet_key);
    let pair = before.kem_seed.map(mlkem768::generate_key_pair);
    let kem = pair.as_ref().zip(message.answer).map(|(pair, ciphertext)| Kem {
        shared: mlkem768::decapsulate(pair.private_key(), &ciphertext.into()),
        key: pair.public_key().as_slice(),
        ciphertext,
    });
    step(notes, before.suite, &before.root, &dh, kem);
}
