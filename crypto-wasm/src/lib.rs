//! `sottovoce-crypto` for JavaScript: the same sessions in a browser, a worker or Node.js.
//!
//! Nothing is decided here. Arguments are checked for their type and size, handed to the cryptography,
//! and its results and errors come back as JavaScript values. Every refusal is a thrown `Error` with a
//! `name` (the operation) and a `code` (the reason); no input makes the module trap.
//!
//! The module's memory is not the page's: what stays inside (`AccountKeyPair`, `Session`, …) is erased
//! when the object is freed, what is returned as a `Uint8Array` is the caller's to guard.

mod accept;
mod args;
mod bundles;
mod error;
mod kem_prekey;
mod keys;
mod message;
mod party;
mod prekeys;
mod random;
mod session;
mod skipped;
mod storage;
mod suite;
