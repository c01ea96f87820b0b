//! From an entry that arrived to one a roster takes: whose device signed it, and is it that account's still?
//!
//! ```text
//!                     ┌─ CurrentEntry::check(newest manifest) ──▶ CurrentEntry ── Roster::apply
//!  Signed<RosterEntry>┤                                               │
//!                     └─ PastEntry::check(newest, made under) ──▶ PastEntry ──── Roster::catch_up
//! ```

use alloc::vec::Vec;
use core::ops::Deref;

use crate::DeviceManifest;
use crate::keys::IdentityKey;
use crate::roster::{ChannelId, RosterChange, RosterEntry, RosterHead};
use crate::signed::{Signed, Verified};

/// An entry signed by a device that is on its account's newest manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentEntry {
    entry: CheckedEntry,
    /// The identity keys on the manifest that the entry names, if that is at hand.
    listed: Option<Vec<[u8; 32]>>,
}

impl CurrentEntry {
    /// Checks who signed an entry. `newest` is the newest manifest known of the account that
    /// [`Signed::claimed`] names, under the account key it is known by; look it up anew for each entry.
    ///
    /// # Errors
    /// [`CheckError`]; each kind says what may still help.
    pub fn check(signed: Signed<RosterEntry>, newest: &Verified<DeviceManifest>) -> Result<Self, CheckError> {
        let signer = &signed.claimed().signer;
        check_account(signed.claimed(), newest)?;
        if signer.manifest_version > newest.version {
            return Err(CheckError::UnknownManifest);
        }
        if known_hash(newest, signer.manifest_version).is_some_and(|hash| hash != signer.manifest_hash) {
            return Err(CheckError::ManifestConflict);
        }
        let key = *newest.identity_key(signer.device_id).ok_or(CheckError::Revoked)?;
        let listed = (signer.manifest_version == newest.version).then(|| identity_keys(newest));
        let entry = CheckedEntry::verify(signed, &key)?;
        Ok(Self { entry, listed })
    }

    /// As [`Self::check`], with the manifest that the entry names at hand, which may be older than the
    /// newest. Only of such an entry, and of one made under the newest, can be said which revocations its
    /// signer knew of, and so which entries of the past of its own account it confirms: see
    /// [`Roster::catch_up`](crate::Roster::catch_up).
    ///
    /// # Errors
    /// [`CheckError`]; each kind says what may still help.
    pub fn check_made_under(
        signed: Signed<RosterEntry>,
        newest: &Verified<DeviceManifest>,
        made_under: &Verified<DeviceManifest>,
    ) -> Result<Self, CheckError> {
        check_named(signed.claimed(), newest, made_under)?;
        let Self { entry, .. } = Self::check(signed, newest)?;
        let listed = Some(identity_keys(made_under));
        Ok(Self { entry, listed })
    }

    pub(super) fn listed(&self) -> Option<&[[u8; 32]]> {
        self.listed.as_deref()
    }
}

/// An entry signed by a device that was on its account's manifest when the entry was made, whatever has
/// become of it. It counts only once its account or the channel's owner stands by it: see
/// [`Roster::catch_up`](crate::Roster::catch_up).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastEntry {
    entry: CheckedEntry,
    /// The identity key that it was signed with.
    device: [u8; 32],
}

impl PastEntry {
    /// Checks who signed an entry that an earlier manifest, `made_under`, vouches for. `newest` is as in
    /// [`CurrentEntry::check`].
    ///
    /// # Errors
    /// [`CheckError`]; each kind says what may still help.
    pub fn check(
        signed: Signed<RosterEntry>,
        newest: &Verified<DeviceManifest>,
        made_under: &Verified<DeviceManifest>,
    ) -> Result<Self, CheckError> {
        let key = check_named(signed.claimed(), newest, made_under)?;
        let entry = CheckedEntry::verify(signed, &key)?;
        let device = *key.as_bytes();
        Ok(Self { entry, device })
    }

    pub(super) fn device(&self) -> [u8; 32] {
        self.device
    }
}

macro_rules! reads_as_entry {
    ($name:ident) => {
        impl Deref for $name {
            type Target = CheckedEntry;

            fn deref(&self) -> &CheckedEntry {
                &self.entry
            }
        }
    };
}

