//! The server's name as the database keeps it: every account in it has signed that it is of this server,
//! and under another name none of them would verify.

use std::convert::Infallible;

use sottovoce_statements::ServerName;

use super::Store;
use super::db::sql;
use super::operating::{Owner, owner};
use super::writer::{Tx, Write, WriteError};
use crate::config::Config;
use crate::error::StartError;
use crate::hub::Hub;

/// Gives a database that has no name yet this one. Tells the name it has.
struct TakeName(ServerName);

impl Write for TakeName {
    type Output = String;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<String, WriteError<Infallible>> {
        sql("INSERT INTO server_name (only_row, name) VALUES (1, $1) ON CONFLICT (only_row) DO NOTHING")
            .bind(self.0.as_str())
            .execute(&mut tx.conn)
            .await?;
        let (name,): (String,) = sql("SELECT name FROM server_name")
            .fetch_one(&mut tx.conn)
            .await?;
        Ok(name)
    }
}

impl Store {
    /// Opens the database that the settings name, under the name they say. Refused where it is that of a
    /// server of another name.
    pub(crate) async fn open_as(config: &Config, hub: Hub) -> Result<Self, StartError> {
        expect_name(config).await?;
        let store = Self::open(&config.data_dir, &config.database, &config.limits, hub).await?;
        let named = match store.write(TakeName(config.server_name.clone())).await {
            Ok(kept) => same_name(config, kept),
            Err(_) => Err(StartError::Unreadable),
        };
        match named {
            Ok(()) => Ok(store),
            Err(refusal) => {
                store.close().await;
                Err(refusal)
            }
        }
    }

    /// Opens the database as it is, and gives it no name: it may be that of a server yet to be.
    pub(crate) async fn open_unnamed(config: &Config, hub: Hub) -> Result<Self, StartError> {
        expect_name(config).await?;
        Self::open(&config.data_dir, &config.database, &config.limits, hub).await
    }
}

/// Looks before the tables are brought up to date: of another server they are not ours to touch.
async fn expect_name(config: &Config) -> Result<(), StartError> {
    match owner(&config.database, &config.data_dir).await? {
        Owner::Nobody | Owner::Unnamed => Ok(()),
        Owner::Server(kept) => same_name(config, kept),
    }
}

/// Refuses settings that say another name than the database has.
pub(crate) fn same_name(config: &Config, kept: String) -> Result<(), StartError> {
    if kept == config.server_name.as_str() {
        return Ok(());
    }
    Err(StartError::OtherName {
        kept,
        configured: config.server_name.to_string(),
    })
}
