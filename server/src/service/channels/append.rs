//! Taking roster entries in: verified by the rules of `crypto/SPEC.md` 16 on what the database says, and
//! kept if that is still so. What moved meanwhile is judged again.

use sottovoce_proto::v1::{ErrorReason, SignedStatement};
use sottovoce_statements::{
    AccountKey, ApplyError, ChannelId, CheckError, CurrentEntry, DeviceManifest, Roster, RosterChange,
    RosterEntry, Signed, Verified,
};

use super::unknown;
use crate::app::App;
use crate::fields;
use crate::refusal::Refusal;
use crate::store::{AppendEntry, Caller, FoundChannel, Membership, NewEntry, RosterRefusal, WriteError};

/// The fields that entries come in.
const GENESIS: &str = "genesis";
const ENTRY: &str = "entry";

/// What an entry comes to.
enum Judged {
    /// It is in the chain, at this height.
    Known(u64),
    Next(Box<AppendEntry>),
}

impl App {
    pub(super) async fn found_channel(
        &self,
        caller: &Caller,
        genesis: Option<&SignedStatement>,
    ) -> Result<ChannelId, Refusal> {
        loop {
            let signed = read_entry(caller, genesis, GENESIS)?;
            let (entry, manifest) = self.check_signer(signed, GENESIS).await?;
            let roster = Roster::found(&entry).map_err(|_| Refusal::field(GENESIS))?;
            let change = FoundChannel {
                genesis: new_entry(&entry, &manifest, &roster),
                max_channels: self.limits.max_channels_per_account,
            };
            match self.store.write(change).await {
                Err(WriteError::Refused(RosterRefusal::Moved)) => {}
                outcome => {
                    outcome?;
                    return Ok(entry.channel_id());
                }
            }
        }
    }

    pub(super) async fn append_entry(
        &self,
        caller: &Caller,
        entry: Option<&SignedStatement>,
    ) -> Result<u64, Refusal> {
        loop {
            let change = match self.judge(caller, read_entry(caller, entry, ENTRY)?).await? {
                Judged::Known(height) => return Ok(height),
                Judged::Next(change) => change,
            };
            let height = change.entry.head.height;
            match self.store.write(*change).await {
                Err(WriteError::Refused(RosterRefusal::Moved)) => {}
                outcome => {
                    outcome?;
                    return Ok(height);
                }
            }
        }
    }

    /// What the entry comes to on the roster as it is now.
    async fn judge(&self, caller: &Caller, signed: Signed<RosterEntry>) -> Result<Judged, Refusal> {
        let channel = signed.claimed().channel_id;
        // First, so that to strangers every channel is like one that is not there.
        let view = self.store.channel_view(&channel, &caller.address).await?;
        let view = view.ok_or_else(unknown)?;
        let (entry, manifest) = self.check_signer(signed, ENTRY).await?;
        let bytes = self.store.roster(&channel).await?.ok_or_else(unknown)?;
        let mut roster = Roster::from_bytes(&bytes).map_err(|error| {
            tracing::error!(%error, "a stored roster cannot be read");
            Refusal::because(ErrorReason::Internal)
        })?;
        let before = roster.head();
        match (roster.apply(&entry), view.is_member) {
            (Err(ApplyError::AlreadyApplied), _) => return Ok(Judged::Known(entry.head().height)),
            (_, false) => return Err(unknown()),
            (Err(error), true) => return Err(misfit(error, before.height)),
            (Ok(_), true) => {}
        }
        let limit = self.limits.max_roster_entries;
        if entry.head().height >= limit {
            return Err(Refusal::because(ErrorReason::QuotaExceeded).limit(limit));
        }
        Ok(Judged::Next(Box::new(AppendEntry {
            membership: self.membership(&entry).await?,
            entry: new_entry(&entry, &manifest, &roster),
            before,
            max_channels: self.limits.max_channels_per_account,
        })))
    }

