//! From a delivered envelope to an event in the app's hand.
//!
//! An envelope is acknowledged to the server only together with what it led to: the changed session, the
//! event, and its id among those dealt with are persisted before the acknowledgement is sent.

use std::collections::BTreeSet;

use sottovoce_crypto::statements::Address;
use sottovoce_crypto::{InitialMessage, Party, ReportedView, Session, SessionMessage, Suite};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::arrived::Arrived;
use crate::codec::{self, Decoded};
use crate::engine::Engine;
use crate::event::{EventKind, Unreadable};
use crate::inbox::{Source, UNACKNOWLEDGED_LIMIT};
use crate::message::{ChannelPost, MessageId, ReceivedMessage};
use crate::opening_posts::OpenedPost;
use crate::peers::{Arrival, Peer};
use crate::said::Said;
use crate::turn::Turn;

/// What opening an envelope came to.
enum Opened {
    /// A message, authenticated.
    Message(Decoded),
    /// A post to a channel, authenticated.
    Post(ChannelPost),
    /// Nothing that will ever be readable.
    Unreadable(Unreadable),
    /// The sender's account has to be looked up, or its changed key accepted, first.
    Wait,
}

impl Engine {
    pub(crate) fn delivered(&mut self, envelope: v1::Envelope, turn: &mut Turn<'_>) {
        let Ok(envelope_id) = <[u8; 16]>::try_from(envelope.envelope_id.as_slice()) else {
            return; // cannot even be acknowledged: this server does not speak the protocol
        };
        if self.inbox.has_seen(&envelope_id) {
            self.inbox.acknowledge(envelope_id);
            return;
        }
        let (arrived, source) = Arrived::read(envelope_id, envelope, &self.own);
        let Some(source) = source else {
            return self.finish(&arrived, Err(Unreadable::Malformed), turn);
        };
        let held = self
            .peers
            .get(&source.0)
            .is_some_and(|peer| peer.proposed.is_some() && peer.account.party(source.1).is_none());
        if held && self.inbox.is_full_of(&source.0) {
            self.finish(&arrived, Err(Unreadable::KeyNotAccepted), turn);
        } else if self.inbox.waits_from(&source) || self.app_is_behind(turn) {
            self.inbox.wait(source, arrived);
        } else {
            self.try_open(source, arrived, false, turn);
        }
    }

    /// The account of `sender` has just been looked up, whatever came of it.
    pub(crate) fn account_refreshed(&mut self, sender: &Address, turn: &mut Turn<'_>) {
        self.open_waiting(Some(sender), turn);
    }

    /// Tries again what waits: the app has caught up, or time has passed.
    pub(crate) fn drive_inbox(&mut self, turn: &mut Turn<'_>) {
        self.open_waiting(None, turn);
    }

    fn open_waiting(&mut self, refreshed: Option<&Address>, turn: &mut Turn<'_>) {
        let mut blocked = BTreeSet::new();
        for (source, arrived) in self.inbox.take_waiting() {
            let relevant = refreshed.is_none_or(|refreshed| *refreshed == source.0);
            if !relevant || blocked.contains(&source) || self.app_is_behind(turn) {
                self.inbox.wait(source, arrived);
            } else if !self.try_open(source.clone(), arrived, refreshed.is_some(), turn) {
                blocked.insert(source);
            }
        }
    }

    /// Opens an envelope, or sets it aside and returns `false`. With `refreshed`, the sender's account is
    /// as new as the server has it, and looking it up again would change nothing.
    fn try_open(&mut self, source: Source, arrived: Arrived, refreshed: bool, turn: &mut Turn<'_>) -> bool {
        match self.open(&source, &arrived, refreshed, turn) {
            Opened::Message(message) => {
                self.received(&source, message, turn);
                self.finish(&arrived, Ok(()), turn);
            }
            Opened::Post(post) => {
                if !self.blocked.contains(&post.from) {
                    turn.event(EventKind::PostReceived(post));
                }
                self.finish(&arrived, Ok(()), turn);
            }
            Opened::Unreadable(reason) => self.finish(&arrived, Err(reason), turn),
            Opened::Wait => {
                self.inbox.wait(source, arrived);
                return false;
            }
        }
        true
    }

    fn open(&mut self, source: &Source, arrived: &Arrived, refreshed: bool, turn: &mut Turn<'_>) -> Opened {
        let (sender, device_id) = source;
        if *source == (self.own.party.address.clone(), self.own.party.device_id) {
            return Opened::Unreadable(Unreadable::UnknownDevice);
        }
        if let Some((channel, post)) = arrived.post() {
            return match self.open_post(source, channel, post, turn) {
                OpenedPost::Post(post) => Opened::Post(post),
                OpenedPost::Unreadable(reason) => Opened::Unreadable(reason),
                OpenedPost::Wait => Opened::Wait,
            };
        }
        let Ok(message) = SessionMessage::decode(arrived.message()) else {
            return Opened::Unreadable(Unreadable::Malformed);
        };
        if let SessionMessage::Initial(initial) = &message
            && initial.suite() != Suite::Pqxdh
        {
            return Opened::Unreadable(Unreadable::Downgraded);
        }
        let peer = self.peers.get(sender);
        let behind = |peer: &Peer| arrived.claimed_manifest() > Some(peer.account.manifest().version);
        if !refreshed && peer.is_some_and(|peer| peer.proposed.is_none() && behind(peer)) {
            self.fetch_account(sender, turn);
            return Opened::Wait;
        }
        let Some(them) = peer.and_then(|peer| peer.account.party(*device_id)) else {
            if peer.is_some_and(|peer| peer.proposed.is_some()) {
                return Opened::Wait;
            }
            if refreshed {
                return Opened::Unreadable(Unreadable::UnknownDevice);
            }
            self.fetch_account(sender, turn);
            return Opened::Wait;
        };
        let is_known = peer.is_some_and(|peer| peer.pinned);
        match arrived.decrypt_as(&them, || self.decrypt(&them, &message, turn)) {
            Ok(plaintext) => {
                codec::decode(&plaintext).map_or(Opened::Unreadable(Unreadable::Malformed), Opened::Message)
            }
            Err(reason) => {
                // A stranger's nonsense is not answered: an answer would tell that somebody is there.
                match (is_known, arrived.is_sealed()) {
                    (true, true) => self.doubt_session(&them, turn),
                    (true, false) => self.renew_session(&them, turn),
                    (false, _) => {}
                }
                Opened::Unreadable(reason)
            }
        }
    }

