//! `invite`, `block`, `device`: orders to a server, through its socket while it runs, on its database
//! while it does not.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::options::Options;
use super::out::say;
use crate::clock::{millis, now_ms, span};
use crate::config::{Config, ConfigError, Database, duration};
use crate::error::StartError;
use crate::hints::Outbox;
use crate::hub::Hub;
use crate::orders::{Answer, Order, Refused, carry_out};
use crate::store::Store;

#[derive(Clone, Debug, Subcommand)]
pub(super) enum InviteCommand {
    /// Make an invite and show its code, which is shown this once
    Create {
        /// How many accounts may be made with it
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How long it is good for: 12h, 7d; 0 for ever
        #[arg(long, default_value = "7d", value_parser = duration)]
        expires: Duration,
        /// For whom; shown in the list
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Show the invites that are good still, without their codes
    List,
    /// Take an invite back
    Revoke {
        /// Its number in the list
        number: u64,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum BlockCommand {
    /// Serve nobody at an address or prefix: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32
    Add {
        prefix: String,
        /// How long: 1h, 7d; for ever when not said
        #[arg(long, value_parser = duration)]
        r#for: Option<Duration>,
        /// Why; shown in the list
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Show who is blocked
    List,
    /// Serve them again
    Remove { prefix: String },
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum DeviceCommand {
    /// Show the devices of an account
    List {
        /// name@server
        address: String,
    },
    /// Sign a device out: its tokens and streams end, and it has to sign in again. Taking a lost device
    /// out of its account is for the account's owner
    Revoke {
        /// The id of the device, from the list
        device: String,
    },
    /// Shut a device out: its sessions and streams end, and it does not sign in any more
    Block {
        /// The id of the device, from the list
        device: String,
    },
    /// Let a device in again that was shut out
    Unblock {
        /// The id of the device, from the list
        device: String,
    },
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("the settings cannot be used")]
    Config(#[from] ConfigError),
    #[error("no server was set up in {}", .0.display())]
    NoServer(PathBuf),
    #[error("the server that runs here cannot be asked")]
    Ask(#[source] io::Error),
    #[error("the database cannot be opened")]
    Open(#[from] StartError),
    #[error("it was not done")]
    Refused(#[from] Refused),
    #[error("there is no such thing")]
    NotFound,
}

pub(super) async fn invite(options: &Options, command: InviteCommand) -> Result<ExitCode, OrderError> {
    let order = match command {
        InviteCommand::Create { uses, expires, note } => Order::CreateInvite {
            uses,
            expires_at_ms: (!expires.is_zero()).then(|| now_ms().saturating_add(millis(expires))),
            note,
        },
        InviteCommand::List => Order::ListInvites,
        InviteCommand::Revoke { number } => Order::RevokeInvite { number },
    };
    give_and_tell(options, order).await
}

pub(super) async fn block(options: &Options, command: BlockCommand) -> Result<ExitCode, OrderError> {
    let order = match command {
        BlockCommand::Add { prefix, r#for, note } => Order::Block {
            prefix,
            until_ms: r#for.map(|time| now_ms().saturating_add(millis(time))),
            note,
        },
        BlockCommand::List => Order::ListBlocks,
        BlockCommand::Remove { prefix } => Order::Unblock { prefix },
    };
    give_and_tell(options, order).await
}

pub(super) async fn device(options: &Options, command: DeviceCommand) -> Result<ExitCode, OrderError> {
    let order = match command {
        DeviceCommand::List { address } => Order::ListDevices { address },
        DeviceCommand::Revoke { device } => Order::SignOut { device },
        DeviceCommand::Block { device } => Order::ShutOut {
            device,
            blocked: true,
        },
        DeviceCommand::Unblock { device } => Order::ShutOut {
            device,
            blocked: false,
        },
    };
    give_and_tell(options, order).await
}

async fn give_and_tell(options: &Options, order: Order) -> Result<ExitCode, OrderError> {
    let config = options.sources().load()?;
    match give(&config, order).await? {
        Answer::Refused(refused) => Err(refused.into()),
        Answer::NotFound => Err(OrderError::NotFound),
        answer => {
            say(&told(&answer));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// To the server where it runs, else to the database itself.
pub(super) async fn give(config: &Config, order: Order) -> Result<Answer, OrderError> {
    #[cfg(unix)]
    if let Some(answer) = crate::orders::ask(&config.data_dir, &order)
        .await
        .map_err(OrderError::Ask)?
    {
        return Ok(answer);
    }
    let is_set_up = config.data_dir.join(crate::store::DATABASE_FILE).exists();
    if matches!(config.database, Database::Sqlite) && !is_set_up {
        return Err(OrderError::NoServer(config.data_dir.clone()));
    }
    let store = open(config).await?;
    let answer = carry_out(&store, order).await;
    store.close().await;
    Ok(answer)
}

/// The database, for a command that does its work and ends.
pub(super) async fn open(config: &Config) -> Result<Store, StartError> {
    let hub = Hub::new(0, Outbox::nowhere());
    Store::open(&config.data_dir, &config.database, &config.limits, hub).await
}

fn told(answer: &Answer) -> String {
    match answer {
        Answer::Done => "Done.\n".to_owned(),
        Answer::NotFound | Answer::Refused(_) => String::new(),
        Answer::Invite { number, code } => {
            format!(
                "{code}\n\nInvite {number}. Its code is shown this once: the server keeps a hash of it.\n"
            )
        }
        Answer::Invites(invites) => table(
            &["number", "uses left", "expires", "made", "note"],
            invites.iter().map(|invite| {
                [
                    invite.number.to_string(),
                    invite.uses_left.to_string(),
                    until(invite.expires_at_ms),
                    since(invite.created_at_ms),
                    invite.note.clone(),
                ]
            }),
        ),
        Answer::Blocks(blocks) => table(
            &["prefix", "ends", "made", "note"],
            blocks.iter().map(|block| {
                [
                    block.prefix.clone(),
                    until(block.until_ms),
                    since(block.created_at_ms),
                    block.note.clone(),
                ]
            }),
        ),
        Answer::Devices(devices) => table(
            &["device", "waiting", "bytes", "sessions", "blocked"],
            devices.iter().map(|device| {
                [
                    device.id.clone(),
                    device.waiting_messages.to_string(),
                    device.waiting_bytes.to_string(),
                    device.sessions.to_string(),
                    if device.blocked { "yes" } else { "no" }.to_owned(),
                ]
            }),
        ),
    }
}

fn until(at_ms: Option<u64>) -> String {
    match at_ms.map(|at_ms| at_ms.saturating_sub(now_ms())) {
        None => "never".to_owned(),
        Some(0) => "over".to_owned(),
        Some(left) => format!("in {}", span(Duration::from_millis(left).as_secs_f64())),
    }
}

fn since(at_ms: u64) -> String {
    let passed = Duration::from_millis(now_ms().saturating_sub(at_ms));
    format!("{} ago", span(passed.as_secs_f64()))
}

/// Columns as wide as they need to be.
fn table<const N: usize>(heads: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(rows);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &lines {
        let cells = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let joined = cells.collect::<Vec<_>>().join("  ");
        text.push_str(joined.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_what_is_in_it() {
        let rows = [
            ["1".to_owned(), "for Ada".to_owned()],
            ["12".to_owned(), String::new()],
        ];
        assert_eq!(
            table(&["number", "note"], rows.into_iter()),
            "number  note\n1       for Ada\n12\n"
        );
    }
}
