//! Registering where an operator's invite is wanted: with the code that the server's own program prints.
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

use common::{RunningServer, address};
use sottovoce::{Client, ErrorReason, RegisterError, Registration, ServerInfo};
use tokio::process::Command;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("invite") {
        return sottovoce_server::command_line();
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(a_printed_invite_lets_in_as_many_as_it_says());
    println!("test a_printed_invite_lets_in_as_many_as_it_says ... ok");
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

async fn a_printed_invite_lets_in_as_many_as_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = sottovoce_server::Config {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        registration: sottovoce_server::Registration::Invite,
        ..Default::default()
    };
    let server = RunningServer::start_as(folder.path(), config).await;
    let config = |name: &str| server.config(folder.path(), name);
    let info = ServerInfo::of(&config("nobody")).await.expect("it answers");
    assert_eq!(info.registration, Registration::Invite);

    let invite = printed_invite(&folder.path().join("server")).await;
    let alice = address("alice");
    let without = Client::register(config("alice"), &alice).await;
    assert!(
        matches!(without, Err(RegisterError::InviteInvalid)),
        "{without:?}"
    );
    let wrong = Client::register_invited(config("alice"), &alice, "0000-0000").await;
    assert!(matches!(wrong, Err(RegisterError::InviteInvalid)), "{wrong:?}");
    // It goes on with the same keys, as written by hand.
    let by_hand = invite.to_uppercase();
    let (client, _events) = Client::register_invited(config("alice"), &alice, &by_hand)
        .await
        .expect("the invite is good");
    client.caught_up().await.expect("the client runs");
    let used = Client::register_invited(config("bob"), &address("bob"), &invite).await;
    assert!(matches!(used, Err(RegisterError::InviteInvalid)), "{used:?}");
    let another = printed_invite(&folder.path().join("server")).await;
    assert_ne!(another, invite);
    let taken = Client::register_invited(config("second"), &alice, &another).await;
    assert!(
        matches!(taken, Err(RegisterError::AddressTaken)),
        "{taken:?} and not {:?}",
        ErrorReason::InviteInvalid
    );
    // What is refused uses none.
    Client::register_invited(config("bob"), &address("bob"), &another)
        .await
        .expect("the invite is good");
}
