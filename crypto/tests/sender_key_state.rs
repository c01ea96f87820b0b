//! Sender keys in storage, and what arbitrary bytes do to their decoders.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod channel;

use std::collections::{BTreeMap, BTreeSet};

use channel::{
    History, NOW, alices, context, head, member, open, received, refused, rng, roster, send, stored,
};
use proptest::prelude::*;
use sottovoce_crypto::statements::ChannelId;
use sottovoce_crypto::{
    ReceivingSenderKey, SenderKeyContext, SenderKeyDistribution, SenderKeyMessage, SendingSenderKey,
    StateError,
};

const NO_RECORDS: [&[u8]; 0] = [];

#[test]
fn sender_keys_come_back_from_their_bytes() {
    let mut ours = alices(1);
    let mut theirs = received(&ours);
    let sent: Vec<_> = (0..6_u8).map(|number| send(&mut ours, &[number])).collect();
    open(&mut theirs, &sent[4]).unwrap();
    assert_eq!((ours.to_bytes().len(), theirs.to_bytes().len()), (199, 150));
    assert!(theirs.skipped_messages().all(|record| record.bytes.len() == 62));

    let mut ours_again = SendingSenderKey::from_bytes(&ours.to_bytes()).unwrap();
    assert_eq!(ours_again.to_bytes(), ours.to_bytes());
    assert_eq!(send(&mut ours_again, b"next"), send(&mut ours, b"next"));
    assert_eq!((ours_again.id(), ours_again.iteration()), (ours.id(), 7));
    assert!(ours_again.is_for(&context(1)) && !ours_again.is_for(&context(2)));

    let mut records = stored(&theirs);
    let state = records.remove(0);
    records.reverse();
    let mut theirs_again = ReceivingSenderKey::from_bytes(&state, &records).unwrap();
    assert_eq!(stored(&theirs_again), stored(&theirs));
    for number in [5, 0, 3, 1, 2_u8] {
        assert_eq!(
            open(&mut theirs_again, &sent[usize::from(number)]).unwrap(),
            [number]
        );
    }
    refused(&mut theirs_again, &sent[4]);
}

#[test]
fn saving_what_changed_is_enough() {
    let mut ours = alices(1);
    let mut theirs = received(&ours);
    let sent: Vec<_> = (0..40_u8).map(|number| send(&mut ours, &[number])).collect();
    let mut records = BTreeMap::new();
    for position in [9, 3, 10, 11, 30, 29, 0, 39, 12, 38] {
        let message = SenderKeyMessage::decode(&sent[position]).unwrap();
        let changes = theirs.decrypt(NOW, &message, &History(3)).unwrap().skipped;
        for record in changes.added {
            assert_eq!(record.id.key_id(), ours.id());
            records.insert(record.id.to_bytes(), record.bytes.to_vec());
        }
        for id in changes.removed {
            records.remove(&id.to_bytes());
        }
        let saved = ReceivingSenderKey::from_bytes(&theirs.to_bytes(), records.values()).unwrap();
        assert_eq!(stored(&saved), stored(&theirs));
    }
    // A message in its turn changes nothing but the key itself.
    let message = SenderKeyMessage::decode(&send(&mut ours, b"next")).unwrap();
    let changes = theirs.decrypt(NOW, &message, &History(3)).unwrap().skipped;
    assert!(changes.added.is_empty() && changes.removed.is_empty());
}

#[test]
fn records_of_two_senders_never_share_a_name() {
    let ours = alices(1);
    let other = SenderKeyContext {
        channel_id: ChannelId::from_bytes([0xdd; 32]),
        ..context(1)
    };
    let mut names = BTreeSet::new();
    for (seed, context) in [(2, context(1)), (3, context(2)), (4, other)] {
        // Each gives the key the same id, which nobody but the sender has a say in.
        let key = SendingSenderKey::generate(&mut rng(seed), NOW, &context, head(3));
        let mut bytes = key.to_bytes();
        bytes[66..82].copy_from_slice(ours.id().as_bytes());
        let mut key = SendingSenderKey::from_bytes(&bytes).unwrap();
        let distribution = key.distribution(NOW, &roster(3)).unwrap();
        let member = member(&context.sender);
        let mut theirs = ReceivingSenderKey::accept(&context, &distribution, &member, &History(3))
            .unwrap()
            .0;
        send(&mut key, b"late");
        let message = SenderKeyMessage::decode(&send(&mut key, b"words")).unwrap();
        let changes = theirs.decrypt(NOW, &message, &History(3)).unwrap().skipped;
        let id = changes.added[0].id;
        assert_eq!((id.key_id(), id.iteration()), (ours.id(), 0));
        assert_eq!(id, theirs.skipped_messages().next().unwrap().id);
        assert_eq!(
            id.to_bytes()[..32],
            theirs.to_bytes()[34..66],
            "channel and sender"
        );
        assert_eq!(id.to_bytes()[32..48], *ours.id().as_bytes());
        assert_eq!(id.to_bytes()[48..], [0; 4]);
        assert!(names.insert(id.to_bytes()), "one name for two secrets");
    }
}

/// Why some state is refused, if it is.
type Read = fn(&[u8]) -> Option<StateError>;

