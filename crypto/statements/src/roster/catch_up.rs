//! Catching up: entries whose devices have since been revoked count once their account, or the owner,
//! stands by them.

use alloc::collections::BTreeMap;

use crate::DeviceManifest;
use crate::roster::check::identity_keys;
use crate::roster::{
    Account, ApplyError, CheckedEntry, CurrentEntry, PastEntry, Roster, RosterChange, RosterHead,
};
use crate::signed::Verified;

/// An entry of a run, checked one way or the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEntry {
    /// Its device is on the newest manifest.
    Current(CurrentEntry),
    /// Its device was on the manifest of the time.
    Past(PastEntry),
}

impl Roster {
    /// Takes a run of entries in, as somebody needs who was away while an account revoked a device.
    ///
    /// A past entry counts if a current one behind it in the run confirms it. Its signer had seen it, as the
    /// hash chain covers it; the question is whether they knew that the device had been revoked.
    ///
    /// - An entry of the same account, of any kind, confirms if the manifest that it names is at hand, newer,
    ///   and without the device. One in ignorance of the revocation takes a thief's entry for the owner's.
    /// - A [`RosterChange::Confirm`] confirms what other accounts did if it is of whoever owned the channel
    ///   before the first past entry that nobody confirmed yet. An owner made since does not count, or a
    ///   revoked device could hand the channel to an accomplice.
    ///
    /// Entries known already are passed over, and confirm nothing. Copies the roster once.
    ///
    /// # Errors
    /// [`CatchUpError`]; the roster is as it was.
    pub fn catch_up(&mut self, run: &[RunEntry]) -> Result<RosterHead, CatchUpError> {
        self.take_run(run, None)
    }

    /// As [`Self::catch_up`], by somebody who confirms the run themselves, as if a
    /// [`RosterChange::Confirm`] of theirs followed it, which is to be signed next under `ours`, the newest
    /// manifest of their account. A device may do so that was itself away when its account revoked another,
    /// if its user knows the changes for their own.
    ///
    /// # Errors
    /// [`CatchUpError`]; the roster is as it was.
    pub fn catch_up_standing_by(
        &mut self,
        run: &[RunEntry],
        ours: &Verified<DeviceManifest>,
    ) -> Result<RosterHead, CatchUpError> {
        self.take_run(run, Some(ours))
    }

    /// The roster that a whole chain comes to, genesis first, each entry checked and each past one confirmed.
    pub(super) fn from_run(run: &[RunEntry]) -> Result<Option<Self>, CatchUpError> {
        let Some((genesis, rest)) = run.split_first() else {
            return Ok(None);
        };
        let Some(mut roster) = Self::begin(genesis.checked(), genesis.checked().head()) else {
            return Ok(None);
        };
        let mut unconfirmed = Unconfirmed::default();
        let founder = roster.owner_key();
        unconfirmed.note(genesis, founder);
        roster.take(rest, &mut unconfirmed)?;
        unconfirmed.none_left()?;
        Ok(Some(roster))
    }

    fn take_run(
        &mut self,
        run: &[RunEntry],
        ours: Option<&Verified<DeviceManifest>>,
    ) -> Result<RosterHead, CatchUpError> {
        let mut roster = self.clone();
        let mut unconfirmed = Unconfirmed::default();
        roster.take(run, &mut unconfirmed)?;
        if let Some(ours) = ours {
            let us = Account {
                address: ours.address.clone(),
                account_key: *ours.signer(),
            };
            roster.authority(&us, ours.version).map_err(ApplyError::Refused)?;
            unconfirmed.confirm(&Confirmation {
                account: *ours.signer().as_bytes(),
                manifest_version: ours.version,
                listed: Some(&identity_keys(ours)),
                is_explicit: true,
            });
        }
        unconfirmed.none_left()?;
        *self = roster;
        Ok(self.head())
    }

