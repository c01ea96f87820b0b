//! From a queued post to one the server has taken, and from a delivered one to an event.
//!
//! ```text
//!  queued ─▶ roster in no doubt? ─▶ sender key good? ─▶ all devices given it? ─▶ encrypted ─▶ Post ─▶ PostSent
//!               │ fetch entries       │ draw another      │ pairwise, and wait       ▲         │
//!               ▼                     ▼                   ▼ until they are taken     └─ ROSTER_STALE
//! ```

use sottovoce_crypto::statements::{Address, ChannelId, DeviceId};
use sottovoce_crypto::{
    Party, ReceivingSenderKey, RosterClaim, RosterDoubt, RosterStanding, SenderKeyContext,
    SenderKeyDecryptError, SenderKeyDistribution, SenderKeyMessage, SendingRoster, SendingSenderKey,
};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::channels::{Channel, Stage};
use crate::codec;
use crate::engine::Engine;
use crate::error::InputError;
use crate::event::{EventKind, Unreadable};
use crate::inbox::Source;
use crate::io::{Call, Refusal, Reply};
use crate::message::{Body, ChannelPost, MessageId};
use crate::outbox::{OUTBOX_LIMIT, Outgoing};
use crate::post::{self, Post};
use crate::said::Said;
use crate::turn::{ChannelCall, Purpose, Turn};

/// What opening a post came to.
pub(crate) enum OpenedPost {
    Post(ChannelPost),
    Unreadable(Unreadable),
    /// The channel is being joined, or its sender looked up.
    Wait,
}

impl Engine {
    pub(crate) fn queue_post(
        &mut self,
        id: ChannelId,
        body: Body,
        turn: &mut Turn<'_>,
    ) -> Result<MessageId, InputError> {
        codec::check_body(&body)?;
        if self.app_is_behind(turn) {
            return Err(InputError::EventsUnacknowledged);
        }
        let channel = self.channels.get_mut(&id).ok_or(InputError::NoSuchChannel)?;
        if !matches!(channel.stage, Stage::Founding | Stage::Member(_)) {
            return Err(InputError::NoSuchChannel);
        }
        if channel.posts.len() >= OUTBOX_LIMIT {
            return Err(InputError::OutboxFull);
        }
        let post = Post::new(id, body, turn);
        let message_id = post.message_id;
        post.put(turn);
        channel.posts.push_back(post);
        self.drive_channel(id, turn);
        Ok(message_id)
    }

    /// Takes a channel's next post one step further.
    pub(crate) fn drive_posts(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let (Some(roster), Some(post)) = (channel.roster(), channel.posts.front()) else {
            return;
        };
        let head = roster.head();
        match &post.encrypted {
            Some((height, _)) if *height != head.height => {
                if let Some(post) = channel.posts.front_mut() {
                    post.discard_encrypted(turn);
                }
                self.drive_posts(id, turn);
            }
            Some((height, ciphertext)) => {
                let request = v1::PostRequest {
                    channel_id: id.as_bytes().to_vec(),
                    client_message_id: post.client_message_id.to_vec(),
                    roster_height: *height,
                    ciphertext: ciphertext.clone(),
                };
                channel.busy = true;
                turn.call(Purpose::Channel(id, ChannelCall::Post), Call::Post(request));
            }
            None => {
                if self.prepare_key(id, turn).is_some() {
                    self.encrypt_post(id, turn);
                }
            }
        }
    }

