//! The account layer, from outside: whom to trust, and how an account comes to another device.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod backup;
mod golden;
mod linking;
mod model;
mod next_manifest;
mod people;
mod recovery;
mod safety_numbers;
mod state;
mod trust;
