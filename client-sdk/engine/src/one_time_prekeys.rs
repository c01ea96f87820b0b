//! One-time prekeys, of both kinds: each is good for one session, and then gone.

use std::collections::BTreeMap;

use sottovoce_crypto::statements::KemPrekeyRole;
use sottovoce_crypto::{KemPrekeyPair, OneTimePrekeyPair};
use zeroize::Zeroizing;

use crate::own::Own;
use crate::records::{RecordError, pack, unpack};
use crate::turn::Turn;

/// Made at a time; what a server takes in one call.
const BATCH: usize = 50;

/// Fewer left on the server than this, and another batch is made.
const LOW_WATER: u32 = 20;

/// Most secrets held of each kind. Somebody who fetches bundles without using them makes us replace the
/// keys; beyond this the oldest are forgotten, so that it costs them and not us.
const HELD: usize = 500;

/// What a prekey must be to be kept in stock as this file does it.
pub(crate) trait OneTime: Sized {
    /// The kind of its records.
    const RECORD: &'static str;

    /// Fails only for an id of zero, which no counter gives.
    fn make(own: &Own, turn: &mut Turn<'_>) -> Option<Self>;
    fn from_record(bytes: &[u8]) -> Result<Self, RecordError>;
    fn to_record(&self) -> Zeroizing<Vec<u8>>;
    fn id(&self) -> u32;
}

struct Held<P> {
    prekey: P,
    published: bool,
}

/// All prekeys of one kind, by id.
pub(crate) struct OneTimePrekeys<P>(BTreeMap<u32, Held<P>>);

impl<P: OneTime> OneTimePrekeys<P> {
    /// Makes the first batch, where there is none.
    pub(crate) fn begin(&mut self, own: &Own, turn: &mut Turn<'_>) {
        if self.0.is_empty() {
            self.make(own, turn);
        }
    }

    /// The server holds `left`; makes more when those are few.
    pub(crate) fn replenish(&mut self, left: u32, own: &Own, turn: &mut Turn<'_>) {
        if left < LOW_WATER && self.0.values().all(|held| held.published) {
            self.make(own, turn);
        }
    }

    /// As many as go into one call of those that the server does not have, lowest ids first.
    pub(crate) fn unpublished(&self) -> impl Iterator<Item = &P> {
        let unpublished = self.0.values().filter(|held| !held.published);
        unpublished.take(BATCH).map(|held| &held.prekey)
    }

    pub(crate) fn mark_published(&mut self, published: &[u32], turn: &mut Turn<'_>) {
        for id in published {
            if let Some(held) = self.0.get_mut(id) {
                held.published = true;
                held.put(turn);
            }
        }
    }

    pub(crate) fn find(&self, id: u32) -> Option<&P> {
        self.0.get(&id).map(|held| &held.prekey)
    }

    /// Returns whether it was there.
    pub(crate) fn erase(&mut self, id: u32, turn: &mut Turn<'_>) -> bool {
        let held = self.0.remove(&id).is_some();
        if held {
            turn.delete(key::<P>(id));
        }
        held
    }

    pub(crate) fn load(&mut self, id: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let fields = unpack(bytes)?;
        let [prekey, [published]] = fields.as_slice() else {
            return Err(RecordError);
        };
        let held = Held {
            prekey: P::from_record(prekey)?,
            published: *published != 0,
        };
        self.0.insert(id.parse().map_err(|_| RecordError)?, held);
        Ok(())
    }

    fn make(&mut self, own: &Own, turn: &mut Turn<'_>) {
        for _ in 0..BATCH {
            let Some(prekey) = P::make(own, turn) else { break };
            let held = Held {
                prekey,
                published: false,
            };
            held.put(turn);
            self.0.insert(held.prekey.id(), held);
        }
        while self.0.len() > HELD {
            if let Some((id, _)) = self.0.pop_first() {
                turn.delete(key::<P>(id));
            }
        }
    }
}

impl<P> Default for OneTimePrekeys<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P: OneTime> Held<P> {
    fn put(&self, turn: &mut Turn<'_>) {
        let record = pack(&[&self.prekey.to_record(), &[u8::from(self.published)]]);
        turn.put(key::<P>(self.prekey.id()), record);
    }
}

impl OneTime for OneTimePrekeyPair {
    const RECORD: &'static str = "one-time-prekey";

    fn make(_own: &Own, turn: &mut Turn<'_>) -> Option<Self> {
        let id = turn.counters.one_time_prekey();
        Some(Self::generate(turn.rng, id))
    }

    fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        Self::from_bytes(bytes).map_err(|_| RecordError)
    }

    fn to_record(&self) -> Zeroizing<Vec<u8>> {
        self.to_bytes()
    }

    fn id(&self) -> u32 {
        self.id()
    }
}

impl OneTime for KemPrekeyPair {
    const RECORD: &'static str = "one-time-kem-prekey";

    fn make(own: &Own, turn: &mut Turn<'_>) -> Option<Self> {
        let (id, role) = (turn.counters.kem_prekey(), KemPrekeyRole::OneTime);
        Self::generate(turn.rng, &own.identity, own.party.device_id, role, id, turn.now).ok()
    }

    fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        Self::from_bytes(bytes)
            .ok()
            .filter(|prekey| prekey.role() == KemPrekeyRole::OneTime)
            .ok_or(RecordError)
    }

    fn to_record(&self) -> Zeroizing<Vec<u8>> {
        self.to_bytes()
    }

    fn id(&self) -> u32 {
        self.id()
    }
}

fn key<P: OneTime>(id: u32) -> String {
    format!("{}/{id}", P::RECORD)
}
