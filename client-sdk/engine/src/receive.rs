//! From a delivered envelope to an event in the app's hand.
//!
//! An envelope is acknowledged to the server only together with what it led to: the changed session, the
//! event, and its id among those dealt with are persisted before the acknowledgement is sent.

use std::collections::BTreeSet;

use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{InitialMessage, Party, Session, SessionMessage};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::codec::{self, Decoded};
use crate::engine::Engine;
use crate::event::{EventKind, MessageId, ReceivedMessage, Unreadable};
use crate::inbox::UNACKNOWLEDGED_LIMIT;
use crate::io::Call;
use crate::peers::Arrival;
use crate::turn::{Purpose, Turn};

/// Longest sender name kept in an event about something unreadable, in bytes.
const UNREADABLE_FROM_LEN: usize = 192;

/// What opening an envelope came to.
enum Opened {
    /// A message, authenticated.
    Message(DeviceId, Decoded),
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
            self.acknowledge_envelope(envelope_id, turn);
            return;
        }
        let Ok(sender) = Address::parse(&envelope.sender) else {
            self.finish(envelope_id, &envelope.sender, Err(Unreadable::Malformed), turn);
            return;
        };
        if self.inbox.waits_for(&sender) || self.app_is_behind(turn) {
            self.inbox.wait(sender, envelope);
            return;
        }
        self.try_open(sender, envelope, false, turn);
    }

    /// The account of `sender` has just been looked up, whatever came of it.
    pub(crate) fn account_refreshed(&mut self, sender: &Address, turn: &mut Turn<'_>) {
        self.open_waiting(Some(sender), turn);
    }

    /// Tries again what waits: the app has caught up, or a key was accepted, or time has passed.
    pub(crate) fn drive_inbox(&mut self, turn: &mut Turn<'_>) {
        self.open_waiting(None, turn);
    }

    fn open_waiting(&mut self, refreshed: Option<&Address>, turn: &mut Turn<'_>) {
        let mut blocked = BTreeSet::new();
        for (sender, envelope) in self.inbox.take_waiting() {
            let relevant = refreshed.is_none_or(|refreshed| *refreshed == sender);
            if !relevant || blocked.contains(&sender) || self.app_is_behind(turn) {
                self.inbox.wait(sender, envelope);
            } else if !self.try_open(sender.clone(), envelope, refreshed.is_some(), turn) {
                blocked.insert(sender);
            }
        }
    }

    /// Opens an envelope, or sets it aside and returns `false`. With `refreshed`, the sender's account is
    /// as new as the server has it, and looking it up again would change nothing.
    fn try_open(
        &mut self,
        sender: Address,
        envelope: v1::Envelope,
        refreshed: bool,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Ok(envelope_id) = <[u8; 16]>::try_from(envelope.envelope_id.as_slice()) else {
            return true;
        };
        match self.open(&sender, &envelope, refreshed, turn) {
            Opened::Message(device_id, message) => {
                self.received(&sender, device_id, message, turn);
                self.finish(envelope_id, &envelope.sender, Ok(()), turn);
            }
            Opened::Unreadable(reason) => self.finish(envelope_id, &envelope.sender, Err(reason), turn),
            Opened::Wait => {
                self.inbox.wait(sender, envelope);
                return false;
            }
        }
        true
    }

    fn open(
        &mut self,
        sender: &Address,
        envelope: &v1::Envelope,
        refreshed: bool,
        turn: &mut Turn<'_>,
    ) -> Opened {
        let (Ok(device_id), Ok(message)) = (
            DeviceId::from_slice(&envelope.sender_device_id),
            SessionMessage::decode(&envelope.ciphertext),
        ) else {
            return Opened::Unreadable(Unreadable::Malformed);
        };
        let peer = self.peers.get(sender);
        let Some(them) = peer.and_then(|peer| peer.party(device_id)) else {
            if peer.is_some_and(|peer| peer.proposed.is_some()) {
                return Opened::Wait;
            }
            if refreshed {
                return Opened::Unreadable(Unreadable::UnknownDevice);
            }
            self.fetch_account(sender, turn);
            return Opened::Wait;
        };
        let Some(plaintext) = self.decrypt(&them, &message, turn) else {
            return Opened::Unreadable(Unreadable::NotAuthentic);
        };
        match codec::decode(&plaintext) {
            Some(decoded) => Opened::Message(device_id, decoded),
            None => Opened::Unreadable(Unreadable::Malformed),
        }
    }

    fn decrypt(
        &mut self,
        them: &Party,
        message: &SessionMessage,
        turn: &mut Turn<'_>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        if let SessionMessage::Initial(initial) = message
            && !self
                .sessions
                .knows(&them.address, them.device_id, &initial.handshake_digest())
        {
            return self.accept_session(them, initial, turn);
        }
        self.sessions
            .decrypt(&them.address, them.device_id, message, turn)
    }

    fn accept_session(
        &mut self,
        them: &Party,
        initial: &InitialMessage,
        turn: &mut Turn<'_>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (signed, one_time) = self.prekeys.find(initial).ok()?;
        let (session, plaintext) = Session::accept(
            turn.now,
            &self.own.identity,
            &self.own.party,
            them,
            signed,
            one_time,
            initial,
        )
        .ok()?;
        self.prekeys.used(initial, turn);
        self.sessions.add(&them.address, them.device_id, session, turn);
        if self.online {
            turn.call(Purpose::Count, Call::CountPrekeys(v1::CountPrekeysRequest {}));
        }
        Some(plaintext)
    }

    fn received(&mut self, from: &Address, device_id: DeviceId, message: Decoded, turn: &mut Turn<'_>) {
        self.compare_manifests(from, &message, turn);
        let Some(peer) = self.peers.get_mut(from) else {
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
        turn.event(EventKind::MessageReceived(ReceivedMessage {
            from: from.clone(),
            device_id,
            message_id: MessageId(message.message_id),
            sent_at_ms: message.sent_at_ms,
            late: arrival == Arrival::Late,
            body: message.body,
        }));
    }

    /// Compares what the sender has seen of both manifests with what we have. A newer one of theirs is
    /// fetched; whatever contradicts ours is told.
    fn compare_manifests(&mut self, from: &Address, message: &Decoded, turn: &mut Turn<'_>) {
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        let theirs = &peer.account.manifest;
        let (their_version, their_hash) = message.sender_manifest;
        let newer = their_version > theirs.version;
        let contradicts = their_version == theirs.version && their_hash != theirs.hash();
        if newer {
            peer.claimed = peer.claimed.max(their_version);
        }
        if contradicts {
            turn.event(EventKind::ManifestConflict {
                address: from.clone(),
            });
        }
        let (our_version, our_hash) = message.recipient_manifest;
        let ours = &self.own.manifest;
        if our_version > ours.version || (our_version == ours.version && our_hash != ours.hash()) {
            turn.event(EventKind::ManifestConflict {
                address: self.own.party.address.clone(),
            });
        }
        if newer {
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
        self.acknowledge_envelope(envelope_id, turn);
    }

    fn acknowledge_envelope(&mut self, envelope_id: [u8; 16], turn: &mut Turn<'_>) {
        let request = v1::AcknowledgeRequest {
            envelope_ids: vec![envelope_id.to_vec()],
        };
        turn.call(Purpose::Acknowledge, Call::Acknowledge(request));
    }

    fn app_is_behind(&self, turn: &Turn<'_>) -> bool {
        self.events.len() + turn.out.events.len() >= UNACKNOWLEDGED_LIMIT
    }
}
