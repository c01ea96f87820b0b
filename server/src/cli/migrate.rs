//! `migrate`: the tables, brought up to date without serving.

use std::process::ExitCode;

use super::options::Options;
use super::orders::{self, OrderError};
use super::out::say;
use super::present;
use crate::config::Database;

pub(super) async fn migrate(options: &Options) -> Result<ExitCode, OrderError> {
    let config = options.sources().load()?;
    // Of PostgreSQL the operator has named a database: tables are made in it where there are none.
    if matches!(config.database, Database::Sqlite) {
        present::expect(&config).await?;
    }
    let store = orders::open(&config).await?;
    store.close().await;
    say("The database is up to date.\n");
    Ok(ExitCode::SUCCESS)
}
