//! Renewing a session that no longer opens what a device sends.
//!
//! Whatever broke it (messages lost beyond what it bridges, a store restored from a copy, a one-time
//! prekey handed out twice), a fresh session mends it, and the first message in it tells the other side
//! to use that one. The message that could not be read stays lost, and is told.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{Party, Session};
use sottovoce_proto::v1;

use crate::engine::Engine;
use crate::io::{Call, Refusal, Reply};
use crate::outbox::{OUTBOX_LIMIT, Outgoing};
use crate::said::Said;
use crate::turn::{Purpose, Turn};
use crate::wire::{self, BundleRefused};

/// At most one renewal with a device in this time: nonsense in its name must not drain its prekeys.
const RENEWAL_INTERVAL_MS: u64 = 60 * 60 * 1000;

/// When each session was last renewed, Unix time in milliseconds.
#[derive(Default)]
pub(crate) struct Renewals(BTreeMap<(Address, DeviceId), u64>);

impl Renewals {
    /// Whether it is time, which it then is not for a while.
    fn may_begin(&mut self, them: &Party, now: u64) -> bool {
        self.0
            .retain(|_, begun| now.saturating_sub(*begun) < RENEWAL_INTERVAL_MS);
        match self.0.entry((them.address.clone(), them.device_id)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(now);
                true
            }
        }
    }

    /// It came to nothing: the next unreadable message is another chance.
    pub(crate) fn failed(&mut self, address: &Address, device_id: DeviceId) {
        self.0.remove(&(address.clone(), device_id));
    }
}

impl Engine {
    /// Something from this device could not be opened.
    pub(crate) fn renew_session(&mut self, them: &Party, turn: &mut Turn<'_>) {
        if !self.online || !self.renewals.may_begin(them, turn.now) {
            return;
        }
        let request = v1::FetchPrekeyBundlesRequest {
            address: them.address.to_string(),
            device_ids: vec![them.device_id.as_bytes().to_vec()],
            access_key: self.presented_key(&them.address),
        };
        let purpose = Purpose::Renewal(them.address.clone(), them.device_id);
        turn.call(purpose, Call::FetchPrekeyBundles(request));
    }

    pub(crate) fn renewal_answered(
        &mut self,
        to: &Address,
        device_id: DeviceId,
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        if answer == Err(Refusal::Because(v1::ErrorReason::AccessDenied)) {
            self.access_denied(to, &[], turn);
        }
        let Ok(Reply::Bundles(response)) = answer else {
            return self.renewals.failed(to, device_id);
        };
        let them = self
            .peers
            .get(to)
            .filter(|peer| peer.pinned)
            .and_then(|peer| peer.account.party(device_id));
        let Some(them) = them else { return };
        if self.outbox.len() < OUTBOX_LIMIT && self.begin_sessions(&[them], &response, turn).is_ok() {
            let message = Outgoing::new(to, Said::Renewal, turn);
            turn.put(message.key(), message.to_record());
            self.outbox.push(message);
            self.advance(to, turn);
        }
    }

    /// Begins a session with each of these devices, from exactly one bundle for each, in order; with all
    /// of them or with none.
    pub(crate) fn begin_sessions(
        &mut self,
        devices: &[Party],
        response: &v1::FetchPrekeyBundlesResponse,
        turn: &mut Turn<'_>,
    ) -> Result<(), BundleRefused> {
        if devices.len() != response.bundles.len() {
            return Err(BundleRefused::NotVerified);
        }
        let mut sessions = Vec::new();
        for (them, bundle) in devices.iter().zip(&response.bundles) {
            if bundle.device_id != them.device_id.as_bytes() {
                return Err(BundleRefused::NotVerified);
            }
            let verified = wire::verify_bundle(bundle, &them.identity_key)?;
            let (identity, us) = (&self.own.identity, &self.own.party);
            let session = Session::initiate(turn.rng, turn.now, identity, us, them, &verified);
            sessions.push((them, session.map_err(|_| BundleRefused::NotVerified)?));
        }
        for (them, session) in sessions {
            self.sessions.begun(them, session, turn);
        }
        Ok(())
    }
}
