//! Prekeys that many may use: signed prekeys, and KEM prekeys of last resort.
//!
//! ```text
//!  made ──▶ published ──▶ replaced: a newer one is published ── 30 days ──▶ erased
//! ```

use std::collections::BTreeMap;

use sottovoce_crypto::statements::KemPrekeyRole;
use sottovoce_crypto::{KemPrekeyPair, SignedPrekeyPair};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::own::Own;
use crate::records::{RecordError, pack, u64_of, unpack};
use crate::turn::Turn;
use crate::wire;

/// Replaced after a week: an initial message without a one-time prekey is only as forward-secret as
/// this.
const LIFETIME_MS: u64 = 7 * DAY_MS;

/// Kept this long after a newer one was published: until that moment others were handed this one, and
/// their messages may wait for as long as a server keeps them.
const KEPT_MS: u64 = 30 * DAY_MS;

/// A prekey made further in the future than this was made under a wrong clock, and is replaced.
const CLOCK_TOLERANCE_MS: u64 = DAY_MS;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What a prekey must be to be made, published, replaced and kept as this file does it.
pub(crate) trait LongLived: Sized {
    /// The kind of its records.
    const RECORD: &'static str;

    /// Fails only for an id of zero, which no counter gives.
    fn make(own: &Own, turn: &mut Turn<'_>) -> Option<Self>;
    fn from_record(bytes: &[u8]) -> Result<Self, RecordError>;
    fn to_record(&self) -> Zeroizing<Vec<u8>>;
    fn id(&self) -> u32;
    fn made_at(&self) -> u64;
    fn to_message(&self) -> v1::SignedStatement;
}

struct Held<P> {
    prekey: P,
    published: bool,
    /// When a newer one was published, Unix time in milliseconds; 0 before that.
    replaced_at: u64,
}

/// All prekeys of one kind, by id.
pub(crate) struct LongLivedPrekeys<P>(BTreeMap<u32, Held<P>>);

impl<P: LongLived> LongLivedPrekeys<P> {
    /// Makes a new one where the newest has had its time, or `at_once`. Returns the ids of those that are
    /// erased because they were replaced long ago.
    pub(crate) fn maintain(&mut self, at_once: bool, own: &Own, turn: &mut Turn<'_>) -> Vec<u32> {
        if (at_once || self.newest_is_stale(turn.now))
            && let Some(prekey) = P::make(own, turn)
        {
            let held = Held {
                prekey,
                published: false,
                replaced_at: 0,
            };
            held.put(turn);
            self.0.insert(held.prekey.id(), held);
        }
        let now = turn.now;
        let over = |held: &Held<P>| held.replaced_at != 0 && now.saturating_sub(held.replaced_at) >= KEPT_MS;
        let expired: Vec<u32> = self
            .0
            .extract_if(.., |_, held| over(held))
            .map(|(id, _)| id)
            .collect();
        for id in &expired {
            turn.delete(key::<P>(*id));
        }
        expired
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn newest(&self) -> Option<&P> {
        self.0.last_key_value().map(|(_, held)| &held.prekey)
    }

    pub(crate) fn find(&self, id: u32) -> Option<&P> {
        self.0.get(&id).map(|held| &held.prekey)
    }

    /// The newest, if the server does not have it.
    pub(crate) fn unpublished(&self) -> Option<&P> {
        let (_, newest) = self.0.last_key_value()?;
        (!newest.published).then_some(&newest.prekey)
    }

    /// The server hands this one out from now on, and those before it no more.
    pub(crate) fn mark_published(&mut self, published: u32, turn: &mut Turn<'_>) {
        for (id, held) in self.0.range_mut(..=published) {
            if *id == published {
                held.published = true;
            } else if held.replaced_at == 0 {
                held.replaced_at = turn.now.max(1);
            } else {
                continue;
            }
            held.put(turn);
        }
    }

    pub(crate) fn load(&mut self, id: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let fields = unpack(bytes)?;
        let [prekey, [published], replaced_at] = fields.as_slice() else {
            return Err(RecordError);
        };
        let held = Held {
            prekey: P::from_record(prekey)?,
            published: *published != 0,
            replaced_at: u64_of(replaced_at)?,
        };
        self.0.insert(id.parse().map_err(|_| RecordError)?, held);
        Ok(())
    }

    fn newest_is_stale(&self, now: u64) -> bool {
        self.newest().is_none_or(|newest| {
            let made = newest.made_at();
            now.saturating_sub(made) >= LIFETIME_MS || made.saturating_sub(now) > CLOCK_TOLERANCE_MS
        })
    }
}

impl<P> Default for LongLivedPrekeys<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P: LongLived> Held<P> {
    fn put(&self, turn: &mut Turn<'_>) {
        let record = pack(&[
            &self.prekey.to_record(),
            &[u8::from(self.published)],
            &self.replaced_at.to_be_bytes(),
        ]);
        turn.put(key::<P>(self.prekey.id()), record);
    }
}

impl LongLived for SignedPrekeyPair {
    const RECORD: &'static str = "signed-prekey";

    fn make(own: &Own, turn: &mut Turn<'_>) -> Option<Self> {
        let id = turn.counters.signed_prekey();
        Self::generate(turn.rng, &own.identity, own.party.device_id, id, turn.now).ok()
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

    fn made_at(&self) -> u64 {
        self.created_at_ms()
    }

    fn to_message(&self) -> v1::SignedStatement {
        wire::from_signed(self.statement())
    }
}

impl LongLived for KemPrekeyPair {
    const RECORD: &'static str = "last-resort-kem-prekey";

    fn make(own: &Own, turn: &mut Turn<'_>) -> Option<Self> {
        let (id, role) = (turn.counters.kem_prekey(), KemPrekeyRole::LastResort);
        Self::generate(turn.rng, &own.identity, own.party.device_id, role, id, turn.now).ok()
    }

    fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        Self::from_bytes(bytes)
            .ok()
            .filter(|prekey| prekey.role() == KemPrekeyRole::LastResort)
            .ok_or(RecordError)
    }

    fn to_record(&self) -> Zeroizing<Vec<u8>> {
        self.to_bytes()
    }

    fn id(&self) -> u32 {
        self.id()
    }

    fn made_at(&self) -> u64 {
        self.created_at_ms()
    }

    fn to_message(&self) -> v1::SignedStatement {
        wire::from_signed(self.statement())
    }
}

fn key<P: LongLived>(id: u32) -> String {
    format!("{}/{id}", P::RECORD)
}
