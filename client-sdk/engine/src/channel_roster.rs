//! Who is in a channel: founding it, changing its roster, and following what others change.
//!
//! An entry of ours is taken in when the server has accepted it, and not before; those of others when
//! their signatures verify under the newest manifests (`crypto/SPEC.md` 16).

use sottovoce_crypto::statements::{
    Account, Address, ChannelId, CurrentEntry, EntrySigner, Roster, RosterChange, RosterEntry,
    RosterInvitation, Signed,
};
use sottovoce_proto::v1;

use crate::channels::{Channel, Stage};
use crate::engine::Engine;
use crate::error::InputError;
use crate::event::EventKind;
use crate::io::{Call, Refusal, Reply};
use crate::outbox::Outgoing;
use crate::said::Said;
use crate::turn::{ChannelCall, Purpose, Turn};
use crate::wire;

/// Most channels this device keeps, those it is no longer in and those it only heard of among them.
const CHANNELS: usize = 10_000;

impl Engine {
    pub(crate) fn found_channel(&mut self, turn: &mut Turn<'_>) -> Result<ChannelId, InputError> {
        if self.channels.len() >= CHANNELS {
            return Err(InputError::TooManyChannels);
        }
        let signer = self.signer()?;
        let genesis = self
            .own
            .identity
            .sign_genesis(turn.rng, signer)
            .map_err(|_| InputError::Internal)?;
        let founded = CurrentEntry::check(genesis.clone(), self.own.account().manifest())
            .map_err(|_| InputError::Internal)?;
        let id = founded.channel_id();
        let mut channel = Channel::new(id, Stage::Founding);
        channel.pending = Some(genesis);
        channel.put(turn);
        self.channels.insert(id, channel);
        self.drive_channel(id, turn);
        Ok(id)
    }

    pub(crate) fn change_roster(
        &mut self,
        id: ChannelId,
        change: RosterChange,
        turn: &mut Turn<'_>,
    ) -> Result<(), InputError> {
        let signer = self.signer()?;
        let channel = self.channels.get_mut(&id).ok_or(InputError::NoSuchChannel)?;
        if channel.pending.is_some() {
            return Err(InputError::ChannelBusy);
        }
        let roster = channel.roster().ok_or(InputError::NoSuchChannel)?;
        let entry = roster
            .next_entry(change, signer)
            .map_err(|_| InputError::NotAllowed)?;
        let signed = self.own.identity.sign_roster_entry(entry);
        channel.pending = Some(signed.map_err(|_| InputError::Internal)?);
        channel.put(turn);
        self.drive_channel(id, turn);
        Ok(())
    }

    fn signer(&self) -> Result<EntrySigner, InputError> {
        EntrySigner::on_manifest(self.own.account().manifest(), self.own.party.device_id)
            .ok_or(InputError::Internal)
    }

    /// Takes every channel one step further.
    pub(crate) fn drive_channels(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<ChannelId> = self.channels.keys().copied().collect();
        for id in ids {
            self.take_entries(id, turn);
            self.drive_channel(id, turn);
        }
    }

    /// Makes the next call that a channel waits for; one at a time.
    pub(crate) fn drive_channel(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        if !self.online {
            return;
        }
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.busy || channel.stuck || !channel.fetched.is_empty() {
            return;
        }
        let (step, call) = match (&channel.stage, &channel.pending) {
            (Stage::Founding, Some(genesis)) => {
                let genesis = Some(wire::from_signed(genesis));
                let request = v1::CreateChannelRequest { genesis };
                (ChannelCall::Create, Call::CreateChannel(request))
            }
            (Stage::Joining(..), _) => (ChannelCall::Fetch, fetch(id, 0)),
            (Stage::Member(roster), _) if channel.behind => {
                (ChannelCall::Fetch, fetch(id, roster.head().height + 1))
            }
            (Stage::Member(_), Some(entry)) => {
                let entry = Some(wire::from_signed(entry));
                let request = v1::AppendRosterEntryRequest { entry };
                (ChannelCall::Append, Call::AppendRosterEntry(request))
            }
            (Stage::Member(_), None) => return self.drive_posts(id, turn),
            _ => return,
        };
        channel.busy = true;
        turn.call(Purpose::Channel(id, step), call);
    }

    /// Asks which channels have changed while we were away.
    pub(crate) fn look_at_channels(&mut self, turn: &mut Turn<'_>) {
        if self.channels.values().any(|channel| channel.roster().is_some()) {
            let request = v1::ListChannelsRequest::default();
            turn.call(Purpose::Channels, Call::ListChannels(request));
        }
    }

    pub(crate) fn channels_answered(&mut self, answer: Result<Reply, Refusal>, turn: &mut Turn<'_>) {
        let Ok(Reply::Channels(listed)) = answer else {
            return;
        };
        // Only what is listed tells anything: a list has an end, and a server can leave channels out.
        let last = listed.channels.last().map(|summary| summary.channel_id.clone());
        for summary in &listed.channels {
            let id: Option<[u8; 32]> = summary.channel_id.as_slice().try_into().ok();
            let channel = id.and_then(|id| self.channels.get_mut(&ChannelId::from_bytes(id)));
            if let Some(channel) = channel
                && let Some(roster) = channel.roster()
            {
                channel.behind |= roster.head().height < summary.head_height;
            }
        }
        for channel in self.channels.values_mut() {
            let bytes = channel.id.as_bytes().as_slice();
            let listed = listed.channels.iter().any(|summary| summary.channel_id == bytes);
            let within = last.as_ref().is_none_or(|last| bytes <= last.as_slice());
            // Removed, perhaps: the entries up to that one are told to those who were.
            channel.behind |= channel.roster().is_some() && !listed && within;
        }
        if let Some(after_channel_id) = last.filter(|_| listed.channels.len() >= 256) {
            let request = v1::ListChannelsRequest { after_channel_id };
            turn.call(Purpose::Channels, Call::ListChannels(request));
        }
        self.drive_channels(turn);
    }

