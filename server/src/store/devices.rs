//! Devices of an account: listed, added, and shut out.

use std::collections::BTreeMap;
use std::convert::Infallible;

use sottovoce_statements::{DeviceBinding, DeviceId, ManifestDevice, Verified};

use super::db::{Conn, Rows, sql};
use super::rows::{fixed, id, small, to_db};
use super::sessions::end_streams;
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// A device, as its account may see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredDevice {
    pub(crate) id: DeviceId,
    pub(crate) last_seen_day: u32,
    pub(crate) blocked: bool,
}

/// Shuts a device out, which ends its sessions, or lets it in again; also one that is on no manifest just now, or
/// never was.
pub(crate) struct BlockDevice {
    pub(crate) device: DeviceId,
    pub(crate) blocked: bool,
}

impl Write for BlockDevice {
    /// Whether an account has the device just now, or, where it is let in, whether it was shut out.
    type Output = bool;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        match self.blocked {
            true => self.shut_out(tx).await,
            false => self.let_in(tx).await,
        }
    }
}

impl BlockDevice {
    async fn shut_out(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        // First: whoever brings the device back at this time waits for this, or has brought it.
        sql("INSERT INTO shut_outs (device) VALUES ($1) ON CONFLICT (device) DO NOTHING")
            .bind(id(&self.device))
            .execute(&mut tx.conn)
            .await?;
        let known = sql("UPDATE devices SET blocked = 1 WHERE id = $1 AND gone = 0")
            .bind(id(&self.device))
            .execute(&mut tx.conn)
            .await?;
        sql(
            "UPDATE shut_outs SET identity_key = devices.identity_key, account = devices.account \
             FROM devices WHERE devices.id = shut_outs.device AND devices.gone = 0 AND shut_outs.device = $1",
        )
        .bind(id(&self.device))
        .execute(&mut tx.conn)
        .await?;
        sql("DELETE FROM sessions WHERE device = $1")
            .bind(id(&self.device))
            .execute(&mut tx.conn)
            .await?;
        end_streams(tx, self.device);
        Ok(known > 0)
    }

    /// Also one that is on no manifest, or that came back under another id.
    async fn let_in(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        let here = sql("UPDATE devices SET blocked = 0 WHERE id = $1 AND gone = 0")
            .bind(id(&self.device))
            .execute(&mut tx.conn)
            .await?;
        let shut_out = sql("DELETE FROM shut_outs WHERE device = $1 OR identity_key IN \
             (SELECT identity_key FROM devices WHERE id = $1)")
        .bind(id(&self.device))
        .execute(&mut tx.conn)
        .await?;
        Ok(here + shut_out > 0)
    }
}

impl Store {
    /// The devices of the account of `device`, in the manifest's order.
    pub(crate) async fn devices(&self, device: &DeviceId) -> Result<Vec<StoredDevice>, ReadError> {
        let rows: Vec<(Vec<u8>, i64, i64)> = sql("SELECT id, last_seen_day, blocked FROM devices \
             WHERE account = (SELECT account FROM devices WHERE id = $1) ORDER BY position")
        .bind(id(device))
        .fetch_all(&mut self.read().await?.conn())
        .await?;
        rows.into_iter()
            .map(|(device, last_seen_day, blocked)| {
                Ok(StoredDevice {
                    id: DeviceId::from_bytes(fixed(&device)?),
                    last_seen_day: small(last_seen_day)?,
                    blocked: blocked != 0,
                })
            })
            .collect()
    }
}

/// The devices of an account with their identity keys; locked, if told so, in the order in which everybody
/// locks them. Who waited here while the account went finds none.
pub(super) async fn load_keys(
    conn: &mut Conn<'_>,
    account: i64,
    lock: &str,
) -> Result<Vec<(DeviceId, Vec<u8>)>, sqlx::Error> {
    let rows: Vec<(Vec<u8>, Vec<u8>)> = sql(format!(
        "SELECT id, identity_key FROM devices WHERE account = $1 AND gone = 0 ORDER BY id{lock}"
    ))
    .bind(account)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(device, key)| Ok((DeviceId::from_bytes(fixed(&device)?), key)))
        .collect()
}

/// Takes what was scheduled, and is not any more, out of the counts of the mailboxes it was for.
pub(super) async fn uncount_cancelled(
    conn: &mut Conn<'_>,
    cancelled: Vec<(Vec<u8>, i64)>,
) -> Result<(), sqlx::Error> {
    let mut mailboxes: BTreeMap<Vec<u8>, (i64, i64)> = BTreeMap::new();
    for (recipient, size) in cancelled {
        let (messages, bytes) = mailboxes.entry(recipient).or_default();
        *messages += 1;
        *bytes += size;
    }
    let mut rows = Rows::default();
    for (recipient, (messages, bytes)) in mailboxes {
        rows.push([recipient.into(), messages.into(), bytes.into()]);
    }
    if !rows.is_empty() {
        sql("WITH r(device, messages, bytes) AS ({rows}) UPDATE devices \
             SET mailbox_messages = mailbox_messages - r.messages, mailbox_bytes = mailbox_bytes - r.bytes \
             FROM r WHERE devices.id = r.device")
        .rows(rows)
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Adds a device in a place of the manifest; shut out, if it was shut out before under its id or with its key.
/// From then on it is by both.
pub(super) async fn insert_device(
    conn: &mut Conn<'_>,
    account: i64,
    position: usize,
    since_version: u64,
    binding: &Verified<DeviceBinding>,
) -> Result<(), sqlx::Error> {
    let shut_out: Option<(Vec<u8>,)> =
        sql("SELECT device FROM shut_outs WHERE device = $1 OR identity_key = $2 LIMIT 1")
            .bind(id(&binding.device_id))
            .bind(binding.signer().as_bytes().as_slice())
            .fetch_optional(conn)
            .await?;
    sql(
        "INSERT INTO devices (id, account, position, identity_key, since_version, binding_statement, \
         binding_signature, blocked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id(&binding.device_id))
    .bind(account)
    .bind(to_db(position as u64))
    .bind(binding.signer().as_bytes().as_slice())
    .bind(to_db(since_version))
    .bind(binding.signed().statement_bytes())
    .bind(binding.signed().signature_bytes().as_slice())
    .bind(i64::from(shut_out.is_some()))
    .execute(conn)
    .await?;
    if shut_out.is_some() {
        sql("UPDATE shut_outs SET identity_key = $2, account = $3 WHERE device = $1 AND account IS NULL")
            .bind(id(&binding.device_id))
            .bind(binding.signer().as_bytes().as_slice())
            .bind(account)
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Whether a device id or a device's key is in use.
pub(super) async fn is_in_use(conn: &mut Conn<'_>, device: &ManifestDevice) -> Result<bool, sqlx::Error> {
    let known: Option<(i64,)> = sql("SELECT position FROM devices WHERE id = $1 OR identity_key = $2")
        .bind(id(&device.device_id))
        .bind(device.identity_key.as_bytes().as_slice())
        .fetch_optional(conn)
        .await?;
    Ok(known.is_some())
}
