//! From a queued message to a request the server has taken.
//!
//! ```text
//!  queued ──▶ account known? ──▶ sessions with every device? ──▶ encrypted ──▶ taken
//!               │ no: ask for it     │ no: fetch prekeys             ▲  │
//!               ▼                    ▼                               └──┘ the device list has changed
//! ```

use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_proto::v1;

use crate::codec;
use crate::delivery::Delivery;
use crate::engine::Engine;
use crate::error::InputError;
use crate::event::{EventKind, SendFailure};
use crate::io::Call;
use crate::message::{Body, MessageId};
use crate::outbox::{OUTBOX_LIMIT, Outgoing};
use crate::peers::Peer;
use crate::said::Said;
use crate::scheduled::SCHEDULED_LIMIT;
use crate::sealing::Encrypted;
use crate::turn::{Purpose, Turn};

impl Engine {
    pub(crate) fn queue(
        &mut self,
        to: &Address,
        body: Body,
        delivery: Delivery,
        turn: &mut Turn<'_>,
    ) -> Result<MessageId, InputError> {
        codec::check_body(&body)?;
        delivery.check(turn.now)?;
        if *to == self.own.party.address {
            return Err(InputError::ToOneself);
        }
        if self.blocked.contains(to) {
            return Err(InputError::Blocked);
        }
        let scheduled = delivery.is_scheduled() && self.scheduled.len() >= SCHEDULED_LIMIT;
        if scheduled || self.outbox.len() >= OUTBOX_LIMIT {
            return Err(InputError::OutboxFull);
        }
        if self.app_is_behind(turn) {
            return Err(InputError::EventsUnacknowledged);
        }
        let mut message = Outgoing::new(to, Said::App(body.clone()), turn);
        message.delivery = delivery;
        let message_id = message.message_id;
        self.push(message, turn);
        if self.has_other_devices() {
            let own = self.own.party.address.clone();
            let (to, body) = (to.clone(), body);
            let copy = Said::Copy { to, message_id, body };
            let mut copy = Outgoing::new(&own, copy, turn);
            copy.delivery = delivery;
            self.push(copy, turn);
        }
        Ok(message_id)
    }

    /// Puts a message into the outbox, and takes its recipient's next one as far as it gets.
    pub(crate) fn push(&mut self, message: Outgoing, turn: &mut Turn<'_>) {
        let to = message.to.clone();
        turn.put(message.key(), message.to_record());
        self.outbox.push(message);
        self.advance(&to, turn);
    }

    /// Takes every recipient's next message as far as it gets.
    pub(crate) fn drive_outbox(&mut self, turn: &mut Turn<'_>) {
        for to in self.outbox.recipients() {
            self.advance(&to, turn);
        }
    }

    /// Takes a recipient's next message one step further.
    pub(crate) fn advance(&mut self, to: &Address, turn: &mut Turn<'_>) {
        if !self.online || self.busy.contains(to) || self.fetching.contains(to) {
            return;
        }
        let Some(message) = self.outbox.head(to) else {
            return;
        };
        let is_past = message.delivery.not_before_ms() <= turn.now;
        if message.cancelled && (message.encrypted.is_none() || is_past) {
            // Nobody has it, or it would be delivered at once.
            self.drop_cancelled(to, turn);
            return self.advance(to, turn);
        }
        if message.said == Said::Renewal && self.blocked.contains(to) {
            return self.fail_head(to, SendFailure::Refused, turn);
        }
        let Some(peer) = self.peers.get(to) else {
            self.fetch_account(to, turn);
            return;
        };
        if peer.proposed.is_some() {
            return; // held until the user accepts the changed account key
        }
        if let Some(encrypted) = message.encrypted.clone() {
            self.busy.insert(to.clone());
            turn.call(Purpose::Send(to.clone()), encrypted.into_call());
            return;
        }
        let parties = peer.parties_but(self.own.party.device_id);
        let without: Vec<DeviceId> = parties
            .iter()
            .filter(|them| !self.sessions.has(them, turn.now))
            .map(|them| them.device_id)
            .collect();
        if parties.is_empty() {
            // The account's other devices are gone: nobody is left to be told.
            self.fail_head(to, SendFailure::NoSuchAccount, turn);
        } else if without.is_empty() {
            self.encrypt_head(to, turn);
        } else {
            self.busy.insert(to.clone());
            let request = v1::FetchPrekeyBundlesRequest {
                address: to.to_string(),
                device_ids: without
                    .iter()
                    .map(|device_id| device_id.as_bytes().to_vec())
                    .collect(),
                access_key: peer.presented().to_field(),
            };
            turn.call(
                Purpose::Bundles(to.clone(), without, peer.presented()),
                Call::FetchPrekeyBundles(request),
            );
        }
    }

