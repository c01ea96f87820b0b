//! The tests that a database can make a difference to: both roots, `main.rs` and `on_postgres.rs`, have
//! them, with the files beside theirs.

pub(crate) mod accounts;
mod auth;
mod bad_input;
pub(crate) mod blobs;
pub(crate) mod channels;
pub(crate) mod common;
pub(crate) mod faults;
mod kem_prekeys;
mod kill;
mod logging;
pub(crate) mod mailbox;
// Asks Linux how much memory a process has.
#[cfg(target_os = "linux")]
mod memory;
#[cfg(unix)]
pub(crate) mod operating;
pub(crate) mod prekeys;
mod pressure;
#[cfg(unix)]
mod server_name;
mod sessions;
pub(crate) mod upgrading;
