//! How it starts, what it is told, and what it is built of.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::{run, serve};
use crate::common::Program;

#[cfg(unix)]
#[tokio::test]
async fn it_starts_with_nothing_but_a_working_directory_and_says_what_it_did() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    command
        .arg("serve")
        // A free port; the default one may be taken on the machine that runs this.
        .env("SOTTOVOCE_LISTEN", "127.0.0.1:0")
        .current_dir(folder.path())
        .kill_on_drop(true)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let program = Program::spawn(command).await;
    let data = folder.path().canonicalize().unwrap().join("sottovoce-data");
    for words in [
        "Sottovoce server",
        "is ready",
        &format!("http://{}", program.address),
        "not encrypted",
        "name@localhost",
        &data.display().to_string(),
        "sottovoce.db",
        "new, made just now",
        "Ctrl-C",
    ] {
        assert!(
            program.announced.contains(words),
            "{words:?} is not in:\n{}",
            program.announced
        );
    }
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in [
        "sottovoce.db",
        "sottovoce.db-wal",
        "sottovoce.db-shm",
        "sottovoce.lock",
    ] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    program.kill().await;
}

#[tokio::test]
async fn it_refuses_to_speak_plaintext_to_a_network_unless_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = run(serve("0.0.0.0:0", &data)).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("does not encrypt connections"), "{text}");
    assert!(text.contains("--insecure-allow-plaintext-network"), "{text}");
    assert!(!data.exists(), "a refused start leaves nothing behind");
    let mut command = serve("0.0.0.0:0", &data);
    command.env("SOTTOVOCE_INSECURE_ALLOW_PLAINTEXT_NETWORK", "true");
    let program = Program::spawn(command).await;
    assert!(
        program.announced.contains("OTHER MACHINES CAN REACH IT"),
        "{}",
        program.announced
    );
    program.kill().await;
}

#[tokio::test]
async fn the_command_line_wins_over_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve("127.0.0.1:0", folder.path());
    command.env("SOTTOVOCE_LISTEN", "0.0.0.0:0");
    Program::spawn(command).await.kill().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_exists_keeps_its_permissions_and_the_files_in_it_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    Program::start(folder.path()).await.kill().await;
    assert_eq!(mode(folder.path()), 0o755);
    assert_eq!(mode(&folder.path().join("sottovoce.db")), 0o600);
}

#[tokio::test]
async fn it_says_plainly_that_a_port_or_a_folder_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder.path().join("one")).await;
    let port = run(serve(&program.address.to_string(), &folder.path().join("two"))).await;
    assert_eq!(port.status.code(), Some(1));
    let text = String::from_utf8(port.stderr).unwrap();
    assert!(
        text.contains("Another program, perhaps another Sottovoce server, has that port"),
        "{text}"
    );
    let data = run(serve("127.0.0.1:0", &folder.path().join("one"))).await;
    assert_eq!(data.status.code(), Some(1));
    let text = String::from_utf8(data.stderr).unwrap();
    assert!(text.contains("another server is using the data folder"), "{text}");
    program.kill().await;
}

#[tokio::test]
async fn the_manual_has_every_option_and_its_variable() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    command.args(["serve", "--help"]);
    let help = String::from_utf8(run(command).await.stdout).unwrap();
    let manual = include_str!("../../OPERATING.md");
    let words = |start: &'static str| {
        help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
            .filter(move |word| word.starts_with(start))
    };
    let named: Vec<_> = words("--")
        .chain(words("SOTTOVOCE_"))
        .filter(|word| *word != "--help")
        .collect();
    assert!(named.len() >= 10, "{named:?}");
    for word in named {
        assert!(
            manual.contains(&format!("`{word}")),
            "{word} is not in the manual"
        );
    }
}

#[tokio::test]
async fn the_server_is_built_without_the_cryptography_that_could_read() {
    let mut command = Command::new(env!("CARGO"));
    command
        .args([
            "tree",
            "-p",
            "sottovoce-server",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let tree = String::from_utf8(run(command).await.stdout).unwrap();
    let has = |name: &str| tree.lines().any(|line| line.starts_with(&format!("{name} ")));
    assert!(has("sottovoce-statements"), "{tree}");
    for name in [
        "sottovoce-crypto",
        "sottovoce-engine",
        "x25519-dalek",
        "chacha20poly1305",
    ] {
        assert!(!has(name), "{name} is in the server's tree");
    }
}
