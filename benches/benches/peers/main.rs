//! Ours beside vodozemac (Olm and Megolm), row by row, in one process. Payloads are 1 KiB, single-threaded,
//! and what is timed begins and ends at bytes: encoding and decoding are in, on both sides.
//!
//! The peer is configured for the same work. Its messages carry whole tags, as ours do, and whoever begins
//! one of its sessions first verifies the signature over the key it uses, as ours must. What remains
//! different is said beside each row.
//!
//! Run with `cargo bench -p sottovoce-benches --bench peers`. The rows come last, one a line:
//!
//! ```text
//! ROW name=… ours_ns=… peer_ns=… ratio=… mark=… wire_bytes=… peer_wire_bytes=… state_bytes=… peer_state_bytes=…
//! ```
//!
//! Compiled for any x86-64 processor, as released programs mostly are, the `poly1305` package finds AVX2 when it
//! runs, and then calls many of its instructions as functions: an empty ChaCha20-Poly1305 costs 1.1 µs, a
//! message of 1 KiB 2.2 µs. `RUSTFLAGS="-C target-cpu=x86-64-v3"`, which is for both sides, takes 1.2 µs
//! off each message of ours and next to nothing off the peer's: see the rows it matters to.
//!
//! Times are medians; `ratio` is ours to the peer's, so smaller is better, and `mark` is what it shall not
//! exceed. `wire_bytes` is one message of the row, `state_bytes` what has to be saved after it: for the peer,
//! its own encrypted export. Where another peer is meant, the row says so.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that fails is supposed to stop there, and its result is what it prints"
)]

mod attachment;
mod group;
mod handshake;
mod olm;
mod ours;
mod row;
mod session;
mod skipped;

use sottovoce_crypto::Suite;

/// What every message says.
const PAYLOAD: [u8; 1_024] = [0x6d; 1_024];

fn main() {
    let rows = [
        session::encrypt(),
        session::decrypt(),
        session::ping_pong(),
        handshake::start("handshake_start", Suite::X3dh, 1.70),
        handshake::accept("handshake_accept", Suite::X3dh, 1.80),
        handshake::start("handshake_start_pq", Suite::Pqxdh, 2.00),
        handshake::accept("handshake_accept_pq", Suite::Pqxdh, 2.00),
        group::encrypt(),
        group::decrypt(),
        skipped::decrypt(),
        attachment::seal(),
        attachment::open(),
    ];
    for row in rows {
        println!("{row}");
    }
}
