//! The peer's side: Olm accounts, and sessions between them that carry whole tags.

use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};
use vodozemac::{Curve25519PublicKey, Ed25519Signature};

use crate::PAYLOAD;
use crate::row::Sizes;

/// A message as it travels: its kind, and its bytes.
pub(crate) type Wire = (usize, Vec<u8>);

/// A one-time key as published: signed by the account it belongs to.
pub(crate) struct SignedKey {
    key: Curve25519PublicKey,
    signature: Ed25519Signature,
}

/// A new one-time key of an account's. The account forgets the old ones as it makes more.
pub(crate) fn publish(account: &mut Account) -> SignedKey {
    account.generate_one_time_keys(1);
    let key = *account.one_time_keys().values().next().unwrap();
    account.mark_keys_as_published();
    SignedKey {
        key,
        signature: account.sign(key.as_bytes()),
    }
}

/// Verifies the signature over the key, begins a session, and encrypts.
pub(crate) fn start(account: &Account, them: &Account, key: &SignedKey) -> (Session, Wire) {
    them.ed25519_key()
        .verify(key.key.as_bytes(), &key.signature)
        .unwrap();
    let mut session = account
        .create_outbound_session(SessionConfig::version_2(), them.curve25519_key(), key.key)
        .unwrap();
    let message = send(&mut session);
    (session, message)
}

/// Reads a first message, and takes up its session.
pub(crate) fn accept(account: &mut Account, them: Curve25519PublicKey, message: &Wire) -> (Session, Vec<u8>) {
    let OlmMessage::PreKey(message) = decode(message) else {
        unreachable!("the first message brings the keys")
    };
    let created = account
        .create_inbound_session(SessionConfig::version_2(), them, &message)
        .unwrap();
    (created.session, created.plaintext)
}

/// Two ends that have heard each other.
pub(crate) fn established() -> (Session, Session) {
    let (alice, mut bob) = (Account::new(), Account::new());
    let key = publish(&mut bob);
    let (mut alices, first) = start(&alice, &bob, &key);
    let (mut bobs, _) = accept(&mut bob, alice.curve25519_key(), &first);
    let answer = send(&mut bobs);
    receive(&mut alices, &answer);
    (alices, bobs)
}

pub(crate) fn send(session: &mut Session) -> Wire {
    session.encrypt(PAYLOAD).unwrap().to_parts()
}

pub(crate) fn receive(session: &mut Session, message: &Wire) -> Vec<u8> {
    session.decrypt(&decode(message)).unwrap()
}

pub(crate) fn sizes(message: &Wire, session: &Session) -> Sizes {
    Sizes {
        wire: message.1.len(),
        state: session.pickle().encrypt(&[0; 32]).len(),
    }
}

fn decode((kind, bytes): &Wire) -> OlmMessage {
    OlmMessage::from_parts(*kind, bytes).unwrap()
}
