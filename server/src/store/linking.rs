//! The linking relay: grants wait for minutes for a device that is on no account yet.

use sottovoce_statements::DeviceId;

use super::db::{Conn, Rows, sql};
use super::rows::{id, to_db};
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// Grants for one device: its own, and one of somebody who saw the offer.
pub(crate) const MAX_GRANTS_PER_DEVICE: u64 = 2;

/// Leaves a grant for a device.
pub(crate) struct PutGrant {
    /// Whose account leaves it.
    pub(crate) by: DeviceId,
    pub(crate) device: DeviceId,
    pub(crate) sealed: Vec<u8>,
    pub(crate) now_ms: u64,
    pub(crate) expires_at_ms: u64,
    pub(crate) bounds: GrantBounds,
}

/// How many wait at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrantBounds {
    pub(crate) per_account: u64,
    pub(crate) all: u64,
    pub(crate) bytes: u64,
}

/// Why a grant was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantRefusal {
    /// The device that leaves it is gone.
    DeviceUnknown,
    /// As many wait for the device, or from the account, as may.
    TooMany {
        limit: u64,
    },
    Full,
}

impl Write for PutGrant {
    type Output = ();
    type Refusal = GrantRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<GrantRefusal>> {
        self.forget_expired(&mut tx.conn).await?;
        let lock = tx.conn.lock_rows();
        // Of one account one grant is left at a time, at whatever nodes.
        let account: Option<(i64,)> = sql(format!(
            "SELECT accounts.id FROM accounts WHERE gone = 0 AND id = \
             (SELECT account FROM devices WHERE id = $1 AND gone = 0){lock}"
        ))
        .bind(id(&self.by))
        .fetch_optional(&mut tx.conn)
        .await?;
        let (account,) = account.ok_or(WriteError::Refused(GrantRefusal::DeviceUnknown))?;
        // A repeat, or a better one, takes the place of the account's own.
        sql("DELETE FROM linking_grants WHERE device = $1 AND account = $2")
            .bind(id(&self.device))
            .bind(account)
            .execute(&mut tx.conn)
            .await?;
        self.check_room(&mut tx.conn, account).await?;
        sql(
            "INSERT INTO linking_grants (device, account, size, expires_at_ms, sealed) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id(&self.device))
        .bind(account)
        .bind(to_db(self.sealed.len() as u64))
        .bind(to_db(self.expires_at_ms))
        .bind(self.sealed.as_slice())
        .execute(&mut tx.conn)
        .await?;
        Ok(())
    }
}

impl PutGrant {
    /// Makes room. What another node is just forgetting is left to it: nobody waits here.
    async fn forget_expired(&self, conn: &mut Conn<'_>) -> Result<(), sqlx::Error> {
        let lock = conn.lock_free_rows();
        let expired: Vec<(Vec<u8>, i64)> = sql(format!(
            "SELECT device, account FROM linking_grants WHERE expires_at_ms <= $1{lock}"
        ))
        .bind(to_db(self.now_ms))
        .fetch_all(conn)
        .await?;
        let mut rows = Rows::default();
        for (device, account) in expired {
            rows.push([device.into(), account.into()]);
        }
        if !rows.is_empty() {
            sql("WITH r(device, account) AS ({rows}) DELETE FROM linking_grants \
                 WHERE (device, account) IN (SELECT device, account FROM r)")
            .rows(rows)
            .execute(conn)
            .await?;
        }
        Ok(())
    }

    /// There are few: they are counted. Nodes that count at one time may each let one more in.
    async fn check_room(&self, conn: &mut Conn<'_>, account: i64) -> Result<(), WriteError<GrantRefusal>> {
        let (all, bytes, of_account, for_device): (i64, i64, i64, i64) =
            sql("SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT), \
             COUNT(CASE WHEN account = $1 THEN 1 END), COUNT(CASE WHEN device = $2 THEN 1 END) \
             FROM linking_grants")
            .bind(account)
            .bind(id(&self.device))
            .fetch_one(conn)
            .await?;
        for (count, limit) in [
            (for_device, MAX_GRANTS_PER_DEVICE),
            (of_account, self.bounds.per_account),
        ] {
            if count >= to_db(limit) {
                return Err(WriteError::Refused(GrantRefusal::TooMany { limit }));
            }
        }
        let size = to_db(self.sealed.len() as u64);
        if all >= to_db(self.bounds.all) || bytes.saturating_add(size) > to_db(self.bounds.bytes) {
            return Err(WriteError::Refused(GrantRefusal::Full));
        }
        Ok(())
    }
}

impl Store {
    /// The grants that wait for a device.
    pub(crate) async fn grants(&self, device: &DeviceId, now_ms: u64) -> Result<Vec<Vec<u8>>, ReadError> {
        let rows: Vec<(Vec<u8>,)> = sql("SELECT sealed FROM linking_grants \
             WHERE device = $1 AND expires_at_ms > $2 ORDER BY account LIMIT $3")
        .bind(id(device))
        .bind(to_db(now_ms))
        .bind(to_db(MAX_GRANTS_PER_DEVICE))
        .fetch_all(&mut self.read().await?.conn())
        .await?;
        Ok(rows.into_iter().map(|(sealed,)| sealed).collect())
    }
}
