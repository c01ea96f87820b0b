//! From a delivered envelope to an event in the app's hand.
//!
//! An envelope is acknowledged to the server only together with what it led to: the changed session, the
//! event, and its id among those dealt with are persisted before the acknowledgement is sent.

use std::collections::BTreeSet;

use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{InitialMessage, Party, ReportedView, Session, SessionMessage, Suite};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::codec::{self, Decoded};
use crate::engine::Engine;
use crate::event::{EventKind, MessageId, ReceivedMessage, Unreadable};
use crate::inbox::{MAX_CIPHERTEXT_LEN, Source, UNACKNOWLEDGED_LIMIT};
use crate::peers::Arrival;
use crate::turn::Turn;

/// Longest sender name kept in an event about something unreadable, in bytes.
const UNREADABLE_FROM_LEN: usize = 192;

/// What opening an envelope came to.
enum Opened {
    /// A message, authenticated.
    Message(Decoded),
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
        let Some(source) = source_of(&envelope) else {
            return self.finish(envelope_id, &envelope.sender, Err(Unreadable::Malformed), turn);
        };
        let held = self
            .peers
            .get(&source.0)
            .is_some_and(|peer| peer.proposed.is_some() && peer.account.party(source.1).is_none());
        if held && self.inbox.is_full_of(&source.0) {
            self.finish(
                envelope_id,
                &envelope.sender,
                Err(Unreadable::KeyNotAccepted),
                turn,
            );
        } else if self.inbox.waits_from(&source) || self.app_is_behind(turn) {
            self.inbox.wait(source, envelope);
        } else {
            self.try_open(source, envelope, false, turn);
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
        for (source, envelope) in self.inbox.take_waiting() {
            let relevant = refreshed.is_none_or(|refreshed| *refreshed == source.0);
            if !relevant || blocked.contains(&source) || self.app_is_behind(turn) {
                self.inbox.wait(source, envelope);
            } else if !self.try_open(source.clone(), envelope, refreshed.is_some(), turn) {
                blocked.insert(source);
            }
        }
    }

    /// Opens an envelope, or sets it aside and returns `false`. With `refreshed`, the sender's account is
    /// as new as the server has it, and looking it up again would change nothing.
    fn try_open(
        &mut self,
        source: Source,
        envelope: v1::Envelope,
        refreshed: bool,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Ok(envelope_id) = <[u8; 16]>::try_from(envelope.envelope_id.as_slice()) else {
            return true;
        };
        match self.open(&source, &envelope.ciphertext, refreshed, turn) {
            Opened::Message(message) => {
                self.received(&source, message, turn);
                self.finish(envelope_id, &envelope.sender, Ok(()), turn);
            }
            Opened::Unreadable(reason) => self.finish(envelope_id, &envelope.sender, Err(reason), turn),
            Opened::Wait => {
                self.inbox.wait(source, envelope);
                return false;
            }
        }
        true
    }

    fn open(&mut self, source: &Source, ciphertext: &[u8], refreshed: bool, turn: &mut Turn<'_>) -> Opened {
        let (sender, device_id) = source;
        if *sender == self.own.party.address {
            // Ours alone to know, and there is no other device of ours yet.
            return Opened::Unreadable(Unreadable::UnknownDevice);
        }
        let Ok(message) = SessionMessage::decode(ciphertext) else {
            return Opened::Unreadable(Unreadable::Malformed);
        };
        if let SessionMessage::Initial(initial) = &message
            && initial.suite() != Suite::Pqxdh
        {
            return Opened::Unreadable(Unreadable::Downgraded);
        }
        let peer = self.peers.get(sender);
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
        let Some(plaintext) = self.decrypt(&them, &message, turn) else {
            // A stranger's nonsense is not answered: an answer would tell that somebody is there.
            if is_known {
                self.renew_session(&them, turn);
            }
            return Opened::Unreadable(Unreadable::NotAuthentic);
        };
        codec::decode(&plaintext).map_or(Opened::Unreadable(Unreadable::Malformed), Opened::Message)
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
        let arrival = peer.note_received(device_id, message.sequence);
        peer.persist(turn);
        if let Arrival::After { missing: count @ 1.. } = arrival {
            turn.event(EventKind::MessagesMissing {
                from: from.clone(),
                device_id,
                count,
            });
        }
        if let Some(body) = message.body {
            turn.event(EventKind::MessageReceived(ReceivedMessage {
                from,
                device_id,
                message_id: MessageId(message.message_id),
                sent_at_ms: message.sent_at_ms,
                late: arrival == Arrival::Late,
                body,
            }));
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
    }

    /// An envelope is dealt with, for good.
    fn finish(
        &mut self,
        envelope_id: [u8; 16],
        from: &str,
        outcome: Result<(), Unreadable>,
        turn: &mut Turn<'_>,
    ) {
        if let Err(reason) = outcome {
            let from = from.chars().take(UNREADABLE_FROM_LEN).collect();
            turn.event(EventKind::Unreadable { from, reason });
        }
        self.inbox.remember(envelope_id, turn);
        self.inbox.acknowledge(envelope_id);
    }

    pub(crate) fn app_is_behind(&self, turn: &Turn<'_>) -> bool {
        self.events.len() + turn.out.events.len() >= UNACKNOWLEDGED_LIMIT
    }
}

/// Where an envelope claims to come from, if it is one that can be looked at.
fn source_of(envelope: &v1::Envelope) -> Option<Source> {
    let sender = Address::parse(&envelope.sender).ok()?;
    let device_id = DeviceId::from_slice(&envelope.sender_device_id).ok()?;
    (envelope.ciphertext.len() <= MAX_CIPHERTEXT_LEN).then_some((sender, device_id))
}
