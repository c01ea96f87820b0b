//! Deleting an account, with everything the server has of it. Of its name a hash stays for a while, so
//! that nobody else is taken for it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use sottovoce_statements::{AccountDeletion, Address, DeviceId, Verified};

use super::db::{Conn, sql};
use super::devices::load_keys;
use super::leaving::leave_account;
use super::rows::{id, to_db};
use super::server_keys::{self, SharedKey};
use super::sessions::use_up_challenge;
use super::writer::{Tx, Write, WriteError};
use crate::clock::{day, day_begins_ms};

/// Before a name where it is hashed, so that the hash is of nothing else.
const LABEL: &[u8] = b"Sottovoce-v1 retired name";

/// The key names are hashed under.
const KEY_NAME: &str = "retired names";

/// Ends the account of the device that signed. What it leaves is [`RemoveGone`](super::RemoveGone)'s.
pub(crate) struct DeleteAccount {
    /// For a challenge made by this server, and not expired.
    pub(crate) deletion: Verified<AccountDeletion>,
    /// Nobody has the name before then.
    pub(crate) retired_until_ms: u64,
    /// Random, for the case that no name was ever retired here.
    pub(crate) fresh_key: [u8; 32],
}

/// Why an account was not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeleteRefusal {
    /// The device has left its account meanwhile, or has another key.
    DeviceUnknown,
    ChallengeUsed,
}

impl Write for DeleteAccount {
    /// Under which device's id what it leaves is found.
    type Output = DeviceId;
    type Refusal = DeleteRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<DeviceId, WriteError<DeleteRefusal>> {
        let refused = |refusal| Err(WriteError::Refused(refusal));
        let found: Option<(i64,)> = sql("SELECT account FROM devices WHERE id = $1 AND identity_key = $2")
            .bind(id(&self.deletion.0.device_id))
            .bind(self.deletion.signer().as_bytes().as_slice())
            .fetch_optional(&mut tx.conn)
            .await?;
        let Some((account,)) = found else {
            return refused(DeleteRefusal::DeviceUnknown);
        };
        let lock = tx.conn.lock_rows();
        let devices = load_keys(&mut tx.conn, account, lock).await?;
        let address: Option<(String,)> = sql(format!(
            "SELECT address FROM accounts WHERE id = $1 AND gone = 0{lock}"
        ))
        .bind(account)
        .fetch_optional(&mut tx.conn)
        .await?;
        let is_there = devices
            .iter()
            .any(|(device, _)| *device == self.deletion.0.device_id);
        let (Some((address,)), true) = (address, is_there) else {
            return refused(DeleteRefusal::DeviceUnknown);
        };
        if !use_up_challenge(&mut tx.conn, &self.deletion.0).await? {
            return refused(DeleteRefusal::ChallengeUsed);
        }
        let devices: Vec<_> = devices.into_iter().map(|(device, _)| device).collect();
        self.forget_last_holder(&mut tx.conn, account).await?;
        leave_account(tx, account, &devices).await?;
        sql("UPDATE totals SET accounts = accounts - 1")
            .execute(&mut tx.conn)
            .await?;
        self.retire(tx, &address).await?;
        Ok(devices.first().copied().unwrap_or(self.deletion.0.device_id))
    }
}

impl DeleteAccount {
    /// The blobs it gave up, and that are not removed yet, count for nobody any more.
    async fn forget_last_holder(&self, conn: &mut Conn<'_>, account: i64) -> Result<(), sqlx::Error> {
        let lock = conn.lock_rows();
        let _: Vec<(i64,)> = sql(format!(
            "SELECT size FROM blobs WHERE unheld = 1 AND last_holder = $1 ORDER BY key{lock}"
        ))
        .bind(account)
        .fetch_all(conn)
        .await?;
        sql("UPDATE blobs SET last_holder = NULL WHERE unheld = 1 AND last_holder = $1")
            .bind(account)
            .execute(conn)
            .await?;
        Ok(())
    }

    async fn retire(&self, tx: &mut Tx<'_>, address: &str) -> Result<(), WriteError<DeleteRefusal>> {
        let key = SharedKey {
            name: KEY_NAME,
            fresh: self.fresh_key,
        };
        let key = key.apply(tx).await.map_err(|_| WriteError::Failed)?;
        let hash = name_hash(&key, address).ok_or(WriteError::Failed)?;
        sql("INSERT INTO retired_names (hash, until_ms) VALUES ($1, $2) \
             ON CONFLICT (hash) DO UPDATE SET until_ms = excluded.until_ms")
        .bind(hash)
        .bind(to_db(day_begins_ms(day(self.retired_until_ms))))
        .execute(&mut tx.conn)
        .await?;
        Ok(())
    }
}

/// Whether nobody may have this name yet.
pub(super) async fn is_retired(
    conn: &mut Conn<'_>,
    address: &Address,
    now_ms: u64,
) -> Result<bool, sqlx::Error> {
    let key = server_keys::find(conn, KEY_NAME).await?;
    let hash = key.and_then(|key| name_hash(&key, address.as_str()));
    let row: Option<(i64,)> =
        sql("SELECT until_ms FROM retired_names WHERE hash IN ($1, $2) AND until_ms > $3")
            .bind(hash.map(|hash| hash.to_vec()))
            .bind(keyless_hash(address.as_str()))
            .bind(to_db(now_ms))
            .fetch_optional(conn)
            .await?;
    Ok(row.is_some())
}

/// What names were hashed to before there was a key: they stay retired until their time is over.
fn keyless_hash(address: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(LABEL)
        .chain_update(address.as_bytes())
        .finalize()
        .into()
}

/// Under a key of the server's, so that the hashes alone tell nobody which names they are of.
fn name_hash(key: &[u8; 32], address: &str) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(LABEL);
    mac.update(address.as_bytes());
    Some(mac.finalize().into_bytes().into())
}
