//! Two people talk through a real server, and you see what the server has of it.
//!
//! Everything is real: the server listens on loopback with its SQLite database in a temporary folder,
//! the clients reach it over gRPC. The program exits with 0 only if every check held.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what a demo does"
)]

mod checks;
mod database;
mod story;

use std::error::Error;
use std::process::ExitCode;

/// What can go wrong before there is anything to check.
type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    match story::tell().await {
        Ok(checks) => checks.conclude(),
        Err(error) => {
            eprintln!("\nThe demo could not be finished: {error}");
            ExitCode::FAILURE
        }
    }
}
