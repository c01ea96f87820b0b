//! What the fuzz targets do. Each takes any bytes and panics only if a promise is broken.
//!
//! Run one with `cargo fuzz run two_parties fuzz/corpus/two_parties fuzz/seeds/two_parties` (on a stable
//! compiler with `RUSTC_BOOTSTRAP=1`). The seeds run as ordinary tests as well.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a fuzz target reports by panicking"
)]

mod account;
mod decoders;
mod people;
mod roster;
mod sealed;
mod seeds;
mod sender_key;
mod two_parties;

pub use account::{account, account_seals};
pub use decoders::{session_message, state, statement};
pub use roster::roster;
pub use sealed::{attachment, sealed_envelope};
pub use seeds::{Seed, seeds};
pub use sender_key::sender_key;
pub use two_parties::two_parties;