    fn take(&mut self, run: &[RunEntry], unconfirmed: &mut Unconfirmed) -> Result<(), CatchUpError> {
        let mut run = run.iter();
        while let Some(entry) = run.next() {
            let checked = entry.checked();
            let owner = self.owner_key();
            match self.apply_checked(checked, checked.channel_id(), checked.head()) {
                Ok(_) => unconfirmed.note(entry, owner),
                Err(ApplyError::AlreadyApplied) => {}
                Err(refusal @ (ApplyError::Fork { .. } | ApplyError::Unlinked { .. })) => {
                    unconfirmed.note(entry, owner);
                    self.confirmed_elsewhere(checked, run.as_slice(), unconfirmed)?;
                    return Err(refusal.into());
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Ok(())
    }

    /// Whether an entry that parts from the chain is somebody's word: a past one only if it is confirmed on
    /// its own branch, or a revoked device could show everybody a fork for good.
    fn confirmed_elsewhere(
        &self,
        fork: &CheckedEntry,
        branch: &[RunEntry],
        unconfirmed: &mut Unconfirmed,
    ) -> Result<(), CatchUpError> {
        let mut below = fork.head();
        for entry in branch {
            let (checked, signer) = (entry.checked(), &entry.checked().signer);
            let next = checked.previous == below.hash && checked.channel_id == self.channel_id;
            if !next || self.authority(&signer.account, signer.manifest_version).is_err() {
                break;
            }
            unconfirmed.note(entry, None);
            below = checked.head();
        }
        unconfirmed.none_left()
    }
}

/// Past entries that nobody confirmed yet.
#[derive(Default)]
struct Unconfirmed {
    /// The account key of the owner before the first of them.
    owner: Option<[u8; 32]>,
    devices: BTreeMap<RevokedDevice, PastEntries>,
}

/// An account key, and the identity key of a device that the account has revoked.
type RevokedDevice = ([u8; 32], [u8; 32]);

/// What one revoked device did.
struct PastEntries {
    first_height: u64,
    newest_manifest: u64,
}

/// What an entry says that may confirm others.
struct Confirmation<'a> {
    account: [u8; 32],
    manifest_version: u64,
    /// The identity keys on that manifest, if it is at hand.
    listed: Option<&'a [[u8; 32]]>,
    is_explicit: bool,
}

impl Unconfirmed {
    /// Takes note of an entry, whichever it is. `owner` is the channel's before it.
    fn note(&mut self, entry: &RunEntry, owner: Option<[u8; 32]>) {
        match entry {
            RunEntry::Past(entry) => self.add(entry, owner),
            RunEntry::Current(entry) => self.confirm(&Confirmation {
                account: *entry.signer.account.account_key.as_bytes(),
                manifest_version: entry.signer.manifest_version,
                listed: entry.listed(),
                is_explicit: entry.change == RosterChange::Confirm,
            }),
        }
    }

    fn add(&mut self, entry: &PastEntry, owner: Option<[u8; 32]>) {
        if self.devices.is_empty() {
            self.owner = owner;
        }
        let manifest = entry.signer.manifest_version;
        let device = (*entry.signer.account.account_key.as_bytes(), entry.device());
        let past = self.devices.entry(device).or_insert(PastEntries {
            first_height: entry.height,
            newest_manifest: manifest,
        });
        past.newest_manifest = past.newest_manifest.max(manifest);
    }

    fn confirm(&mut self, by: &Confirmation<'_>) {
        let by_owner = by.is_explicit && self.owner == Some(by.account);
        self.devices.retain(|(account, device), past| {
            let confirmed = if *account == by.account {
                by.manifest_version > past.newest_manifest
                    && by.listed.is_some_and(|listed| !listed.contains(device))
            } else {
                by_owner
            };
            !confirmed
        });
    }

    fn none_left(&self) -> Result<(), CatchUpError> {
        match self.devices.values().map(|past| past.first_height).min() {
            Some(height) => Err(CatchUpError::Unconfirmed { height }),
            None => Ok(()),
        }
    }
}

impl RunEntry {
    fn checked(&self) -> &CheckedEntry {
        match self {
            Self::Current(entry) => entry,
            Self::Past(entry) => entry,
        }
    }
}

/// Why a run of entries was not taken in. The roster is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatchUpError {
    /// One of the entries does not fit.
    #[error(transparent)]
    Entry(#[from] ApplyError),
    /// Nobody confirms an entry whose device was revoked, be it the next one or one that parts from the chain.
    /// Take in what is before it; wait for a confirmation by its account or by the owner, or ask for an
    /// invitation.
    #[error("nobody confirms the entry at height {height}, whose device was revoked")]
    Unconfirmed {
        /// The first such entry.
        height: u64,
    },
}
