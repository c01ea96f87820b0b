//! The server as its operators run it: a process of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// The name of the server's program.
const NAME: &str = "sottovoce-server";

/// More than a start or an orderly stop takes, both of which may include a sync of everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    pub(crate) address: SocketAddr,
    /// Whether it speaks TLS.
    pub(crate) tls: bool,
}

impl Program {
    /// Starts it with these settings, and waits until it says where it listens. What it logs goes to
    /// standard error.
    pub(crate) async fn start(path: &Path, settings: &[(&str, String)]) -> Self {
        let mut child = Command::new(path)
            .arg("serve")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", path.display()));
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let announced = timeout(PATIENCE, announced(&mut stdout)).await;
        let (address, tls) = announced.unwrap_or_else(|_| panic!("the server says nothing"));
        Self {
            child,
            stdout,
            address,
            tls,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Stops it in order; anything but success is a failure of the run.
    pub(crate) async fn stop(mut self) {
        let terminate = format!("kill -TERM {}", self.pid());
        // The shell's own `kill`: not every machine has it as a program.
        let sent = Command::new("sh").args(["-c", &terminate]).status().await;
        assert!(sent.unwrap().success());
        let ended = timeout(PATIENCE, async {
            while self.stdout.next_line().await.unwrap().is_some() {}
            self.child.wait().await.unwrap()
        });
        let status = ended.await.unwrap_or_else(|_| panic!("the server does not stop"));
        assert!(status.success(), "the server ended with {status}");
    }
}

async fn announced(stdout: &mut Lines<BufReader<ChildStdout>>) -> (SocketAddr, bool) {
    let mut found = None;
    while let Some(line) = stdout.next_line().await.unwrap() {
        for (scheme, tls) in [("https://", true), ("http://", false)] {
            if let Some((_, rest)) = line.split_once(scheme)
                && found.is_none()
            {
                // A name may stand there; the port is what is not known beforehand.
                let authority = rest.split([' ', '/', ';', ',']).next().unwrap();
                let port = authority.rsplit(':').next().unwrap().parse().unwrap();
                found = Some((SocketAddr::from((Ipv4Addr::LOCALHOST, port)), tls));
            }
        }
        if line.contains("To stop") {
            break;
        }
    }
    found.unwrap_or_else(|| panic!("the server did not start"))
}

/// The program to run. Under `cargo run` it is brought up to date first: figures of an older one would be
/// worse than none. Otherwise it is the one beside this program.
pub(crate) fn find() -> PathBuf {
    let ours = std::env::current_exe().unwrap();
    let beside = ours.with_file_name(NAME);
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = std::process::Command::new(cargo);
        build.args(["build", "--package", NAME, "--bin", NAME]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let built = build.status().unwrap();
        assert!(built.success(), "the server cannot be built");
    }
    assert!(
        beside.exists(),
        "there is no {}: build it, or say --server",
        beside.display()
    );
    beside
}
