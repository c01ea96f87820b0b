//! The tests of `on_both.rs` on PostgreSQL, and those that take it: several nodes on one database.
//!
//! They need one: `scripts/with-services cargo test -p sottovoce-server`.
#![allow(
    dead_code,
    unused_imports,
    reason = "a few things are for tests that only SQLite has"
)]

#[cfg(test)]
#[path = "on_both.rs"]
mod on_both;
#[cfg(test)]
use on_both::*;

#[cfg(test)]
const STORE: common::Store = common::Store::Postgres;

#[cfg(test)]
mod channels_on_nodes;
#[cfg(test)]
mod cluster;
#[cfg(unix)]
#[cfg(test)]
mod operating_nodes;
#[cfg(unix)]
#[cfg(test)]
mod rolling;
#[cfg(test)]
mod scheduled_on_nodes;
#[cfg(test)]
mod silence;
