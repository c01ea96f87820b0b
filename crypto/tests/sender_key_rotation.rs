//! When a sender key must not be used any more, and what a thief of one can and cannot do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod channel;

use channel::{
    History, NOW, alices, context, head, member, open, other_head, party, received, refused, rng, roster,
    send, stored,
};
use sottovoce_crypto::{
    DistributionError, MAX_SENDER_KEY_AGE_MS, MAX_SENDER_KEY_MESSAGES, ReceivingSenderKey, RosterDoubt,
    RosterHistory, RosterStanding, RotationReason, SenderKeyDecryptError, SenderKeyMessage,
    SenderKeySendError, SendingRoster, SendingSenderKey,
};

#[test]
fn a_sender_ahead_of_us_is_read_and_reported() {
    let mut alices = alices(1);
    let sent = [3, 5, 9].map(|height| alices.encrypt(NOW, &roster(height), b"words").unwrap());
    let mut bobs = received(&channel::alices(1));
    let mut standing = |bytes: &[u8], known: &dyn RosterHistory| {
        let message = SenderKeyMessage::decode(bytes).unwrap();
        let opened = bobs.decrypt(NOW, &message, known).unwrap();
        assert_eq!(*opened.plaintext, b"words");
        (opened.roster_head, opened.standing)
    };
    assert_eq!(standing(&sent[2], &History(5)), (head(9), RosterStanding::Ahead));
    assert_eq!(standing(&sent[1], &History(5)), (head(5), RosterStanding::Agreed));
    // One who joined at the fifth entry remembers no earlier ones.
    assert_eq!(standing(&sent[0], &head(5)), (head(3), RosterStanding::Forgotten));
}

#[test]
fn a_fork_is_told_only_of_a_message_that_authenticates() {
    let mut alices = alices(1);
    let theirs = SendingRoster {
        head: other_head(4),
        ..roster(4)
    };
    let bytes = alices.encrypt(NOW, &theirs, b"words").unwrap();
    let mut bobs = received(&channel::alices(1));
    let before = stored(&bobs);
    let message = SenderKeyMessage::decode(&bytes).unwrap();
    let Err(SenderKeyDecryptError::Fork(fork)) = bobs.decrypt(NOW, &message, &History(4)) else {
        panic!("not a fork");
    };
    assert_eq!((fork.ours, fork.theirs), (head(4), other_head(4)));
    assert_eq!(stored(&bobs), before, "and it changes nothing");

    // Nobody but the sender can make us see one: neither with a head put in, nor with a damaged forked message.
    let honest = send(&mut alices, b"words");
    let mut put_in = honest.clone();
    put_in[22..62].copy_from_slice(&bytes[22..62]);
    for position in [30, 100, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1;
        let message = SenderKeyMessage::decode(&damaged).unwrap();
        assert_eq!(
            bobs.decrypt(NOW, &message, &History(4)).unwrap_err(),
            SenderKeyDecryptError::Undecryptable
        );
    }
    let message = SenderKeyMessage::decode(&put_in).unwrap();
    assert_eq!(
        bobs.decrypt(NOW, &message, &History(4)).unwrap_err(),
        SenderKeyDecryptError::Undecryptable
    );
    assert_eq!(open(&mut bobs, &honest).unwrap(), b"words");
}

#[test]
fn a_distribution_under_a_forked_roster_is_refused() {
    let alices = alices(1);
    let theirs = SendingRoster {
        head: other_head(4),
        ..roster(4)
    };
    let distribution = alices.distribution(NOW, &theirs).unwrap();
    for refusal in [
        ReceivingSenderKey::accept(&context(1), &distribution, &member(&party(1)), &History(4)).map(|_| ()),
        received(&alices)
            .confirm(&context(1), &distribution, &History(4))
            .map(|_| ()),
    ] {
        let Err(DistributionError::Fork(fork)) = refusal else {
            panic!("not a fork");
        };
        assert_eq!((fork.ours, fork.theirs), (head(4), other_head(4)));
    }
}

