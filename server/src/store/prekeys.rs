//! Prekeys: one signed prekey per device, and one-time prekeys that are handed out once.

use sottovoce_proto::v1::SignedStatement;
use sottovoce_statements::{Address, DeviceId, SignedPrekey, Verified, X25519Key};
use sqlx::{SqliteConnection, query, query_as};

use super::accounts::load_devices;
use super::rows::{from_db, id, small};
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// A one-time prekey.
pub(crate) struct OneTime {
    pub(crate) id: u32,
    pub(crate) key: X25519Key,
}

/// Stores prekeys of one device.
pub(crate) struct PublishPrekeys {
    pub(crate) device: DeviceId,
    pub(crate) signed: Option<Verified<SignedPrekey>>,
    /// No id twice.
    pub(crate) one_time: Vec<OneTime>,
    pub(crate) max_one_time: u32,
}

/// Why prekeys were not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishRefusal {
    /// The named part reuses an id for another key.
    Conflict(&'static str),
    TooMany {
        limit: u32,
    },
}

/// Takes a bundle of each of these devices, consuming a one-time prekey where there is one.
pub(crate) struct FetchBundles {
    pub(crate) address: Address,
    /// No id twice.
    pub(crate) devices: Vec<DeviceId>,
}

/// What a session with one device is begun from.
pub(crate) struct Bundle {
    pub(crate) device: DeviceId,
    pub(crate) signed: SignedStatement,
    pub(crate) one_time: Option<(u32, Vec<u8>)>,
}

/// Why no bundles were handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchRefusal {
    AccountUnknown,
    DeviceUnknown,
    PrekeysMissing,
}

impl Write for PublishPrekeys {
    /// How many one-time prekeys the device now has here.
    type Output = u64;
    type Refusal = PublishRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, WriteError<PublishRefusal>> {
        if let Some(prekey) = &self.signed {
            self.store_signed(tx.conn, prekey).await?;
        }
        let (high_water,): (i64,) = query_as("SELECT one_time_high_water FROM devices WHERE id = ?")
            .bind(id(&self.device))
            .fetch_one(&mut *tx.conn)
            .await?;
        for prekey in &self.one_time {
            self.store_one_time(tx.conn, prekey, high_water).await?;
        }
        let highest = self.one_time.iter().map(|prekey| i64::from(prekey.id)).max();
        if highest.is_some_and(|highest| highest > high_water) {
            query("UPDATE devices SET one_time_high_water = ? WHERE id = ?")
                .bind(highest)
                .bind(id(&self.device))
                .execute(&mut *tx.conn)
                .await?;
        }
        let remaining = count(tx.conn, &self.device).await?;
        if remaining > u64::from(self.max_one_time) {
            return Err(WriteError::Refused(PublishRefusal::TooMany {
                limit: self.max_one_time,
            }));
        }
        Ok(remaining)
    }
}

impl PublishPrekeys {
    async fn store_signed(
        &self,
        conn: &mut SqliteConnection,
        prekey: &Verified<SignedPrekey>,
    ) -> Result<(), WriteError<PublishRefusal>> {
        let current: Option<(i64, Vec<u8>)> =
            query_as("SELECT id, statement FROM signed_prekeys WHERE device = ?")
                .bind(id(&self.device))
                .fetch_optional(&mut *conn)
                .await?;
        if let Some((current_id, statement)) = current {
            if current_id == i64::from(prekey.id) && statement != prekey.signed().statement_bytes() {
                return Err(WriteError::Refused(PublishRefusal::Conflict("signed_prekey")));
            }
            // A lower id is a request that arrived late.
            if current_id >= i64::from(prekey.id) {
                return Ok(());
            }
        }
        query("INSERT OR REPLACE INTO signed_prekeys (device, id, statement, signature) VALUES (?, ?, ?, ?)")
            .bind(id(&self.device))
            .bind(i64::from(prekey.id))
            .bind(prekey.signed().statement_bytes())
            .bind(prekey.signed().signature_bytes().as_slice())
            .execute(&mut *conn)
            .await?;
        Ok(())
    }

    async fn store_one_time(
        &self,
        conn: &mut SqliteConnection,
        prekey: &OneTime,
        high_water: i64,
    ) -> Result<(), WriteError<PublishRefusal>> {
        if i64::from(prekey.id) > high_water {
            query("INSERT INTO one_time_prekeys (device, id, public_key) VALUES (?, ?, ?)")
                .bind(id(&self.device))
                .bind(i64::from(prekey.id))
                .bind(prekey.key.as_bytes().as_slice())
                .execute(&mut *conn)
                .await?;
            return Ok(());
        }
        let stored: Option<(Vec<u8>,)> =
            query_as("SELECT public_key FROM one_time_prekeys WHERE device = ? AND id = ?")
                .bind(id(&self.device))
                .bind(i64::from(prekey.id))
                .fetch_optional(&mut *conn)
                .await?;
        match stored {
            Some((key,)) if key != prekey.key.as_bytes() => Err(WriteError::Refused(
                PublishRefusal::Conflict("one_time_prekeys.id"),
            )),
            // Stored already, or handed out before: either way it is not taken again.
            _ => Ok(()),
        }
    }
}

impl Write for FetchBundles {
    type Output = Vec<Bundle>;
    type Refusal = FetchRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<Bundle>, WriteError<FetchRefusal>> {
        let refused = |refusal| Err(WriteError::Refused(refusal));
        let Some(known) = load_devices(tx.conn, &self.address).await? else {
            return refused(FetchRefusal::AccountUnknown);
        };
        if !self.devices.iter().all(|device| known.contains(device)) {
            return refused(FetchRefusal::DeviceUnknown);
        }
        let mut bundles = Vec::with_capacity(self.devices.len());
        for device in &self.devices {
            let signed: Option<(Vec<u8>, Vec<u8>)> =
                query_as("SELECT statement, signature FROM signed_prekeys WHERE device = ?")
                    .bind(id(device))
                    .fetch_optional(&mut *tx.conn)
                    .await?;
            // The refusal undoes this whole change, so no key of an earlier device is lost to it.
            let Some((statement, signature)) = signed else {
                return refused(FetchRefusal::PrekeysMissing);
            };
            bundles.push(Bundle {
                device: *device,
                signed: SignedStatement { statement, signature },
                one_time: take_one_time(tx.conn, device).await?,
            });
        }
        Ok(bundles)
    }
}

impl Store {
    /// How many one-time prekeys a device has here.
    pub(crate) async fn one_time_prekeys(&self, device: &DeviceId) -> Result<u64, ReadError> {
        let mut conn = self.readers.acquire().await?;
        Ok(count(&mut conn, device).await?)
    }
}

async fn take_one_time(
    conn: &mut SqliteConnection,
    device: &DeviceId,
) -> Result<Option<(u32, Vec<u8>)>, sqlx::Error> {
    let taken: Option<(i64, Vec<u8>)> = query_as(
        "DELETE FROM one_time_prekeys WHERE device = ?1 AND id = \
         (SELECT MIN(id) FROM one_time_prekeys WHERE device = ?1) RETURNING id, public_key",
    )
    .bind(id(device))
    .fetch_optional(&mut *conn)
    .await?;
    taken.map(|(key_id, key)| Ok((small(key_id)?, key))).transpose()
}

async fn count(conn: &mut SqliteConnection, device: &DeviceId) -> Result<u64, sqlx::Error> {
    let (count,): (i64,) = query_as("SELECT COUNT(*) FROM one_time_prekeys WHERE device = ?")
        .bind(id(device))
        .fetch_one(conn)
        .await?;
    Ok(from_db(count))
}
