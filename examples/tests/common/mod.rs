//! A chat as a person has it: a process, a keyboard and a screen.

#![allow(dead_code, reason = "each user takes its part")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Longer than anything here takes on a busy machine: stretching two passphrases, above all.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Chat {
    process: Child,
    keyboard: ChildStdin,
    screen: Lines<BufReader<ChildStdout>>,
}

impl Chat {
    pub(crate) fn start(folder: &Path, url: &str, me: &str, with: &str) -> Self {
        Self::start_with(folder, url, me, with, &[])
    }

    /// With more on its command line.
    pub(crate) fn start_with(folder: &Path, url: &str, me: &str, with: &str, more: &[&str]) -> Self {
        let mut process = command(folder, url, me, with)
            .args(more)
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

    pub(crate) async fn write(&mut self, line: &str) {
        self.keyboard
            .write_all(format!("{line}\n").as_bytes())
            .await
            .expect("the chat reads");
    }

    /// Waits for a line to appear.
    pub(crate) async fn shows(&mut self, wanted: &str) {
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
    pub(crate) async fn end(mut self) {
        drop(self.keyboard);
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        assert!(status.expect("it ends").expect("it was running").success());
    }
}

/// A chat without a passphrase.
pub(crate) fn command(folder: &Path, url: &str, me: &str, with: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
    command
        .args([
            "--as",
            &format!("{me}@localhost"),
            "--with",
            &format!("{with}@localhost"),
        ])
        .args(["--server", url])
        .current_dir(folder)
        .env_remove("SOTTOVOCE_PASSPHRASE");
    command
}

/// What a chat says that ends by itself without having talked.
pub(crate) async fn refusal(command: &mut Command) -> String {
    let output = tokio::time::timeout(PATIENCE, command.stdin(Stdio::null()).output()).await;
    let output = output.expect("it ends").expect("it starts");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("text")
}