    pub(crate) fn channel_answered(
        &mut self,
        id: ChannelId,
        step: ChannelCall,
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        channel.busy = false;
        match (step, answer) {
            (ChannelCall::Post, answer) => return self.post_answered(id, answer, turn),
            (_, Err(Refusal::Unavailable)) => return, // again at the next tick or connection
            (ChannelCall::Create, Ok(_)) => self.founded(id, turn),
            (ChannelCall::Append, Ok(_)) => {
                if let Some(entry) = channel.pending.clone() {
                    channel.fetched = vec![entry];
                    self.take_entries(id, turn);
                }
            }
            (ChannelCall::Fetch, Ok(Reply::Entries(shown))) => self.entries_shown(id, &shown, turn),
            (ChannelCall::Append, Err(Refusal::Because(v1::ErrorReason::RosterConflict))) => {
                channel.behind = true
            }
            (ChannelCall::Append | ChannelCall::Create, Err(Refusal::Because(_))) => {
                channel.pending = None;
                if matches!(channel.stage, Stage::Founding) {
                    channel.stage = Stage::Gone;
                }
                channel.put(turn);
                turn.event(EventKind::ChannelRefused { channel: id });
            }
            (ChannelCall::Fetch, Err(Refusal::Because(v1::ErrorReason::ChannelUnknown))) => {
                self.leave(id, turn);
            }
            (ChannelCall::Fetch, _) => channel.stuck = true,
        }
        self.drive_channel(id, turn);
    }

    fn founded(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let manifest = self.own.account().manifest();
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let genesis = channel.pending.take();
        let genesis = genesis.and_then(|genesis| CurrentEntry::check(genesis, manifest).ok());
        if let Some(roster) = genesis.and_then(|genesis| Roster::found(&genesis).ok()) {
            channel.stage = Stage::Member(roster);
            channel.put(turn);
            turn.event(EventKind::ChannelJoined { channel: id });
        }
    }

    /// We are not in the channel any more: nothing is kept that opens anything of it.
    pub(crate) fn leave(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        channel.erase_keys(|_| true, turn);
        channel.sending = None;
        channel.put_sending(turn);
        channel.waiting_keys.clear();
        channel.pending = None;
        channel.stage = Stage::Gone;
        channel.put(turn);
        for post in std::mem::take(&mut channel.posts) {
            turn.delete(post.key());
            turn.event(EventKind::PostFailed {
                channel: id,
                message_id: post.message_id,
            });
        }
        turn.event(EventKind::ChannelLeft { channel: id });
    }

    pub(crate) fn unverified(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        if let Some(channel) = self.channels.get_mut(&id)
            && !channel.stuck
        {
            channel.stuck = true;
            turn.event(EventKind::ChannelUnverified { channel: id });
        }
    }

    /// An invitation came from somebody, in a session with them.
    pub(crate) fn invited(&mut self, from: &Address, invitation: &[u8], turn: &mut Turn<'_>) {
        let Ok(invitation) = RosterInvitation::from_bytes(invitation) else {
            return;
        };
        let account_key = match self.peers.get(from) {
            Some(peer) => *peer.account.account_key(),
            None => return,
        };
        let id = invitation.channel_id;
        let known = self.channels.get(&id).map(|channel| &channel.stage);
        let full = self.channels.len() >= CHANNELS;
        if matches!(known, Some(Stage::Member(_) | Stage::Founding)) || (known.is_none() && full) {
            return;
        }
        let address = from.clone();
        let inviter = Account { address, account_key };
        let channel = self
            .channels
            .entry(id)
            .or_insert_with(|| Channel::new(id, Stage::Awaited));
        channel.stage = Stage::Joining(invitation, inviter);
        channel.stuck = false;
        channel.put(turn);
        self.drive_channel(id, turn);
    }

    /// A new device of ours is told of the channels.
    pub(crate) fn invite_own_devices(&mut self, turn: &mut Turn<'_>) {
        let own = self.own.party.address.clone();
        let rosters = self.channels.values().filter_map(Channel::roster);
        let invitations: Vec<_> = rosters.map(|roster| roster.invitation().to_bytes()).collect();
        for invitation in invitations {
            let invitation = Outgoing::new(&own, Said::Invitation(invitation), turn);
            self.push(invitation, turn);
        }
    }

    /// Whether a channel cannot do without what is known of this account.
    pub(crate) fn channels_need(&self, address: &Address) -> bool {
        self.channels.values().any(|channel| {
            let signs = |entry: &Signed<RosterEntry>| entry.claimed().signer.account.address == *address;
            channel
                .roster()
                .is_some_and(|roster| roster.member(address).is_some())
                || channel.fetched.iter().any(signs)
        })
    }
}

fn fetch(id: ChannelId, from_height: u64) -> Call {
    Call::GetRosterEntries(v1::GetRosterEntriesRequest {
        channel_id: id.as_bytes().to_vec(),
        from_height,
    })
}
