//! What must not be found, and how it is.

use std::collections::{HashMap, HashSet};

/// Secrets to look for.
#[derive(Default)]
pub struct Secrets {
    all: Vec<Secret>,
    known: HashSet<Vec<u8>>,
    /// Where eight bytes stand, for each eight in a row of each secret.
    words: HashMap<u64, Vec<Place>>,
}

struct Secret {
    name: String,
    bytes: Vec<u8>,
}

struct Place {
    secret: usize,
    offset: usize,
}

/// A piece of a secret in a block of memory.
#[derive(Debug)]
pub struct Found {
    /// Whose.
    pub name: String,
    /// How much of it, in bytes.
    pub length: usize,
    /// Where in the block.
    pub position: usize,
    /// How large the block is.
    pub block: usize,
}

/// Shortest piece of a secret that counts: half a key, in bytes. Nothing else repeats so much by chance.
const SHORTEST: usize = 16;
const WORD: usize = 8;

impl Secrets {
    /// Adds a secret under a name that says what it is, unless it is there under another. It is as long
    /// as a piece that counts, or nothing can be found of it.
    pub fn add(&mut self, name: impl Into<String>, bytes: &[u8]) {
        if !self.known.insert(bytes.to_vec()) {
            return;
        }
        let secret = self.all.len();
        for (offset, word) in bytes.windows(WORD).enumerate() {
            let place = Place { secret, offset };
            self.words.entry(as_number(word)).or_default().push(place);
        }
        self.all.push(Secret {
            name: name.into(),
            bytes: bytes.to_vec(),
        });
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The first piece of a secret in `block`.
    ///
    /// Sixteen bytes in a row, wherever they begin, contain eight that begin at a multiple of eight: only
    /// those are looked up.
    pub(crate) fn find_in(&self, block: &[u8]) -> Option<Found> {
        let (words, _) = block.as_chunks::<WORD>();
        words.iter().enumerate().find_map(|(index, word)| {
            let places = self.words.get(&u64::from_ne_bytes(*word))?;
            places
                .iter()
                .find_map(|place| self.piece(place, block, index * WORD))
        })
    }

    /// The piece of a secret around the word at `position` of the block, if it is long enough.
    fn piece(&self, place: &Place, block: &[u8], position: usize) -> Option<Found> {
        let secret = self.all.get(place.secret)?;
        let (block_before, block_after) = block.split_at_checked(position)?;
        let (secret_before, secret_after) = secret.bytes.split_at_checked(place.offset)?;
        let before = common(block_before.iter().rev(), secret_before.iter().rev());
        let after = common(block_after.iter(), secret_after.iter());
        (before + after >= SHORTEST).then(|| Found {
            name: secret.name.clone(),
            length: before + after,
            position: position - before,
            block: block.len(),
        })
    }
}

/// How far two sequences agree.
fn common<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}

fn as_number(word: &[u8]) -> u64 {
    word.try_into().map_or(0, u64::from_ne_bytes)
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.all.len())
    }
}
