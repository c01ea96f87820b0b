//! What the program says to somebody who is new to it and slips.

use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use super::{run, serve};
use crate::common::Program;
use crate::operating::{command, done, refused};

fn in_folder(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    command.current_dir(folder).args(words).kill_on_drop(true);
    command
}

fn errors(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn a_command_typed_in_the_wrong_folder_says_so_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for words in [
        &["backup", "copy"][..],
        &["migrate"],
        &["invite", "create"],
        &["block", "list"],
        &["storage", "test"],
        &["storage", "migrate", "settings.toml"],
    ] {
        let text = errors(&run(in_folder(folder.path(), words)).await);
        assert!(
            text.contains("there is no server's data in sottovoce-data"),
            "{text}"
        );
        assert!(text.contains("run `init`, or give --config"), "{text}");
    }
    let text = errors(&run(in_folder(folder.path(), &["restore", "nothere"])).await);
    assert!(text.contains("there is no folder nothere"), "{text}");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is made");
}

#[tokio::test]
async fn a_taken_port_is_blamed_on_the_setting_that_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = serve("127.0.0.1:0", folder.path());
    command.env("SOTTOVOCE_ADMIN__LISTEN", taken.local_addr().unwrap().to_string());
    let text = errors(&run(command).await);
    for words in ["for operators", "admin.listen", "SOTTOVOCE_ADMIN__LISTEN"] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    assert!(!text.contains("--listen"), "{text}");
}

#[tokio::test]
async fn the_doctor_only_looks_and_finds_a_port_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (data, taken) = (
        folder.path().join("data"),
        std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let doctor = async |listen: &str| {
        let mut command = in_folder(
            folder.path(),
            &["doctor", "--listen", listen, "--data-dir", "data"],
        );
        command.env("SOTTOVOCE_ADMIN__LISTEN", "127.0.0.1:0");
        let output = run(command).await;
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let address = taken.local_addr().unwrap().to_string();
    let (is_well, findings) = doctor(&address).await;
    assert!(!is_well && findings.contains("FAIL  ports"), "{findings}");
    drop(taken);
    assert!(!data.exists(), "nothing is made");
    let program = Program::start(&data).await;
    let (is_well, findings) = doctor(&program.address.to_string()).await;
    assert!(is_well, "its own port is no other program's: {findings}");
    program.kill().await;
    let blobs = data.join("blobs");
    std::fs::remove_dir_all(&blobs).unwrap();
    let (is_well, findings) = doctor("127.0.0.1:0").await;
    assert!(is_well, "{findings}");
    assert!(!blobs.exists(), "nothing is made: {findings}");
    std::fs::create_dir(&blobs).unwrap();
    let (is_well, findings) = doctor("127.0.0.1:0").await;
    assert!(is_well, "{findings}");
    let left = std::fs::read_dir(&blobs).unwrap().count();
    assert_eq!(left, 0, "what was tried out is gone");
}

#[tokio::test]
async fn the_way_to_an_invite_names_the_same_settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("our settings.toml");
    let path = path.to_str().unwrap();
    let data = folder.path().join("data");
    let mut init = in_folder(folder.path(), &["--config", path, "init", "--invite-uses", "3"]);
    init.args([
        "--server-name",
        "chat.example",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
    ])
    .arg(&data);
    let said = String::from_utf8(run(init).await.stdout).unwrap();
    let hint = format!("`sottovoce-server --config '{path}' invite create`");
    assert!(said.contains(&hint), "{hint} is not in\n{said}");
    assert!(said.contains("3 accounts and 7 days"), "{said}");
    let list = in_folder(folder.path(), &["--config", path, "invite", "list"]);
    let list = String::from_utf8(run(list).await.stdout).unwrap();
    let line = list.lines().find(|line| line.contains("the first")).unwrap();
    assert!(line.contains("in 7") || line.contains("in 6"), "it ends: {list}");
    let mut serve = in_folder(folder.path(), &["--config", path, "serve"]);
    serve
        .env("SOTTOVOCE_ADMIN__LISTEN", "127.0.0.1:0")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let program = Program::spawn(serve).await;
    assert!(program.announced.contains(&hint), "{}", program.announced);
    program.kill().await;
}

