//! `migrate`: the tables, brought up to date without serving.

use std::process::ExitCode;

use super::options::Options;
use super::orders::{self, OrderError};
use super::out::say;

pub(super) async fn migrate(options: &Options) -> Result<ExitCode, OrderError> {
    let config = options.sources().load()?;
    let store = orders::open(&config).await?;
    store.close().await;
    say("The database is up to date.\n");
    Ok(ExitCode::SUCCESS)
}
