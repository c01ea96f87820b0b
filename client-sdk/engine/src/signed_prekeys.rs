//! Signed prekeys, and the initial messages accepted with nothing but them.
//!
//! ```text
//!  made ──▶ published ──▶ replaced: a newer one is published ── 30 days ──▶ erased, digests and all
//! ```

use std::collections::{BTreeMap, BTreeSet};

use sottovoce_crypto::{InitialMessage, SignedPrekeyPair};
use sottovoce_proto::v1;

use crate::own::Own;
use crate::prekeys::NoPrekey;
use crate::records::{RecordError, hex, pack, u64_of, unpack};
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

/// Most initial messages without a one-time prekey remembered per signed prekey; there are few, because
/// one-time prekeys seldom run out. A full memory refuses and has the prekey replaced; it never forgets,
/// because what is forgotten can be replayed.
const REMEMBERED: usize = 500;

/// Most signed prekeys held while replacing full ones: whoever fills memories on purpose fills these.
const HELD: usize = 8;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

struct Held {
    pair: SignedPrekeyPair,
    published: bool,
    /// When a newer one was published, Unix time in milliseconds; 0 before that.
    replaced_at: u64,
}

#[derive(Default)]
pub(crate) struct SignedPrekeys {
    held: BTreeMap<u32, Held>,
    /// Digests of accepted handshakes that used no one-time prekey.
    accepted: BTreeMap<u32, BTreeSet<[u8; 32]>>,
}

impl SignedPrekeys {
    pub(crate) fn maintain(&mut self, own: &Own, turn: &mut Turn<'_>) {
        if self.newest_is_stale(turn.now) {
            let id = turn.counters.signed_prekey();
            let made = SignedPrekeyPair::generate(turn.rng, &own.identity, own.party.device_id, id, turn.now);
            // Fails only for id zero, which the counter never gives.
            if let Ok(pair) = made {
                let held = Held {
                    pair,
                    published: false,
                    replaced_at: 0,
                };
                held.put(turn);
                self.held.insert(id, held);
            }
        }
        let over =
            |held: &Held| held.replaced_at != 0 && turn.now.saturating_sub(held.replaced_at) >= KEPT_MS;
        let expired: Vec<u32> = self
            .held
            .iter()
            .filter(|(_, held)| over(held))
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            self.held.remove(&id);
            turn.delete(key(id));
            for digest in self.accepted.remove(&id).unwrap_or_default() {
                turn.delete(initial_key(id, &digest));
            }
        }
    }

    pub(crate) fn unpublished(&self) -> Option<v1::SignedStatement> {
        let (_, newest) = self.held.last_key_value()?;
        (!newest.published).then(|| wire::from_signed(newest.pair.statement()))
    }

    /// The server hands this one out from now on, and those before it no more.
    pub(crate) fn mark_published(&mut self, published: &v1::SignedStatement, turn: &mut Turn<'_>) {
        let found = self
            .held
            .iter()
            .find(|(_, held)| wire::from_signed(held.pair.statement()) == *published);
        let Some(current) = found.map(|(id, _)| *id) else {
            return;
        };
        for (id, held) in self.held.range_mut(..=current) {
            if *id == current {
                held.published = true;
            } else if held.replaced_at == 0 {
                held.replaced_at = turn.now.max(1);
            } else {
                continue;
            }
            held.put(turn);
        }
    }

    pub(crate) fn find(&self, message: &InitialMessage) -> Result<&SignedPrekeyPair, NoPrekey> {
        self.held
            .get(&message.signed_prekey_id())
            .map(|held| &held.pair)
            .ok_or(NoPrekey)
    }

    /// As [`find`](Self::find), for a message that nothing but its digest keeps from being accepted twice.
    pub(crate) fn find_unrepeated(&self, message: &InitialMessage) -> Result<&SignedPrekeyPair, NoPrekey> {
        let refused = self
            .accepted
            .get(&message.signed_prekey_id())
            .is_some_and(|accepted| {
                accepted.contains(&message.handshake_digest()) || accepted.len() >= REMEMBERED
            });
        if refused {
            Err(NoPrekey)
        } else {
            self.find(message)
        }
    }

    pub(crate) fn remember(&mut self, message: &InitialMessage, turn: &mut Turn<'_>) {
        let (id, digest) = (message.signed_prekey_id(), message.handshake_digest());
        self.accepted.entry(id).or_default().insert(digest);
        turn.put(initial_key(id, &digest), pack(&[&digest]));
    }

    pub(crate) fn load(&mut self, id: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let fields = unpack(bytes)?;
        let [pair, [published], replaced_at] = fields.as_slice() else {
            return Err(RecordError);
        };
        let held = Held {
            pair: SignedPrekeyPair::from_bytes(pair).map_err(|_| RecordError)?,
            published: *published != 0,
            replaced_at: u64_of(replaced_at)?,
        };
        self.held.insert(id.parse().map_err(|_| RecordError)?, held);
        Ok(())
    }

    pub(crate) fn load_initial(&mut self, rest: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let (id, _) = rest.split_once('/').ok_or(RecordError)?;
        let fields = unpack(bytes)?;
        let [digest] = fields.as_slice() else {
            return Err(RecordError);
        };
        let digest = <[u8; 32]>::try_from(*digest).map_err(|_| RecordError)?;
        let accepted = self
            .accepted
            .entry(id.parse().map_err(|_| RecordError)?)
            .or_default();
        accepted.insert(digest);
        Ok(())
    }

    fn newest_is_stale(&self, now: u64) -> bool {
        let Some((id, newest)) = self.held.last_key_value() else {
            return true;
        };
        let made = newest.pair.created_at_ms();
        let full = self
            .accepted
            .get(id)
            .is_some_and(|accepted| accepted.len() >= REMEMBERED);
        now.saturating_sub(made) >= LIFETIME_MS
            || made.saturating_sub(now) > CLOCK_TOLERANCE_MS
            || (full && self.held.len() < HELD)
    }
}

impl Held {
    fn put(&self, turn: &mut Turn<'_>) {
        let record = pack(&[
            &self.pair.to_bytes(),
            &[u8::from(self.published)],
            &self.replaced_at.to_be_bytes(),
        ]);
        turn.put(key(self.pair.id()), record);
    }
}

fn key(id: u32) -> String {
    format!("signed-prekey/{id}")
}

fn initial_key(signed_id: u32, digest: &[u8; 32]) -> String {
    format!("initial/{signed_id}/{}", hex(digest))
}
