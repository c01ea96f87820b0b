//! The server from outside: real gRPC with hand-made requests, signed with bare Ed25519 keys, and never
//! with our own client. Here on SQLite; `on_postgres.rs` has the tests of `on_both.rs` on PostgreSQL.
#![allow(
    dead_code,
    unused_imports,
    reason = "a few things are for tests that only PostgreSQL has"
)]

#[cfg(test)]
#[path = "on_both.rs"]
mod on_both;
#[cfg(test)]
use on_both::*;

#[cfg(test)]
const STORE: common::Store = common::Store::Sqlite;

// What follows is the same whatever the database, or about SQLite's.
#[cfg(test)]
mod copy;
#[cfg(test)]
mod http2;
// Asks Linux how much memory a process has.
#[cfg(target_os = "linux")]
#[cfg(test)]
mod idle;
#[cfg(test)]
mod process;
#[cfg(test)]
mod rates;
#[cfg(test)]
mod services;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod web;
