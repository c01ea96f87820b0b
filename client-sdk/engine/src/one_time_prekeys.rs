//! One-time prekeys: each is good for one session, and then gone.

use std::collections::BTreeMap;

use sottovoce_crypto::OneTimePrekeyPair;
use sottovoce_proto::v1;

use crate::prekeys::NoPrekey;
use crate::records::{RecordError, pack, unpack};
use crate::turn::Turn;

/// Made at a time; well below what a server takes in one call.
const BATCH: usize = 50;

/// Fewer left on the server than this, and another batch is made.
const LOW_WATER: u32 = 20;

/// Most secrets held. Somebody who fetches bundles without using them makes us replace the keys; beyond
/// this the oldest are forgotten, so that it costs them and not us.
const HELD: usize = 500;

struct Held {
    pair: OneTimePrekeyPair,
    published: bool,
}

#[derive(Default)]
pub(crate) struct OneTimePrekeys(BTreeMap<u32, Held>);

impl OneTimePrekeys {
    /// Makes the first batch, where there is none.
    pub(crate) fn begin(&mut self, turn: &mut Turn<'_>) {
        if self.0.is_empty() {
            self.make(turn);
        }
    }

    /// The server holds `left`; makes more when those are few.
    pub(crate) fn replenish(&mut self, left: u32, turn: &mut Turn<'_>) {
        if left < LOW_WATER && self.0.values().all(|held| held.published) {
            self.make(turn);
        }
    }

    pub(crate) fn unpublished(&self) -> Vec<v1::OneTimePrekey> {
        let unpublished = self.0.values().filter(|held| !held.published);
        unpublished
            .take(BATCH)
            .map(|held| {
                let public = held.pair.public();
                v1::OneTimePrekey {
                    id: public.id,
                    public_key: public.key.as_bytes().to_vec(),
                }
            })
            .collect()
    }

    pub(crate) fn mark_published(&mut self, published: &[v1::OneTimePrekey], turn: &mut Turn<'_>) {
        for prekey in published {
            if let Some(held) = self.0.get_mut(&prekey.id) {
                held.published = true;
                held.put(turn);
            }
        }
    }

    pub(crate) fn find(&self, id: u32) -> Result<&OneTimePrekeyPair, NoPrekey> {
        self.0.get(&id).map(|held| &held.pair).ok_or(NoPrekey)
    }

    pub(crate) fn erase(&mut self, id: u32, turn: &mut Turn<'_>) {
        self.0.remove(&id);
        turn.delete(key(id));
    }

    pub(crate) fn load(&mut self, id: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let fields = unpack(bytes)?;
        let [pair, [published]] = fields.as_slice() else {
            return Err(RecordError);
        };
        let pair = OneTimePrekeyPair::from_bytes(pair).map_err(|_| RecordError)?;
        let id = id.parse().map_err(|_| RecordError)?;
        self.0.insert(
            id,
            Held {
                pair,
                published: *published != 0,
            },
        );
        Ok(())
    }

    fn make(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..BATCH {
            let id = turn.counters.one_time_prekey();
            let held = Held {
                pair: OneTimePrekeyPair::generate(turn.rng, id),
                published: false,
            };
            held.put(turn);
            self.0.insert(id, held);
        }
        while self.0.len() > HELD {
            if let Some((id, _)) = self.0.pop_first() {
                turn.delete(key(id));
            }
        }
    }
}

impl Held {
    fn put(&self, turn: &mut Turn<'_>) {
        let record = pack(&[&self.pair.to_bytes(), &[u8::from(self.published)]]);
        turn.put(key(self.pair.id()), record);
    }
}

fn key(id: u32) -> String {
    format!("one-time-prekey/{id}")
}
