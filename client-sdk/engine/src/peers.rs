//! The people on the other side: which account key stands for each address, and which devices it names.
//!
//! ```text
//!              first seen                         another key shown
//!  (unknown) ───────────▶ trusted on first use ───────────────────▶ held, until the key is accepted or rejected
//!                              │      ▲                                       │
//!                 newer manifest      └───────────────────────────────────────┘
//! ```

use std::collections::BTreeMap;

use sottovoce_crypto::statements::{AccountKey, Address, DeviceId};
use sottovoce_crypto::{
    AccessKey, Advance, AdvanceError, ManifestView, Party, TrustedAccount, VerifiedAccount,
};
use zeroize::Zeroizing;

use crate::recent::Recent;
use crate::records::{RecordError, pack, u64_of, unpack};
use crate::wire;

/// One address, as this device knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) account: TrustedAccount,
    /// Another account key the server has shown since, waiting for the user's word.
    pub(crate) proposed: Option<VerifiedAccount>,
    /// Whether anything has been sent to it or authentically received from it.
    pub(crate) pinned: bool,
    /// A manifest version the peer itself speaks of, while the server has not shown it.
    pub(crate) claimed: u64,
    /// What the peer last said of our manifest that we know to be otherwise.
    pub(crate) disputed: Option<ManifestView>,
    /// What the peer has told us to write to it unseen with.
    pub(crate) access_key: Option<AccessKey>,
    /// Messages the server has taken for each device.
    sent: BTreeMap<DeviceId, u64>,
    /// Highest sequence number received from each device.
    received: BTreeMap<DeviceId, u64>,
    /// What came last from each device.
    recent: Recent,
}

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
    /// It has come itself: its sender had no answer, and had to encrypt it anew.
    Again,
}

impl Peer {
    pub(crate) fn new(account: TrustedAccount) -> Self {
        Self {
            account,
            proposed: None,
            pinned: false,
            claimed: 0,
            disputed: None,
            access_key: None,
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            recent: Recent::default(),
        }
    }

    pub(crate) fn see(&mut self, shown: VerifiedAccount) -> Shown {
        // The trusted key again: whatever other key was shown meanwhile was a lie, or this is one.
        let contradicted =
            shown.account_key() == self.account.account_key() && self.proposed.take().is_some();
        let seen = match self.account.advance(&shown) {
            Ok(Advance::Same) => Shown::Same,
            Ok(Advance::Newer { gone, new }) => {
                // Another key under the same id is another device, and counts anew.
                for device in gone.iter().chain(&new) {
                    self.sent.remove(&device.device_id);
                    self.received.remove(&device.device_id);
                    self.recent.forget(&device.device_id);
                }
                Shown::Newer
            }
            Err(AdvanceError::AccountKeyChanged) => self.see_another_key(shown),
            Err(_) => Shown::Conflict,
        };
        if contradicted { Shown::Conflict } else { seen }
    }

    fn see_another_key(&mut self, shown: VerifiedAccount) -> Shown {
        if !self.pinned {
            *self = Self::new(TrustedAccount::trust_on_first_use(shown));
            return Shown::Newer;
        }
        let told = self.proposes(shown.account_key());
        self.proposed = Some(shown);
        if told { Shown::Same } else { Shown::KeyChanged }
    }

    fn proposes(&self, key: &AccountKey) -> bool {
        let proposed = self.proposed.as_ref();
        proposed.is_some_and(|proposed| proposed.account_key() == key)
    }

    /// Puts the proposed key in place of the trusted one; `false` if it is not the one proposed.
    pub(crate) fn accept(&mut self, key: &AccountKey) -> bool {
        let mut account = self.account.clone();
        let proposed = self.proposed.as_ref();
        let accepted = proposed.is_some_and(|proposed| {
            proposed.account_key() == key && account.accept_account_key(proposed).is_ok()
        });
        if accepted {
            *self = Self::new(account);
            self.pinned = true;
        }
        accepted
    }

    /// Sets the proposed key aside; `false` if it is not the one proposed.
    pub(crate) fn reject(&mut self, key: &AccountKey) -> bool {
        self.proposes(key) && self.proposed.take().is_some()
    }

    /// Every device of the trusted manifest but this one, as a party to a session.
    pub(crate) fn parties_but(&self, own: DeviceId) -> Vec<Party> {
        let devices = &self.account.manifest().devices;
        devices
            .iter()
            .filter(|device| device.device_id != own)
            .filter_map(|device| self.account.party(device.device_id))
            .collect()
    }

    pub(crate) fn next_sequence(&self, device_id: DeviceId) -> u64 {
        self.sent.get(&device_id).copied().unwrap_or(0).saturating_add(1)
    }

    pub(crate) fn note_sent(&mut self, device_id: DeviceId) {
        let next = self.next_sequence(device_id);
        self.sent.insert(device_id, next);
    }

    pub(crate) fn note_received(
        &mut self,
        device_id: DeviceId,
        sequence: u64,
        message_id: [u8; 16],
    ) -> Arrival {
        let is_new = self.recent.remember(device_id, message_id);
        let last = self.received.entry(device_id).or_insert(0);
        if sequence <= *last {
            return if is_new { Arrival::Late } else { Arrival::Again };
        }
        let missing = sequence - *last - 1;
        *last = sequence;
        Arrival::After { missing }
    }

    pub(crate) fn to_record(&self) -> Zeroizing<Vec<u8>> {
        let proposed = self.proposed.as_ref().map(wire::account_to_bytes);
        pack(&[
            &self.account.to_bytes(),
            &proposed.unwrap_or_default(),
            &numbers_to_bytes(&self.sent),
            &numbers_to_bytes(&self.received),
            &self
                .access_key
                .as_ref()
                .map(AccessKey::to_bytes)
                .unwrap_or_default(),
            &self.recent.to_bytes(),
        ])
    }

    /// Reads what is kept under `address`.
    pub(crate) fn from_record(address: &Address, bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [account, proposed, sent, received, rest @ ..] = fields.as_slice() else {
            return Err(RecordError);
        };
        let (access_key, recent) = match rest {
            // Kept before peers had access keys, and then before their last messages were remembered.
            [] => (&[][..], &[][..]),
            [access_key] => (*access_key, &[][..]),
            [access_key, recent] => (*access_key, *recent),
            _ => return Err(RecordError),
        };
        let account = TrustedAccount::from_bytes(account).map_err(|_| RecordError)?;
        if account.address() != address {
            return Err(RecordError);
        }
        let proposed = Some(proposed).filter(|proposed| !proposed.is_empty());
        Ok(Self {
            proposed: proposed
                .map(|proposed| wire::account_from_bytes(address, proposed))
                .transpose()
                .map_err(|_| RecordError)?,
            pinned: true,
            sent: numbers_from_bytes(sent)?,
            received: numbers_from_bytes(received)?,
            access_key: read_access_key(access_key)?,
            recent: Recent::from_bytes(recent)?,
            ..Self::new(account)
        })
    }
}

fn read_access_key(bytes: &[u8]) -> Result<Option<AccessKey>, RecordError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    AccessKey::from_bytes(bytes).map(Some).map_err(|_| RecordError)
}

pub(crate) fn peer_key(address: &Address) -> String {
    format!("peer/{address}")
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
