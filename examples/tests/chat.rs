//! The chat as two people use it: two processes, one server, words typed and read.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{Chat, command, refusal};
use sottovoce_server::{Config, Server};

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

#[tokio::test]
async fn who_has_no_terminal_is_told_of_the_variable() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut chat = command(folder.path(), "http://127.0.0.1:1", "alice", "bob");
    let said = refusal(&mut chat).await;
    assert!(
        said.contains("no terminal") && said.contains("SOTTOVOCE_PASSPHRASE"),
        "{said}"
    );
    let help = command(folder.path(), "http://127.0.0.1:1", "alice", "bob")
        .arg("--help")
        .output()
        .await;
    let help = String::from_utf8(help.expect("it starts").stdout).expect("text");
    assert!(
        help.contains("SOTTOVOCE_PASSPHRASE") && help.contains("--invite"),
        "{help}"
    );
}