    /// Sees to it that there is a sender key, and that every member's devices have been given it. `None`
    /// while something is waited for.
    fn prepare_key(&mut self, id: ChannelId, turn: &mut Turn<'_>) -> Option<()> {
        let recipients = self.channel_devices(id, turn)?;
        let us = self.own.party.clone();
        let channel = self.channels.get_mut(&id)?;
        let roster = channel.roster()?;
        let doubt = channel.claims.doubt(roster);
        if doubt != RosterDoubt::None {
            // What has not come may be somebody's removal.
            return None;
        }
        let sending_roster = SendingRoster::new(roster.view(), doubt);
        let head = roster.head();
        let left = |(address, device_id): &(Address, DeviceId)| {
            !recipients
                .iter()
                .any(|them| them.address == *address && them.device_id == *device_id)
        };
        if channel.given.iter().any(left)
            && let Some(sending) = &mut channel.sending
        {
            sending.retire();
        }
        let good = channel
            .sending
            .as_ref()
            .is_some_and(|sending| sending.rotation_due(turn.now, &sending_roster).is_none());
        if !good {
            let context = SenderKeyContext {
                channel_id: id,
                sender: us,
            };
            channel.sending = Some(SendingSenderKey::generate(turn.rng, turn.now, &context, head));
            channel.given.clear();
        }
        let without: std::collections::BTreeSet<Address> = recipients
            .iter()
            .filter(|them| !channel.given.contains(&(them.address.clone(), them.device_id)))
            .map(|them| them.address.clone())
            .collect();
        if without.is_empty() {
            return (!self.outbox.holds_key_for(id)).then_some(());
        }
        let distribution = channel
            .sending
            .as_ref()?
            .distribution(turn.now, &sending_roster)
            .ok()?;
        for them in recipients {
            channel.given.insert((them.address, them.device_id));
        }
        channel.put_sending(turn);
        for address in without {
            let said = Said::SenderKey(id, distribution.encode());
            let message = Outgoing::new(&address, said, turn);
            self.push(message, turn);
        }
        None
    }

    /// Every device that is to read what we post; `None` while a member's account is not known.
    fn channel_devices(&mut self, id: ChannelId, turn: &mut Turn<'_>) -> Option<Vec<Party>> {
        let roster = self.channels.get(&id)?.roster()?;
        let mut parties = Vec::new();
        let mut unknown = Vec::new();
        for (address, _) in roster.members() {
            match self.peers.get(address) {
                Some(peer) => parties.extend(peer.parties_but(self.own.party.device_id)),
                None if self.is_own(address) => {}
                None => unknown.push(address.clone()),
            }
        }
        // Under another account key than the roster's an address is a stranger's.
        parties.retain(|them| them.is_member_of(roster));
        for address in &unknown {
            self.fetch_account(address, turn);
        }
        unknown.is_empty().then_some(parties)
    }

    fn encrypt_post(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let Stage::Member(roster) = &channel.stage else {
            return;
        };
        let sending_roster = SendingRoster::new(roster.view(), RosterDoubt::None);
        let height = roster.head().height;
        let (Some(sending), Some(post)) = (&mut channel.sending, channel.posts.front_mut()) else {
            return;
        };
        let Ok(ciphertext) = sending.encrypt(turn.now, &sending_roster, &post.plaintext()) else {
            return;
        };
        post.encrypted = Some((height, ciphertext));
        post.put(turn);
        channel.put_sending(turn);
        self.drive_posts(id, turn);
    }

    pub(crate) fn post_answered(
        &mut self,
        id: ChannelId,
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        match answer {
            Ok(_) => {
                if let Some(post) = channel.posts.pop_front() {
                    turn.delete(post.key());
                    turn.event(EventKind::PostSent {
                        channel: id,
                        message_id: post.message_id,
                    });
                }
            }
            Err(Refusal::Because(v1::ErrorReason::RosterStale | v1::ErrorReason::ChannelUnknown)) => {
                channel.behind = true;
            }
            Err(Refusal::Because(
                v1::ErrorReason::TooLarge
                | v1::ErrorReason::FieldInvalid
                | v1::ErrorReason::MessageIdConflict,
            )) => {
                if let Some(post) = channel.posts.pop_front() {
                    turn.delete(post.key());
                    turn.event(EventKind::PostFailed {
                        channel: id,
                        message_id: post.message_id,
                    });
                }
            }
            // A full mailbox, a busy server, no answer: again at the next tick or connection.
            Err(_) => return,
        }
        self.drive_channel(id, turn);
    }

    /// A sender key came from a device, in a session with it.
    pub(crate) fn sender_key_came(
        &mut self,
        from: &Source,
        distribution: &Zeroizing<Vec<u8>>,
        turn: &mut Turn<'_>,
    ) {
        let Ok(read) = SenderKeyDistribution::decode(distribution) else {
            return;
        };
        let id = read.channel_id();
        let new = Channel::new(id, Stage::Awaited);
        let channel = self.channels.entry(id).or_insert(new);
        channel.keep_waiting(from.clone(), distribution.clone());
        channel.put(turn);
        self.try_waiting_keys(id, turn);
    }

