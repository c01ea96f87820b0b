//! The server's name as the database keeps it: every account in it has signed that it is of this server,
//! and under another name none of them would verify.

use std::convert::Infallible;

use sottovoce_statements::ServerName;

use super::Store;
use super::db::sql;
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
        let store = Self::open(&config.data_dir, &config.database, &config.limits, hub).await?;
        let configured = &config.server_name;
        let refusal = match store.write(TakeName(configured.clone())).await {
            Ok(kept) if kept == configured.as_str() => return Ok(store),
            Ok(kept) => StartError::OtherName {
                kept,
                configured: configured.to_string(),
            },
            Err(_) => StartError::Unreadable,
        };
        store.close().await;
        Err(refusal)
    }
}
