//! The program itself: what it says, what it refuses, how it stops, and what it never writes down.

#[cfg(unix)]
mod commands;
#[cfg(unix)]
mod guidance;
mod json;
#[cfg(unix)]
mod restoring;
mod starting;
mod stopping;
mod writing;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

async fn run(mut command: Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    tokio::time::timeout(Duration::from_secs(10), output)
        .await
        .unwrap()
        .unwrap()
}

fn serve(listen: &str, data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    command
        .args(["serve", "--listen", listen, "--data-dir"])
        .arg(data_dir)
        .kill_on_drop(true)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
