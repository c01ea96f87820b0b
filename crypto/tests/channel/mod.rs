//! A channel, its roster, and what its members need to write to it.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::cmp::Ordering;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{
    Address, ChannelId, DeviceId, HeadStanding, Role, RosterHead, RosterMember,
};
use sottovoce_crypto::{
    AccountKeyPair, IdentityKeyPair, Party, ReceivingSenderKey, RosterDoubt, RosterHistory, SenderKeyContext,
    SenderKeyDecryptError, SenderKeyDistribution, SenderKeyMessage, SendingRoster, SendingSenderKey,
};

/// When these tests happen, Unix time in milliseconds.
pub(crate) const NOW: u64 = 1_800_000_000_000;

pub(crate) const CHANNEL: ChannelId = ChannelId::from_bytes([0xcc; 32]);

pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// A member's device. Each `seed` is another.
pub(crate) fn party(seed: u8) -> Party {
    Party {
        address: Address::parse(&format!("member-{seed}@one.example")).unwrap(),
        device_id: DeviceId::from_bytes([seed; 16]),
        account_key: AccountKeyPair::from_secret_bytes(&[seed; 32]).unwrap().public(),
        identity_key: IdentityKeyPair::from_secret_bytes(&[0x80 ^ seed; 32])
            .unwrap()
            .public(),
    }
}

/// What that device sends under.
pub(crate) fn context(seed: u8) -> SenderKeyContext {
    SenderKeyContext {
        channel_id: CHANNEL,
        sender: party(seed),
    }
}

/// What the roster has for a sender's address.
pub(crate) fn member(sender: &Party) -> RosterMember {
    RosterMember {
        account_key: *sender.account_key.as_bytes(),
        role: Role::Member,
        manifest_version: 0,
    }
}

/// The entry of the channel's one true roster at a height.
pub(crate) fn head(height: u64) -> RosterHead {
    let mut hash = [0x4e; 32];
    hash[..8].copy_from_slice(&height.to_be_bytes());
    RosterHead { height, hash }
}

/// An entry that somebody else was shown.
pub(crate) fn other_head(height: u64) -> RosterHead {
    RosterHead {
        height,
        hash: [0xbd; 32],
    }
}

/// What a sender sees who has seen all up to a height, and nobody leave.
pub(crate) fn roster(height: u64) -> SendingRoster {
    SendingRoster {
        head: head(height),
        departed_at: 0,
        doubt: RosterDoubt::None,
    }
}

/// What a receiver remembers: everything up to a height.
pub(crate) struct History(pub(crate) u64);

impl RosterHistory for History {
    fn standing(&self, theirs: &RosterHead) -> HeadStanding {
        let ours = head(theirs.height);
        match theirs.height.cmp(&self.0) {
            Ordering::Greater => HeadStanding::Ahead,
            _ if *theirs != ours => HeadStanding::Fork { ours: ours.hash },
            Ordering::Equal => HeadStanding::Current,
            Ordering::Less => HeadStanding::Earlier,
        }
    }
}

/// A sender key of member 1's, made under the roster's third entry.
pub(crate) fn alices(seed: u8) -> SendingSenderKey {
    SendingSenderKey::generate(&mut rng(seed), NOW, &context(1), head(3))
}

/// What a member gets who is given the key now, by way of the bytes in a pairwise session.
pub(crate) fn received(key: &SendingSenderKey) -> ReceivingSenderKey {
    let bytes = key.distribution(NOW, &roster(3)).unwrap().encode();
    let distribution = SenderKeyDistribution::decode(&bytes).unwrap();
    ReceivingSenderKey::accept(&context(1), &distribution, &member(&party(1)), &History(3))
        .unwrap()
        .0
}

pub(crate) fn send(key: &mut SendingSenderKey, plaintext: &[u8]) -> Vec<u8> {
    key.encrypt(NOW, &roster(3), plaintext).unwrap()
}

pub(crate) fn open(key: &mut ReceivingSenderKey, bytes: &[u8]) -> Result<Vec<u8>, SenderKeyDecryptError> {
    let message = SenderKeyMessage::decode(bytes).map_err(|_| SenderKeyDecryptError::Undecryptable)?;
    key.decrypt(NOW, &message, &History(3))
        .map(|opened| opened.plaintext.to_vec())
}

/// Everything there is of a key, as it would be stored.
pub(crate) fn stored(key: &ReceivingSenderKey) -> Vec<Vec<u8>> {
    let records = key.skipped_messages().map(|record| record.bytes.to_vec());
    std::iter::once(key.to_bytes().to_vec()).chain(records).collect()
}

/// The same key, by way of storage.
pub(crate) fn restored(key: &ReceivingSenderKey) -> ReceivingSenderKey {
    let stored = stored(key);
    ReceivingSenderKey::from_bytes(&stored[0], &stored[1..]).unwrap()
}

/// Opens what must not open, and checks that the key is as it was.
pub(crate) fn refused(key: &mut ReceivingSenderKey, bytes: &[u8]) {
    let before = stored(key);
    assert!(open(key, bytes).is_err());
    assert_eq!(stored(key), before);
}
