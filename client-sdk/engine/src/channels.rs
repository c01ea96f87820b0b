//! The channels this account is in, as this device keeps them.
//!
//! ```text
//!  CreateChannel ─▶ founding ─▶ member ──── removed, or left ────▶ gone
//!  an invitation ─▶ joining ──────▲
//!  a sender key of a channel not heard of: awaited, until the invitation comes
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sottovoce_crypto::statements::{
    Account, AccountKey, Address, ChannelId, DeviceId, IdentityKey, Roster, RosterEntry, RosterHead,
    RosterInvitation, Signed,
};
use sottovoce_crypto::{
    Party, ReceivingSenderKey, RosterClaim, RosterClaims, SenderKeyId, SendingSenderKey,
    SkippedMessageChanges,
};
use zeroize::Zeroizing;

use crate::post::Post;
use crate::records::{RecordError, hex, pack, text, u64_of, unpack};
use crate::turn::Turn;
use crate::wire;

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

    /// Keeps the channel as it is now, but for its keys and posts.
    pub(crate) fn put(&self, turn: &mut Turn<'_>) {
        let (stage, state, inviter) = match &self.stage {
            Stage::Founding => (0, Vec::new(), None),
            Stage::Awaited => (1, Vec::new(), None),
            Stage::Joining(invitation, inviter) => (2, invitation.to_bytes(), Some(inviter)),
            Stage::Member(roster) => (3, roster.to_bytes(), None),
            Stage::Gone => (4, Vec::new(), None),
        };
        let inviter = inviter.map(|inviter| {
            pack(&[
                inviter.address.as_str().as_bytes(),
                inviter.account_key.as_bytes(),
            ])
        });
        let pending = self.pending.as_ref().map(wire::signed_to_bytes);
        let claims: Vec<_> = self.claims.iter().map(claim_to_bytes).collect();
        let claims: Vec<&[u8]> = claims.iter().map(|claim| claim.as_slice()).collect();
        let waiting: Vec<_> = self
            .waiting_keys
            .iter()
            .map(|(address, id, key)| pack(&[address.as_str().as_bytes(), id.as_bytes(), key]))
            .collect();
        let waiting: Vec<&[u8]> = waiting.iter().map(|key| key.as_slice()).collect();
        let record = pack(&[
            self.id.as_bytes(),
            &[stage],
            &state,
            inviter.as_ref().map_or(&[], |inviter| inviter.as_slice()),
            &pending.unwrap_or_default(),
            &pack(&claims),
            &pack(&waiting),
        ]);
        turn.put(format!("channel/{}", self.id), record);
    }

    /// Keeps the sending key and who has it.
    pub(crate) fn put_sending(&self, turn: &mut Turn<'_>) {
        let key = format!("sender-key/{}", self.id);
        match &self.sending {
            Some(sending) => {
                let given: Vec<_> = self
                    .given
                    .iter()
                    .map(|(address, id)| pack(&[address.as_str().as_bytes(), id.as_bytes()]))
                    .collect();
                let given: Vec<&[u8]> = given.iter().map(|device| device.as_slice()).collect();
                turn.put(key, pack(&[&sending.to_bytes(), &pack(&given)]));
            }
            None => turn.delete(key),
        }
    }

    pub(crate) fn from_record(
        bytes: &[u8],
        records: &BTreeMap<String, Zeroizing<Vec<u8>>>,
    ) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [id, [stage], state, inviter, pending, claims, waiting] = fields.as_slice() else {
            return Err(RecordError);
        };
        let id = ChannelId::from_bytes((*id).try_into().map_err(|_| RecordError)?);
        let stage = match stage {
            0 => Stage::Founding,
            1 => Stage::Awaited,
            2 => Stage::Joining(
                RosterInvitation::from_bytes(state).map_err(|_| RecordError)?,
                account_from_bytes(inviter)?,
            ),
            3 => Stage::Member(Roster::from_bytes(state).map_err(|_| RecordError)?),
            4 => Stage::Gone,
            _ => return Err(RecordError),
        };
        let mut channel = Self::new(id, stage);
        if !pending.is_empty() {
            channel.pending = Some(wire::signed_from_bytes(pending).map_err(|_| RecordError)?);
        }
        let claims = unpack(claims)?;
        let claims = claims.iter().map(|claim| claim_from_bytes(claim));
        channel.claims = claims.collect::<Result<RosterClaims, _>>()?;
        for waiting in unpack(waiting)? {
            let fields = unpack(waiting)?;
            let [address, device_id, key] = fields.as_slice() else {
                return Err(RecordError);
            };
            let key = Zeroizing::new(key.to_vec());
            channel
                .waiting_keys
                .push((address_of(address)?, device_of(device_id)?, key));
        }
        if let Some(sending) = records.get(&format!("sender-key/{id}")) {
            channel.load_sending(sending)?;
        }
        channel.load_receiving(records)?;
        Ok(channel)
    }

    fn load_sending(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let fields = unpack(bytes)?;
        let [sending, given] = fields.as_slice() else {
            return Err(RecordError);
        };
        self.sending = Some(SendingSenderKey::from_bytes(sending).map_err(|_| RecordError)?);
        for device in unpack(given)? {
            let fields = unpack(device)?;
            let [address, device_id] = fields.as_slice() else {
                return Err(RecordError);
            };
            self.given.insert((address_of(address)?, device_of(device_id)?));
        }
        Ok(())
    }

    fn load_receiving(&mut self, records: &BTreeMap<String, Zeroizing<Vec<u8>>>) -> Result<(), RecordError> {
        let prefix = format!("member-key/{}/", self.id);
        let of_channel = records.range(prefix.clone()..);
        for (name, record) in of_channel.take_while(|(name, _)| name.starts_with(&prefix)) {
            let rest = name.strip_prefix(&prefix).ok_or(RecordError)?;
            let skipped_prefix = format!("member-key-skipped/{}/{rest}/", self.id);
            let skipped = records
                .range(skipped_prefix.clone()..)
                .take_while(|(name, _)| name.starts_with(&skipped_prefix))
                .map(|(_, record)| match unpack(record)?.as_slice() {
                    [message] => Ok(message.to_vec()),
                    _ => Err(RecordError),
                })
                .collect::<Result<Vec<_>, _>>()?;
            let fields = unpack(record)?;
            let [key] = fields.as_slice() else {
                return Err(RecordError);
            };
            let key = ReceivingSenderKey::from_bytes(key, skipped).map_err(|_| RecordError)?;
            let mut parts = rest.split('/');
            let (Some(address), Some(device_id)) = (parts.next(), parts.next()) else {
                return Err(RecordError);
            };
            let device_id = device_from_hex(device_id)?;
            let address = address_of(address.as_bytes())?;
            self.receiving.insert((address, device_id, key.id()), key);
        }
        Ok(())
    }

    fn key_record(&self, (address, device_id, key): &KeyName) -> String {
        let (device_id, key) = (hex(device_id.as_bytes()), hex(key.as_bytes()));
        format!("member-key/{}/{address}/{device_id}/{key}", self.id)
    }

    fn skipped_record(&self, (address, device_id, key): &KeyName, skipped: &[u8]) -> String {
        let (device_id, key) = (hex(device_id.as_bytes()), hex(key.as_bytes()));
        format!(
            "member-key-skipped/{}/{address}/{device_id}/{key}/{}",
            self.id,
            hex(skipped)
        )
    }
}

