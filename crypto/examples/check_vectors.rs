//! Checks the test vectors without files, arguments or output, so that it runs where there is nothing: as a bare
//! WebAssembly module. What it returns is 0, or the number of the first file that is not what this version comes
//! to, counted from 1; a file that does not hold by itself stops it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing check is supposed to stop there"
)]

#[allow(dead_code, reason = "it tells no names")]
#[path = "../tests/vectors_of/mod.rs"]
mod vectors_of;

use std::process::ExitCode;

fn main() -> ExitCode {
    for (vectors, number) in vectors_of::ALL.iter().zip(1..) {
        if vectors.text() != vectors.stored {
            return ExitCode::from(number);
        }
        (vectors.check)(&vectors.read());
    }
    ExitCode::SUCCESS
}
