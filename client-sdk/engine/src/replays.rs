//! Handshakes accepted with nothing but prekeys that many may use: remembered, so that none is accepted
//! twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::records::{RecordError, hex, pack, unpack};
use crate::turn::Turn;

/// Most handshakes remembered per signed prekey; there are few, because one-time prekeys seldom run out.
/// A full memory refuses and has the prekey replaced; it never forgets, because what is forgotten can be
/// replayed.
const REMEMBERED: usize = 500;

/// Digests of accepted handshakes, by the ids of the signed prekey and the KEM prekey of last resort they
/// used. Each lives as long as both secrets: without either a replay opens nothing.
#[derive(Default)]
pub(crate) struct Replays(BTreeMap<(u32, u32), BTreeSet<[u8; 32]>>);

impl Replays {
    /// Whether a handshake was accepted before, or may have to be forgotten after.
    pub(crate) fn refuses(&self, signed: u32, last_resort: u32, digest: &[u8; 32]) -> bool {
        let accepted = self.0.get(&(signed, last_resort));
        self.is_full(signed) || accepted.is_some_and(|accepted| accepted.contains(digest))
    }

    /// Whether this signed prekey takes no more handshakes without a one-time prekey.
    pub(crate) fn is_full(&self, signed: u32) -> bool {
        let of_it = self.0.range((signed, 0)..=(signed, u32::MAX));
        of_it.map(|(_, accepted)| accepted.len()).sum::<usize>() >= REMEMBERED
    }

    pub(crate) fn remember(&mut self, signed: u32, last_resort: u32, digest: [u8; 32], turn: &mut Turn<'_>) {
        let prekeys = (signed, last_resort);
        turn.put(key(prekeys, &digest), pack(&[&digest]));
        self.0.entry(prekeys).or_default().insert(digest);
    }

    /// These signed prekeys and KEM prekeys of last resort are erased.
    pub(crate) fn forget(&mut self, signed: &[u32], last_resort: &[u32], turn: &mut Turn<'_>) {
        self.0.retain(|prekeys, accepted| {
            let over = signed.contains(&prekeys.0) || last_resort.contains(&prekeys.1);
            if over {
                accepted
                    .iter()
                    .for_each(|digest| turn.delete(key(*prekeys, digest)));
            }
            !over
        });
    }

    pub(crate) fn load(&mut self, rest: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let mut ids = rest.splitn(3, '/');
        let mut id = || ids.next().and_then(|id| id.parse().ok()).ok_or(RecordError);
        let prekeys = (id()?, id()?);
        let fields = unpack(bytes)?;
        let [digest] = fields.as_slice() else {
            return Err(RecordError);
        };
        let digest = <[u8; 32]>::try_from(*digest).map_err(|_| RecordError)?;
        self.0.entry(prekeys).or_default().insert(digest);
        Ok(())
    }
}

fn key((signed, last_resort): (u32, u32), digest: &[u8; 32]) -> String {
    format!("initial/{signed}/{last_resort}/{}", hex(digest))
}
