//! Roster entries that the server shows: checked under their signers' newest manifests, and taken in.

use std::collections::BTreeSet;

use sottovoce_crypto::statements::{
    Account, Address, ApplyError, ChannelId, CheckError, CurrentEntry, DeviceManifest, Roster, RosterChange,
    RosterEntry, RosterInvitation, RunEntry, Signed, Verified,
};
use sottovoce_proto::v1;

use crate::channels::Stage;
use crate::engine::Engine;
use crate::event::EventKind;
use crate::outbox::Outgoing;
use crate::said::Said;
use crate::turn::Turn;
use crate::wire;

/// What the entries at hand came to.
enum Taken {
    /// All of them are in.
    All,
    /// This account has to be looked up first.
    Unknown(Address),
    /// One of them is nobody's word, or not allowed.
    Unverified,
    /// Two entries of one height, each signed and linked.
    Forked,
}

impl Engine {
    pub(crate) fn entries_shown(
        &mut self,
        id: ChannelId,
        shown: &v1::GetRosterEntriesResponse,
        turn: &mut Turn<'_>,
    ) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let entries: Option<Vec<Signed<RosterEntry>>> = shown
            .entries
            .iter()
            .map(|entry| wire::read_signed(entry).ok())
            .collect();
        let Some(entries) = entries else {
            return self.unverified(id, turn);
        };
        channel.behind = false;
        if !entries.is_empty() {
            channel.fetched.extend(entries);
            self.take_entries(id, turn);
        }
    }

    /// Takes the entries at hand in, as far as their signers are known.
    pub(crate) fn take_entries(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let Some(channel) = self
            .channels
            .get_mut(&id)
            .filter(|channel| !channel.fetched.is_empty())
        else {
            return;
        };
        let entries = std::mem::take(&mut channel.fetched);
        let taken = match &channel.stage {
            Stage::Joining(invitation, inviter) => {
                let (invitation, inviter) = (*invitation, inviter.clone());
                self.join_channel(id, &entries, &invitation, &inviter, turn)
            }
            Stage::Member(_) => self.apply_entries(id, &entries, turn),
            _ => Taken::All,
        };
        match taken {
            Taken::All => {}
            Taken::Unknown(address) => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.fetched = entries;
                }
                self.fetch_account(&address, turn);
            }
            Taken::Unverified => self.unverified(id, turn),
            Taken::Forked => {
                self.unverified(id, turn);
                turn.event(EventKind::ChannelForked { channel: id });
            }
        }
    }

    fn join_channel(
        &mut self,
        id: ChannelId,
        entries: &[Signed<RosterEntry>],
        invitation: &RosterInvitation,
        inviter: &Account,
        turn: &mut Turn<'_>,
    ) -> Taken {
        let own = Account {
            address: self.own.party.address.clone(),
            account_key: self.own.party.account_key,
        };
        let upto = entries
            .iter()
            .position(|entry| entry.claimed().height > invitation.head.height)
            .unwrap_or(entries.len());
        let (before, after) = entries.split_at(upto);
        let mut run = Vec::new();
        for entry in before {
            match self.check_entry(entry) {
                Ok(entry) => run.push(RunEntry::Current(entry)),
                Err(taken) => return taken,
            }
        }
        let Ok(roster) = Roster::from_checked_history(&run, invitation, inviter, &own) else {
            return Taken::Unverified;
        };
        let Some(channel) = self.channels.get_mut(&id) else {
            return Taken::All;
        };
        channel.stage = Stage::Member(roster);
        channel.behind = true; // there may be more since
        channel.put(turn);
        turn.event(EventKind::ChannelJoined { channel: id });
        let taken = self.apply_entries(id, after, turn);
        self.try_waiting_keys(id, turn);
        self.drive_inbox(turn);
        taken
    }

    fn apply_entries(
        &mut self,
        id: ChannelId,
        entries: &[Signed<RosterEntry>],
        turn: &mut Turn<'_>,
    ) -> Taken {
        let mut changed = false;
        let mut outcome = Taken::All;
        for entry in entries {
            let checked = match self.check_entry(entry) {
                Ok(checked) => checked,
                Err(taken) => {
                    outcome = taken;
                    break;
                }
            };
            let Some(channel) = self.channels.get_mut(&id) else {
                break;
            };
            let Stage::Member(roster) = &mut channel.stage else {
                break; // that entry was our removal
            };
            match roster.apply(&checked) {
                Ok(_) => {
                    changed = true;
                    self.entry_applied(id, entry, turn);
                }
                Err(ApplyError::AlreadyApplied) => {}
                Err(ApplyError::Fork { .. }) => {
                    outcome = Taken::Forked;
                    break;
                }
                Err(_) => {
                    outcome = Taken::Unverified;
                    break;
                }
            }
        }
        if changed {
            self.roster_changed(id, turn);
        }
        outcome
    }

    /// What one entry means besides the roster.
    fn entry_applied(&mut self, id: ChannelId, entry: &Signed<RosterEntry>, turn: &mut Turn<'_>) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let ours = channel.pending.as_ref().is_some_and(|pending| pending == entry);
        if ours {
            channel.pending = None;
        }
        let still_in = channel
            .roster()
            .is_some_and(|roster| roster.member(&self.own.party.address).is_some());
        if !still_in {
            return self.leave(id, turn);
        }
        if let (true, RosterChange::Add(added), Some(roster)) =
            (ours, &entry.claimed().change, channel.roster())
        {
            let said = Said::Invitation(roster.invitation().to_bytes());
            let invitation = Outgoing::new(&added.address, said, turn);
            self.push(invitation, turn);
        }
    }

    fn roster_changed(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let Stage::Member(roster) = &channel.stage else {
            return;
        };
        let height = roster.head().height;
        channel.claims.settle(roster);
        let members: BTreeSet<Address> = roster.members().map(|(address, _)| address.clone()).collect();
        channel.erase_keys(|(address, _, _)| !members.contains(address), turn);
        // An entry of ours that another one was accepted before is signed anew, on top of it.
        let again = channel.pending.take().map(|entry| entry.claimed().change.clone());
        if let Some(channel) = self.channels.get(&id) {
            channel.put(turn);
        }
        turn.event(EventKind::ChannelChanged { channel: id, height });
        if let Some(change) = again
            && self.change_roster(id, change, turn).is_err()
        {
            turn.event(EventKind::ChannelRefused { channel: id });
        }
        self.try_waiting_keys(id, turn);
    }

    fn check_entry(&self, entry: &Signed<RosterEntry>) -> Result<CurrentEntry, Taken> {
        let address = &entry.claimed().signer.account.address;
        let manifest = self
            .manifest_of(address)
            .ok_or_else(|| Taken::Unknown(address.clone()))?;
        CurrentEntry::check(entry.clone(), manifest).map_err(|error| match error {
            CheckError::UnknownManifest if !self.is_own(address) => Taken::Unknown(address.clone()),
            _ => Taken::Unverified,
        })
    }

    fn manifest_of(&self, address: &Address) -> Option<&Verified<DeviceManifest>> {
        if self.is_own(address) {
            return Some(self.own.account().manifest());
        }
        Some(self.peers.get(address)?.account.manifest())
    }
}
