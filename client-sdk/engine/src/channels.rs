//! The channels this account is in, as this device keeps them.
//!
//! ```text
//!  CreateChannel ─▶ founding ─▶ member ──── removed, or left ────▶ gone
//!  an invitation ─▶ joining ──────▲
//!  a sender key of a channel not heard of: awaited, until the invitation comes
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sottovoce_crypto::statements::{
    Account, Address, ChannelId, DeviceId, Roster, RosterEntry, RosterInvitation, Signed,
};
use sottovoce_crypto::{
    ReceivingSenderKey, RosterClaims, SenderKeyId, SendingSenderKey, SkippedMessageChanges,
};
use zeroize::Zeroizing;

use crate::post::Post;
use crate::records::pack;
use crate::turn::Turn;

/// Sender keys of one channel kept while its roster does not have their senders: more are thrown away, and
/// the posts under them are unreadable.
const WAITING_KEYS: usize = 64;

/// Sender keys kept of one device: the present one, and the one before for posts still on their way.
const KEYS_OF_A_DEVICE: usize = 2;

/// One channel.
pub(crate) struct Channel {
    pub(crate) id: ChannelId,
    pub(crate) stage: Stage,
    /// An entry of ours that the server has not taken yet; the genesis, while founding.
    pub(crate) pending: Option<Signed<RosterEntry>>,
    /// Heads that members named and that ours was not found to agree with.
    pub(crate) claims: RosterClaims,
    /// Distributions whose senders the roster does not have yet.
    pub(crate) waiting_keys: Vec<(Address, DeviceId, Zeroizing<Vec<u8>>)>,
    pub(crate) sending: Option<SendingSenderKey>,
    /// The devices that were given the sending key.
    pub(crate) given: BTreeSet<(Address, DeviceId)>,
    pub(crate) receiving: BTreeMap<KeyName, ReceivingSenderKey>,
    pub(crate) posts: VecDeque<Post>,
    /// Entries the server has shown that wait for their signers' accounts.
    pub(crate) fetched: Vec<Signed<RosterEntry>>,
    /// There are entries to be fetched.
    pub(crate) behind: bool,
    /// A call for this channel is under way.
    pub(crate) busy: bool,
    /// What the server shows does not verify: it is not asked again on this connection.
    pub(crate) stuck: bool,
}

/// Where we stand in a channel.
pub(crate) enum Stage {
    /// Our genesis is not taken yet.
    Founding,
    /// Somebody sent a sender key, and nobody an invitation yet.
    Awaited,
    /// Invited; the roster is being fetched.
    Joining(RosterInvitation, Account),
    Member(Roster),
    /// Removed, banned, or left.
    Gone,
}

/// Whose sender key it is, and its name.
pub(crate) type KeyName = (Address, DeviceId, SenderKeyId);

impl Channel {
    pub(crate) fn new(id: ChannelId, stage: Stage) -> Self {
        Self {
            id,
            stage,
            pending: None,
            claims: RosterClaims::default(),
            waiting_keys: Vec::new(),
            sending: None,
            given: BTreeSet::new(),
            receiving: BTreeMap::new(),
            posts: VecDeque::new(),
            fetched: Vec::new(),
            behind: false,
            busy: false,
            stuck: false,
        }
    }

    pub(crate) fn roster(&self) -> Option<&Roster> {
        match &self.stage {
            Stage::Member(roster) => Some(roster),
            _ => None,
        }
    }

    pub(crate) fn disconnected(&mut self) {
        self.busy = false;
        self.stuck = false;
        self.fetched.clear();
    }

    /// Keeps a distribution until the roster has its sender.
    pub(crate) fn keep_waiting(&mut self, from: (Address, DeviceId), key: Zeroizing<Vec<u8>>) {
        if self.waiting_keys.len() < WAITING_KEYS {
            self.waiting_keys.push((from.0, from.1, key));
        }
    }

    /// Keeps a sender key of somebody, in the place of the oldest of that device.
    pub(crate) fn keep_key(&mut self, name: KeyName, key: ReceivingSenderKey, turn: &mut Turn<'_>) {
        let of_device = |other: &&KeyName| (&other.0, other.1) == (&name.0, name.1);
        let held: Vec<KeyName> = self.receiving.keys().filter(of_device).cloned().collect();
        // Which of several is oldest is not known; the one furthest on was in use longest.
        let oldest = held
            .iter()
            .max_by_key(|name| self.receiving.get(*name).map(ReceivingSenderKey::iteration));
        if held.len() >= KEYS_OF_A_DEVICE
            && let Some(oldest) = oldest.cloned()
        {
            self.erase_key(&oldest, turn);
        }
        turn.put(self.key_record(&name), pack(&[&key.to_bytes()]));
        self.receiving.insert(name, key);
    }

    /// Keeps what opening a post did to a sender key.
    pub(crate) fn put_key(&self, name: &KeyName, changes: &SkippedMessageChanges, turn: &mut Turn<'_>) {
        let Some(key) = self.receiving.get(name) else {
            return;
        };
        turn.put(self.key_record(name), pack(&[&key.to_bytes()]));
        for added in &changes.added {
            turn.put(
                self.skipped_record(name, &added.id.to_bytes()),
                pack(&[&added.bytes]),
            );
        }
        for removed in &changes.removed {
            turn.delete(self.skipped_record(name, &removed.to_bytes()));
        }
    }

    /// Erases every sender key of those for whom `gone` holds.
    pub(crate) fn erase_keys(&mut self, gone: impl Fn(&KeyName) -> bool, turn: &mut Turn<'_>) {
        let names: Vec<KeyName> = self.receiving.keys().filter(|name| gone(name)).cloned().collect();
        for name in names {
            self.erase_key(&name, turn);
        }
    }

    fn erase_key(&mut self, name: &KeyName, turn: &mut Turn<'_>) {
        if let Some(key) = self.receiving.remove(name) {
            for skipped in key.skipped_messages() {
                turn.delete(self.skipped_record(name, &skipped.id.to_bytes()));
            }
            turn.delete(self.key_record(name));
        }
    }
}
