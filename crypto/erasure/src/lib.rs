//! Watches memory as it is freed, and finds the secrets that are still in it.
//!
//! A test installs [`WatchingAllocator`] as its global allocator, collects [`Secrets`], and runs what it
//! wants to see under [`watch`]. Each heap block that is freed or moved meanwhile is searched, whole, for
//! any sixteen bytes in a row of any secret. Stack and registers are out of sight.

mod allocator;
mod secrets;

pub use allocator::{Findings, WatchingAllocator, watch};
pub use secrets::{Found, Secrets};
