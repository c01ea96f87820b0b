//! The server from outside: real gRPC with hand-made requests, signed with bare Ed25519 keys, and never
//! with our own client. Here on SQLite; `on_postgres.rs` has the same tests on PostgreSQL.
#![allow(
    dead_code,
    unused_imports,
    reason = "a few things are for tests that only PostgreSQL has"
)]

#[cfg(test)]
const STORE: common::Store = common::Store::Sqlite;

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
mod common;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod http2;
// Asks Linux how much memory a process has.
#[cfg(target_os = "linux")]
#[cfg(test)]
mod idle;
#[cfg(test)]
mod kem_prekeys;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod mailbox;
// This too.
#[cfg(target_os = "linux")]
#[cfg(test)]
mod memory;
#[cfg(unix)]
#[cfg(test)]
mod operating;
#[cfg(test)]
mod prekeys;
#[cfg(test)]
mod pressure;
#[cfg(test)]
mod process;
#[cfg(test)]
mod rates;
#[cfg(unix)]
#[cfg(test)]
mod server_name;
#[cfg(test)]
mod services;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod upgrading;
#[cfg(test)]
mod web;
