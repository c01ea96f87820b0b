//! How devices and accounts go.
//!
//! ```text
//!   there ── one change ──▶ gone ── some rows at a time ──▶ nothing
//! ```
//!
//! The one change takes their names, keys, sessions and prekeys: nobody finds them any more, nor reads or writes what
//! they have left. That may be much, and whoever else writes would wait for all of it, so it is deleted in small
//! changes: by the call that ended them, before it answers, and by a job beside it, or where it did not get so far.

use std::convert::Infallible;

use sottovoce_statements::DeviceId;

use super::db::{Conn, sql};
use super::devices::uncount_cancelled;
use super::rows::{fixed, id};
use super::scheduled::hold_mailboxes;
use super::sessions::end_streams;
use super::sweep::Batch;
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// Messages deleted in one change, in a mailbox and scheduled.
const MESSAGES: i64 = 250;

/// Receipts deleted in one change: they are small.
const RECEIPTS: i64 = 2_000;

/// Tables whose few rows of a device go at once.
const PREKEYS: [&str; 4] = [
    "DELETE FROM signed_prekeys WHERE device = $1",
    "DELETE FROM one_time_prekeys WHERE device = $1",
    "DELETE FROM last_resort_kem_prekeys WHERE device = $1",
    "DELETE FROM one_time_kem_prekeys WHERE device = $1",
];

/// A device goes, and its account stays. Until nothing of it is left it belongs to an account without a name.
pub(super) async fn leave_device(tx: &mut Tx<'_>, device: DeviceId) -> Result<(), sqlx::Error> {
    let (nameless,): (i64,) = sql(
        "INSERT INTO accounts (address, account_key, manifest_version, manifest_statement, \
         manifest_signature, created_at_ms, gone) VALUES ($1, $2, 0, $3, $3, 0, 1) RETURNING id",
    )
    .bind(no_name(device))
    .bind(id(&device))
    .bind(Vec::<u8>::new())
    .fetch_one(&mut tx.conn)
    .await?;
    strip(tx, nameless, device).await
}