    /// The entry, if the device it names signed it and is on the newest manifest.
    async fn check_signer(
        &self,
        signed: Signed<RosterEntry>,
        field: &'static str,
    ) -> Result<(CurrentEntry, Verified<DeviceManifest>), Refusal> {
        let account = self
            .store
            .account(&signed.claimed().signer.account.address)
            .await?;
        // A device that is gone since its token was checked.
        let account = account.ok_or_else(|| Refusal::because(ErrorReason::TokenInvalid))?;
        let stored = || {
            let key = AccountKey::from_slice(&account.account_key).ok()?;
            let manifest = &account.manifest;
            let signed = Signed::from_parts(&manifest.statement, &manifest.signature).ok()?;
            signed.verify(&key).ok()
        };
        let manifest: Verified<DeviceManifest> = stored().ok_or_else(|| {
            tracing::error!("a stored manifest cannot be read");
            Refusal::because(ErrorReason::Internal)
        })?;
        let entry = CurrentEntry::check(signed, &manifest).map_err(|error| match error {
            CheckError::UnknownManifest | CheckError::ManifestConflict => {
                Refusal::because(ErrorReason::ManifestConflict)
            }
            CheckError::Signature => fields::unsigned(field),
            _ => refused(field),
        })?;
        Ok((entry, manifest))
    }

    /// Who comes or goes. Accounts of this server come under the key that they have.
    async fn membership(&self, entry: &RosterEntry) -> Result<Option<Membership>, Refusal> {
        Ok(match &entry.change {
            RosterChange::Add(account) => {
                fields::check_local(&account.address, &self.server_name, ENTRY)?;
                let key = self.store.account_key(&account.address).await?;
                let key = key.ok_or_else(|| Refusal::because(ErrorReason::AccountUnknown))?;
                if key != account.account_key.as_bytes() {
                    return Err(refused(ENTRY));
                }
                Some(Membership::Joins(account.address.clone(), account.account_key))
            }
            RosterChange::Remove(address) | RosterChange::Ban(address) => {
                Some(Membership::Departs(address.clone()))
            }
            RosterChange::Leave => Some(Membership::Departs(entry.signer.account.address.clone())),
            RosterChange::Genesis { .. }
            | RosterChange::Unban(_)
            | RosterChange::SetRole { .. }
            | RosterChange::HandOver(_)
            | RosterChange::Confirm => None,
        })
    }
}

/// An entry of the calling device's: a genesis where one is due, and nowhere else.
fn read_entry(
    caller: &Caller,
    message: Option<&SignedStatement>,
    field: &'static str,
) -> Result<Signed<RosterEntry>, Refusal> {
    let signed = fields::signed::<RosterEntry>(message, field)?;
    let RosterEntry { signer, change, .. } = signed.claimed();
    if matches!(change, RosterChange::Genesis { .. }) != (field == GENESIS) {
        return Err(Refusal::field(field));
    }
    if signer.account.address.as_str() == caller.address && signer.device_id == caller.device {
        Ok(signed)
    } else {
        Err(refused(field))
    }
}

fn new_entry(entry: &CurrentEntry, manifest: &Verified<DeviceManifest>, roster: &Roster) -> NewEntry {
    NewEntry {
        channel: entry.channel_id(),
        head: entry.head(),
        signed: SignedStatement {
            statement: entry.signed().statement_bytes().to_vec(),
            signature: entry.signed().signature_bytes().to_vec(),
        },
        roster: roster.to_bytes(),
        signer: manifest.address.clone(),
        device: entry.signer.device_id,
        manifest_version: manifest.version,
    }
}

/// Why an entry does not follow `height`.
fn misfit(error: ApplyError, height: u64) -> Refusal {
    match error {
        ApplyError::Fork { .. }
        | ApplyError::Unlinked { .. }
        | ApplyError::Gap { .. }
        | ApplyError::Forgotten => Refusal::because(ErrorReason::RosterConflict).number("height", height),
        _ => refused(ENTRY),
    }
}

fn refused(field: &'static str) -> Refusal {
    Refusal::because(ErrorReason::RosterRefused).at(field)
}

impl From<RosterRefusal> for Refusal {
    fn from(refusal: RosterRefusal) -> Self {
        match refusal {
            // Judged again instead, wherever it can happen.
            RosterRefusal::Moved => Self::because(ErrorReason::RosterConflict),
            RosterRefusal::TooManyChannels { limit } => {
                Self::because(ErrorReason::QuotaExceeded).limit(limit)
            }
        }
    }
}
