//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::measure::Plan;
use crate::program;
use crate::world::{Setup, Store};

/// Drives a server process over TLS, and prints a line `ROW name=… key=value …` for each thing it measured.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub(crate) struct Options {
    /// Which database the server uses
    #[arg(long, value_enum, default_value = "sqlite")]
    store: Kind,
    /// An empty PostgreSQL database to use instead of starting a cluster
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// The server's program; otherwise the one beside this, brought up to date under cargo
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Where temporary folders are made; what is measured is this disk
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// How long each row is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0)]
    seconds: f64,
    /// Only rows whose names begin so; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Cost among 10 to 10,000 accounts and beside 1,000 to 1,000,000 stored messages, instead of the rest
    #[arg(long)]
    pub(crate) scaling: bool,
    /// Everything for a moment and in small numbers: whether it works, not how fast
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Sqlite,
    Postgres,
}

impl Options {
    pub(crate) fn setup(&self) -> Setup {
        let seconds = |full: f64| Duration::from_secs_f64(if self.quick { 0.2 } else { full });
        Setup {
            server: self.server.clone().unwrap_or_else(program::find),
            store: match (&self.store, &self.postgres) {
                (Kind::Sqlite, _) => Store::Sqlite,
                (Kind::Postgres, None) => Store::Postgres,
                (Kind::Postgres, Some(url)) => Store::External(url.clone()),
            },
            folder: self.folder.clone().unwrap_or_else(std::env::temp_dir),
            plan: Plan {
                warm_up: seconds(2.0),
                measure: seconds(self.seconds),
                probe: seconds(0.5),
                quick: self.quick,
            },
        }
    }

    pub(crate) fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| row.starts_with(name))
    }

    /// Messages in each mailbox that fills.
    pub(crate) fn backlog(&self) -> u64 {
        if self.quick { 200 } else { 5_000 }
    }

    /// Members of the channel besides its owner.
    pub(crate) fn members(&self) -> usize {
        if self.quick { 60 } else { 1_000 }
    }

    /// Idle streams: as many as are meant, if the system lets this process open as many files.
    pub(crate) fn streams(&self, files: u64) -> usize {
        let wanted = if self.quick { 100 } else { 10_000 };
        assert!(
            files > wanted + 100,
            "{files} open files are not enough for {wanted} streams"
        );
        wanted as usize
    }

    /// Accounts, and stored messages.
    pub(crate) fn sizes(&self) -> (&'static [usize], &'static [u64]) {
        if self.quick {
            return (&[10, 100], &[100, 1_000]);
        }
        (&[10, 100, 1_000, 10_000], &[1_000, 10_000, 100_000, 1_000_000])
    }
}