#[test]
fn nothing_is_sent_under_a_forked_roster() {
    let mut alices = alices(1);
    let known = SendingRoster {
        doubt: RosterDoubt::Forked,
        ..roster(3)
    };
    let shorter = roster(2);
    let replaced = SendingRoster {
        head: other_head(3),
        ..roster(3)
    };
    for roster in [known, shorter, replaced] {
        let before = alices.to_bytes();
        assert_eq!(
            alices.encrypt(NOW, &roster, b"words"),
            Err(SenderKeySendError::RosterForked)
        );
        assert_eq!(
            alices.distribution(NOW, &roster).unwrap_err(),
            SenderKeySendError::RosterForked
        );
        assert_eq!(alices.to_bytes(), before);
    }
    assert!(alices.encrypt(NOW, &roster(3), b"words").is_ok());
}

#[test]
fn nothing_is_sent_while_a_head_that_was_named_is_open() {
    let mut alices = alices(1);
    let behind = SendingRoster {
        doubt: RosterDoubt::Behind,
        ..roster(3)
    };
    let before = alices.to_bytes();
    let error = SenderKeySendError::RosterBehind;
    assert_eq!(alices.encrypt(NOW, &behind, b"words"), Err(error));
    assert_eq!(alices.distribution(NOW, &behind).unwrap_err(), error);
    assert_eq!(alices.to_bytes(), before);
    assert!(alices.encrypt(NOW, &roster(3), b"words").is_ok());
}

/// Asserts that nothing can be sent, for this reason, and that trying changes nothing.
fn due(key: &mut SendingSenderKey, now_ms: u64, roster: &SendingRoster, reason: RotationReason) {
    let before = key.to_bytes();
    let error = SenderKeySendError::RotationDue(reason);
    assert_eq!(key.rotation_due(now_ms, roster), Some(reason));
    assert_eq!(key.encrypt(now_ms, roster, b"words"), Err(error));
    assert_eq!(key.distribution(now_ms, roster).unwrap_err(), error);
    assert_eq!(key.to_bytes(), before);
}

#[test]
fn a_sender_key_is_not_used_after_a_departure() {
    let mut alices = alices(1);
    let after = |height, departed_at| SendingRoster {
        departed_at,
        ..roster(height)
    };
    assert!(
        alices.encrypt(NOW, &after(3, 3), b"words").is_ok(),
        "who left before"
    );
    assert!(
        alices.encrypt(NOW, &after(5, 2), b"words").is_ok(),
        "who joined since"
    );
    due(&mut alices, NOW, &after(4, 4), RotationReason::Departure);
    due(&mut alices, NOW, &after(9, 4), RotationReason::Departure);
    let mut next = alices.replace(&mut rng(9), NOW, head(4));
    assert!(next.encrypt(NOW, &after(4, 4), b"words").is_ok());
}

#[test]
fn a_retired_sender_key_is_not_used() {
    let mut alices = alices(1);
    alices.retire();
    due(&mut alices, NOW, &roster(3), RotationReason::Retired);
    let mut restored = SendingSenderKey::from_bytes(&alices.to_bytes()).unwrap();
    due(&mut restored, NOW, &roster(3), RotationReason::Retired);
    let next = alices.replace(&mut rng(9), NOW, head(3));
    assert_eq!(next.rotation_due(NOW, &roster(3)), None);
}

#[test]
fn a_sender_key_wears_out() {
    let mut alices = alices(1);
    let old = NOW + MAX_SENDER_KEY_AGE_MS;
    assert_eq!(alices.rotation_due(old - 1, &roster(3)), None);
    due(&mut alices, old, &roster(3), RotationReason::Age);
    assert_eq!(
        alices.rotation_due(0, &roster(3)),
        None,
        "a clock may go backwards"
    );
    let mut last = Vec::new();
    for _ in 0..MAX_SENDER_KEY_MESSAGES {
        last = send(&mut alices, b"words");
    }
    due(&mut alices, NOW, &roster(3), RotationReason::Messages);
    // Whoever had the key from the start and got none of the others still reads the last.
    assert!(open(&mut received(&channel::alices(1)), &last).is_ok());
}

