//! What operators see of a server while it runs, and what they may tell it.

mod figures;
mod jobs;
mod orders;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::common::{Program, database_variable};

/// A running server with a listener for operators, and where that is.
pub(crate) async fn start(data_dir: &Path, change: impl FnOnce(&mut Command)) -> (Program, SocketAddr) {
    let mut command = Program::command(data_dir);
    command.env("SOTTOVOCE_ADMIN__LISTEN", "127.0.0.1:0");
    change(&mut command);
    let program = Program::spawn(command).await;
    let line = program
        .announced
        .lines()
        .find(|line| line.contains("Operators"))
        .unwrap();
    let address = line
        .split_whitespace()
        .nth(1)
        .unwrap()
        .trim_end_matches(':')
        .parse()
        .unwrap();
    (program, address)
}

/// What a listener for operators answers: the status and everything after it.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: operators\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// The value of a metric without labels, or with exactly these.
pub(crate) fn metric(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
        .parse()
        .unwrap()
}

/// How many runs of a job that ended so are counted, 0 when there is no such metric yet.
pub(crate) async fn runs(address: SocketAddr, job: &str, outcome: &str) -> f64 {
    let (_, metrics) = get(address, "/metrics").await;
    let name = format!("sottovoce_job_runs_total{{name=\"{job}\",outcome=\"{outcome}\"}}");
    if metrics.contains(&name) {
        metric(&metrics, &name)
    } else {
        0.0
    }
}

/// A command on the same data folder.
pub(crate) fn command(data_dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    command
        .args(words)
        .arg("--data-dir")
        .arg(data_dir)
        .envs(database_variable(data_dir))
        .env_remove("SOTTOVOCE_SEED")
        .env_remove("SOTTOVOCE_SEEDS")
        .kill_on_drop(true);
    command
}

async fn run(mut command: Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    timeout(Duration::from_secs(30), output).await.unwrap().unwrap()
}

/// What a command prints when it does what it is told.
pub(crate) async fn done(data_dir: &Path, words: &[&str]) -> String {
    let output = run(command(data_dir, words)).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when it does not.
pub(crate) async fn refused(data_dir: &Path, words: &[&str]) -> String {
    let output = run(command(data_dir, words)).await;
    assert_eq!(output.status.code(), Some(1), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}
