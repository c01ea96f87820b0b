//! The server as its users run it: a program of its own, with signals and a log.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{Store, postgres_url};

/// The variable that tells a server with this data folder which database to take, where it is not a file.
pub(crate) fn database_variable(data_dir: &Path) -> Option<(&'static str, String)> {
    match crate::STORE {
        Store::Sqlite => None,
        Store::Postgres => Some(("SOTTOVOCE_DATABASE", postgres_url(data_dir))),
    }
}

/// A running `sottovoce-server serve`. Killed when dropped.
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    pub(crate) announced: String,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub(crate) fn command(data_dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
        command
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .envs(database_variable(data_dir))
            // What tells the tests which seeds to run is no setting of the server.
            .env_remove("SOTTOVOCE_SEED")
            .env_remove("SOTTOVOCE_SEEDS")
            .kill_on_drop(true)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) async fn start(data_dir: &Path) -> Self {
        Self::spawn(Self::command(data_dir)).await
    }

    /// Starts the program and waits until it says where it listens.
    pub(crate) async fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut announced = String::new();
        let mut address = None;
        while let Some(line) = stdout.next_line().await.unwrap() {
            if let Some((_, rest)) = line.split_once("http://") {
                address = rest.split_whitespace().next().unwrap().parse().ok();
            }
            announced.push_str(&line);
            announced.push('\n');
            if line.contains("To stop") {
                break;
            }
        }
        let Some(address) = address else {
            let mut errors = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                stderr.read_to_string(&mut errors).await.unwrap();
            }
            panic!("the server did not start: {announced}{errors}");
        };
        Self {
            address,
            announced,
            child,
            stdout,
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// `kill -9`: the program gets no chance to do anything.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Memory the program has in use, in KiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Sends a signal by its name, `TERM` for example.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        // The shell's own `kill`: not every machine has it as a program.
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; returns how it ended, what it printed since its announcement, and its log.
    pub(crate) async fn end(mut self) -> (ExitStatus, String, String) {
        let mut printed = String::new();
        while let Some(line) = self.stdout.next_line().await.unwrap() {
            printed.push_str(&line);
            printed.push('\n');
        }
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log).await.unwrap();
        }
        (self.child.wait().await.unwrap(), printed, log)
    }
}
