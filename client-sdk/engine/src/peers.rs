//! The people on the other side: which account key stands for each address, and which devices it names.
//!
//! ```text
//!              first seen                         another key shown
//!  (unknown) ───────────▶ trusted on first use ───────────────────▶ held, until the key is accepted or rejected
//!                              │      ▲                                       │
//!                 newer manifest      └───────────────────────────────────────┘
//! ```

use std::collections::BTreeMap;

use sottovoce_crypto::Party;
use sottovoce_crypto::statements::{AccountKey, Address, DeviceId, ManifestHash, Signed};
use zeroize::Zeroizing;

use crate::records::{RecordError, pack, u64_of, unpack};
use crate::wire::VerifiedAccount;

/// One address, as this device knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) account: VerifiedAccount,
    /// Another account key the server has shown since, waiting for the user's word.
    pub(crate) proposed: Option<VerifiedAccount>,
    /// Whether anything has been sent to it or authentically received from it.
    pub(crate) pinned: bool,
    /// A manifest version the peer itself speaks of, while the server has not shown it.
    pub(crate) claimed: u64,
    /// What the peer last said of our manifest that we know to be otherwise.
    pub(crate) disputed: Option<(u64, ManifestHash)>,
    /// Account keys trusted before this one, with the newest manifest seen of each: going back to one
    /// cannot bring back an older list.
    former: Vec<VerifiedAccount>,
    /// Messages the server has taken for each device.
    sent: BTreeMap<DeviceId, u64>,
    /// Highest sequence number received from each device.
    received: BTreeMap<DeviceId, u64>,
}

/// Former account keys remembered for an address. People change phones, not weekly.
const FORMER_KEYS: usize = 8;

/// What a newly shown account means for what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing new.
    Same,
    /// A newer manifest of the same account, now the one that counts.
    Newer,
    /// Another account key, set aside for the user to judge.
    KeyChanged,
    /// Older than, or in conflict with, what was seen before. Not believed.
    Conflict,
}

/// Where a received sequence number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// After the last, with this many between them that have not come.
    After { missing: u64 },
    /// Before one that has come already.
    Late,
}

impl Peer {
    pub(crate) fn new(account: VerifiedAccount) -> Self {
        Self {
            account,
            proposed: None,
            pinned: false,
            claimed: 0,
            disputed: None,
            former: Vec::new(),
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
        }
    }

    pub(crate) fn see(&mut self, shown: VerifiedAccount) -> Shown {
        if shown.key != self.account.key {
            return self.see_another(shown);
        }
        // The trusted key again: whatever other key was shown meanwhile was a lie, or this is one.
        let contradicted = self.proposed.take().is_some();
        let seen = self.see_manifest(shown);
        if contradicted { Shown::Conflict } else { seen }
    }

    fn see_another(&mut self, shown: VerifiedAccount) -> Shown {
        let known_before = self.former.iter().find(|former| former.key == shown.key);
        if known_before.is_some_and(|former| !may_follow(former, &shown)) {
            return Shown::Conflict;
        }
        if !self.pinned {
            *self = Self::new(shown);
            return Shown::Newer;
        }
        let told = self
            .proposed
            .as_ref()
            .is_some_and(|proposed| proposed.key == shown.key);
        self.proposed = Some(shown);
        if told { Shown::Same } else { Shown::KeyChanged }
    }

    fn see_manifest(&mut self, shown: VerifiedAccount) -> Shown {
        if !may_follow(&self.account, &shown) {
            return Shown::Conflict;
        }
        if shown.manifest.version == self.account.manifest.version {
            return Shown::Same;
        }
        let before = std::mem::replace(&mut self.account, shown).manifest;
        let manifest = &self.account.manifest;
        // Another key under the same id is another device, and counts anew.
        let stays = |device: &DeviceId| {
            let key = manifest.identity_key(*device);
            key.is_some() && key == before.identity_key(*device)
        };
        self.sent.retain(|device, _| stays(device));
        self.received.retain(|device, _| stays(device));
        Shown::Newer
    }

    /// Puts the proposed key in place of the trusted one; `false` if it is not the one proposed.
    pub(crate) fn accept(&mut self, key: &AccountKey) -> bool {
        let Some(account) = self.proposed.take_if(|proposed| proposed.key == *key) else {
            return false;
        };
        let before = std::mem::replace(self, Self::new(account));
        self.pinned = true;
        self.former = before.former;
        self.former.retain(|former| former.key != before.account.key);
        self.former.insert(0, before.account);
        self.former.truncate(FORMER_KEYS);
        true
    }

