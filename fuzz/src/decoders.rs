//! Decoders: whatever they take, they must give back unchanged; whatever they refuse, they must survive.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{
    AccountDeletion, Address, AuthChallenge, DeviceBinding, DeviceManifest, KemPrekey, Signed, SignedPrekey,
    Statement,
};
use sottovoce_crypto::{
    AccessKey, KemPrekeyPair, OneTimePrekeyPair, Session, SessionMessage, SignedPrekeyPair, StorageKey,
};

use crate::two_parties::{Pair, To};

/// A message from the network: decoded, offered to a session in each state, and encoded again.
pub fn session_message(data: &[u8]) {
    /// The stored ends of conversations in both suites, and of one that awaits a KEM ciphertext.
    static ENDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        // Other conversations than those the seeds are from.
        let mut healing = Pair::established(8);
        healing.wait(8 * 24);
        healing.lost(To::Bob, 5);
        [Pair::established(8), Pair::established(9), healing]
            .iter()
            .flat_map(Pair::states)
            .collect()
    });

    let Ok(message) = SessionMessage::decode(data) else {
        return;
    };
    assert_eq!(message.encode(), data);
    for end in ENDS.iter() {
        let mut session = Session::from_bytes(end, NO_RECORDS).unwrap();
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
    check::<AccountDeletion>(data);
    check::<KemPrekey>(data);
}

/// Stored state: read as each kind there is, written again, and a session put to use. What stands at the
/// end and looks like the record of a skipped key is taken as one.
pub fn state(data: &[u8]) {
    if let Ok(key) = AccessKey::from_bytes(data) {
        assert_eq!(&*key.to_bytes(), data);
    }
    // Nobody has the key, so nothing made up here opens.
    assert!(StorageKey::from_bytes([7; 32]).open(b"context", data).is_err());
    if let Some(address) = str::from_utf8(data)
        .ok()
        .and_then(|text| Address::parse(text).ok())
    {
        assert_eq!(address.as_str().as_bytes(), data);
    }
    if let Ok(prekey) = SignedPrekeyPair::from_bytes(data) {
        assert_eq!(&*prekey.to_bytes(), data);
    }
    if let Ok(prekey) = OneTimePrekeyPair::from_bytes(data) {
        assert_eq!(&*prekey.to_bytes(), data);
    }
    if let Ok(prekey) = KemPrekeyPair::from_bytes(data) {
        assert_eq!(&*prekey.to_bytes(), data);
    }
    let (stored, mut records) = split_records(data);
    let Ok(mut session) = Session::from_bytes(stored, &records) else {
        return;
    };
    assert_eq!(&*session.to_bytes(), stored);
    // They are handed out in the order of their names, whatever order they came in.
    records.sort_unstable();
    assert!(
        session
            .skipped_keys()
            .map(|record| record.bytes.to_vec())
            .eq(records)
    );
    // A state that was read must serve, or refuse, without a panic, and must read again afterwards.
    let rng = &mut ChaCha20Rng::from_seed([1; 32]);
    if let Ok(bytes) = session.encrypt(rng, 0, b"words") {
        let message = SessionMessage::decode(&bytes);
        // What we send we cannot be sent: no chain is shared between the directions.
        assert!(message.is_ok_and(|message| session.decrypt(0, &message).is_err()));
    }
    let records = session.skipped_keys().map(|record| record.bytes.to_vec());
    assert!(Session::from_bytes(&session.to_bytes(), records).is_ok());
}

/// A session without any skipped keys.
const NO_RECORDS: [&[u8]; 0] = [];

/// Takes records of skipped keys off the end.
fn split_records(mut data: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let mut records = Vec::new();
    while let Some((rest, record)) = data.split_last_chunk::<78>()
        && record.starts_with(&[0x01, 0x05])
    {
        records.push(record.as_slice());
        data = rest;
    }
    (data, records)
}
