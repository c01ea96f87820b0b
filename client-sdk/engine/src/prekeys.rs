//! This device's prekeys: made ahead, published, replaced in time, forgotten once used.

use std::collections::{BTreeMap, BTreeSet};

use sottovoce_crypto::statements::DeviceId;
use sottovoce_crypto::{IdentityKeyPair, InitialMessage, OneTimePrekeyPair, SignedPrekeyPair};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::records::{RecordError, hex, pack, unpack};
use crate::turn::Turn;
use crate::wire;

/// A signed prekey is replaced after a week: an initial message without a one-time prekey is only as
/// forward-secret as this.
const SIGNED_PREKEY_LIFETIME_MS: u64 = 7 * DAY_MS;

/// A replaced signed prekey is kept this long after it was made, for initial messages still on their way.
const SIGNED_PREKEY_KEPT_MS: u64 = 30 * DAY_MS;

/// One-time prekeys made at a time; well below what a server takes in one call.
const ONE_TIME_BATCH: usize = 50;

/// Fewer left on the server than this, and another batch is made.
const ONE_TIME_LOW_WATER: u32 = 20;

/// Most one-time secrets held. Somebody who fetches bundles without using them makes us replace the
/// keys; beyond this the oldest are forgotten, so that it costs them and not us.
const ONE_TIME_HELD: usize = 500;

/// Most initial messages remembered per signed prekey. A full memory refuses new sessions with that
/// prekey and replaces it; it never forgets, because what is forgotten can be replayed.
const INITIALS_REMEMBERED: usize = 10_000;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

struct Held<K> {
    pair: K,
    published: bool,
}

/// All prekey secrets of this device, and the initial messages accepted with them.
#[derive(Default)]
pub(crate) struct Prekeys {
    signed: BTreeMap<u32, Held<SignedPrekeyPair>>,
    one_time: BTreeMap<u32, Held<OneTimePrekeyPair>>,
    accepted: BTreeMap<u32, BTreeSet<[u8; 32]>>,
}

/// Why an initial message cannot be answered with our prekeys.
pub(crate) struct NoPrekey;

