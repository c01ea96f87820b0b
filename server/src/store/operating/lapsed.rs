//! Forgetting what operators made and time has ended.

use std::convert::Infallible;

use super::super::db::sql;
use super::super::rows::to_db;
use super::super::sweep::Batch;
use super::super::writer::{Tx, Write, WriteError};

/// Rows deleted in one change.
const BATCH: i64 = 1_000;

/// Deletes invites that let nobody in any more and blocks that have ended.
#[derive(Clone, Debug)]
pub(crate) struct RemoveLapsed {
    pub(crate) now_ms: u64,
}

impl Write for RemoveLapsed {
    type Output = Batch;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Batch, WriteError<Infallible>> {
        let invites = sql("DELETE FROM invites WHERE hash IN (SELECT hash FROM invites \
             WHERE uses_left <= 0 OR expires_at_ms <= $1 LIMIT $2)")
        .bind(to_db(self.now_ms))
        .bind(BATCH)
        .execute(&mut tx.conn)
        .await?;
        let blocks = sql(
            "DELETE FROM blocks WHERE prefix IN (SELECT prefix FROM blocks WHERE until_ms <= $1 LIMIT $2)",
        )
        .bind(to_db(self.now_ms))
        .bind(BATCH)
        .execute(&mut tx.conn)
        .await?;
        Ok(Batch::of(&[invites, blocks], BATCH))
    }
}
