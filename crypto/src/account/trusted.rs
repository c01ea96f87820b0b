//! What we believe of an account: trust on first use, and forward from there only.
//!
//! ```text
//!             first use                  another key: AccountKeyChanged, nothing changes
//!  (unknown) ───────────▶ trusted ─────────────────────────┐
//!                          ▲ │  ▲                           │
//!            newer manifest└─┘  └── accept_account_key ─────┘   (the old one: a former key)
//! ```

use alloc::vec::Vec;

use sottovoce_statements::{
    Account, AccountKey, Address, DeviceId, DeviceManifest, ManifestDevice, Verified,
};
use zeroize::Zeroizing;

use super::error::AdvanceError;
use super::fields::{read_account_key, read_signed, write_signed};
use super::verified::VerifiedAccount;
use super::view::{ManifestView, ReportedView, Step};
use crate::codec::{StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::handshake::Party;

/// One address, as we know it: its account key, and the newest manifest seen under it.
///
/// Our own account is kept the same way, so that what the server shows of it is judged like anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedAccount {
    manifest: Verified<DeviceManifest>,
    /// Keys trusted before this one, newest first, and the newest manifest seen under each: coming back
    /// to a key must not bring back an older list of devices.
    former: Vec<(AccountKey, ManifestView)>,
}

/// What a newly shown account was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// What we had.
    Same,
    /// Newer. It counts from now on.
    Newer {
        /// Devices that are no longer there, or not under the key they had. Erase the sessions with them,
        /// and replace the sender keys they were given.
        gone: Vec<ManifestDevice>,
        /// Devices that were not there, or not under this key.
        new: Vec<ManifestDevice>,
    },
}

impl TrustedAccount {
    /// Trusts an account because it is the first that was shown for its address. Who wants to know more
    /// compares safety numbers.
    #[must_use]
    pub fn trust_on_first_use(shown: VerifiedAccount) -> Self {
        Self {
            manifest: shown.manifest().clone(),
            former: Vec::new(),
        }
    }

    /// Trusts an account that was known before, and of which nothing but its key and a view is left, as
    /// after restoring a backup.
    ///
    /// # Errors
    /// [`AdvanceError`] when what is shown is not that account, or an older state of it.
    pub fn trust_again(
        account: &Account,
        view: &ManifestView,
        shown: VerifiedAccount,
    ) -> Result<Self, AdvanceError> {
        if *shown.address() != account.address {
            return Err(AdvanceError::OtherAddress);
        }
        if *shown.account_key() != account.account_key {
            return Err(AdvanceError::AccountKeyChanged);
        }
        follow(view, shown.manifest())?;
        Ok(Self::trust_on_first_use(shown))
    }

    /// Judges what is shown for the address now, and takes it up if it is newer.
    ///
    /// # Errors
    /// [`AdvanceError`] when it must not be believed. Nothing has changed then.
    pub fn advance(&mut self, shown: &VerifiedAccount) -> Result<Advance, AdvanceError> {
        if shown.address() != self.address() {
            return Err(AdvanceError::OtherAddress);
        }
        if shown.account_key() != self.account_key() {
            return Err(self
                .check_former(shown)
                .map_or_else(|error| error, |()| AdvanceError::AccountKeyChanged));
        }
        if follow(&self.view(), shown.manifest())? == Step::Stay {
            return Ok(Advance::Same);
        }
        let before = core::mem::replace(&mut self.manifest, shown.manifest().clone());
        Ok(Advance::Newer {
            gone: missing(&before, &self.manifest),
            new: missing(&self.manifest, &before),
        })
    }

    /// Trusts another account key for this address, because the user said so. The key trusted until now
    /// becomes a former one; all sessions with the account's devices are void.
    ///
    /// # Errors
    /// [`AdvanceError`] when this is another address, or the state shown is older than what was once seen
    /// under its key: that is no change of mind but a replay. [`AdvanceError::SameAccountKey`] when
    /// the key is the trusted one already. Nothing has changed then.
    pub fn accept_account_key(&mut self, shown: &VerifiedAccount) -> Result<(), AdvanceError> {
        if shown.address() != self.address() {
            return Err(AdvanceError::OtherAddress);
        }
        if shown.account_key() == self.account_key() {
            return Err(AdvanceError::SameAccountKey);
        }
        self.check_former(shown)?;
        let before = (*self.account_key(), self.view());
        self.former.retain(|(key, _)| key != shown.account_key());
        self.former.insert(0, before);
        self.former.truncate(MAX_FORMER_ACCOUNT_KEYS);
        self.manifest = shown.manifest().clone();
        Ok(())
    }

