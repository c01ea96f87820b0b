//! The commands that set a server up, look at it, and copy it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::run;
use crate::blobs;
use crate::common::{Clients, Device, Program};
use crate::operating::{done, refused, start};

/// A folder and all below it.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned() {
        let entries = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        folders.extend(entries.filter(|path| path.is_dir()));
        next += 1;
    }
    assert!(folders.len() > 2, "there are attachments in it");
    folders
}

fn with_config(config: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    command.arg("--config").arg(config).args(words).kill_on_drop(true);
    command
}

#[tokio::test]
async fn a_server_is_set_up_looked_at_and_served() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("settings.toml"), folder.path().join("data"));
    let mut init = with_config(
        &config,
        &["init", "--server-name", "chat.example", "--listen", "127.0.0.1:0"],
    );
    init.arg("--data-dir").arg(&data);
    let output = run(init).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let code = said
        .lines()
        .find_map(|line| line.strip_prefix("First invite   "))
        .unwrap();
    assert_eq!(code.len(), 23, "{said}");
    assert_eq!(config.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let again = run(with_config(&config, &["init"])).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));

    let mut doctor = with_config(&config, &["doctor"]);
    // A free port; the one in the file may be taken on the machine that runs this.
    doctor.env("SOTTOVOCE_ADMIN__LISTEN", "127.0.0.1:0");
    let doctor = run(doctor).await;
    let findings = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.status.success(), "{findings}");
    for what in [
        "settings",
        "server name",
        "listen",
        "ports",
        "clock",
        "open files",
        "data folder",
        "disk",
        "database",
        "attachments",
    ] {
        assert!(
            findings.contains(&format!("  {what}")),
            "{what} is not in\n{findings}"
        );
    }
    assert!(!findings.contains("FAIL"), "{findings}");

    let mut serve = with_config(&config, &["serve"]);
    serve
        .env("SOTTOVOCE_ADMIN__LISTEN", "127.0.0.1:0")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let program = Program::spawn(serve).await;
    assert!(
        program.announced.contains("name@chat.example"),
        "{}",
        program.announced
    );
    assert!(program.announced.contains("by invite"), "{}", program.announced);
    program.kill().await;
}

#[tokio::test]
async fn the_doctor_fails_where_the_server_should_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut doctor = with_config(&folder.path().join("no-such-file"), &["doctor"]);
    let output = run(doctor).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("cannot be read"));
    doctor = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    doctor
        .args(["doctor", "--listen", "0.0.0.0:7443", "--data-dir"])
        .arg(folder.path().join("data"))
        .env("SOTTOVOCE_NATS", "nats://127.0.0.1:1")
        .env(
            "SOTTOVOCE_DATABASE",
            "postgres://somebody:hunter2@127.0.0.1:1/nothing",
        );
    let output = run(doctor).await;
    let findings = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for line in ["FAIL  listen", "FAIL  database", "warn  nats"] {
        assert!(findings.contains(line), "{line:?} is not in\n{findings}");
    }
    assert!(!findings.contains("hunter2"), "{findings}");
}

#[tokio::test]
async fn a_setting_that_is_none_stops_it_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("settings.toml");
    std::fs::write(&config, "[limits]\nmax_steams = 5\n").unwrap();
    let output = run(with_config(&config, &["serve"])).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    for words in [
        "limits.max_steams",
        "settings.toml",
        "did you mean `max_streams`?",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_backup_made_while_it_runs_is_a_server_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (data, backup) = (at("data"), at("backup"));
    let (program, _) = start(&data, |_| {}).await;
    let clients = Clients::connect(program.address).await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let token = alice.join(&clients).await;
    bob.join(&clients).await;
    Device::send_numbers(&clients, &token, &bob, 1..=20).await;
    let attachment = blobs::content(1024 * 1024 + 9, 1);
    let blob = blobs::Person::known(&clients, &token)
        .put(1, &attachment)
        .await
        .unwrap();
    done(&data, &["backup", backup.to_str().unwrap()]).await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&backup), 0o700);
    assert_eq!(mode(&backup.join("sottovoce.db")), 0o600);
    assert_eq!(mode(&backup.join("blobs")), 0o700);
    assert!(
        refused(&data, &["backup", backup.to_str().unwrap()])
            .await
            .contains("cannot be made")
    );
    // Into the folder of a running server it does not go back.
    assert!(
        refused(&data, &["restore", backup.to_str().unwrap()])
            .await
            .contains("stop it first")
    );
    let forced = refused(&data, &["restore", "--force", backup.to_str().unwrap()]).await;
    assert!(forced.contains("a server runs here"), "{forced}");
    program.kill().await;

    let other = at("other");
    done(&other, &["restore", backup.to_str().unwrap()]).await;
    let devices = done(&other, &["device", "list", "bob@localhost"]).await;
    let row = devices
        .lines()
        .find(|line| line.starts_with(&bob.id.to_string()))
        .unwrap();
    assert_eq!(row.split_whitespace().nth(1), Some("20"), "{devices}");
    for folder in folders_in(&other.join("blobs")) {
        let mode = folder.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", folder.display());
    }
    let (program, _) = start(&other, |_| {}).await;
    let elsewhere = Clients::connect(program.address).await;
    assert!(blobs::read(&elsewhere, &blob, 0, 0).await.unwrap() == attachment);
    program.kill().await;
    done(&data, &["restore", "--force", backup.to_str().unwrap()]).await;
    let (program, _) = start(&data, |_| {}).await;
    alice.sign_in(&Clients::connect(program.address).await).await;
    program.kill().await;

    let part = blobs::parts_in(&backup.join("blobs")).remove(1);
    let whole = std::fs::read(&part).unwrap();
    let mut bytes = whole.clone();
    bytes[3] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let damaged = refused(&at("third"), &["restore", backup.to_str().unwrap()]).await;
    assert!(damaged.contains("/00000001 is damaged"), "{damaged}");
    assert!(!at("third").exists(), "nothing is touched before all is checked");
    std::fs::write(&part, whole).unwrap();
    let database = backup.join("sottovoce.db");
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[5_000] ^= 1;
    std::fs::write(&database, bytes).unwrap();
    let damaged = refused(&at("third"), &["restore", backup.to_str().unwrap()]).await;
    assert!(damaged.contains("sottovoce.db is damaged"), "{damaged}");
    assert!(!at("third").exists(), "nothing is touched before all is checked");
    assert!(
        refused(&at("third"), &["restore", data.to_str().unwrap()])
            .await
            .contains("is no backup")
    );
}

#[tokio::test]
async fn a_command_does_not_make_a_server_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(
        refused(&data, &["invite", "list"])
            .await
            .contains("there is no server's data in")
    );
    assert!(!data.exists());
    Program::start(&data).await.kill().await;
    done(&data, &["migrate"]).await;
    done(&data, &["invite", "list"]).await;
    done(&data, &["storage", "test"]).await;
}
