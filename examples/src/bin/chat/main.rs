//! A chat for two terminals and a running server.
//!
//! ```text
//! sottovoce-server serve
//! chat --as alice@localhost --with bob@localhost
//! chat --as bob@localhost --with alice@localhost
//! ```
//!
//! The first start registers the address, with `--invite CODE` where the server wants an invite. Keys and
//! unsent messages are kept in `<address>.db`, sealed with the passphrase asked for.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what a chat does"
)]

mod passphrase;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sottovoce::{
    Address, Client, Config, Event, EventKind, Events, OpenError, RegisterError, SendFailure, Status,
    StoreKey, Unreadable,
};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Chat, end to end encrypted, through a Sottovoce server.
///
/// Your keys and unsent messages are sealed with a passphrase: it is asked for on the terminal, or, where
/// there is none, taken from the variable SOTTOVOCE_PASSPHRASE.
#[derive(Parser)]
struct Arguments {
    /// Your address, name@server. Registered if this store is new.
    #[arg(long = "as", value_parser = Address::parse)]
    me: Address,
    /// Whom to chat with.
    #[arg(long, value_parser = Address::parse)]
    with: Address,
    /// The server's URL: https://host:port, or plain http on this machine.
    #[arg(long, default_value = "http://127.0.0.1:7443")]
    server: String,
    /// The invite for your first start, where the server wants one. Its operator makes it with
    /// `sottovoce-server invite create`.
    #[arg(long, value_name = "CODE")]
    invite: Option<String>,
    /// The file for your keys and unsent messages. Default: your address, and .db
    #[arg(long)]
    store: Option<PathBuf>,
}

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    match chat(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn chat(arguments: Arguments) -> Fallible<()> {
    let store = arguments
        .store
        .unwrap_or_else(|| PathBuf::from(format!("{}.db", arguments.me)));
    let passphrase = passphrase::ask()?;
    let config = || Config {
        server: arguments.server.clone(),
        roots: None,
        store: store.clone(),
        key: StoreKey::passphrase(&passphrase),
        streaming: sottovoce::Streaming::default(),
    };
    let (client, mut events) = match Client::open(config()).await {
        Err(OpenError::NoAccount) => register(config(), &arguments.me, arguments.invite.as_deref()).await?,
        opened => opened?,
    };
    if *client.address() != arguments.me {
        return Err(format!("{} holds the account {}", store.display(), client.address()).into());
    }
    println!(
        "You are {}. Write a line to send it to {}; Ctrl-D ends.",
        client.address(),
        arguments.with
    );
    talk(&client, &mut events, &arguments.with).await?;
    client.close().await;
    Ok(())
}

async fn register(config: Config, me: &Address, invite: Option<&str>) -> Fallible<(Client, Events)> {
    let registered = match invite {
        Some(code) => Client::register_invited(config, me, code).await,
        None => Client::register(config, me).await,
    };
    registered.map_err(|error| match (error, invite) {
        (RegisterError::InviteInvalid, None) => {
            "this server takes new accounts by invite: ask its operator for one, and add --invite CODE".into()
        }
        (RegisterError::InviteInvalid, Some(_)) => {
            "this invite is unknown, used up or expired: ask the server's operator for another".into()
        }
        (error, _) => error.into(),
    })
}

async fn talk(client: &Client, events: &mut Events, with: &Address) -> Fallible<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut status = client.status();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) if line.trim().is_empty() => {}
                Some(line) => {
                    if let Err(error) = client.send_text(with, &line).await {
                        println!("  ! not sent: {error}");
                    }
                }
                None => return Ok(()),
            },
            event = events.next() => match event {
                Some(event) => {
                    show(&event);
                    client.acknowledge(event.id).await?;
                }
                None => return Err("the client has stopped: its store failed".into()),
            },
            changed = status.changed() => {
                changed?;
                match *status.borrow_and_update() {
                    Status::Offline => println!("  . offline: what you write is kept and sent later"),
                    Status::CaughtUp => println!("  . connected"),
                    Status::Displaced => return Err("another client uses a copy of this store".into()),
                    Status::Revoked => return Err("this device is not on its account any more".into()),
                    Status::Blocked | Status::DeviceBlocked => println!("  . blocked by the operator"),
                    Status::RateLimited(wait) | Status::Throttled(wait) => {
                        println!("  . too fast for the server: goes on in {} s", wait.as_secs());
                    }
                    _ => {}
                }
            }
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

fn show(event: &Event) {
    match &event.kind {
        EventKind::MessageReceived(message) => {
            let late = if message.late { " (late)" } else { "" };
            let text = message.text().unwrap_or("[something this version cannot show]");
            println!("{}{late}: {}", message.from, printable(text));
        }
        EventKind::MessageSent { .. } => println!("  ✓"),
        EventKind::MessageFailed { to, reason, .. } => {
            let why = match reason {
                SendFailure::NoSuchAccount => "there is no such account",
                SendFailure::RecipientNotVerified => "the server's word on its devices does not verify",
                SendFailure::Downgraded => "the server withholds the keys that withstand a quantum computer",
                _ => "the server refuses it",
            };
            println!("  ! not sent to {to}: {why}");
        }
        EventKind::MessagesMissing { from, count, .. } => {
            println!("  ! {count} earlier messages from {from} have not come");
        }
        EventKind::Unreadable { from, reason } => {
            let why = match reason {
                Unreadable::Malformed => "it is malformed",
                Unreadable::UnknownDevice => "its device is not on their account",
                Unreadable::KeyNotAccepted => "its account key is not accepted",
                Unreadable::Downgraded => "it would not withstand a quantum computer",
                _ => "it is not authentic",
            };
            println!(
                "  ! something said to be from {} was thrown away: {why}",
                printable(from)
            );
        }
        EventKind::AccountKeyChanged { address, account_key } => {
            println!("  ! {address} has another account key now: {account_key:?}");
            println!(
                "    Nothing is sent there until that is accepted or rejected, which this example does not do."
            );
        }
        EventKind::ManifestConflict { address } => {
            println!("  ! the server contradicts itself about the devices of {address}");
        }
        EventKind::ManifestDisputed { address, by } => {
            println!("  ! {by} has seen other devices of {address} than this server shows");
        }
        other => println!("  . {other:?}"),
    }
}

/// Without control characters, which could rewrite what stands on the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
