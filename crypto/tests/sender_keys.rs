//! What members of a channel can do with sender keys, and what nobody can.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod channel;

use channel::{
    CHANNEL, History, NOW, alices, context, head, member, open, party, received, refused, roster, send,
    stored,
};
use sottovoce_crypto::statements::ChannelId;
use sottovoce_crypto::{
    DistributionError, MAX_PLAINTEXT_LEN, MAX_SENDER_KEY_AGE_MS, MAX_SENDER_KEY_MESSAGES, Party,
    ReceivingSenderKey, RosterStanding, SenderKeyContext, SenderKeyDecryptError, SenderKeyDistribution,
    SenderKeyMessage, SenderKeySendError,
};

#[test]
fn one_ciphertext_is_for_every_member() {
    let mut alices = alices(1);
    let (mut bobs, mut carols) = (received(&alices), received(&alices));
    for text in [
        b"".as_slice(),
        b"hello",
        &[0x61; 1024],
        &[0x62; MAX_PLAINTEXT_LEN],
    ] {
        let message = send(&mut alices, text);
        assert_eq!(open(&mut bobs, &message).unwrap(), text);
        assert_eq!(open(&mut carols, &message).unwrap(), text);
    }
}

#[test]
fn who_gets_the_key_reads_from_then_on_and_nothing_before() {
    let mut alices = alices(1);
    let before = send(&mut alices, b"before");
    let mut bobs = received(&alices);
    let after = send(&mut alices, b"after");
    assert_eq!(bobs.iteration(), 1);
    refused(&mut bobs, &before);
    assert_eq!(open(&mut bobs, &after).unwrap(), b"after");
    refused(&mut bobs, &before);
}

#[test]
fn a_channel_message_decrypts_once_in_any_order() {
    let mut alices = alices(1);
    let sent: Vec<_> = (0..8_u8).map(|number| send(&mut alices, &[number])).collect();
    let mut bobs = received(&channel::alices(1));
    for number in [3, 0, 7, 1, 6, 2, 5, 4_u8] {
        let message = &sent[usize::from(number)];
        assert_eq!(open(&mut bobs, message).unwrap(), [number]);
        refused(&mut bobs, message);
    }
    assert_eq!(bobs.skipped_messages().count(), 0);
    for message in &sent {
        refused(&mut bobs, message);
    }
}

#[test]
fn every_byte_of_a_channel_message_is_authenticated() {
    let mut alices = alices(1);
    let message = send(&mut alices, b"words");
    let mut bobs = received(&channel::alices(1));
    for position in 0..message.len() {
        for bit in [0x01, 0x80] {
            let mut damaged = message.clone();
            damaged[position] ^= bit;
            refused(&mut bobs, &damaged);
        }
    }
    for length in 0..message.len() {
        refused(&mut bobs, &message[..length]);
    }
    assert_eq!(open(&mut bobs, &message).unwrap(), b"words");
}

#[test]
fn a_failed_decryption_leaves_the_sender_key_byte_for_byte_as_it_was() {
    let mut alices = alices(1);
    let sent: Vec<_> = (0..6_u8).map(|number| send(&mut alices, &[number])).collect();
    let mut bobs = received(&channel::alices(1));
    open(&mut bobs, &sent[3]).unwrap();
    let mut strangers = channel::alices(2);
    let strange = send(&mut strangers, b"strange");
    // For a message that would use a kept key up, one that would step the chain, and one of another key.
    for message in [&sent[1], &sent[5], &strange] {
        let mut damaged = message.clone();
        *damaged.last_mut().unwrap() ^= 1;
        refused(&mut bobs, &damaged);
        let middle = damaged.len() / 2;
        let mut damaged = message.clone();
        damaged[middle] ^= 1;
        refused(&mut bobs, &damaged);
    }
    refused(&mut bobs, &strange);
    for number in [5, 1, 0, 2, 4_u8] {
        assert_eq!(open(&mut bobs, &sent[usize::from(number)]).unwrap(), [number]);
    }
}

#[test]
fn a_message_under_another_sender_key_is_told_apart() {
    let mut bobs = received(&alices(1));
    let other = send(&mut alices(2), b"words");
    assert_eq!(open(&mut bobs, &other), Err(SenderKeyDecryptError::OtherKey));
}

