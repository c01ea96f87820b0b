//! Decoders: whatever they take, they must give back unchanged; whatever they refuse, they must survive.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{
    AuthChallenge, DeviceBinding, DeviceManifest, Signed, SignedPrekey, Statement,
};
use sottovoce_crypto::{OneTimePrekeyPair, Session, SessionMessage, SignedPrekeyPair};

use crate::two_parties::Pair;

/// A message from the network: decoded, offered to a session at either end, and encoded again.
pub fn session_message(data: &[u8]) {
    /// The stored ends of one conversation, both of which have heard the other.
    static ENDS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| Pair::new(1).established());

    let Ok(message) = SessionMessage::decode(data) else {
        return;
    };
    assert_eq!(message.encode(), data);
    for end in ENDS.iter() {
        let mut session = Session::from_bytes(end).unwrap();
        // Nobody has the keys, so nothing made up here authenticates.
        assert!(session.decrypt(0, &message).is_err());
        assert_eq!(&*session.to_bytes(), end);
    }
}

/// A signed statement: parsed as each kind there is, and encoded again.
pub fn statement(data: &[u8]) {
    fn check<S: Statement + Clone>(data: &[u8]) {
        let signature = [0; 64];
        let Ok(signed) = Signed::<S>::from_parts(data, &signature) else {
            return;
        };
        let again = Signed::sign_with(signed.claimed().clone(), |_| signature);
        assert!(again.is_ok_and(|again| again.statement_bytes() == data));
    }
    check::<DeviceManifest>(data);
    check::<DeviceBinding>(data);
    check::<SignedPrekey>(data);
    check::<AuthChallenge>(data);
}

/// Stored state: read as each kind there is, written again, and a session put to use.
pub fn state(data: &[u8]) {
    if let Ok(prekey) = SignedPrekeyPair::from_bytes(data) {
        assert_eq!(&*prekey.to_bytes(), data);
    }
    if let Ok(prekey) = OneTimePrekeyPair::from_bytes(data) {
        assert_eq!(&*prekey.to_bytes(), data);
    }
    let Ok(mut session) = Session::from_bytes(data) else {
        return;
    };
    assert_eq!(&*session.to_bytes(), data);
    // A state that was read must serve, or refuse, without a panic, and must read again afterwards.
    let rng = &mut ChaCha20Rng::from_seed([1; 32]);
    if let Ok(bytes) = session.encrypt(rng, b"words") {
        let message = SessionMessage::decode(&bytes);
        // What we send we cannot be sent: no chain is shared between the directions.
        assert!(message.is_ok_and(|message| session.decrypt(0, &message).is_err()));
    }
    assert!(Session::from_bytes(&session.to_bytes()).is_ok());
}