/// An account goes, and with it these devices, all it has; the first stands for it until nothing of it is left.
pub(super) async fn leave_account(
    tx: &mut Tx<'_>,
    account: i64,
    devices: &[DeviceId],
) -> Result<(), sqlx::Error> {
    for device in devices {
        strip(tx, account, *device).await?;
    }
    for text in [
        "DELETE FROM manifests WHERE account = $1",
        "DELETE FROM recovery_blobs WHERE account = $1",
        "DELETE FROM linking_grants WHERE account = $1",
        "DELETE FROM channel_members WHERE account = $1",
        "DELETE FROM former_members WHERE account = $1",
        "DELETE FROM blob_holds WHERE account = $1",
        "DELETE FROM shut_outs WHERE account = $1",
    ] {
        sql(text).bind(account).execute(&mut tx.conn).await?;
    }
    let Some(first) = devices.first() else {
        return Ok(());
    };
    sql(
        "UPDATE accounts SET address = $2, account_key = $3, access_key_hash = NULL, manifest_version = 0, \
         manifest_statement = $4, manifest_signature = $4, created_at_ms = 0, gone = 1 WHERE id = $1",
    )
    .bind(account)
    .bind(no_name(*first))
    .bind(id(first))
    .bind(Vec::<u8>::new())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// No address has this form, and no two devices have the same.
fn no_name(device: DeviceId) -> String {
    device.to_string()
}

/// Takes from a device by what it is known. In place of its key is its id, which is no key.
async fn strip(tx: &mut Tx<'_>, account: i64, device: DeviceId) -> Result<(), sqlx::Error> {
    sql(
        "UPDATE devices SET account = $2, identity_key = $1, binding_statement = $3, binding_signature = $3, \
         blocked = 0, last_seen_day = 0, gone = 1 WHERE id = $1",
    )
    .bind(id(&device))
    .bind(account)
    .bind(Vec::<u8>::new())
    .execute(&mut tx.conn)
    .await?;
    for text in [
        // Their tokens go along.
        "DELETE FROM sessions WHERE device = $1",
        "DELETE FROM sign_ins WHERE device = $1",
    ] {
        sql(text).bind(id(&device)).execute(&mut tx.conn).await?;
    }
    remove_prekeys(&mut tx.conn, device).await?;
    end_streams(tx, device);
    Ok(())
}

async fn remove_prekeys(conn: &mut Conn<'_>, device: DeviceId) -> Result<(), sqlx::Error> {
    for text in PREKEYS {
        sql(text).bind(id(&device)).execute(conn).await?;
    }
    Ok(())
}

/// Whether a device of this id has gone and what it left is not deleted yet: no other may have the id. Nor may
/// any while it is what an account is known by that is gone, and that it was the first device of.
pub(super) async fn is_leaving(conn: &mut Conn<'_>, device: DeviceId) -> Result<bool, sqlx::Error> {
    let row: Option<(i64,)> = sql("SELECT gone FROM devices WHERE id = $1 AND gone = 1 \
         UNION SELECT gone FROM accounts WHERE address = $2 AND gone = 1")
    .bind(id(&device))
    .bind(no_name(device))
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Deletes some of what a device or an account that is gone has left; with the last of it, that itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RemoveGone {
    /// Of this device, or of the account whose first device it was.
    Of(DeviceId),
    /// Of anybody.
    Any,
}

impl Write for RemoveGone {
    type Output = Batch;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Batch, WriteError<Infallible>> {
        let (meant, name) = self.meant();
        // Held, so that nothing comes to what is left behind those who look for it.
        let lock = self.lock(&tx.conn);
        let device: Option<(Vec<u8>,)> = sql(format!(
            "SELECT id FROM devices WHERE gone = 1 AND account IN (SELECT id FROM accounts WHERE {meant}) \
             ORDER BY id LIMIT 1{lock}"
        ))
        .bind(name.clone())
        .fetch_optional(&mut tx.conn)
        .await?;
        if let Some((device,)) = device {
            let items = remove_from_device(tx, DeviceId::from_bytes(fixed(&device)?)).await?;
            return Ok(Batch { items, more: true });
        }
        let account: Option<(i64,)> = sql(format!(
            "SELECT id FROM accounts WHERE {meant} AND NOT EXISTS \
             (SELECT 1 FROM devices WHERE devices.account = accounts.id) ORDER BY id LIMIT 1{lock}"
        ))
        .bind(name)
        .fetch_optional(&mut tx.conn)
        .await?;
        if let Some((account,)) = account {
            let items = remove_from_account(&mut tx.conn, account).await?;
            return Ok(Batch { items, more: true });
        }
        Ok(Batch {
            items: 0,
            more: self.has_rest(&mut tx.conn).await?,
        })
    }
}

impl RemoveGone {
    /// Who means somebody waits until all is gone. Who would take anything leaves what others are at to them.
    fn lock(self, conn: &Conn<'_>) -> &'static str {
        match self {
            Self::Of(_) => conn.lock_rows(),
            Self::Any => conn.lock_free_rows(),
        }
    }

    /// Whether, where nothing was found, something is left that others are at.
    async fn has_rest(self, conn: &mut Conn<'_>) -> Result<bool, sqlx::Error> {
        let Self::Of(device) = self else {
            return Ok(false);
        };
        let rest: Option<(i64,)> = sql("SELECT id FROM accounts WHERE gone = 1 AND address = $1")
            .bind(no_name(device))
            .fetch_optional(conn)
            .await?;
        Ok(rest.is_some())
    }

    /// Which accounts are meant, where the name is `$1`.
    fn meant(self) -> (&'static str, String) {
        match self {
            Self::Of(device) => ("gone = 1 AND address = $1", no_name(device)),
            Self::Any => ("gone = 1 AND address <> $1", String::new()),
        }
    }
}

async fn remove_from_device(tx: &mut Tx<'_>, device: DeviceId) -> Result<u64, sqlx::Error> {
    let mut items = cancel_some(&mut tx.conn, device).await?;
    let mut rest = items >= MESSAGES.unsigned_abs();
    for (text, most) in [
        (
            "DELETE FROM envelopes WHERE (device, sequence) IN \
             (SELECT device, sequence FROM envelopes WHERE device = $1 LIMIT $2)",
            MESSAGES,
        ),
        (
            "DELETE FROM scheduled WHERE id IN (SELECT id FROM scheduled WHERE device = $1 LIMIT $2)",
            MESSAGES,
        ),
        (
            "DELETE FROM receipts WHERE (scope, client_message_id) IN \
             (SELECT scope, client_message_id FROM receipts WHERE scope = $1 LIMIT $2)",
            RECEIPTS,
        ),
    ] {
        let deleted = sql(text)
            .bind(id(&device))
            .bind(most)
            .execute(&mut tx.conn)
            .await?;
        items += deleted;
        rest |= deleted >= most.unsigned_abs();
    }
    if !rest {
        // What a call that was on its way when the device went has left since.
        remove_prekeys(&mut tx.conn, device).await?;
        sql("DELETE FROM devices WHERE id = $1")
            .bind(id(&device))
            .execute(&mut tx.conn)
            .await?;
    }
    Ok(items)
}

/// Takes some of what the device had scheduled out of the mailboxes it was for. It is not released meanwhile.
async fn cancel_some(conn: &mut Conn<'_>, device: DeviceId) -> Result<u64, sqlx::Error> {
    let some: Vec<(i64, Vec<u8>)> =
        sql("SELECT number, device FROM scheduled WHERE sender_device = $1 ORDER BY number LIMIT $2")
            .bind(id(&device))
            .bind(MESSAGES)
            .fetch_all(conn)
            .await?;
    let Some((last, _)) = some.last() else {
        return Ok(0);
    };
    let last = *last;
    hold_mailboxes(some.into_iter().map(|(_, device)| device).collect(), conn).await?;
    let cancelled: Vec<(Vec<u8>, i64)> =
        sql("DELETE FROM scheduled WHERE sender_device = $1 AND number <= $2 \
             RETURNING device, CAST(LENGTH(ciphertext) AS BIGINT)")
        .bind(id(&device))
        .bind(last)
        .fetch_all(conn)
        .await?;
    let count = cancelled.len() as u64;
    uncount_cancelled(conn, cancelled).await?;
    Ok(count)
}

async fn remove_from_account(conn: &mut Conn<'_>, account: i64) -> Result<u64, sqlx::Error> {
    let deleted = sql("DELETE FROM receipts WHERE (scope, client_message_id) IN \
         (SELECT scope, client_message_id FROM receipts WHERE account = $1 LIMIT $2)")
    .bind(account)
    .bind(RECEIPTS)
    .execute(conn)
    .await?;
    if deleted < RECEIPTS.unsigned_abs() {
        // Whatever else is an account's refers to it, and goes with it.
        sql("DELETE FROM accounts WHERE id = $1")
            .bind(account)
            .execute(conn)
            .await?;
    }
    Ok(deleted)
}

impl Store {
    /// Whether a device or an account has gone and left something. Every such device is of such an account.
    pub(crate) async fn is_anybody_leaving(&self) -> Result<bool, ReadError> {
        let row: Option<(i64,)> = sql("SELECT gone FROM accounts WHERE gone = 1 LIMIT 1")
            .fetch_optional(&mut self.read().await?.conn())
            .await?;
        Ok(row.is_some())
    }

    /// Deletes all that a device has left, or the account whose first one it was.
    pub(crate) async fn remove_gone(&self, device: DeviceId) -> Result<(), WriteError<Infallible>> {
        while self.write(RemoveGone::Of(device)).await?.more {}
        Ok(())
    }
}

#[cfg(test)]
mod tests;