#[test]
fn a_sender_key_serves_one_sender_and_one_channel() {
    let mut alices = alices(1);
    let distribution = alices.distribution(NOW, &roster(3)).unwrap();
    let message = send(&mut alices, b"words");
    let honest = context(1);
    let accept = |context: &SenderKeyContext, distribution: &SenderKeyDistribution| {
        ReceivingSenderKey::accept(context, distribution, &member(&context.sender), &History(3))
            .unwrap()
            .0
    };
    assert!(open(&mut accept(&honest, &distribution), &message).is_ok());

    // Somebody passes it on as their own, in whatever they differ.
    let other = party(2);
    let misled = [
        Party {
            address: other.address.clone(),
            ..honest.sender.clone()
        },
        Party {
            device_id: other.device_id,
            ..honest.sender.clone()
        },
        Party {
            account_key: other.account_key,
            ..honest.sender.clone()
        },
        Party {
            identity_key: other.identity_key,
            ..honest.sender.clone()
        },
    ];
    for sender in misled {
        let context = SenderKeyContext {
            channel_id: CHANNEL,
            sender,
        };
        let mut key = accept(&context, &distribution);
        assert!(key.is_for(&context) && !key.is_for(&honest));
        refused(&mut key, &message);
    }

    // Or as one for another channel.
    let elsewhere = SenderKeyContext {
        channel_id: ChannelId::from_bytes([0xdd; 32]),
        sender: honest.sender,
    };
    let refusal =
        ReceivingSenderKey::accept(&elsewhere, &distribution, &member(&elsewhere.sender), &History(3));
    assert_eq!(refusal.unwrap_err(), DistributionError::OtherChannel);
    let mut bytes = distribution.encode().to_vec();
    bytes[2..34].copy_from_slice(&[0xdd; 32]);
    let moved = SenderKeyDistribution::decode(&bytes).unwrap();
    refused(&mut accept(&elsewhere, &moved), &message);
}

#[test]
fn a_second_distribution_never_moves_the_chain() {
    let mut alices = alices(1);
    let first = alices.distribution(NOW, &roster(3)).unwrap();
    let sent: Vec<_> = (0..4_u8).map(|number| send(&mut alices, &[number])).collect();
    let second = alices.distribution(NOW, &roster(4)).unwrap();
    let mut bobs = received(&channel::alices(1));
    let later = |distribution: &SenderKeyDistribution, bobs: &ReceivingSenderKey| {
        let before = stored(bobs);
        let standing = bobs.confirm(&context(1), distribution, &History(3));
        assert_eq!(stored(bobs), before);
        standing
    };
    assert_eq!(later(&first, &bobs), Ok(RosterStanding::Agreed));
    assert_eq!(later(&second, &bobs), Ok(RosterStanding::Ahead));
    assert_eq!(open(&mut bobs, &sent[2]).unwrap(), [2]);
    assert_eq!(later(&first, &bobs), Ok(RosterStanding::Agreed), "it is past");
    assert_eq!(later(&second, &bobs), Ok(RosterStanding::Ahead));
    for number in [0, 1, 3_u8] {
        assert_eq!(open(&mut bobs, &sent[usize::from(number)]).unwrap(), [number]);
    }
    assert_eq!(later(&second, &bobs), Ok(RosterStanding::Ahead));
    refused(&mut bobs, &sent[0]);
}

#[test]
fn a_distribution_that_contradicts_an_earlier_one_is_a_conflict() {
    let alices = alices(1);
    let bobs = received(&alices);
    let honest = alices.distribution(NOW, &roster(3)).unwrap().encode();
    let confirm = |bytes: &[u8]| {
        let distribution = SenderKeyDistribution::decode(bytes).unwrap();
        bobs.confirm(&context(1), &distribution, &History(3))
    };
    let changed = |at: usize, value: &[u8]| {
        let mut bytes = honest.to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        confirm(&bytes)
    };
    let conflict = Err(DistributionError::Conflict);
    assert_eq!(confirm(&honest), Ok(RosterStanding::Agreed));
    assert_eq!(changed(2, &[1; 32]), conflict, "channel");
    assert_eq!(changed(34, &[1; 16]), Err(DistributionError::OtherKey));
    assert_eq!(changed(50, &1_u32.to_be_bytes()), conflict, "iteration");
    assert_eq!(changed(50, &2_001_u32.to_be_bytes()), conflict, "out of reach");
    assert_eq!(changed(54, &[1; 32]), conflict, "chain key");
    assert_eq!(
        changed(86, party(2).identity_key.as_bytes()),
        conflict,
        "signing key"
    );
    let distribution = SenderKeyDistribution::decode(&honest).unwrap();
    let other_sender = bobs.confirm(&context(2), &distribution, &History(3));
    assert_eq!(other_sender, conflict);
}

