//! `sottovoce-server`: the reference server as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    sottovoce_server::command_line()
}
