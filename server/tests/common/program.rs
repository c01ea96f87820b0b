//! The server as its users run it: a program of its own, with signals and a log.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

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
    stderr: Option<BufReader<ChildStderr>>,
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

    /// Starts the program and waits until it says where it listens: on standard output, or, where its log is
    /// for programs, in that.
    pub(crate) async fn spawn(mut command: Command) -> Self {
        let logs_json = command.as_std().get_args().any(|word| word == "json");
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stderr = child.stderr.take().map(BufReader::new);
        let announced = match (&mut stderr, logs_json) {
            (Some(stderr), true) => announcement(stderr, "\"ready\"").await,
            _ => announcement(stdout.get_mut(), "To stop").await,
        };
        let address = announced.split_once("http://").and_then(|(_, rest)| {
            let end = rest.find(|c: char| !(c.is_ascii_digit() || ".:[]".contains(c)))?;
            rest.get(..end)?.parse().ok()
        });
        let Some(address) = address else {
            let mut errors = String::new();
            if let Some(mut stderr) = stderr {
                stderr.read_to_string(&mut errors).await.unwrap();
            }
            panic!("the server did not start: {announced}{errors}");
        };
        Self {
            address,
            announced,
            child,
            stdout,
            stderr,
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

    /// Waits for the end; returns how it ended, what it printed since its announcement, and its log, since then
    /// too where that has the announcement.
    pub(crate) async fn end(mut self) -> (ExitStatus, String, String) {
        let mut printed = String::new();
        while let Some(line) = self.stdout.next_line().await.unwrap() {
            printed.push_str(&line);
            printed.push('\n');
        }
        let mut log = String::new();
        if let Some(mut stderr) = self.stderr.take() {
            stderr.read_to_string(&mut log).await.unwrap();
        }
        (self.child.wait().await.unwrap(), printed, log)
    }
}

/// The lines up to the one that holds `last`, or all there are.
async fn announcement<R: AsyncRead + Unpin>(from: &mut BufReader<R>, last: &str) -> String {
    let mut announced = String::new();
    loop {
        let begun = announced.len();
        if from.read_line(&mut announced).await.unwrap() == 0 || announced[begun..].contains(last) {
            return announced;
        }
    }
}
