//! Network addresses nobody is served from, as the operator keeps them.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use super::super::db::sql;
use super::super::rows::{from_db, to_db};
use super::super::writer::{Tx, Write, WriteError};
use super::super::{ReadError, Store};

/// A blocked prefix, written as `192.0.2.0/24`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    pub(crate) prefix: String,
    /// Unix time in milliseconds; none for ever.
    pub(crate) until_ms: Option<u64>,
    pub(crate) created_at_ms: u64,
    pub(crate) note: String,
}

/// Blocks a prefix, or changes until when and why.
#[derive(Clone, Debug)]
pub(crate) struct PutBlock(pub(crate) Block);

/// Serves a prefix again. Tells whether it was blocked.
#[derive(Clone, Debug)]
pub(crate) struct RemoveBlock {
    pub(crate) prefix: String,
}

impl Write for PutBlock {
    type Output = ();
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        sql(
            "INSERT INTO blocks (prefix, until_ms, created_at_ms, note) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (prefix) DO UPDATE SET until_ms = excluded.until_ms, note = excluded.note",
        )
        .bind(self.0.prefix.as_str())
        .bind(self.0.until_ms.map(to_db))
        .bind(to_db(self.0.created_at_ms))
        .bind(self.0.note.as_str())
        .execute(&mut tx.conn)
        .await?;
        Ok(())
    }
}

impl Write for RemoveBlock {
    type Output = bool;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        let gone = sql("DELETE FROM blocks WHERE prefix = $1")
            .bind(self.prefix.as_str())
            .execute(&mut tx.conn)
            .await?;
        Ok(gone > 0)
    }
}

impl Store {
    /// All blocks, ended ones too, until a sweep has taken them.
    pub(crate) async fn blocks(&self) -> Result<Vec<Block>, ReadError> {
        let mut reader = self.read().await?;
        let rows: Vec<(String, Option<i64>, i64, String)> =
            sql("SELECT prefix, until_ms, created_at_ms, note FROM blocks ORDER BY created_at_ms, prefix")
                .fetch_all(&mut reader.conn())
                .await?;
        let block = |(prefix, until_ms, created_at_ms, note): (String, Option<i64>, i64, String)| Block {
            prefix,
            until_ms: until_ms.map(from_db),
            created_at_ms: from_db(created_at_ms),
            note,
        };
        Ok(rows.into_iter().map(block).collect())
    }
}
