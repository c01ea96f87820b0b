//! Devices of an account, as the operator sees them.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};
use sottovoce_proto::v1::ErrorReason;
use sottovoce_statements::DeviceId;

use super::super::db::sql;
use super::super::rows::{fixed, from_db};
use super::super::writer::{Tx, Write, WriteError};
use super::super::{ReadError, Store};
use crate::hub::News;

/// A device of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceRow {
    /// In hexadecimal.
    pub(crate) id: String,
    pub(crate) waiting_messages: u64,
    pub(crate) waiting_bytes: u64,
    pub(crate) sessions: u64,
    pub(crate) blocked: bool,
}

/// Ends the sessions and the streams of a device: it has to sign in again. Tells whether there is
/// such a device.
#[derive(Clone, Debug)]
pub(crate) struct SignOut {
    pub(crate) device: DeviceId,
}

impl Write for SignOut {
    type Output = bool;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        let known: Option<(i64,)> = sql("SELECT position FROM devices WHERE id = $1 AND gone = 0")
            .bind(self.device)
            .fetch_optional(&mut tx.conn)
            .await?;
        sql("DELETE FROM sessions WHERE device = $1")
            .bind(self.device)
            .execute(&mut tx.conn)
            .await?;
        tx.tell(News::End(self.device, ErrorReason::TokenInvalid));
        Ok(known.is_some())
    }
}

impl Store {
    /// The devices of the account at `address`; none where there is no such account.
    pub(crate) async fn devices_of(&self, address: &str) -> Result<Vec<DeviceRow>, ReadError> {
        let mut reader = self.read().await?;
        let rows: Vec<(Vec<u8>, i64, i64, i64, i64)> =
            sql("SELECT devices.id, mailbox_messages, mailbox_bytes, \
             (SELECT COUNT(*) FROM sessions WHERE device = devices.id), blocked \
             FROM devices JOIN accounts ON accounts.id = devices.account WHERE address = $1 \
             AND devices.gone = 0 ORDER BY position")
            .bind(address)
            .fetch_all(&mut reader.conn())
            .await?;
        let device = |(id, messages, bytes, sessions, blocked): (Vec<u8>, i64, i64, i64, i64)| {
            Ok(DeviceRow {
                id: DeviceId::from_bytes(fixed(&id)?).to_string(),
                waiting_messages: from_db(messages),
                waiting_bytes: from_db(bytes),
                sessions: from_db(sessions),
                blocked: blocked != 0,
            })
        };
        Ok(rows.into_iter().map(device).collect::<Result<_, sqlx::Error>>()?)
    }
}