    /// Who it is, to compare safety numbers.
    #[must_use]
    pub fn account(&self) -> Account {
        Account {
            address: self.address().clone(),
            account_key: *self.account_key(),
        }
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.manifest.address
    }

    /// The account key.
    #[must_use]
    pub fn account_key(&self) -> &AccountKey {
        self.manifest.signer()
    }

    /// The newest manifest.
    #[must_use]
    pub fn manifest(&self) -> &Verified<DeviceManifest> {
        &self.manifest
    }

    /// What to say of it in messages.
    #[must_use]
    pub fn view(&self) -> ManifestView {
        ManifestView::of(&self.manifest)
    }

    /// Holds what somebody reports of this account against what we know.
    #[must_use]
    pub fn compare(&self, reported: &ManifestView) -> ReportedView {
        self.view().compare(reported)
    }

    /// A device as a party to a session, if the account has it.
    #[must_use]
    pub fn party(&self, device_id: DeviceId) -> Option<Party> {
        let identity_key = *self.manifest.identity_key(device_id)?;
        Some(Party {
            address: self.address().clone(),
            device_id,
            account_key: *self.account_key(),
            identity_key,
        })
    }

    /// The account as state to be sealed and kept.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(512));
        begin_state(StateKind::TrustedAccount, &mut bytes);
        bytes.put(self.account_key().as_bytes());
        // At most MAX_FORMER_ACCOUNT_KEYS.
        bytes.put_u8(u8::try_from(self.former.len()).unwrap_or(u8::MAX));
        for (key, view) in &self.former {
            bytes.put(key.as_bytes());
            bytes.put_u64(view.version);
            bytes.put(&view.hash);
        }
        write_signed(&mut bytes, self.manifest.signed());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`StateError`] when it did not write this.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = read_state(StateKind::TrustedAccount, bytes)?;
        let account_key = read_account_key(&mut reader)?;
        let count = usize::from(reader.u8()?);
        if count > MAX_FORMER_ACCOUNT_KEYS {
            return Err(StateError::Malformed);
        }
        let former = (0..count)
            .map(|_| {
                let key = read_account_key(&mut reader)?;
                let (version, hash) = (reader.u64()?, *reader.array()?);
                Ok((key, ManifestView { version, hash }))
            })
            .collect::<Result<Vec<_>, StateError>>()?;
        let keys_repeat = former.iter().enumerate().any(|(place, (key, view))| {
            *key == account_key
                || view.version == 0
                || former.iter().take(place).any(|(earlier, _)| earlier == key)
        });
        if keys_repeat {
            return Err(StateError::Malformed);
        }
        let manifest = read_signed::<DeviceManifest>(&mut reader)?
            .verify(&account_key)
            .map_err(|_| StateError::Malformed)?;
        reader.finish()?;
        Ok(Self { manifest, former })
    }

    /// Whether what is shown under another key may stand where it was once trusted.
    fn check_former(&self, shown: &VerifiedAccount) -> Result<(), AdvanceError> {
        self.former
            .iter()
            .find(|(key, _)| key == shown.account_key())
            .map_or(Ok(()), |(_, view)| follow(view, shown.manifest()).map(|_| ()))
    }
}

/// Former account keys remembered for an address. People lose their account key rarely, and a server
/// that makes them up has each of them shown to the user.
pub const MAX_FORMER_ACCOUNT_KEYS: usize = 8;

fn follow(known: &ManifestView, next: &Verified<DeviceManifest>) -> Result<Step, AdvanceError> {
    match known.precedes(next) {
        Step::Back => Err(AdvanceError::RolledBack),
        Step::Fork => Err(AdvanceError::Conflict),
        step => Ok(step),
    }
}

/// The devices of `one` that `other` does not have, or not under the same key.
fn missing(one: &DeviceManifest, other: &DeviceManifest) -> Vec<ManifestDevice> {
    one.devices
        .iter()
        .filter(|device| other.identity_key(device.device_id) != Some(&device.identity_key))
        .copied()
        .collect()
}
