//! A channel's sender key: handed out, used, passed over, stored, replaced.

use sottovoce_crypto::statements::{ChannelId, Role, RosterHead, RosterMember};
use sottovoce_crypto::{
    ReceivingSenderKey, RosterDoubt, SenderKeyContext, SenderKeyDistribution, SenderKeyMessage,
    SendingRoster, SendingSenderKey,
};

use crate::people::Device;
use crate::schedule::follow_sender_key;
use crate::script::{Script, Words};

const HEAD: RosterHead = RosterHead {
    height: 4,
    hash: [4; 32],
};

/// Somebody encrypts for a whole channel, and one member reads.
pub(crate) fn channel(script: &mut Script, alice: &Device) {
    let context = SenderKeyContext {
        channel_id: ChannelId::from_bytes([0xcc; 32]),
        sender: alice.party.clone(),
    };
    let member = RosterMember {
        account_key: *alice.party.account_key.as_bytes(),
        role: Role::Member,
        manifest_version: 0,
    };
    let roster = SendingRoster {
        head: HEAD,
        departed_at: 0,
        doubt: RosterDoubt::None,
    };
    let mut alices = SendingSenderKey::generate(&mut script.rng, script.now_ms, &context, HEAD);
    note_drawn(script);
    let secret = alices.distribution(script.now_ms, &roster).unwrap().encode();
    let distribution = SenderKeyDistribution::decode(&secret).unwrap();
    let (mut bobs, _) = ReceivingSenderKey::accept(&context, &distribution, &member, &HEAD).unwrap();

    let [first, second, third] = [(); 3].map(|()| {
        let words = script.words();
        (alices.encrypt(script.now_ms, &roster, &words).unwrap(), words)
    });
    let mut damaged = third.0.clone();
    damaged[200] ^= 1;
    let damaged = SenderKeyMessage::decode(&damaged).unwrap();
    assert!(bobs.decrypt(script.now_ms, &damaged, &HEAD).is_err());
    read(script, &mut bobs, &third);
    assert!(bobs.confirm(&context, &distribution, &HEAD).is_ok());

    // To storage and back, both ends.
    let stored = [alices.to_bytes(), bobs.to_bytes()].map(|state| script.seal(&state));
    let storage = script.storage.as_ref().unwrap();
    let [ours, theirs] = stored.map(|sealed| storage.open(b"context", &sealed).unwrap());
    let records: Vec<_> = bobs.skipped_messages().map(|record| record.bytes).collect();
    alices = SendingSenderKey::from_bytes(&ours).unwrap();
    bobs = ReceivingSenderKey::from_bytes(&theirs, &records).unwrap();
    read(script, &mut bobs, &first);

    // The key is replaced, and both ends go with a message still to come.
    let _new = alices.replace(&mut script.rng, script.now_ms, HEAD);
    note_drawn(script);
    drop(second);
}

/// A key id, a chain key, a signing secret.
fn note_drawn(script: &mut Script) {
    let drawn = script.drawn();
    if let (Some(notes), Some(chain)) = (&mut script.notes, drawn.get(1)) {
        follow_sender_key(notes, chain.as_slice().try_into().unwrap());
    }
}

fn read(script: &Script, bobs: &mut ReceivingSenderKey, (bytes, words): &(Vec<u8>, Words)) {
    let message = SenderKeyMessage::decode(bytes).unwrap();
    let opened = bobs.decrypt(script.now_ms, &message, &HEAD).unwrap();
    assert_eq!(opened.plaintext.as_slice(), words);
    assert!(bobs.decrypt(script.now_ms, &message, &HEAD).is_err());
}
