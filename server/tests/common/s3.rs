//! A server that speaks S3, as a process of its own: `s3s-fs`, whose buckets are folders.

#![allow(dead_code, reason = "each user takes its part")]

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Where `scripts/with-services` says that the program is.
const PROGRAM: &str = "SOTTOVOCE_TEST_S3FS";

pub(crate) const BUCKET: &str = "attachments";
pub(crate) const ACCESS_KEY: &str = "test-access-key";
pub(crate) const SECRET_KEY: &str = "test-secret-key";

/// Running on a free port, with one empty bucket. Killed when dropped.
pub(crate) struct S3Server {
    pub(crate) endpoint: String,
    folder: TempDir,
    child: Child,
}

impl S3Server {
    pub(crate) async fn start() -> Self {
        let program = std::env::var_os(PROGRAM).unwrap_or_else(|| {
            panic!("{PROGRAM} is not set: run the tests with `scripts/with-services cargo test …`")
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut child = Command::new(&program)
            .args(["--host", "127.0.0.1", "--port", "0"])
            .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
            .arg(folder.path())
            .env("RUST_LOG", "s3s_fs=info")
            .kill_on_drop(true)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let endpoint = loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("it says where it listens");
            if let Some((_, rest)) = line.split_once("http://") {
                break format!("http://{}", rest.split_whitespace().next().unwrap());
            }
        };
        // Somebody must read what it goes on to say.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            endpoint,
            folder,
            child,
        }
    }

    /// The folder that is the bucket.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}