    /// Takes up the distributions whose senders the roster has by now.
    pub(crate) fn try_waiting_keys(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let Stage::Member(roster) = &channel.stage else {
            return;
        };
        if channel.waiting_keys.is_empty() {
            return;
        }
        let mut taken = Vec::new();
        let mut waiting = Vec::new();
        for (address, device_id, bytes) in std::mem::take(&mut channel.waiting_keys) {
            let party = self
                .peers
                .get(&address)
                .and_then(|peer| peer.account.party(device_id));
            let (Some(sender), Some(member)) = (party, roster.member(&address)) else {
                waiting.push((address, device_id, bytes));
                continue;
            };
            let Ok(distribution) = SenderKeyDistribution::decode(&bytes) else {
                continue;
            };
            let name = (address, device_id, distribution.key_id());
            let context = SenderKeyContext {
                channel_id: id,
                sender,
            };
            if channel.receiving.contains_key(&name) {
                continue;
            }
            if let Ok((key, standing)) = ReceivingSenderKey::accept(&context, &distribution, member, roster) {
                taken.push((name, key, standing, context.sender, distribution.roster_head()));
            }
        }
        channel.waiting_keys = waiting;
        for (name, key, standing, claimant, head) in taken {
            if standing != RosterStanding::Agreed {
                channel.claims.note(RosterClaim { claimant, head });
                channel.behind = true;
            }
            channel.keep_key(name, key, turn);
        }
        channel.put(turn);
        self.drive_channel(id, turn);
    }

    /// Opens a post that the server says is of this device.
    pub(crate) fn open_post(
        &mut self,
        source: &Source,
        id: ChannelId,
        ciphertext: &[u8],
        turn: &mut Turn<'_>,
    ) -> OpenedPost {
        let unreadable = OpenedPost::Unreadable(Unreadable::NotAuthentic);
        let Ok(message) = SenderKeyMessage::decode(ciphertext) else {
            return OpenedPost::Unreadable(Unreadable::Malformed);
        };
        let party = self
            .peers
            .get(&source.0)
            .and_then(|peer| peer.account.party(source.1));
        let Some(channel) = self.channels.get_mut(&id) else {
            return unreadable;
        };
        let roster = match &channel.stage {
            Stage::Member(roster) => roster,
            Stage::Joining(..) if !channel.stuck => return OpenedPost::Wait,
            _ => return unreadable,
        };
        let name = (source.0.clone(), source.1, message.key_id());
        let (Some(key), Some(party)) = (channel.receiving.get_mut(&name), party) else {
            let waits = |(address, device_id, _): &(Address, DeviceId, _)| {
                (address, *device_id) == (&source.0, source.1)
            };
            let may_come = channel.waiting_keys.iter().any(waits) && !channel.stuck;
            if may_come && (channel.behind || channel.busy || !channel.fetched.is_empty()) {
                return OpenedPost::Wait;
            }
            return unreadable;
        };
        match key.decrypt(turn.now, &message, roster) {
            Ok(opened) => {
                if opened.standing != RosterStanding::Agreed {
                    channel.claims.note(RosterClaim {
                        claimant: party,
                        head: opened.roster_head,
                    });
                    channel.behind = true;
                    channel.put(turn);
                }
                channel.put_key(&name, &opened.skipped, turn);
                let read = post::read(&opened.plaintext);
                self.drive_channel(id, turn);
                read.map_or(
                    OpenedPost::Unreadable(Unreadable::Malformed),
                    |(message_id, sent_at_ms, body)| {
                        OpenedPost::Post(ChannelPost {
                            channel: id,
                            from: source.0.clone(),
                            device_id: source.1,
                            message_id,
                            sent_at_ms,
                            body,
                        })
                    },
                )
            }
            Err(SenderKeyDecryptError::Fork(fork)) => {
                channel.claims.note(RosterClaim {
                    claimant: party,
                    head: fork.theirs,
                });
                channel.put(turn);
                turn.event(EventKind::ChannelDisputed {
                    channel: id,
                    by: source.0.clone(),
                });
                unreadable
            }
            Err(_) => unreadable,
        }
    }
}
