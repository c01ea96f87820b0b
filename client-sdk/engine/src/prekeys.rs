//! This device's prekeys: made ahead, published, replaced in time, forgotten once used.

use sottovoce_crypto::{self as crypto, InitialMessage, KemPrekeyPair, OneTimePrekeyPair, SignedPrekeyPair};
use sottovoce_proto::v1;

use crate::engine::Engine;
use crate::io::{Call, PrekeysLeft};
use crate::long_lived_prekeys::{LongLived, LongLivedPrekeys};
use crate::one_time_prekeys::OneTimePrekeys;
use crate::own::Own;
use crate::replays::Replays;
use crate::turn::{Purpose, Turn};
use crate::wire;

/// Most signed prekeys held while replacing those whose memory is full: whoever fills memories on purpose
/// fills these.
const SIGNED_HELD: usize = 8;

/// All prekey secrets of this device.
#[derive(Default)]
pub(crate) struct Prekeys {
    pub(crate) signed: LongLivedPrekeys<SignedPrekeyPair>,
    pub(crate) last_resort: LongLivedPrekeys<KemPrekeyPair>,
    pub(crate) one_time: OneTimePrekeys<OneTimePrekeyPair>,
    pub(crate) one_time_kem: OneTimePrekeys<KemPrekeyPair>,
    pub(crate) replays: Replays,
}

/// Which prekeys a call publishes, by their ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Publication {
    signed: Option<u32>,
    last_resort: Option<u32>,
    one_time: Vec<u32>,
    one_time_kem: Vec<u32>,
}

/// An initial message cannot be answered with our prekeys: they are gone, or it was answered before.
pub(crate) struct NoPrekey;

impl Prekeys {
    /// Replaces what is old, forgets what is long replaced, and makes first batches of one-time prekeys.
    pub(crate) fn maintain(&mut self, own: &Own, turn: &mut Turn<'_>) {
        let full = self
            .signed
            .newest()
            .is_some_and(|newest| self.replays.is_full(newest.id()));
        let at_once = full && self.signed.len() < SIGNED_HELD;
        let signed = self.signed.maintain(at_once, own, turn);
        let last_resort = self.last_resort.maintain(false, own, turn);
        self.replays.forget(&signed, &last_resort, turn);
        self.one_time.begin(own, turn);
        self.one_time_kem.begin(own, turn);
    }

    /// The server holds so many one-time prekeys; makes more of those that are few.
    pub(crate) fn replenish(&mut self, left: PrekeysLeft, own: &Own, turn: &mut Turn<'_>) {
        self.one_time.replenish(left.one_time, own, turn);
        self.one_time_kem.replenish(left.one_time_kem, own, turn);
    }

    /// What the server has not been told yet, if anything.
    pub(crate) fn unpublished(&self) -> Option<(Publication, v1::PublishPrekeysRequest)> {
        let (signed, last_resort) = (self.signed.unpublished(), self.last_resort.unpublished());
        let publication = Publication {
            signed: signed.map(SignedPrekeyPair::id),
            last_resort: last_resort.map(KemPrekeyPair::id),
            one_time: self.one_time.unpublished().map(OneTimePrekeyPair::id).collect(),
            one_time_kem: self.one_time_kem.unpublished().map(KemPrekeyPair::id).collect(),
        };
        let request = v1::PublishPrekeysRequest {
            signed_prekey: signed.map(LongLived::to_message),
            last_resort_kem_prekey: last_resort.map(LongLived::to_message),
            one_time_prekeys: self.one_time.unpublished().map(wire::from_one_time).collect(),
            one_time_kem_prekeys: self
                .one_time_kem
                .unpublished()
                .map(|prekey| wire::from_signed(prekey.statement()))
                .collect(),
        };
        (request != v1::PublishPrekeysRequest::default()).then_some((publication, request))
    }

    /// The server has taken these.
    pub(crate) fn mark_published(&mut self, publication: &Publication, turn: &mut Turn<'_>) {
        if let Some(id) = publication.signed {
            self.signed.mark_published(id, turn);
        }
        if let Some(id) = publication.last_resort {
            self.last_resort.mark_published(id, turn);
        }
        self.one_time.mark_published(&publication.one_time, turn);
        self.one_time_kem.mark_published(&publication.one_time_kem, turn);
    }

    /// The secrets an initial message asks for, unless it has been accepted before.
    pub(crate) fn find(&self, message: &InitialMessage) -> Result<crypto::Prekeys<'_>, NoPrekey> {
        let signed_id = message.signed_prekey_id();
        let kem_id = message.kem_prekey_id().ok_or(NoPrekey)?;
        let signed_prekey = self.signed.find(signed_id).ok_or(NoPrekey)?;
        let one_time_prekey = message
            .one_time_prekey_id()
            .map(|id| self.one_time.find(id).ok_or(NoPrekey))
            .transpose()?;
        if let Some(kem_prekey) = self.one_time_kem.find(kem_id) {
            return Ok(crypto::Prekeys {
                signed_prekey,
                one_time_prekey,
                kem_prekey,
            });
        }
        let kem_prekey = self.last_resort.find(kem_id).ok_or(NoPrekey)?;
        // A one-time prekey is erased when used, which stops a replay by itself.
        let digest = message.handshake_digest();
        if one_time_prekey.is_none() && self.replays.refuses(signed_id, kem_id, &digest) {
            return Err(NoPrekey);
        }
        Ok(crypto::Prekeys {
            signed_prekey,
            one_time_prekey,
            kem_prekey,
        })
    }

    /// An initial message authenticated: it is never accepted again.
    pub(crate) fn used(&mut self, message: &InitialMessage, turn: &mut Turn<'_>) {
        let one_time = message
            .one_time_prekey_id()
            .is_some_and(|id| self.one_time.erase(id, turn));
        let Some(kem_id) = message.kem_prekey_id() else {
            return;
        };
        let one_time_kem = self.one_time_kem.erase(kem_id, turn);
        if !one_time && !one_time_kem {
            let (signed_id, digest) = (message.signed_prekey_id(), message.handshake_digest());
            self.replays.remember(signed_id, kem_id, digest, turn);
        }
    }
}

impl Engine {
    pub(crate) fn maintain_prekeys(&mut self, turn: &mut Turn<'_>) {
        self.prekeys.maintain(&self.own, turn);
        self.publish_prekeys(turn);
    }

    /// The server has said how many one-time prekeys it holds.
    pub(crate) fn prekeys_left(&mut self, left: PrekeysLeft, turn: &mut Turn<'_>) {
        self.prekeys.replenish(left, &self.own, turn);
        self.publish_prekeys(turn);
    }

    fn publish_prekeys(&mut self, turn: &mut Turn<'_>) {
        if !self.online || self.is_under_way(turn, |purpose| matches!(purpose, Purpose::Publish(_))) {
            return;
        }
        if let Some((publication, request)) = self.prekeys.unpublished() {
            turn.call(Purpose::Publish(publication), Call::PublishPrekeys(request));
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
