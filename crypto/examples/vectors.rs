//! Writes the test vectors into `tests/vectors`, or says whether they are as they would be written.
//!
//! ```text
//! cargo run -p sottovoce-crypto --example vectors               write
//! cargo run -p sottovoce-crypto --example vectors -- --check    compare
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for those who work on the protocol"
)]

#[allow(dead_code, reason = "it reads the files when it runs")]
#[path = "../tests/vectors_of/mod.rs"]
mod vectors_of;

use std::path::Path;
use std::process::ExitCode;

use vectors_of::ALL;

fn main() -> ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(_) => {
            println!("either nothing or --check");
            return ExitCode::FAILURE;
        }
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut code = ExitCode::SUCCESS;
    for vectors in ALL {
        let (made, path) = (vectors.text(), folder.join(vectors.name));
        let same = std::fs::read_to_string(&path).is_ok_and(|stored| stored == made);
        match (same, check) {
            (true, _) => println!("{}: as it should be", vectors.name),
            (false, true) => {
                println!("{}: not what this version comes to", vectors.name);
                code = ExitCode::FAILURE;
            }
            (false, false) => {
                std::fs::write(&path, &made).unwrap();
                println!("{}: written", vectors.name);
            }
        }
        // What is in the file by now must hold by itself, too.
        (vectors.check)(&serde_json::from_str(&made).unwrap());
    }
    code
}