#[test]
fn a_distribution_of_any_other_form_is_refused() {
    let bytes = alices(1).distribution(NOW, &roster(3)).unwrap().encode();
    assert_eq!(bytes.len(), SenderKeyDistribution::LEN);
    assert_eq!(SenderKeyDistribution::decode(&bytes).unwrap().encode(), bytes);
    for length in 0..bytes.len() {
        assert!(SenderKeyDistribution::decode(&bytes[..length]).is_err());
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(SenderKeyDistribution::decode(&longer).is_err());
    for (position, value) in [(0, 2), (1, 0x10), (86 + 31, 0xff)] {
        let mut other = bytes.to_vec();
        other[position] = value;
        assert!(SenderKeyDistribution::decode(&other).is_err());
    }
    let mut small_order = bytes.to_vec();
    small_order[86..118].fill(0);
    assert!(SenderKeyDistribution::decode(&small_order).is_err());
}

#[test]
fn a_channel_message_of_any_other_form_is_malformed() {
    let bytes = send(&mut alices(1), b"words");
    assert_eq!(bytes.len(), 2 + 16 + 4 + 40 + 4 + 256 + 16 + 64);
    assert_eq!(SenderKeyMessage::decode(&bytes).unwrap().encode(), bytes);
    for length in 0..bytes.len() {
        assert!(SenderKeyMessage::decode(&bytes[..length]).is_err());
    }
    for longer in 1..256 {
        let longer = [bytes.clone(), vec![0; longer]].concat();
        assert!(SenderKeyMessage::decode(&longer).is_err());
    }
    let mut newer = bytes.clone();
    newer[0] = 2;
    assert_eq!(
        SenderKeyMessage::decode(&newer),
        Err(sottovoce_crypto::DecodeError::UnsupportedVersion)
    );
    for kind in (0..=u8::MAX).filter(|&kind| kind != 0x10) {
        let mut other = bytes.clone();
        other[1] = kind;
        assert!(SenderKeyMessage::decode(&other).is_err());
    }
    assert!(sottovoce_crypto::SessionMessage::decode(&bytes).is_err());
}

#[test]
fn a_message_too_long_for_a_channel_is_refused_and_changes_nothing() {
    let mut alices = alices(1);
    let before = alices.to_bytes();
    let refusal = alices.encrypt(NOW, &roster(3), &[0; MAX_PLAINTEXT_LEN + 1]);
    assert_eq!(refusal, Err(SenderKeySendError::TooLong));
    assert_eq!(alices.to_bytes(), before);
}

/// A message built from the specification's text and the primitives alone.
#[test]
fn a_channel_message_is_what_the_specification_says() {
    use chacha20poly1305::aead::{Aead, KeyInit, Payload};
    use ed25519_dalek::{Signer, SigningKey};
    use hmac::{Hmac, Mac};
    use sha2::{Digest, Sha256};

    let key = alices(1);
    let distribution = key.distribution(NOW, &roster(3)).unwrap().encode();
    let (key_id, chain_key) = (&distribution[34..50], &distribution[54..86]);
    let secret: [u8; 32] = key.to_bytes()[118..150].try_into().unwrap();
    let hmac = |key: &[u8], data: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(data);
        mac.finalize().into_bytes().to_vec()
    };
    let sender = party(1);
    let address = sender.address.as_str().as_bytes();
    let ad = Sha256::digest(
        [
            b"Sottovoce-v1 sender key associated data".as_slice(),
            CHANNEL.as_bytes(),
            &[address.len() as u8],
            address,
            sender.device_id.as_bytes(),
            sender.account_key.as_bytes(),
            sender.identity_key.as_bytes(),
        ]
        .concat(),
    );
    // Iteration 1: one step, then the message key.
    let chain_key = hmac(chain_key, &[2]);
    let message_key = hmac(&chain_key, &[1]);
    let pseudorandom_key = hmac(&[0; 32], &message_key);
    let info = b"Sottovoce-v1 sender key message".as_slice();
    let first = hmac(&pseudorandom_key, &[info, &[1]].concat());
    let second = hmac(&pseudorandom_key, &[&first, info, &[2]].concat());
    let mut padded = [4_u32.to_be_bytes().as_slice(), b"text"].concat();
    padded.resize(4 + 256, 0);
    let header = head(3);
    let mut message = [
        &[0x01, 0x10],
        key_id,
        &1_u32.to_be_bytes(),
        &header.height.to_be_bytes(),
        &header.hash,
    ]
    .concat();
    let aad = [ad.as_slice(), &message].concat();
    let cipher = chacha20poly1305::ChaCha20Poly1305::new_from_slice(&first).unwrap();
    let payload = Payload {
        msg: &padded,
        aad: &aad,
    };
    message.extend(cipher.encrypt(second[..12].try_into().unwrap(), payload).unwrap());
    let signed = Sha256::digest([b"Sottovoce-v1 sender key signature".as_slice(), &ad, &message].concat());
    message.extend(SigningKey::from_bytes(&secret).sign(&signed).to_bytes());

    let mut alices = key;
    send(&mut alices, b"zero");
    assert_eq!(send(&mut alices, b"text"), message);
}

/// The numbers in the text are the ones in the code.
#[test]
fn the_limits_of_sender_keys_are_as_the_specification_says() {
    assert_eq!(MAX_SENDER_KEY_MESSAGES, 1_000);
    assert_eq!(MAX_SENDER_KEY_AGE_MS, 7 * 86_400_000);
    assert_eq!(SenderKeyDistribution::LEN, 158);
    assert_eq!(send(&mut alices(1), &[0; 1024]).len(), 1_170);
}