#[tokio::test]
async fn an_invite_is_taken_back_by_its_code_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Program::start(data).await.kill().await;
    assert_eq!(done(data, &["invite", "list"]).await, "none\n");
    let made = done(data, &["invite", "create", "--note", "for Ada"]).await;
    let code = made.lines().next().unwrap().to_uppercase();
    done(data, &["invite", "revoke", &code]).await;
    assert_eq!(done(data, &["invite", "list"]).await, "none\n");
    let again = refused(data, &["invite", "revoke", &code]).await;
    assert!(again.contains("no invite with that code"), "{again}");
    assert!(!again.to_uppercase().contains(&code), "{again}");
    let output = run(command(data, &["invite", "revoke", "Ada"])).await;
    let text = errors(&output);
    assert!(text.contains("`invite list` shows, nor its code"), "{text}");
}

#[tokio::test]
async fn a_block_is_read_back_as_it_was_typed_and_one_of_this_machine_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Program::start(data).await.kill().await;
    assert_eq!(done(data, &["block", "list"]).await, "none\n");
    for (prefix, is_here) in [("192.0.2.7", false), ("127.0.0.1", true), ("::/0", true)] {
        let output = run(command(data, &["block", "add", prefix])).await;
        assert!(output.status.success());
        let warned = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            warned.contains("this machine itself"),
            is_here,
            "{prefix}: {warned}"
        );
    }
    let list = done(data, &["block", "list"]).await;
    assert!(list.contains("192.0.2.7 ") && !list.contains("/32"), "{list}");
    // 0 stands for ever, as it does for an invite.
    done(data, &["block", "add", "192.0.2.8", "--for", "0"]).await;
    let list = done(data, &["block", "list"]).await;
    assert!(list.contains("192.0.2.8 "), "{list}");
    done(data, &["block", "remove", "192.0.2.7"]).await;
    let again = refused(data, &["block", "remove", "192.0.2.7"]).await;
    assert!(again.contains("192.0.2.7 is not blocked"), "{again}");
    let slip = refused(data, &["block", "add", "192.0.2.7/24"]).await;
    assert!(slip.contains("did you mean 192.0.2.0/24?"), "{slip}");
}

#[tokio::test]
async fn what_is_mistyped_is_answered_with_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let text = errors(&run(in_folder(folder.path(), &["serve", "--listen", "7443"])).await);
    assert!(text.contains("127.0.0.1:7443"), "{text}");
    let mut serve = in_folder(folder.path(), &["serve"]);
    serve.env("SOTTOVOCE_TLS_CERT", "certificate.pem");
    let text = errors(&run(serve).await);
    assert!(
        text.contains("did you mean `SOTTOVOCE_TLS__CERTIFICATE`?"),
        "{text}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_running_server_has_done_or_forbids_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::start(&data).await;
    let text = refused(&data, &["migrate"]).await;
    assert!(
        text.contains("has brought the database up to date at its start"),
        "{text}"
    );
    assert!(!text.contains("--data-dir"), "{text}");
    program.kill().await;
    done(&data, &["migrate"]).await;
}

#[tokio::test]
async fn who_tried_it_out_before_naming_it_is_told_how_to_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("sottovoce-data");
    Program::start(&data).await.kill().await;
    let init = ["init", "--server-name", "chat.example"];
    let text = errors(&run(in_folder(folder.path(), &init)).await);
    for words in ["first opened for localhost", "--server-name", "--data-dir"] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    let mut elsewhere = in_folder(folder.path(), &init);
    elsewhere.args(["--data-dir", "ours"]);
    assert!(run(elsewhere).await.status.success());
}
