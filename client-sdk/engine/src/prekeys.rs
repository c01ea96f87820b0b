//! This device's prekeys: made ahead, published, replaced in time, forgotten once used.

use sottovoce_crypto::{InitialMessage, OneTimePrekeyPair, SignedPrekeyPair};
use sottovoce_proto::v1;

use crate::engine::Engine;
use crate::io::Call;
use crate::one_time_prekeys::OneTimePrekeys;
use crate::own::Own;
use crate::signed_prekeys::SignedPrekeys;
use crate::turn::{Purpose, Turn};

/// All prekey secrets of this device.
#[derive(Default)]
pub(crate) struct Prekeys {
    pub(crate) signed: SignedPrekeys,
    pub(crate) one_time: OneTimePrekeys,
}

/// An initial message cannot be answered with our prekeys: they are gone, or it was answered before.
pub(crate) struct NoPrekey;

impl Prekeys {
    /// Replaces what is old, forgets what is long replaced, and makes a first batch of one-time prekeys.
    pub(crate) fn maintain(&mut self, own: &Own, turn: &mut Turn<'_>) {
        self.signed.maintain(own, turn);
        self.one_time.begin(turn);
    }

    /// What the server has not been told yet, if anything.
    pub(crate) fn unpublished(&self) -> Option<v1::PublishPrekeysRequest> {
        let signed_prekey = self.signed.unpublished();
        let one_time_prekeys = self.one_time.unpublished();
        let anything = signed_prekey.is_some() || !one_time_prekeys.is_empty();
        anything.then_some(v1::PublishPrekeysRequest {
            signed_prekey,
            one_time_prekeys,
        })
    }

    /// The server has taken `request`.
    pub(crate) fn mark_published(&mut self, request: &v1::PublishPrekeysRequest, turn: &mut Turn<'_>) {
        if let Some(signed) = &request.signed_prekey {
            self.signed.mark_published(signed, turn);
        }
        self.one_time.mark_published(&request.one_time_prekeys, turn);
    }

    /// The secrets an initial message asks for, unless it has been accepted before.
    pub(crate) fn find(
        &self,
        message: &InitialMessage,
    ) -> Result<(&SignedPrekeyPair, Option<&OneTimePrekeyPair>), NoPrekey> {
        match message.one_time_prekey_id() {
            // A one-time prekey is erased when used, which stops a replay by itself.
            Some(id) => Ok((self.signed.find(message)?, Some(self.one_time.find(id)?))),
            None => Ok((self.signed.find_unrepeated(message)?, None)),
        }
    }

    /// An initial message authenticated: it is never accepted again.
    pub(crate) fn used(&mut self, message: &InitialMessage, turn: &mut Turn<'_>) {
        match message.one_time_prekey_id() {
            Some(id) => self.one_time.erase(id, turn),
            None => self.signed.remember(message, turn),
        }
    }
}

impl Engine {
    pub(crate) fn maintain_prekeys(&mut self, turn: &mut Turn<'_>) {
        self.prekeys.maintain(&self.own, turn);
        self.publish_prekeys(turn);
    }

    pub(crate) fn publish_prekeys(&mut self, turn: &mut Turn<'_>) {
        if !self.online || self.is_under_way(turn, |purpose| matches!(purpose, Purpose::Publish(_))) {
            return;
        }
        if let Some(request) = self.prekeys.unpublished() {
            turn.call(Purpose::Publish(request.clone()), Call::PublishPrekeys(request));
        }
    }

    /// Asks how many one-time prekeys are left, unless publishing some will tell.
    pub(crate) fn count_prekeys(&mut self, turn: &mut Turn<'_>) {
        let asked = |purpose: &Purpose| matches!(purpose, Purpose::Publish(_) | Purpose::Count);
        if self.online && !self.is_under_way(turn, asked) {
            turn.call(Purpose::Count, Call::CountPrekeys(v1::CountPrekeysRequest {}));
        }
    }
}
