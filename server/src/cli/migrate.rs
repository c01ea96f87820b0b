//! `migrate`: the tables, brought up to date without serving.

use std::process::ExitCode;

use super::options::Options;
use super::orders::OrderError;
use super::out::say;
use super::present;
use crate::config::Database;
use crate::hints::Outbox;
use crate::hub::Hub;
use crate::store::{Store, is_in_use};

pub(super) async fn migrate(options: &Options) -> Result<ExitCode, OrderError> {
    let config = options.sources().load()?;
    if is_in_use(&config.data_dir) {
        return Err(OrderError::Served(config.data_dir));
    }
    // Of PostgreSQL the operator has named a database: tables are made in it where there are none, for a server
    // that has its name when it first starts.
    if matches!(config.database, Database::Sqlite) {
        present::expect(&config).await?;
    }
    let store = Store::open_unnamed(&config, Hub::new(0, Outbox::nowhere())).await?;
    store.close().await;
    say("The database is up to date.\n");
    Ok(ExitCode::SUCCESS)
}
