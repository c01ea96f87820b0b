//! The chat as two people use it: two processes, one server, words typed and read.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sottovoce_server::{Config, Server};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Longer than anything here takes on a busy machine: stretching two passphrases, above all.
const PATIENCE: Duration = Duration::from_secs(90);

struct Chat {
    process: Child,
    keyboard: ChildStdin,
    screen: Lines<BufReader<ChildStdout>>,
}

impl Chat {
    fn start(folder: &Path, url: &str, me: &str, with: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_chat"))
            .args([
                "--as",
                &format!("{me}@localhost"),
                "--with",
                &format!("{with}@localhost"),
            ])
            .args(["--server", url])
            .current_dir(folder)
            .env("SOTTOVOCE_PASSPHRASE", "a passphrase of this test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the chat starts");
        let keyboard = process.stdin.take().expect("piped");
        let screen = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self {
            process,
            keyboard,
            screen,
        }
    }

    async fn write(&mut self, line: &str) {
        self.keyboard
            .write_all(format!("{line}\n").as_bytes())
            .await
            .expect("the chat reads");
    }

    /// Waits for a line to appear.
    async fn shows(&mut self, wanted: &str) {
        let seen = async {
            while let Some(line) = self.screen.next_line().await.expect("readable") {
                if line == wanted {
                    return;
                }
            }
            panic!("the chat ended without showing {wanted:?}");
        };
        tokio::time::timeout(PATIENCE, seen)
            .await
            .unwrap_or_else(|_| panic!("{wanted:?} never appeared"));
    }

    /// Ends it as Ctrl-D does.
    async fn end(mut self) {
        drop(self.keyboard);
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        assert!(status.expect("it ends").expect("it was running").success());
    }
}

#[tokio::test]
async fn two_people_chat_and_one_of_them_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::bind(Config {
        data_dir: folder.path().join("server"),
        listen: "127.0.0.1:0".parse().expect("an address"),
        ..Config::default()
    })
    .await
    .expect("the server starts");
    let url = format!("http://{}", server.local_addr());
    tokio::spawn(server.serve(std::future::pending()));

    let mut alice = Chat::start(folder.path(), &url, "alice", "bob");
    let mut bob = Chat::start(folder.path(), &url, "bob", "alice");
    alice.shows("  . connected").await;
    bob.shows("  . connected").await;
    alice.write("Can you hear me?").await;
    bob.shows("alice@localhost: Can you hear me?").await;
    bob.write("Only I can.").await;
    alice.shows("bob@localhost: Only I can.").await;
    bob.end().await;

    alice.write("Come back! \u{1b}[2J").await;
    alice.shows("  ✓").await;
    let mut bob = Chat::start(folder.path(), &url, "bob", "alice");
    // What would clear the screen is not sent to it.
    bob.shows("alice@localhost: Come back! \u{fffd}[2J").await;
    bob.end().await;
    alice.end().await;
}
