//! Channel rosters: who may change what, what everybody sees alike, and what nobody can slip in.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod bytes;
mod catching_up;
mod chain;
mod confirming;
mod inviting;
mod joining;
mod large;
mod manifests;
mod model;
mod people;
mod permissions;
