//! What the server says to a message on its way: taken, to be encrypted anew, or refused.

use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_proto::v1;

use crate::engine::Engine;
use crate::event::{EventKind, SendFailure};
use crate::io::{Refusal, Reply};
use crate::sealing::Encrypted;
use crate::turn::{Presented, Turn};
use crate::wire::BundleRefused;

/// A device list changes rarely; a server that says so more often for one message is not to be followed.
const MISMATCH_LIMIT: u8 = 4;

impl Engine {
    pub(crate) fn bundles_answered(
        &mut self,
        to: &Address,
        asked_for: &[DeviceId],
        presented: &Presented,
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        self.busy.remove(to);
        match answer {
            Ok(Reply::Bundles(response)) => {
                let Some(peer) = self.peers.get(to) else { return };
                let devices: Option<Vec<_>> = asked_for
                    .iter()
                    .map(|device_id| peer.account.party(*device_id))
                    .collect();
                // Where the devices have changed meanwhile, what is needed now is asked for anew.
                let begun = devices.map_or(Ok(0), |devices| self.begin_sessions(&devices, &response, turn));
                match begun {
                    Ok(_) => self.advance(to, turn),
                    Err(_) if self.goes_on_without(to, asked_for, turn) => self.advance(to, turn),
                    Err(BundleRefused::NotVerified) => {
                        self.fail_head(to, SendFailure::RecipientNotVerified, turn);
                    }
                    Err(BundleRefused::Downgraded) => self.fail_head(to, SendFailure::Downgraded, turn),
                }
            }
            Err(Refusal::Because(v1::ErrorReason::DeviceUnknown | v1::ErrorReason::AccountUnknown)) => {
                self.fetch_account(to, turn);
            }
            Err(Refusal::Because(v1::ErrorReason::AccessDenied)) => self.access_denied(to, presented, turn),
            Err(Refusal::Because(_)) if self.goes_on_without(to, asked_for, turn) => self.advance(to, turn),
            // Not published yet, or no answer: tried again at the next tick or connection.
            _ => {}
        }
    }

    /// There are no new sessions to be had with these devices. Whether they were wanted only in place of
    /// doubted ones, which are used for a while then.
    fn goes_on_without(&mut self, to: &Address, devices: &[DeviceId], turn: &mut Turn<'_>) -> bool {
        let Some(peer) = self.peers.get(to) else {
            return false;
        };
        let devices: Vec<_> = devices.iter().filter_map(|id| peer.account.party(*id)).collect();
        for them in &devices {
            self.sessions.not_renewed(them, turn);
        }
        devices.iter().all(|them| self.sessions.has(them, turn.now))
    }

    pub(crate) fn send_answered(
        &mut self,
        to: &Address,
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        self.busy.remove(to);
        match answer {
            Ok(Reply::Sent(receipt)) => self.taken(to, &receipt, turn),
            Err(Refusal::Because(v1::ErrorReason::DevicesMismatch)) => self.devices_changed(to, turn),
            Err(Refusal::Because(v1::ErrorReason::AccessDenied)) => {
                let head = self
                    .outbox
                    .head(to)
                    .and_then(|message| message.encrypted.as_ref());
                let presented = head.map_or(Presented(None), Encrypted::presented);
                self.access_denied(to, &presented, turn);
            }
            Err(Refusal::Because(v1::ErrorReason::AccountUnknown | v1::ErrorReason::ServerNotLocal)) => {
                self.fail_head(to, SendFailure::NoSuchAccount, turn);
            }
            Err(Refusal::Because(
                v1::ErrorReason::TooLarge
                | v1::ErrorReason::FieldInvalid
                | v1::ErrorReason::MessageIdConflict,
            )) => self.fail_head(to, SendFailure::Refused, turn),
            // A full mailbox, a busy server, no answer: tried again, with the same bytes.
            _ => {}
        }
    }

    /// The message was encrypted for other devices than the recipient has now.
    fn devices_changed(&mut self, to: &Address, turn: &mut Turn<'_>) {
        let Some(message) = self.outbox.head(to) else {
            return;
        };
        message.mismatches += 1;
        if message.mismatches >= MISMATCH_LIMIT {
            self.fail_head(to, SendFailure::Refused, turn);
        } else {
            self.discard_encrypted(to, turn);
            self.fetch_account(to, turn);
        }
    }

    fn taken(&mut self, to: &Address, receipt: &v1::SendResponse, turn: &mut Turn<'_>) {
        let Some(message) = self.outbox.pop(to) else {
            return;
        };
        turn.delete(message.key());
        if let Some(peer) = self.peers.get_mut(to) {
            for part in message.encrypted.iter().flat_map(Encrypted::messages) {
                if let Ok(device_id) = DeviceId::from_slice(&part.device_id) {
                    peer.note_sent(device_id);
                }
            }
            peer.persist(turn);
        }
        self.key_gone_out(&message.said, turn);
        self.note_scheduled(&message, turn);
        if message.said.is_the_apps() {
            turn.event(EventKind::MessageSent {
                to: to.clone(),
                message_id: message.message_id,
                accepted_at_ms: receipt.accepted_at_ms,
            });
        }
        self.advance(to, turn);
    }
}