#[test]
fn a_stored_sender_key_is_read_strictly() {
    let mut ours = alices(1);
    let mut theirs = received(&ours);
    send(&mut ours, b"lost");
    let message = send(&mut ours, b"words");
    open(&mut theirs, &message).unwrap();
    let read: [(Vec<u8>, Read); 2] = [
        (ours.to_bytes().to_vec(), |bytes| {
            SendingSenderKey::from_bytes(bytes).err()
        }),
        (theirs.to_bytes().to_vec(), |bytes| {
            ReceivingSenderKey::from_bytes(bytes, NO_RECORDS).err()
        }),
    ];
    for (bytes, read) in read {
        assert_eq!(read(&bytes), None);
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_some());
        }
        assert_eq!(
            read(&[&bytes, [0].as_slice()].concat()),
            Some(StateError::Malformed)
        );
        for (position, value, error) in [
            (0, 2, StateError::UnsupportedVersion),
            (1, 1, StateError::Malformed),
            (1, bytes[1] ^ 1, StateError::Malformed),
        ] {
            let mut other = bytes.clone();
            other[position] = value;
            assert_eq!(read(&other), Some(error));
        }
    }

    let mut worn = ours.to_bytes().to_vec();
    worn[82..86].copy_from_slice(&1_000_u32.to_be_bytes());
    assert!(SendingSenderKey::from_bytes(&worn).is_ok());
    worn[82..86].copy_from_slice(&1_001_u32.to_be_bytes());
    assert!(SendingSenderKey::from_bytes(&worn).is_err());
    let mut marked = ours.to_bytes().to_vec();
    *marked.last_mut().unwrap() = 2;
    assert!(SendingSenderKey::from_bytes(&marked).is_err());
    let mut no_point = theirs.to_bytes().to_vec();
    no_point[118..].fill(0);
    assert!(ReceivingSenderKey::from_bytes(&no_point, NO_RECORDS).is_err());
}

#[test]
fn a_stored_record_that_is_not_the_keys_is_refused() {
    let mut ours = alices(1);
    let mut theirs = received(&ours);
    send(&mut ours, b"lost");
    open(&mut theirs, &send(&mut ours, b"words")).unwrap();
    let state = theirs.to_bytes();
    let record = theirs.skipped_messages().next().unwrap().bytes.to_vec();
    let read = |records: &[&[u8]]| ReceivingSenderKey::from_bytes(&state, records);
    assert!(read(&[&record]).is_ok());
    assert!(read(&[&record, &record]).is_err(), "twice");
    for length in 0..record.len() {
        assert!(read(&[&record[..length]]).is_err());
    }
    assert!(read(&[&[&record, [0].as_slice()].concat()]).is_err());
    let changed = |at: usize, value: u8| {
        let mut other = record.clone();
        other[at] = value;
        read(&[&other]).err()
    };
    assert_eq!(changed(0, 2), Some(StateError::UnsupportedVersion));
    assert_eq!(changed(1, 5), Some(StateError::Malformed));
    assert!(changed(2, record[2] ^ 1).is_some(), "another sender key's");
    assert!(changed(21, 2).is_some(), "of a message still to come");
    assert!(changed(21, 1).is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_reading_sender_keys_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        kind in any::<u8>(),
    ) {
        let mut framed = vec![0x01, kind];
        framed.extend_from_slice(&bytes);
        for bytes in [&bytes, &framed] {
            if let Ok(message) = SenderKeyMessage::decode(bytes) {
                prop_assert_eq!(&message.encode(), bytes);
                refused(&mut received(&alices(1)), bytes);
            }
            if let Ok(distribution) = SenderKeyDistribution::decode(bytes) {
                prop_assert_eq!(&*distribution.encode(), bytes);
            }
            if let Ok(key) = SendingSenderKey::from_bytes(bytes) {
                prop_assert_eq!(&*key.to_bytes(), bytes);
            }
            if let Ok(key) = ReceivingSenderKey::from_bytes(bytes, [bytes]) {
                prop_assert_eq!(&*key.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn what_is_read_of_a_sender_key_is_what_would_be_written(
        position in any::<proptest::sample::Index>(),
        value in any::<u8>(),
    ) {
        let mut ours = alices(1);
        let distribution = ours.distribution(NOW, &roster(3)).unwrap().encode().to_vec();
        let mut theirs = received(&ours);
        send(&mut ours, b"lost");
        let message = send(&mut ours, b"words");
        open(&mut theirs, &message).unwrap();
        let record = stored(&theirs).swap_remove(1);
        let changed = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let position = position.index(bytes.len());
            bytes[position] = value;
            bytes
        };
        let bytes = changed(&message);
        if let Ok(read) = SenderKeyMessage::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
        let bytes = changed(&distribution);
        if let Ok(read) = SenderKeyDistribution::decode(&bytes) {
            prop_assert_eq!(read.encode().to_vec(), bytes);
        }
        let bytes = changed(&ours.to_bytes());
        if let Ok(read) = SendingSenderKey::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes().to_vec(), bytes);
        }
        let (state, record) = (changed(&theirs.to_bytes()), changed(&record));
        if let Ok(read) = ReceivingSenderKey::from_bytes(&state, NO_RECORDS) {
            prop_assert_eq!(read.to_bytes().to_vec(), state);
        }
        if let Ok(read) = ReceivingSenderKey::from_bytes(&theirs.to_bytes(), [&record]) {
            prop_assert_eq!(&stored(&read)[1], &record);
        }
    }
}