    /// Sets the proposed key aside; `false` if it is not the one proposed.
    pub(crate) fn reject(&mut self, key: &AccountKey) -> bool {
        self.proposed.take_if(|proposed| proposed.key == *key).is_some()
    }

    /// The device as a party to a session, if the trusted manifest names it.
    pub(crate) fn party(&self, device_id: DeviceId) -> Option<Party> {
        let identity_key = *self.account.manifest.identity_key(device_id)?;
        let address = self.account.manifest.address.clone();
        Some(Party {
            address,
            device_id,
            account_key: self.account.key,
            identity_key,
        })
    }

    /// Every device of the trusted manifest, as a party to a session.
    pub(crate) fn parties(&self) -> Vec<Party> {
        let devices = &self.account.manifest.devices;
        devices
            .iter()
            .filter_map(|device| self.party(device.device_id))
            .collect()
    }

    pub(crate) fn next_sequence(&self, device_id: DeviceId) -> u64 {
        self.sent.get(&device_id).copied().unwrap_or(0).saturating_add(1)
    }

    pub(crate) fn note_sent(&mut self, device_id: DeviceId) {
        let next = self.next_sequence(device_id);
        self.sent.insert(device_id, next);
    }

    pub(crate) fn note_received(&mut self, device_id: DeviceId, sequence: u64) -> Arrival {
        let last = self.received.entry(device_id).or_insert(0);
        if sequence <= *last {
            return Arrival::Late;
        }
        let missing = sequence - *last - 1;
        *last = sequence;
        Arrival::After { missing }
    }

    pub(crate) fn to_record(&self) -> Zeroizing<Vec<u8>> {
        let former: Vec<_> = self.former.iter().map(account_to_bytes).collect();
        let former: Vec<&[u8]> = former.iter().map(|account| account.as_slice()).collect();
        pack(&[
            &account_to_bytes(&self.account),
            self.proposed
                .as_ref()
                .map(account_to_bytes)
                .as_ref()
                .map_or(&[], |packed| packed.as_slice()),
            &pack(&former),
            &numbers_to_bytes(&self.sent),
            &numbers_to_bytes(&self.received),
        ])
    }

    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [account, proposed, former, sent, received] = fields.as_slice() else {
            return Err(RecordError);
        };
        Ok(Self {
            account: account_from_bytes(account)?,
            proposed: if proposed.is_empty() {
                None
            } else {
                Some(account_from_bytes(proposed)?)
            },
            pinned: true,
            claimed: 0,
            disputed: None,
            former: unpack(former)?
                .into_iter()
                .map(account_from_bytes)
                .collect::<Result<_, _>>()?,
            sent: numbers_from_bytes(sent)?,
            received: numbers_from_bytes(received)?,
        })
    }
}

/// Whether `new` can be what `known` has become: the same manifest, the next one in the chain, or a later
/// one, of which only the newest is served.
fn may_follow(known: &VerifiedAccount, new: &VerifiedAccount) -> bool {
    let (known, new) = (&known.manifest, &new.manifest);
    match new.version.checked_sub(known.version) {
        None => false,
        Some(0) => new.hash() == known.hash(),
        Some(1) => new.previous == known.hash(),
        Some(_) => true,
    }
}

pub(crate) fn peer_key(address: &Address) -> String {
    format!("peer/{address}")
}

fn account_to_bytes(account: &VerifiedAccount) -> Zeroizing<Vec<u8>> {
    let signed = account.manifest.signed();
    pack(&[
        account.key.as_bytes(),
        signed.statement_bytes(),
        signed.signature_bytes(),
    ])
}

fn account_from_bytes(bytes: &[u8]) -> Result<VerifiedAccount, RecordError> {
    let fields = unpack(bytes)?;
    let [key, manifest, signature] = fields.as_slice() else {
        return Err(RecordError);
    };
    let key = AccountKey::from_slice(key).map_err(|_| RecordError)?;
    let manifest = Signed::from_parts(manifest, signature)
        .map_err(|_| RecordError)?
        .verify(&key)
        .map_err(|_| RecordError)?;
    Ok(VerifiedAccount { key, manifest })
}

fn numbers_to_bytes(numbers: &BTreeMap<DeviceId, u64>) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|(id, number)| id.as_bytes().iter().copied().chain(number.to_be_bytes()))
        .collect()
}

fn numbers_from_bytes(bytes: &[u8]) -> Result<BTreeMap<DeviceId, u64>, RecordError> {
    bytes
        .chunks(24)
        .map(|entry| {
            let (id, number) = entry.split_at_checked(16).ok_or(RecordError)?;
            Ok((
                DeviceId::from_slice(id).map_err(|_| RecordError)?,
                u64_of(number)?,
            ))
        })
        .collect()
}