    fn decrypt(
        &mut self,
        them: &Party,
        message: &SessionMessage,
        turn: &mut Turn<'_>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        match message {
            SessionMessage::Initial(initial) if !self.sessions.knows(them, &initial.handshake_digest()) => {
                self.accept_session(them, initial, turn)
            }
            _ => self.sessions.decrypt(them, message, turn),
        }
    }

    fn accept_session(
        &mut self,
        them: &Party,
        initial: &InitialMessage,
        turn: &mut Turn<'_>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let prekeys = self.prekeys.find(initial).ok()?;
        let (identity, us) = (&self.own.identity, &self.own.party);
        let (session, decrypted) = Session::accept(turn.now, identity, us, them, &prekeys, initial).ok()?;
        self.prekeys.used(initial, turn);
        let plaintext = self.sessions.accepted(them, session, decrypted, turn);
        self.count_prekeys(turn);
        Some(plaintext)
    }

    fn received(&mut self, source: &Source, message: Decoded, turn: &mut Turn<'_>) {
        let (from, device_id) = (source.0.clone(), source.1);
        self.compare_manifests(&from, &message, turn);
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let arrival = peer.note_received(device_id, message.sequence, message.message_id);
        peer.persist(turn);
        if arrival == Arrival::Again {
            return;
        }
        if arrival != Arrival::Late {
            // A late message may hold a key that a newer one has replaced.
            self.note_access_key(&from, message.access_key, turn);
        }
        if self.blocked.contains(&from) {
            return;
        }
        if let Arrival::After { missing: count @ 1.. } = arrival {
            turn.event(EventKind::MessagesMissing {
                from: from.clone(),
                device_id,
                count,
            });
        }
        match message.said {
            Said::SenderKey(_, distribution) => self.sender_key_came(source, &distribution, turn),
            Said::Invitation(invitation) => self.invited(&from, &invitation, turn),
            said if self.is_own(&from) => Self::received_from_own(message.sent_at_ms, said, turn),
            Said::App(body) => turn.event(EventKind::MessageReceived(ReceivedMessage {
                from,
                device_id,
                message_id: MessageId(message.message_id),
                sent_at_ms: message.sent_at_ms,
                late: arrival == Arrival::Late,
                body,
            })),
            Said::Renewal | Said::Copy { .. } => {}
        }
    }

    /// What another device of this account says is for this one alone, but for copies of what it sent.
    fn received_from_own(sent_at_ms: u64, said: Said, turn: &mut Turn<'_>) {
        if let Said::Copy { to, message_id, body } = said {
            turn.event(EventKind::MessageSynced {
                to,
                message_id,
                sent_at_ms,
                body,
            });
        }
    }

    /// Compares what the sender has seen of both manifests with what we have. A newer one of theirs is
    /// fetched; whatever contradicts ours is told, once.
    fn compare_manifests(&mut self, from: &Address, message: &Decoded, turn: &mut Turn<'_>) {
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        let about_theirs = peer.account.compare(&message.sender_manifest);
        let about_ours = self.own.view().compare(&message.recipient_manifest);
        let disputed = match (about_theirs, about_ours) {
            (ReportedView::Conflict, _) => Some((from.clone(), message.sender_manifest)),
            (_, ReportedView::Newer) if !self.own.is_primary() => None,
            (_, ReportedView::Conflict | ReportedView::Newer) => {
                Some((self.own.party.address.clone(), message.recipient_manifest))
            }
            _ => None,
        };
        if let Some((address, claim)) = disputed
            && peer.disputed.replace(claim) != Some(claim)
        {
            turn.event(EventKind::ManifestDisputed {
                address,
                by: from.clone(),
            });
        }
        if about_theirs == ReportedView::Newer {
            peer.claimed = peer.claimed.max(message.sender_manifest.version);
            self.fetch_account(from, turn);
        }
        if about_ours == ReportedView::Newer {
            // Another device of ours may have changed it: what the server shows says more.
            let own = self.own.party.address.clone();
            self.fetch_account(&own, turn);
        }
    }

    /// An envelope is dealt with, for good.
    fn finish(&mut self, arrived: &Arrived, outcome: Result<(), Unreadable>, turn: &mut Turn<'_>) {
        if let Err(reason) = outcome {
            let from = arrived.from.clone();
            turn.event(EventKind::Unreadable { from, reason });
        }
        if !arrived.ephemeral {
            self.inbox.remember(arrived.id, turn);
            self.inbox.acknowledge(arrived.id);
        }
    }

    pub(crate) fn app_is_behind(&self, turn: &Turn<'_>) -> bool {
        self.events.len() + turn.out.events.len() >= UNACKNOWLEDGED_LIMIT
    }
}