#[test]
fn a_stolen_sender_key_opens_nothing_older() {
    let mut alices = alices(1);
    let mut bobs = received(&alices);
    let mut read = Vec::new();
    for round in 0..12_u8 {
        let message = send(&mut alices, &[round]);
        open(&mut bobs, &message).unwrap();
        read.push(message);
        // From a receiver, and from the sender: what it could give out now is all it can read.
        for mut thief in [channel::restored(&bobs), received(&alices)] {
            for message in &read {
                refused(&mut thief, message);
            }
        }
    }
}

#[test]
fn a_replaced_sender_key_shuts_out_who_left() {
    let mut alices = alices(1);
    let (mut bobs, mut mallorys) = (received(&alices), received(&alices));
    let message = send(&mut alices, b"all of us");
    assert!(open(&mut bobs, &message).is_ok() && open(&mut mallorys, &message).is_ok());

    // Mallory is removed by the fourth entry. Alice's key is replaced before she writes again, and Bob gets
    // the new one.
    let now = SendingRoster {
        departed_at: 4,
        ..roster(4)
    };
    let late = open(&mut bobs, &{
        let mut before = SendingSenderKey::from_bytes(&alices.to_bytes()).unwrap();
        send(&mut before, b"on its way")
    });
    assert_eq!(late.unwrap(), b"on its way", "what was sent before still arrives");
    let mut alices = alices.replace(&mut rng(9), NOW, head(4));
    let distribution = alices.distribution(NOW, &now).unwrap();
    let (mut bobs, _) =
        ReceivingSenderKey::accept(&context(1), &distribution, &member(&party(1)), &History(4)).unwrap();
    let message = alices.encrypt(NOW, &now, b"without Mallory").unwrap();
    let decoded = SenderKeyMessage::decode(&message).unwrap();
    assert!(bobs.decrypt(NOW, &decoded, &History(4)).is_ok());
    refused(&mut mallorys, &message);
    // Nor under the name of the new key.
    let mut renamed = mallorys.to_bytes().to_vec();
    renamed[66..82].copy_from_slice(distribution.key_id().as_bytes());
    let mut renamed = ReceivingSenderKey::from_bytes(&renamed, [[0; 0]; 0]).unwrap();
    refused(&mut renamed, &message);
}

#[test]
fn a_replaced_sender_key_shuts_out_a_thief() {
    let mut alices = alices(1);
    let mut bobs = received(&alices);
    // Somebody copies Alice's key, and until it is replaced reads along and writes in her name.
    let stolen = alices.to_bytes();
    let exposed = send(&mut alices, b"exposed");
    let mut thief = SendingSenderKey::from_bytes(&stolen).unwrap();
    assert!(open(&mut received(&thief), &exposed).is_ok());
    assert!(open(&mut bobs, &send(&mut thief, b"forged")).is_ok());

    let mut alices = alices.replace(&mut rng(9), NOW, head(3));
    let mut bobs = received(&alices);
    let healed = send(&mut alices, b"healed");
    refused(&mut received(&thief), &healed);
    refused(&mut bobs, &send(&mut thief, b"forged"));
    assert!(open(&mut bobs, &healed).is_ok());
    // Nothing of the old key is in the new one, other than the channel and the sender (66 bytes from the
    // front) and the head and mark (41 from the back).
    let (old, new) = (stolen.as_slice(), alices.to_bytes());
    let shared = old[66..old.len() - 41]
        .windows(16)
        .filter(|old| new[66..new.len() - 41].windows(16).any(|new| new == *old))
        .count();
    assert_eq!(shared, 0);
}