    fn encrypt_head(&mut self, to: &Address, turn: &mut Turn<'_>) {
        let Some(messages) = self.encrypt_for_devices(to, turn) else {
            // The length was checked when the message was queued and the session when it was made.
            return self.fail_head(to, SendFailure::Refused, turn);
        };
        let (Some(message), Some(peer)) = (self.outbox.head(to), self.peers.get_mut(to)) else {
            return;
        };
        let (recipient, client_message_id) = (to.to_string(), message.client_message_id.to_vec());
        let manifest_version = peer.account.manifest().version;
        let delivery = message.delivery.to_field();
        let encrypted = if goes_sealed(message, peer) {
            Encrypted::Sealed(v1::SendSealedRequest {
                recipient,
                access_key: peer.presented().to_field(),
                client_message_id,
                messages,
                manifest_version,
                delivery,
            })
        } else {
            Encrypted::Open(v1::SendRequest {
                recipient,
                client_message_id,
                messages,
                manifest_version,
                delivery,
            })
        };
        message.encrypted = Some(encrypted.clone());
        turn.put(message.key(), message.to_record());
        peer.persist(turn);
        self.busy.insert(to.clone());
        turn.call(Purpose::Send(to.clone()), encrypted.into_call());
    }

    /// The head of the outbox for each device of the recipient, sealed where the recipient has told us
    /// an access key. `None` when it cannot be encrypted.
    fn encrypt_for_devices(&mut self, to: &Address, turn: &mut Turn<'_>) -> Option<Vec<v1::DeviceMessage>> {
        let access_key = self.told_access_key();
        let (message, peer) = (self.outbox.head(to)?, self.peers.get(to)?);
        // A renewal goes to whom the user may never have answered: it tells no key.
        let told = access_key.filter(|_| message.said != Said::Renewal && !self.blocked.contains(to));
        let own = self.own.view();
        let plaintexts: Vec<_> = peer
            .parties_but(self.own.party.device_id)
            .into_iter()
            .map(|them| {
                let plaintext = codec::encode(message, peer, them.device_id, own, told.as_ref());
                (them, plaintext)
            })
            .collect();
        let sealed = goes_sealed(message, peer);
        let mut messages = Vec::new();
        for (them, plaintext) in plaintexts {
            let ciphertext = self.sessions.encrypt(&them, &plaintext, turn)?.ok()?;
            let ciphertext = if sealed {
                self.seal(&them, &ciphertext, turn)?
            } else {
                ciphertext
            };
            messages.push(v1::DeviceMessage {
                device_id: them.device_id.as_bytes().to_vec(),
                ciphertext,
            });
        }
        Some(messages)
    }

    /// Gives the next message up and goes on with the one after it.
    pub(crate) fn fail_head(&mut self, to: &Address, reason: SendFailure, turn: &mut Turn<'_>) {
        if self.drop_head(to, reason, turn) {
            self.advance(to, turn);
        }
    }

    /// Gives up every message to an address that has no account, or none that verifies.
    pub(crate) fn fail_all(&mut self, to: &Address, reason: SendFailure, turn: &mut Turn<'_>) {
        while self.drop_head(to, reason, turn) {}
    }

    fn drop_head(&mut self, to: &Address, reason: SendFailure, turn: &mut Turn<'_>) -> bool {
        let Some(message) = self.outbox.pop(to) else {
            return false;
        };
        turn.delete(message.key());
        self.key_gone_out(&message.said, turn);
        if message.said.is_the_apps() {
            let (to, message_id) = (to.clone(), message.message_id);
            turn.event(EventKind::MessageFailed {
                to,
                message_id,
                reason,
            });
        }
        true
    }

    /// A sender key is on its way, or never will be: what waits for it goes on.
    pub(crate) fn key_gone_out(&mut self, said: &Said, turn: &mut Turn<'_>) {
        if let Said::SenderKey(channel, _) = said {
            self.drive_channel(*channel, turn);
        }
    }

    /// What was encrypted for devices that no longer count is encrypted again, under a new id: under the
    /// old one the server may have taken it already, and would refuse other bytes.
    pub(crate) fn discard_encrypted(&mut self, to: &Address, turn: &mut Turn<'_>) {
        if let Some(message) = self.outbox.head(to)
            && message.encrypted.take().is_some()
        {
            message.client_message_id = turn.random_id();
            turn.put(message.key(), message.to_record());
        }
    }
}

/// Whether the server is not told who it is from. What waits for its time is known by its sender, who alone
/// may take it back.
fn goes_sealed(message: &Outgoing, peer: &Peer) -> bool {
    peer.access_key.is_some() && !message.delivery.is_scheduled()
}
