//! The command line: what an operator types, and what the program says to it.

mod advice;
mod answers;
mod backup;
mod checksums;
mod doctor;
mod init;
mod log;
mod migrate;
mod options;
mod orders;
mod out;
mod postgres;
mod present;
mod restore;
mod serve;
mod storage;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;
use crate::error::{ServeError, StartError};

use backup::{BackupArgs, BackupError};
use init::{InitArgs, InitError};
use options::Options;
use orders::{BlockCommand, DeviceCommand, InviteCommand, OrderError};
use restore::{RestoreArgs, RestoreError};
use storage::{StorageCommand, StorageCommandError};

/// The Sottovoce reference server. It stores ciphertext and can read none of it.
#[derive(Debug, Parser)]
#[command(name = "sottovoce-server", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a file of settings, make the database and the first invite
    Init(InitArgs),
    /// Run the server. Without options: a private server on this machine.
    Serve,
    /// Bring the database of a server that is there up to date without serving
    Migrate,
    /// Look at everything the server rests on, and say what to do about it
    Doctor,
    /// Write everything the server keeps to a new folder, while it runs
    Backup(BackupArgs),
    /// Put a backup back where no server runs
    Restore(RestoreArgs),
    /// Who may make an account
    #[command(subcommand)]
    Invite(InviteCommand),
    /// Addresses nobody is served from
    #[command(subcommand)]
    Block(BlockCommand),
    /// Devices of an account
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Where attachments are kept
    #[command(subcommand)]
    Storage(StorageCommand),
}

/// Why the program ended with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the settings cannot be used")]
    Config(#[from] ConfigError),
    #[error("the runtime could not be started")]
    Runtime(#[source] std::io::Error),
    #[error("the server cannot hear signals")]
    Signals(#[source] std::io::Error),
    #[error("the server did not start")]
    Start(#[from] StartError),
    #[error("the server stopped by itself")]
    Serve(#[from] ServeError),
    #[error("nothing, or not all, was set up")]
    Init(#[from] InitError),
    #[error("there is no backup")]
    Backup(#[from] BackupError),
    #[error("the backup is not back")]
    Restore(#[from] RestoreError),
    #[error("the order was not carried out")]
    Order(#[from] OrderError),
    #[error("the storage is not as it should be")]
    Storage(#[from] StorageCommandError),
}

/// The whole program: reads the command line, does what it says, and tells how it went.
#[must_use]
pub fn command_line() -> ExitCode {
    let cli = Cli::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)
        .and_then(|runtime| runtime.block_on(run(cli)));
    outcome.unwrap_or_else(|failure| {
        explain(&failure);
        ExitCode::FAILURE
    })
}

async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let options = &cli.options;
    Ok(match cli.command {
        Command::Init(args) => init::init(options, args).await?,
        Command::Serve => serve::serve(options).await?,
        Command::Migrate => migrate::migrate(options).await?,
        Command::Doctor => doctor::doctor(options).await,
        Command::Backup(args) => backup::backup(options, args).await?,
        Command::Restore(args) => restore::restore(options, args).await?,
        Command::Invite(command) => orders::invite(options, command).await?,
        Command::Block(command) => orders::block(options, command).await?,
        Command::Device(command) => orders::device(options, command).await?,
        Command::Storage(command) => storage::storage(options, command).await?,
    })
}

/// The failure and its causes, one a line, and what to do about it where that is known.
fn explain(failure: &Failure) {
    let mut text = format!("error: {failure}\n");
    let mut cause = failure.source();
    while let Some(error) = cause {
        text.push_str(&format!("  because: {error}\n"));
        cause = error.source();
    }
    if let Some(advice) = advice::about(failure) {
        text.push_str(&format!("  {advice}\n"));
    }
    out::complain(&text);
}
