//! A server keeps its name: every account has signed that it is of it.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::common::{Clients, Device, Look, Program};
use crate::operating::{command, done, refused};
use crate::upgrading::{at_version, insert_account};

const OTHER: [&str; 2] = ["--server-name", "other.example"];

/// A command under another name.
fn as_other<'a>(words: &[&'a str]) -> Vec<&'a str> {
    words.iter().chain(&OTHER).copied().collect()
}

/// Has the server started under another name, which it does not outlive.
async fn refused_as_other(data: &Path) -> String {
    refused(data, &as_other(&["serve", "--listen", "127.0.0.1:0"])).await
}

async fn run(data: &Path, words: &[&str]) -> Output {
    let output = command(data, words).stdin(Stdio::null()).output();
    tokio::time::timeout(Duration::from_secs(30), output)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn a_database_with_accounts_is_not_opened_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let program = Program::start(&data).await;
    let alice = Device::named("alice");
    alice.join(&Clients::connect(program.address).await).await;
    // While the server runs, a command for another does not copy it.
    let backup = refused(&data, &as_other(&["backup", &at("backup")])).await;
    assert!(backup.contains("name@localhost"), "{backup}");
    program.kill().await;

    let serve = refused_as_other(&data).await;
    for words in ["name@localhost", "name@other.example", "--server-name"] {
        assert!(serve.contains(words), "{words:?} is not in\n{serve}");
    }
    for words in [
        &["invite", "create"][..],
        &["migrate"],
        &["backup", &at("backup")],
        &["--config", &at("settings.toml"), "init"],
    ] {
        let text = refused(&data, &as_other(words)).await;
        assert!(text.contains("called name@localhost"), "{words:?}: {text}");
    }
    assert!(!folder.path().join("backup").exists() && !folder.path().join("settings.toml").exists());
    let doctor = run(&data, &as_other(&["doctor", "--listen", "127.0.0.1:0"])).await;
    let findings = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(1));
    assert!(findings.contains("FAIL  server name"), "{findings}");
    let doctor = run(&data, &["doctor", "--listen", "127.0.0.1:0"]).await;
    let findings = String::from_utf8(doctor.stdout).unwrap();
    assert!(!findings.contains("FAIL  server name"), "{findings}");

    let program = Program::start(&data).await;
    alice.sign_in(&Clients::connect(program.address).await).await;
    program.kill().await;
}

#[tokio::test]
async fn a_backup_keeps_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup, other) = (
        folder.path().join("data"),
        folder.path().join("backup"),
        folder.path().join("other"),
    );
    Program::start(&data).await.kill().await;
    done(&data, &["backup", backup.to_str().unwrap()]).await;
    let restore = ["restore", backup.to_str().unwrap()];
    let text = refused(&other, &as_other(&restore)).await;
    assert!(
        text.contains("of localhost") && text.contains("name another server"),
        "{text}"
    );
    done(&other, &restore).await;
    let serve = refused_as_other(&other).await;
    assert!(serve.contains("name@localhost"), "{serve}");
    Program::start(&other).await.kill().await;
}

#[tokio::test]
async fn a_database_of_before_takes_the_name_its_accounts_have_or_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let (used, unused) = (folder.path().join("used"), folder.path().join("unused"));
    let database = at_version(&used, 8).await;
    let mut look = Look::into(&database).await;
    insert_account(&mut look, &Device::named("alice")).await;
    look.close().await;
    assert!(refused_as_other(&used).await.contains("name@localhost"));
    Program::start(&used).await.kill().await;

    at_version(&unused, 8).await;
    // Only its tables are brought up to date: whose it is says who first serves.
    done(&unused, &as_other(&["migrate"])).await;
    Program::start(&unused).await.kill().await;
    assert!(refused_as_other(&unused).await.contains("name@localhost"));
}

#[tokio::test]
async fn tables_of_another_server_are_not_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::start(&data).await;
    program.kill().await;
    let mut look = Look::into(&data.join("sottovoce.db")).await;
    let applied = "SELECT CAST(COUNT(*) AS TEXT) FROM _sqlx_migrations";
    // As a database of before the newest tables is, which needs them.
    look.execute("DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)")
        .await;
    let before = look.texts(applied).await;
    look.close().await;
    assert!(refused_as_other(&data).await.contains("name@localhost"));
    let mut look = Look::into(&data.join("sottovoce.db")).await;
    assert_eq!(look.texts(applied).await, before);
    look.close().await;
}
