//! Calls under way, and what their answers are for.

use sottovoce_crypto::statements::Address;

use crate::engine::Engine;
use crate::io::{CallId, Refusal, Reply};
use crate::turn::{Purpose, Turn};

impl Engine {
    pub(crate) fn answered(&mut self, call: CallId, answer: Result<Reply, Refusal>, turn: &mut Turn<'_>) {
        let Some(purpose) = self.in_flight.remove(&call) else {
            return; // answered after the connection was given up: it has been or will be asked again
        };
        match (purpose, answer) {
            (Purpose::Account(address, presented), answer) => {
                self.account_answered(&address, &presented, answer, turn);
            }
            (Purpose::Bundles(to, devices, presented), answer) => {
                self.bundles_answered(&to, &devices, &presented, answer, turn);
            }
            (Purpose::Renewal(to, device_id, presented), answer) => {
                self.renewal_answered(&to, device_id, &presented, answer, turn);
            }
            (Purpose::Send(to), answer) => self.send_answered(&to, answer, turn),
            (Purpose::Batch(to), answer) => self.batch_answered(&to, answer, turn),
            (Purpose::Cancel(number), answer) => self.cancel_answered(number, &answer, turn),
            (Purpose::Publish(publication), Ok(Reply::PrekeysLeft(left))) => {
                self.prekeys.mark_published(&publication, turn);
                self.prekeys_left(left, turn);
            }
            (Purpose::Count, Ok(Reply::PrekeysLeft(left))) => self.prekeys_left(left, turn),
            (Purpose::AccessKey(key), answer) => self.access_key_answered(&key, answer, turn),
            (Purpose::Grant, answer) => self.grant_answered(&answer, turn),
            (Purpose::Manifest(version), answer) => self.manifest_answered(version, answer, turn),
            (Purpose::Channels, answer) => self.channels_answered(answer, turn),
            (Purpose::Channel(id, step), answer) => self.channel_answered(id, step, answer, turn),
            (Purpose::Acknowledge, answer) => self.inbox.acknowledged(answer.is_ok()),
            // Asked again at the next tick or connection.
            (Purpose::Publish(_) | Purpose::Count, _) => {}
        }
    }

    pub(crate) fn is_under_way(&self, turn: &Turn<'_>, which: impl Fn(&Purpose) -> bool) -> bool {
        self.in_flight.values().any(&which) || turn.calls.iter().any(|(purpose, _)| which(purpose))
    }

    /// Answers to calls about this account are not waited for any more.
    pub(crate) fn abandon_calls(&mut self, address: &Address) {
        self.in_flight
            .values_mut()
            .for_each(|purpose| purpose.leave_out(address));
        self.in_flight.retain(|_, purpose| !purpose.concerns(address));
        self.busy.remove(address);
        self.fetching.remove(address);
    }
}
