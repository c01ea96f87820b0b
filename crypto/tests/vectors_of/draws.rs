//! Randomness that is known: drawn from a seed and noted, or taken from what was noted.

use std::collections::VecDeque;
use std::convert::Infallible;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use serde_json::{Value, json};

use super::json::{bytes, hex, list};

/// The generator that everything in the vectors draws from.
pub(crate) struct Draws {
    source: Source,
    drawn: Vec<Vec<u8>>,
}

enum Source {
    Seeded(Box<ChaCha20Rng>),
    Given(VecDeque<Vec<u8>>),
}

impl Draws {
    /// Draws anew. Each file has a seed of its own, so that a change to one leaves the others alone.
    pub(crate) fn seeded(seed: u8) -> Self {
        Self::from(Source::Seeded(Box::new(ChaCha20Rng::from_seed([seed; 32]))))
    }

    /// Draws what [`take`](Self::take) noted.
    pub(crate) fn given(draws: &Value) -> Self {
        Self::from(Source::Given(
            list(draws).iter().map(|draw| bytes(&draw["bytes"])).collect(),
        ))
    }

    /// Draws these bytes.
    pub(crate) fn only(draw: &[u8]) -> Self {
        Self::from(Source::Given(VecDeque::from([draw.to_vec()])))
    }

    fn from(source: Source) -> Self {
        Self {
            source,
            drawn: Vec::new(),
        }
    }

    /// What was drawn since the last call, in order.
    pub(crate) fn drawn(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.drawn)
    }

    /// The same for the file, each draw with its name.
    pub(crate) fn take(&mut self, names: &[&str]) -> Value {
        let drawn = self.drawn();
        assert_eq!(drawn.len(), names.len(), "one name a draw");
        drawn
            .iter()
            .zip(names)
            .map(|(draw, name)| json!({ "what": name, "bytes": hex(draw) }))
            .collect()
    }

    /// Whether all that was given has been drawn.
    pub(crate) fn are_used_up(&self) -> bool {
        matches!(&self.source, Source::Given(draws) if draws.is_empty())
    }
}

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        match &mut self.source {
            Source::Seeded(rng) => rng.fill_bytes(bytes),
            Source::Given(draws) => bytes.copy_from_slice(&draws.pop_front().expect("a draw for each")),
        }
        self.drawn.push(bytes.to_vec());
        Ok(())
    }
}

impl TryCryptoRng for Draws {}
