//! `invite`, `block`, `device`: orders to a server, through its socket while it runs, on its database
//! while it does not.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::answers::told;
use super::options::Options;
use super::out::{complain, say};
use super::present::{self, Absent};
use crate::clock::{millis, now_ms};
use crate::config::{Config, ConfigError, duration};
use crate::error::StartError;
use crate::hints::Outbox;
use crate::hub::Hub;
use crate::orders::{Answer, Order, Refused, carry_out};
use crate::prefix::AddressPrefix;
use crate::store::{Store, WhichInvite};

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
        /// Its number in the list, or its code
        #[arg(value_parser = WhichInvite::parse)]
        invite: WhichInvite,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum BlockCommand {
    /// Serve nobody at an address or prefix: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32
    Add {
        prefix: String,
        /// How long: 1h, 7d; for ever when not said, or 0
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
    #[error("there is no server to give it to")]
    Absent(#[from] Absent),
    #[error("the server that runs here cannot be asked")]
    Ask(#[source] io::Error),
    #[error("the database cannot be opened")]
    Open(#[from] StartError),
    #[error(
        "a server runs on {}: it has brought the database up to date at its start. With the tables of another \
         version it is started in that version",
        .0.display()
    )]
    Served(PathBuf),
    #[error("it was not done")]
    Refused(#[from] Refused),
    #[error(transparent)]
    NotFound(#[from] Missing),
}

/// What an order was about and is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Missing {
    #[error("there is no invite {0}: `invite list` shows those there are")]
    InviteOfNumber(u64),
    #[error(
        "there is no invite with that code: used up ones go by themselves, `invite list` shows the others"
    )]
    InviteOfCode,
    #[error("{0} is not blocked by itself: `block list` shows what is")]
    Block(String),
    #[error("there is no account {0} here")]
    Account(String),
    #[error("there is no device {0}: `device list name@server` shows those of an account")]
    Device(String),
    #[error("no device {0} is shut out: `device list name@server` shows those of an account")]
    ShutOut(String),
    #[error("there is nothing like that")]
    Other,
}

impl Missing {
    fn of(order: &Order) -> Self {
        match order {
            Order::RevokeInvite(WhichInvite::Number(number)) => Self::InviteOfNumber(*number),
            Order::RevokeInvite(WhichInvite::Hash(_)) => Self::InviteOfCode,
            Order::Unblock { prefix } => Self::Block(prefix.clone()),
            Order::ListDevices { address } => Self::Account(address.clone()),
            Order::SignOut { device }
            | Order::ShutOut {
                device,
                blocked: true,
            } => Self::Device(device.clone()),
            Order::ShutOut { device, .. } => Self::ShutOut(device.clone()),
            Order::CreateInvite { .. } | Order::ListInvites | Order::Block { .. } | Order::ListBlocks => {
                Self::Other
            }
        }
    }
}

pub(super) async fn invite(options: &Options, command: InviteCommand) -> Result<ExitCode, OrderError> {
    let order = match command {
        InviteCommand::Create { uses, expires, note } => Order::CreateInvite {
            uses,
            expires_at_ms: end_of(expires),
            note,
        },
        InviteCommand::List => Order::ListInvites,
        InviteCommand::Revoke { invite } => Order::RevokeInvite(invite),
    };
    give_and_tell(options, order).await
}

pub(super) async fn block(options: &Options, command: BlockCommand) -> Result<ExitCode, OrderError> {
    let order = match command {
        BlockCommand::Add { prefix, r#for, note } => {
            warn_of_proxies(&prefix);
            Order::Block {
                prefix,
                until_ms: r#for.and_then(end_of),
                note,
            }
        }
        BlockCommand::List => Order::ListBlocks,
        BlockCommand::Remove { prefix } => Order::Unblock { prefix },
    };
    give_and_tell(options, order).await
}

/// When what lasts so long from now on ends; 0 stands for ever.
fn end_of(time: Duration) -> Option<u64> {
    (!time.is_zero()).then(|| now_ms().saturating_add(millis(time)))
}

/// Where a proxy on this machine passes calls on, all of them come from there.
fn warn_of_proxies(prefix: &str) {
    let Ok(prefix) = prefix.trim().parse::<AddressPrefix>() else {
        return;
    };
    let here = [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ];
    if here.into_iter().any(|address| prefix.contains(address)) {
        complain(
            "warning: that is this machine itself. Where clients come through a proxy on it that is not in \
             trusted_proxies, none of them is served any more; `block remove` takes it back.\n",
        );
    }
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
    let missing = Missing::of(&order);
    match give(&config, order).await? {
        Answer::Refused(refused) => Err(refused.into()),
        Answer::NotFound => Err(missing.into()),
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
    present::expect(config).await?;
    let store = open(config).await?;
    let answer = carry_out(&store, order).await;
    store.close().await;
    Ok(answer)
}

/// The database, for a command that does its work and ends.
pub(super) async fn open(config: &Config) -> Result<Store, StartError> {
    let hub = Hub::new(0, Outbox::nowhere());
    Store::open_as(config, hub).await
}
