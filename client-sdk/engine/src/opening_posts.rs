//! From a delivered post to an event, and the sender keys that open posts.

use sottovoce_crypto::statements::{Address, ChannelId, DeviceId};
use sottovoce_crypto::{
    ReceivingSenderKey, RosterClaim, RosterStanding, SenderKeyContext, SenderKeyDecryptError,
    SenderKeyDistribution, SenderKeyMessage,
};
use zeroize::Zeroizing;

use crate::channels::{Channel, Stage};
use crate::engine::Engine;
use crate::event::{EventKind, Unreadable};
use crate::inbox::Source;
use crate::message::ChannelPost;
use crate::post;
use crate::turn::Turn;

/// What opening a post came to.
pub(crate) enum OpenedPost {
    Post(ChannelPost),
    Unreadable(Unreadable),
    /// The channel is being joined, or its sender looked up.
    Wait,
}

impl Engine {
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
