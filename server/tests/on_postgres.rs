//! The tests of `main.rs` that a database can make a difference to, on PostgreSQL.
//!
//! They need one: `scripts/with-services cargo test -p sottovoce-server`.
#![allow(
    dead_code,
    unused_imports,
    reason = "a few things are for tests that only SQLite has"
)]

#[cfg(test)]
const STORE: common::Store = common::Store::Postgres;

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod blobs;
#[cfg(test)]
mod channels;
#[cfg(test)]
mod channels_on_nodes;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod common;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod kem_prekeys;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod mailbox;
// Asks Linux how much memory there is in use.
#[cfg(target_os = "linux")]
#[cfg(test)]
mod memory;
#[cfg(unix)]
#[cfg(test)]
mod operating;
#[cfg(unix)]
#[cfg(test)]
mod operating_nodes;
#[cfg(test)]
mod prekeys;
#[cfg(test)]
mod pressure;
#[cfg(unix)]
#[cfg(test)]
mod rolling;
#[cfg(test)]
mod scheduled_on_nodes;
#[cfg(unix)]
#[cfg(test)]
mod server_name;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod upgrading;