impl Prekeys {
    /// Replaces an old signed prekey, forgets those long replaced, and makes a first batch of one-time
    /// prekeys.
    pub(crate) fn maintain(&mut self, owner: &Owner<'_>, turn: &mut Turn<'_>) {
        let fresh = self.signed.last_key_value().is_some_and(|(id, held)| {
            let full = self
                .accepted
                .get(id)
                .is_some_and(|seen| seen.len() >= INITIALS_REMEMBERED);
            turn.now.saturating_sub(held.pair.created_at_ms()) < SIGNED_PREKEY_LIFETIME_MS && !full
        });
        if !fresh {
            self.make_signed(owner, turn);
        }
        let newest = self.signed.last_key_value().map(|(id, _)| *id);
        let expired: Vec<u32> = self
            .signed
            .iter()
            .filter(|(id, held)| {
                Some(**id) != newest
                    && turn.now.saturating_sub(held.pair.created_at_ms()) >= SIGNED_PREKEY_KEPT_MS
            })
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            self.signed.remove(&id);
            turn.delete(signed_key(id));
            for digest in self.accepted.remove(&id).unwrap_or_default() {
                turn.delete(initial_key(id, &digest));
            }
        }
        if self.one_time.is_empty() {
            self.make_one_time(turn);
        }
    }

    /// What the server has not been told yet, if anything.
    pub(crate) fn unpublished(&self) -> Option<v1::PublishPrekeysRequest> {
        let signed_prekey = self
            .signed
            .last_key_value()
            .filter(|(_, held)| !held.published)
            .map(|(_, held)| wire::from_signed(held.pair.statement()));
        let one_time_prekeys: Vec<_> = self
            .one_time
            .values()
            .filter(|held| !held.published)
            .take(ONE_TIME_BATCH)
            .map(|held| {
                let public = held.pair.public();
                v1::OneTimePrekey {
                    id: public.id,
                    public_key: public.key.as_bytes().to_vec(),
                }
            })
            .collect();
        let anything = signed_prekey.is_some() || !one_time_prekeys.is_empty();
        anything.then_some(v1::PublishPrekeysRequest {
            signed_prekey,
            one_time_prekeys,
        })
    }

    /// The server has taken `request`.
    pub(crate) fn mark_published(&mut self, request: &v1::PublishPrekeysRequest, turn: &mut Turn<'_>) {
        let published_signed = self.signed.last_entry().filter(|newest| {
            request.signed_prekey.as_ref() == Some(&wire::from_signed(newest.get().pair.statement()))
        });
        if let Some(mut newest) = published_signed {
            newest.get_mut().published = true;
            let (id, held) = newest.remove_entry();
            turn.put(signed_key(id), record(&held.pair.to_bytes(), true));
            self.signed.insert(id, held);
        }
        for prekey in &request.one_time_prekeys {
            if let Some(held) = self.one_time.get_mut(&prekey.id) {
                held.published = true;
                turn.put(one_time_key(prekey.id), record(&held.pair.to_bytes(), true));
            }
        }
    }

    /// The server holds `left` one-time prekeys; makes more when those are few.
    pub(crate) fn replenish(&mut self, left: u32, turn: &mut Turn<'_>) {
        if left < ONE_TIME_LOW_WATER && self.one_time.values().all(|held| held.published) {
            self.make_one_time(turn);
        }
    }

    /// The secrets an initial message asks for, unless it has been accepted before.
    pub(crate) fn find(
        &self,
        message: &InitialMessage,
    ) -> Result<(&SignedPrekeyPair, Option<&OneTimePrekeyPair>), NoPrekey> {
        let signed_id = message.signed_prekey_id();
        let signed = self.signed.get(&signed_id).ok_or(NoPrekey)?;
        if let Some(accepted) = self.accepted.get(&signed_id)
            && (accepted.contains(&message.handshake_digest()) || accepted.len() >= INITIALS_REMEMBERED)
        {
            return Err(NoPrekey);
        }
        let one_time = match message.one_time_prekey_id() {
            Some(id) => Some(&self.one_time.get(&id).ok_or(NoPrekey)?.pair),
            None => None,
        };
        Ok((&signed.pair, one_time))
    }

    /// An initial message authenticated: its one-time prekey is gone and it is never accepted again.
    pub(crate) fn used(&mut self, message: &InitialMessage, turn: &mut Turn<'_>) {
        if let Some(id) = message.one_time_prekey_id() {
            self.one_time.remove(&id);
            turn.delete(one_time_key(id));
        }
        let (signed_id, digest) = (message.signed_prekey_id(), message.handshake_digest());
        self.accepted.entry(signed_id).or_default().insert(digest);
        turn.put(initial_key(signed_id, &digest), pack(&[]));
    }

    fn make_signed(&mut self, owner: &Owner<'_>, turn: &mut Turn<'_>) {
        let id = turn.counters.signed_prekey();
        // Fails only for id zero, which the counter never gives.
        if let Ok(pair) = SignedPrekeyPair::generate(turn.rng, owner.identity, owner.device_id, id, turn.now)
        {
            turn.put(signed_key(id), record(&pair.to_bytes(), false));
            self.signed.insert(
                id,
                Held {
                    pair,
                    published: false,
                },
            );
        }
    }

    fn make_one_time(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..ONE_TIME_BATCH {
            let id = turn.counters.one_time_prekey();
            let pair = OneTimePrekeyPair::generate(turn.rng, id);
            turn.put(one_time_key(id), record(&pair.to_bytes(), false));
            self.one_time.insert(
                id,
                Held {
                    pair,
                    published: false,
                },
            );
        }
        while self.one_time.len() > ONE_TIME_HELD {
            if let Some((id, _)) = self.one_time.pop_first() {
                turn.delete(one_time_key(id));
            }
        }
    }

    pub(crate) fn load_signed(&mut self, id: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let (pair, published) = unrecord(bytes)?;
        let pair = SignedPrekeyPair::from_bytes(pair).map_err(|_| RecordError)?;
        self.signed.insert(parse_id(id)?, Held { pair, published });
        Ok(())
    }

    pub(crate) fn load_one_time(&mut self, id: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let (pair, published) = unrecord(bytes)?;
        let pair = OneTimePrekeyPair::from_bytes(pair).map_err(|_| RecordError)?;
        self.one_time.insert(parse_id(id)?, Held { pair, published });
        Ok(())
    }

    pub(crate) fn load_initial(&mut self, rest: &str) -> Result<(), RecordError> {
        let (id, digest) = rest.split_once('/').ok_or(RecordError)?;
        self.accepted
            .entry(parse_id(id)?)
            .or_default()
            .insert(parse_digest(digest)?);
        Ok(())
    }
}

/// Whose prekeys they are.
pub(crate) struct Owner<'a> {
    pub(crate) identity: &'a IdentityKeyPair,
    pub(crate) device_id: DeviceId,
}

fn signed_key(id: u32) -> String {
    format!("signed-prekey/{id}")
}

fn one_time_key(id: u32) -> String {
    format!("one-time-prekey/{id}")
}

fn initial_key(signed_id: u32, digest: &[u8; 32]) -> String {
    format!("initial/{signed_id}/{}", hex(digest))
}

fn record(pair: &[u8], published: bool) -> Zeroizing<Vec<u8>> {
    pack(&[pair, &[u8::from(published)]])
}

fn unrecord(bytes: &[u8]) -> Result<(&[u8], bool), RecordError> {
    match unpack(bytes)?.as_slice() {
        [pair, [published]] => Ok((pair, *published != 0)),
        _ => Err(RecordError),
    }
}

fn parse_id(text: &str) -> Result<u32, RecordError> {
    text.parse().map_err(|_| RecordError)
}

fn parse_digest(text: &str) -> Result<[u8; 32], RecordError> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(RecordError);
    }
    for (position, byte) in digest.iter_mut().enumerate() {
        let pair = text.get(2 * position..2 * position + 2).ok_or(RecordError)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| RecordError)?;
    }
    Ok(digest)
}
