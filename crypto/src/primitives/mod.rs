//! The few primitives everything else is made of, each behind one narrow function.

pub(crate) mod aead;
pub(crate) mod dh;
pub(crate) mod kdf;
pub(crate) mod kem;

#[cfg(test)]
mod known_answers;
#[cfg(test)]
mod wycheproof_vectors;
