//! Catching up: entries whose devices have since been revoked count once their account, or the owner,
//! stands by them.

use alloc::collections::BTreeMap;

use crate::roster::{ApplyError, CheckedEntry, CurrentEntry, EntrySigner, PastEntry, Roster, RosterHead};

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
    /// A past entry counts if a current one behind it in the run is of the same account, or of whoever
    /// owned the channel before the first past entry that nobody stood by yet: that signer had seen it
    /// when they signed, and the hash chain covers it. An owner made since does not count, or a revoked
    /// device could hand the channel to an accomplice who then stands by that.
    /// Entries known already are passed over. Copies the roster once.
    ///
    /// # Errors
    /// [`CatchUpError`]; the roster is as it was.
    pub fn catch_up(&mut self, run: &[RunEntry]) -> Result<RosterHead, CatchUpError> {
        self.take_run(run, None)
    }

    /// As [`Self::catch_up`], by somebody who stands by the run themselves, as if an entry of theirs
    /// followed it; such an entry, [`RosterChange::Confirm`](crate::RosterChange::Confirm), is to be signed
    /// next. A device may do so that was itself away when its account revoked another, if its user knows
    /// the changes for their own.
    ///
    /// # Errors
    /// [`CatchUpError`]; the roster is as it was.
    pub fn catch_up_standing_by(
        &mut self,
        run: &[RunEntry],
        us: &EntrySigner,
    ) -> Result<RosterHead, CatchUpError> {
        self.take_run(run, Some(us))
    }

    fn take_run(&mut self, run: &[RunEntry], us: Option<&EntrySigner>) -> Result<RosterHead, CatchUpError> {
        let mut roster = self.clone();
        let mut unconfirmed = Unconfirmed::default();
        for entry in run {
            let checked = entry.checked();
            let owner = roster.owner_key();
            match roster.apply_checked(checked, checked.channel_id(), checked.head()) {
                Ok(_) => {}
                Err(ApplyError::AlreadyApplied) => continue,
                Err(refusal) => return Err(refusal.into()),
            }
            match entry {
                RunEntry::Past(_) => unconfirmed.add(checked, owner),
                RunEntry::Current(_) => unconfirmed.confirm(&checked.signer),
            }
        }
        if let Some(us) = us {
            roster.authority(us).map_err(ApplyError::Refused)?;
            unconfirmed.confirm(us);
        }
        if let Some(height) = unconfirmed.first() {
            return Err(CatchUpError::Unconfirmed { height });
        }
        *self = roster;
        Ok(self.head())
    }
}

/// Past entries that nobody stands by yet.
#[derive(Default)]
struct Unconfirmed {
    /// The account key of the owner before the first of them.
    owner: Option<[u8; 32]>,
    /// For each account key, the height of its first.
    entries: BTreeMap<[u8; 32], u64>,
}

impl Unconfirmed {
    fn add(&mut self, entry: &CheckedEntry, owner: Option<[u8; 32]>) {
        if self.entries.is_empty() {
            self.owner = owner;
        }
        let account = *entry.signer.account.account_key.as_bytes();
        self.entries.entry(account).or_insert(entry.height);
    }

    /// A member stands by what their own account did, the owner by what everybody did.
    fn confirm(&mut self, signer: &EntrySigner) {
        let account = signer.account.account_key.as_bytes();
        if self.owner.as_ref() == Some(account) {
            self.entries.clear();
        } else {
            self.entries.remove(account);
        }
    }

    fn first(&self) -> Option<u64> {
        self.entries.values().min().copied()
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
    /// Nobody stands by an entry whose device was revoked. Take in what is before it; wait for an entry of
    /// its account or of the owner, or ask for an invitation.
    #[error("nobody stands by the entry at height {height}, whose device was revoked")]
    Unconfirmed {
        /// The first such entry.
        height: u64,
    },
}