fn claim_to_bytes(claim: &RosterClaim) -> Zeroizing<Vec<u8>> {
    let claimant = &claim.claimant;
    pack(&[
        claimant.address.as_str().as_bytes(),
        claimant.device_id.as_bytes(),
        claimant.account_key.as_bytes(),
        claimant.identity_key.as_bytes(),
        &claim.head.height.to_be_bytes(),
        &claim.head.hash,
    ])
}

fn claim_from_bytes(bytes: &[u8]) -> Result<RosterClaim, RecordError> {
    let fields = unpack(bytes)?;
    let [address, device_id, account_key, identity_key, height, hash] = fields.as_slice() else {
        return Err(RecordError);
    };
    Ok(RosterClaim {
        claimant: Party {
            address: address_of(address)?,
            device_id: device_of(device_id)?,
            account_key: AccountKey::from_slice(account_key).map_err(|_| RecordError)?,
            identity_key: IdentityKey::from_slice(identity_key).map_err(|_| RecordError)?,
        },
        head: RosterHead {
            height: u64_of(height)?,
            hash: (*hash).try_into().map_err(|_| RecordError)?,
        },
    })
}

fn account_from_bytes(bytes: &[u8]) -> Result<Account, RecordError> {
    let fields = unpack(bytes)?;
    let [address, account_key] = fields.as_slice() else {
        return Err(RecordError);
    };
    Ok(Account {
        address: address_of(address)?,
        account_key: AccountKey::from_slice(account_key).map_err(|_| RecordError)?,
    })
}

fn address_of(bytes: &[u8]) -> Result<Address, RecordError> {
    Address::parse(&text(bytes)?).map_err(|_| RecordError)
}

fn device_of(bytes: &[u8]) -> Result<DeviceId, RecordError> {
    DeviceId::from_slice(bytes).map_err(|_| RecordError)
}

fn device_from_hex(hex: &str) -> Result<DeviceId, RecordError> {
    let number = u128::from_str_radix(hex, 16).map_err(|_| RecordError)?;
    Ok(DeviceId::from_bytes(number.to_be_bytes()))
}
