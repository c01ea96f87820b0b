//! From a queued post to one the server has taken.
//!
//! ```text
//!  queued ─▶ roster in no doubt? ─▶ sender key good? ─▶ all devices given it? ─▶ encrypted ─▶ Post ─▶ PostSent
//!               │ fetch entries       │ draw another      │ pairwise, and wait       ▲         │
//!               ▼                     ▼                   ▼ until they are taken     └─ ROSTER_STALE
//! ```

use sottovoce_crypto::statements::{Address, ChannelId, DeviceId};
use sottovoce_crypto::{Party, RosterDoubt, SenderKeyContext, SendingRoster, SendingSenderKey};
use sottovoce_proto::v1;

use crate::channels::Stage;
use crate::codec;
use crate::engine::Engine;
use crate::error::InputError;
use crate::event::EventKind;
use crate::io::{Call, Refusal, Reply};
use crate::message::{Body, MessageId};
use crate::outbox::{OUTBOX_LIMIT, Outgoing};
use crate::post::Post;
use crate::said::Said;
use crate::turn::{ChannelCall, Purpose, Turn};

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
}
