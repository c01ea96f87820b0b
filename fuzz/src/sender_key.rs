//! Sender keys: messages, distributions and states have one encoding, and a message opens once or changes
//! nothing.

use sottovoce_crypto::statements::RosterHead;
use sottovoce_crypto::{
    ReceivingSenderKey, RosterDoubt, SenderKeyDecryptError, SenderKeyDistribution, SenderKeyMessage,
    SendingRoster, SendingSenderKey,
};

/// The key that the seeds are messages of.
const RECEIVING: &[u8] = include_bytes!("../seeds/sender_key/receiving");
/// A record that belongs to it once it has read further.
const SKIPPED: &[u8] = include_bytes!("../seeds/sender_key/skipped");
const NO_RECORDS: [&[u8]; 0] = [];
const HEAD: RosterHead = RosterHead {
    height: 9,
    hash: [9; 32],
};
const NOW: u64 = 1_800_000_000_000;

/// Bytes as everything they could be of a sender key; each written again, and put to use.
pub fn sender_key(data: &[u8]) {
    if let Ok(message) = SenderKeyMessage::decode(data) {
        assert_eq!(message.encode(), data);
        let mut key = ReceivingSenderKey::from_bytes(RECEIVING, NO_RECORDS).unwrap();
        receive(&mut key, &message);
    }
    if let Ok(distribution) = SenderKeyDistribution::decode(data) {
        assert_eq!(&*distribution.encode(), data);
    }
    if let Ok(key) = SendingSenderKey::from_bytes(data) {
        assert_eq!(&*key.to_bytes(), data);
        send(key);
    }
    if let Ok(key) = ReceivingSenderKey::from_bytes(data, NO_RECORDS) {
        assert_eq!(&*key.to_bytes(), data);
    }
    let _ = ReceivingSenderKey::from_bytes(data, [SKIPPED]);
    assert!(
        ReceivingSenderKey::from_bytes(RECEIVING, [data]).is_err(),
        "it has read nothing"
    );
}

/// It opens, and then never again; or it leaves the key as it was.
fn receive(key: &mut ReceivingSenderKey, message: &SenderKeyMessage) {
    if key.decrypt(NOW, message, &HEAD).is_ok() {
        let again = key.decrypt(NOW, message, &HEAD).unwrap_err();
        assert_eq!(again, SenderKeyDecryptError::Undecryptable);
    } else {
        assert_eq!(&*key.to_bytes(), RECEIVING);
        assert_eq!(key.skipped_messages().count(), 0);
    }
}

/// It encrypts, and moves on by one; or it stays as it was.
fn send(mut key: SendingSenderKey) {
    let roster = SendingRoster {
        head: HEAD,
        departed_at: 0,
        doubt: RosterDoubt::None,
    };
    let (before, iteration) = (key.to_bytes(), key.iteration());
    match key.encrypt(NOW, &roster, b"words") {
        Ok(bytes) => {
            let message = SenderKeyMessage::decode(&bytes).unwrap();
            assert_eq!((message.key_id(), message.iteration()), (key.id(), iteration));
            assert_eq!(key.iteration(), iteration + 1);
        }
        Err(_) => assert_eq!(key.to_bytes(), before),
    }
}
