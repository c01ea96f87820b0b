//! A chat at a server whose operator invites: with the code that the server's own program prints.
//!
//! This program is that program too, when it is started with the words `invite create`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing test is supposed to stop there, and says that it did not"
)]

mod common;

use std::path::Path;
use std::process::ExitCode;

use common::{Chat, command, refusal};
use sottovoce_server::{Config, Registration, Server};
use tokio::process::Command;

const PASSPHRASE: (&str, &str) = ("SOTTOVOCE_PASSPHRASE", "a passphrase of this test");

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("invite") {
        return sottovoce_server::command_line();
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(who_is_invited_chats_and_who_is_not_is_told_how());
    println!("test who_is_invited_chats_and_who_is_not_is_told_how ... ok");
    ExitCode::SUCCESS
}

/// The code of a new invite, good for one account, as an operator copies it from the terminal.
async fn printed_invite(data_dir: &Path) -> String {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["invite", "create", "--data-dir"])
        .arg(data_dir)
        .output()
        .await
        .expect("it runs");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{printed}");
    printed.lines().next().expect("a first line").to_owned()
}

async fn who_is_invited_chats_and_who_is_not_is_told_how() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("server");
    let server = Server::bind(Config {
        data_dir: data.clone(),
        listen: "127.0.0.1:0".parse().expect("an address"),
        registration: Registration::Invite,
        ..Config::default()
    })
    .await
    .expect("the server starts");
    let url = format!("http://{}", server.local_addr());
    tokio::spawn(server.serve(std::future::pending()));

    let mut uninvited = command(folder.path(), &url, "alice", "bob");
    let said = refusal(uninvited.env(PASSPHRASE.0, PASSPHRASE.1)).await;
    assert!(said.contains("--invite CODE"), "{said}");
    let mut wrong = command(folder.path(), &url, "alice", "bob");
    wrong
        .args(["--invite", "0000-0000"])
        .env(PASSPHRASE.0, PASSPHRASE.1);
    let said = refusal(&mut wrong).await;
    assert!(said.contains("unknown, used up or expired"), "{said}");

    let mut chats = Vec::new();
    for (me, with) in [("alice", "bob"), ("bob", "alice")] {
        let invite = printed_invite(&data).await;
        let mut chat = Chat::start_with(folder.path(), &url, me, with, &["--invite", &invite]);
        chat.shows("  . connected").await;
        chats.push(chat);
    }
    let [alice, bob] = chats.as_mut_slice() else {
        panic!("two of them")
    };
    alice.write("Invited!").await;
    bob.shows("alice@localhost: Invited!").await;
    for chat in chats {
        chat.end().await;
    }
    // Who is registered needs no invite any more.
    let mut alice = Chat::start(folder.path(), &url, "alice", "bob");
    alice.shows("  . connected").await;
    alice.end().await;
}