reads_as_entry!(CurrentEntry);
reads_as_entry!(PastEntry);

/// An entry whose signature holds, and its hash. What the signature is worth, [`CurrentEntry`] or
/// [`PastEntry`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedEntry {
    entry: Verified<RosterEntry>,
    hash: [u8; 32],
}

impl CheckedEntry {
    /// The entry with its signature, to pass on or to keep.
    #[must_use]
    pub fn signed(&self) -> &Signed<RosterEntry> {
        self.entry.signed()
    }

    /// Which entry it is, and where in the chain.
    #[must_use]
    pub fn head(&self) -> RosterHead {
        RosterHead {
            height: self.entry.height,
            hash: self.hash,
        }
    }

    /// The channel it is for: in a genesis, the one it begins.
    #[must_use]
    pub fn channel_id(&self) -> ChannelId {
        channel_of(&self.entry, self.hash)
    }

    fn verify(signed: Signed<RosterEntry>, key: &IdentityKey) -> Result<Self, CheckError> {
        let entry = signed.verify(key).map_err(|_| CheckError::Signature)?;
        let hash = entry.hash();
        Ok(Self { entry, hash })
    }
}

impl Deref for CheckedEntry {
    type Target = RosterEntry;

    fn deref(&self) -> &RosterEntry {
        &self.entry
    }
}

/// Why an entry is nobody's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The manifest is of another address or under another account key than the entry's. If the account's
    /// key has changed, the account has to be added again under its new one.
    #[error("the manifest is not the one of the account that signed the roster entry")]
    OtherAccount,
    /// Made under a manifest that is not known here yet. Fetch it, and check again.
    #[error("the roster entry was made under a manifest that is not known yet")]
    UnknownManifest,
    /// Made under another manifest of the same version: the account has said two things at once.
    #[error("the roster entry was made under a conflicting manifest")]
    ManifestConflict,
    /// The device is not on the manifest. If it was when the entry was made, the entry is a matter of
    /// [`PastEntry`].
    #[error("the device that signed the roster entry is not on the manifest")]
    Revoked,
    /// The device on the manifest did not sign this.
    #[error("the signature of the roster entry does not verify")]
    Signature,
}

/// The channel of an entry with this hash.
pub(super) fn channel_of(entry: &RosterEntry, hash: [u8; 32]) -> ChannelId {
    match entry.change {
        RosterChange::Genesis { .. } => ChannelId::from_bytes(hash),
        _ => entry.channel_id,
    }
}

fn check_account(entry: &RosterEntry, manifest: &Verified<DeviceManifest>) -> Result<(), CheckError> {
    let account = &entry.signer.account;
    if manifest.address == account.address && *manifest.signer() == account.account_key {
        Ok(())
    } else {
        Err(CheckError::OtherAccount)
    }
}

/// Whether `made_under` is the manifest that the entry names, and the key of the entry's device on it.
fn check_named(
    entry: &RosterEntry,
    newest: &Verified<DeviceManifest>,
    made_under: &Verified<DeviceManifest>,
) -> Result<IdentityKey, CheckError> {
    let signer = &entry.signer;
    check_account(entry, newest)?;
    check_account(entry, made_under)?;
    let known = known_hash(newest, made_under.version);
    if made_under.version > newest.version || signer.manifest_version != made_under.version {
        return Err(CheckError::UnknownManifest);
    }
    if made_under.hash() != signer.manifest_hash || known.is_some_and(|hash| hash != signer.manifest_hash) {
        return Err(CheckError::ManifestConflict);
    }
    let key = made_under.identity_key(signer.device_id);
    key.copied().ok_or(CheckError::Revoked)
}

/// The identity keys on a manifest, which are what a thief of a device holds: its id says less.
pub(super) fn identity_keys(manifest: &DeviceManifest) -> Vec<[u8; 32]> {
    let devices = manifest.devices.iter();
    devices.map(|device| *device.identity_key.as_bytes()).collect()
}

/// The hash of one version, as far as one manifest tells: its own, and that of the one before.
fn known_hash(manifest: &Verified<DeviceManifest>, version: u64) -> Option<[u8; 32]> {
    match manifest.version.checked_sub(version) {
        Some(0) => Some(manifest.hash()),
        Some(1) => Some(manifest.previous),
        _ => None,
    }
}
