//! Renewing a session that no longer opens what a device sends.
//!
//! Whatever broke it (messages lost beyond what it bridges, a store restored from a copy, a one-time
//! prekey handed out twice), a fresh session mends it, and the first message in it tells the other side
//! to use that one. The message that could not be read stays lost, and is told.
//!
//! Who an unreadable message is from is a claim, of the server or of whoever sealed it. So nothing that
//! works is given up for it, and what is sealed is answered with nothing at all:
//!
//! ```text
//!  unreadable ─┬─ by name ─▶ doubted as well; bundle fetched ─▶ session begun, its first message sent
//!              └─ sealed ──▶ session doubted ─┬─▶ the user writes there: bundle fetched, session begun
//!                                             └─▶ another message opens: in order after all
//! ```

use sottovoce_crypto::statements::{Address, DeviceId, KemPrekeyRole};
use sottovoce_crypto::{Party, PrekeyBundle, Session};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::engine::Engine;
use crate::io::{Call, Refusal, Reply};
use crate::outbox::{OUTBOX_LIMIT, Outgoing};
use crate::records::{RecordError, pack, u64_of, unpack};
use crate::said::Said;
use crate::turn::{Presented, Purpose, Turn};
use crate::wire::{self, BundleRefused};

/// Most renewals that are begun without the user's doing in an hour, with all devices together: enough for
/// what breaks, and few for whoever sends nonsense in many names.
const RENEWALS_AN_HOUR: usize = 4;

const HOUR_MS: u64 = 60 * 60 * 1000;

/// When renewals were last begun, Unix time in milliseconds: at most as many as may be in an hour. Kept, so
/// that a restart brings no further ones.
#[derive(Default)]
pub(crate) struct Renewals(Vec<u64>);

impl Renewals {
    pub(crate) const KEY: &'static str = "renewals";

    /// Whether one more may be begun, which then counts, whatever comes of it. A clock that was set back
    /// does not stop them.
    fn take(&mut self, turn: &mut Turn<'_>) -> bool {
        self.0.retain(|begun| turn.now.abs_diff(*begun) < HOUR_MS);
        if self.0.len() >= RENEWALS_AN_HOUR {
            return false;
        }
        self.0.push(turn.now);
        turn.put(Self::KEY.into(), self.to_record());
        true
    }

    fn to_record(&self) -> Zeroizing<Vec<u8>> {
        let times: Vec<[u8; 8]> = self.0.iter().map(|begun| begun.to_be_bytes()).collect();
        let fields: Vec<&[u8]> = times.iter().map(<[u8; 8]>::as_slice).collect();
        pack(&fields)
    }

    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let times = unpack(bytes)?.into_iter().map(u64_of);
        times.collect::<Result<_, _>>().map(Self)
    }
}

impl Engine {
    /// Something could not be opened that the server says is from this device. Who is blocked is not
    /// answered.
    pub(crate) fn renew_session(&mut self, them: &Party, turn: &mut Turn<'_>) {
        let (address, device_id) = (&them.address, them.device_id);
        let same = |purpose: &Purpose| matches!(purpose, Purpose::Renewal(of, id, _) if of == address && *id == device_id);
        // Should nothing come of it, the user's next message begins a session.
        self.doubt_session(them, turn);
        if !self.online
            || self.blocked.contains(address)
            || self.is_under_way(turn, same)
            || !self.sessions.may_be_renewed(them, turn.now)
            || !self.renewals.take(turn)
        {
            return;
        }
        let presented = self.presented(address);
        let request = v1::FetchPrekeyBundlesRequest {
            address: address.to_string(),
            device_ids: vec![device_id.as_bytes().to_vec()],
            access_key: presented.to_field(),
        };
        let purpose = Purpose::Renewal(address.clone(), device_id, presented);
        turn.call(purpose, Call::FetchPrekeyBundles(request));
    }

    /// Something could not be opened that came in the name of this device. Where it was sealed, by whoever
    /// has our access key, nothing else follows that they could notice.
    pub(crate) fn doubt_session(&mut self, them: &Party, turn: &mut Turn<'_>) {
        if !self.blocked.contains(&them.address) {
            self.sessions.doubt(them, turn);
        }
    }

    pub(crate) fn renewal_answered(
        &mut self,
        to: &Address,
        device_id: DeviceId,
        presented: &Presented,
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        let them = self
            .peers
            .get(to)
            .filter(|peer| peer.pinned)
            .and_then(|peer| peer.account.party(device_id));
        let Some(them) = them.filter(|_| !self.blocked.contains(to)) else {
            return;
        };
        match answer {
            Ok(Reply::Bundles(response)) => self.renew_with(&them, &response, turn),
            Err(Refusal::Because(v1::ErrorReason::AccessDenied)) => self.access_denied(to, presented, turn),
            Err(Refusal::Because(_)) => self.sessions.not_renewed(&them, turn),
            // No answer: the next unreadable message is another chance.
            _ => {}
        }
    }

    fn renew_with(&mut self, them: &Party, response: &v1::FetchPrekeyBundlesResponse, turn: &mut Turn<'_>) {
        let full = self.outbox.len() >= OUTBOX_LIMIT;
        match self.begin_sessions(std::slice::from_ref(them), response, turn) {
            Ok(begun) if begun > 0 && !full => {
                let message = Outgoing::new(&them.address, Said::Renewal, turn);
                self.push(message, turn);
            }
            Ok(_) => {}
            Err(_) => self.sessions.not_renewed(them, turn),
        }
    }

    /// Begins a session with each of these devices, from exactly one bundle for each, in order; with none
    /// of them where one does not verify. Returns how many were begun: a session that both sides have had
    /// is not given up for one that rests on prekeys which others have used as well.
    pub(crate) fn begin_sessions(
        &mut self,
        devices: &[Party],
        response: &v1::FetchPrekeyBundlesResponse,
        turn: &mut Turn<'_>,
    ) -> Result<usize, BundleRefused> {
        if devices.len() != response.bundles.len() {
            return Err(BundleRefused::NotVerified);
        }
        let (mut sessions, mut kept) = (Vec::new(), Vec::new());
        for (them, bundle) in devices.iter().zip(&response.bundles) {
            if bundle.device_id != them.device_id.as_bytes() {
                return Err(BundleRefused::NotVerified);
            }
            let verified = wire::verify_bundle(bundle, &them.identity_key)?;
            if !is_all_one_time(&verified) && self.sessions.can_go_on(them, turn.now) {
                kept.push(them);
                continue;
            }
            let (identity, us) = (&self.own.identity, &self.own.party);
            let session = Session::initiate(turn.rng, turn.now, identity, us, them, &verified);
            sessions.push((them, session.map_err(|_| BundleRefused::NotVerified)?));
        }
        for them in kept {
            self.sessions.not_renewed(them, turn);
        }
        let begun = sessions.len();
        for (them, session) in sessions {
            self.sessions.begun(them, session, turn);
        }
        Ok(begun)
    }
}

/// Whether both prekeys that are used once are there: then nobody else has a session from them.
fn is_all_one_time(bundle: &PrekeyBundle) -> bool {
    bundle.one_time_prekey.is_some() && bundle.kem_prekey.role == KemPrekeyRole::OneTime
}
