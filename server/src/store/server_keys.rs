//! Secrets of the server that all its nodes share.

use std::convert::Infallible;

use super::db::{Conn, sql};
use super::rows::fixed;
use super::writer::{Tx, Write, WriteError};

/// The key of this name, made by whichever node asks first.
pub(crate) struct SharedKey {
    pub(crate) name: &'static str,
    /// Random, for the case that there is none yet.
    pub(crate) fresh: [u8; 32],
}

impl Write for SharedKey {
    type Output = [u8; 32];
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<[u8; 32], WriteError<Infallible>> {
        sql("INSERT INTO server_keys (name, key) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(self.name)
            .bind(self.fresh)
            .execute(&mut tx.conn)
            .await?;
        find(&mut tx.conn, self.name).await?.ok_or(WriteError::Failed)
    }
}

/// The key of this name, if one was made.
pub(super) async fn find(conn: &mut Conn<'_>, name: &str) -> Result<Option<[u8; 32]>, sqlx::Error> {
    let row: Option<(Vec<u8>,)> = sql("SELECT key FROM server_keys WHERE name = $1")
        .bind(name)
        .fetch_optional(conn)
        .await?;
    row.map(|(key,)| fixed(&key)).transpose()
}
