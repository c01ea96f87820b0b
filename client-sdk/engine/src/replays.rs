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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_handshake_is_remembered_until_either_of_its_prekeys_is_erased() {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let mut turn = Turn::new(0, rng, Counters::default());
        for (signed, last_resort) in [(&[7][..], &[][..]), (&[], &[3])] {
            let mut replays = Replays::default();
            replays.remember(7, 3, [1; 32], &mut turn);
            replays.forget(&[3], &[7], &mut turn);
            assert!(replays.refuses(7, 3, &[1; 32]), "those were others");
            assert!(!replays.refuses(7, 3, &[2; 32]));
            replays.forget(signed, last_resort, &mut turn);
            assert!(!replays.refuses(7, 3, &[1; 32]));
            assert!(turn.out.records.values().all(Option::is_none), "nor on the disk");
        }
    }

    #[test]
    fn a_full_memory_refuses_whatever_the_last_resort_and_forgets_nothing() {
        let rng = &mut ChaCha20Rng::seed_from_u64(2);
        let mut turn = Turn::new(0, rng, Counters::default());
        let mut replays = Replays::default();
        let digest = |n: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            digest
        };
        for n in 0..REMEMBERED {
            assert!(!replays.refuses(7, 1, &digest(n)));
            replays.remember(7, if n < 250 { 1 } else { 2 }, digest(n), &mut turn);
        }
        for last_resort in [1, 2, 3] {
            assert!(replays.refuses(7, last_resort, &digest(REMEMBERED)));
        }
        assert!(
            !replays.refuses(8, 2, &digest(0)),
            "the next signed prekey has room"
        );
        let mut again = Replays::default();
        for (name, record) in &turn.out.records {
            again
                .load(name.strip_prefix("initial/").unwrap(), record.as_ref().unwrap())
                .unwrap();
        }
        assert!(again.is_full(7) && again.refuses(7, 2, &digest(400)));
    }
}
