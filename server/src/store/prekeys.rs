//! Prekeys: one signed prekey per device, and one-time prekeys that are handed out once. Those for the
//! KEM are in `kem_prekeys.rs`, in the same changes.

use sottovoce_proto::v1::SignedStatement;
use sottovoce_statements::{Address, DeviceId, Signed, SignedPrekey, Verified, X25519Key};
use sqlx::{SqliteConnection, query, query_as};

use super::accounts::load_devices;
use super::kem_prekeys::{self, KemPrekeys};
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
    pub(crate) kem: KemPrekeys,
}

/// How many one-time prekeys a device has here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) one_time: u64,
    pub(crate) one_time_kem: u64,
}

/// Why prekeys were not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishRefusal {
    /// The named part reuses an id for another key.
    Conflict(&'static str),
    TooMany {
        field: &'static str,
        limit: u32,
    },
}

/// Takes a bundle of each of these devices, consuming a one-time prekey of each kind where there is one.
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
    pub(crate) kem: SignedStatement,
}

/// Why no bundles were handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchRefusal {
    AccountUnknown,
    DeviceUnknown,
    PrekeysMissing,
}

/// Where a statement is kept of which a device has one at a time: the one with the highest id.
pub(super) struct Current {
    /// The part of a request it comes in.
    pub(super) field: &'static str,
    /// Id and statement of a device's.
    pub(super) select: &'static str,
    /// Takes device, id, statement and signature.
    pub(super) replace: &'static str,
}

const SIGNED: Current = Current {
    field: "signed_prekey",
    select: "SELECT id, statement FROM signed_prekeys WHERE device = ?",
    replace: "INSERT OR REPLACE INTO signed_prekeys (device, id, statement, signature) VALUES (?, ?, ?, ?)",
};

impl Write for PublishPrekeys {
    /// What the device now has here.
    type Output = Remaining;
    type Refusal = PublishRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Remaining, WriteError<PublishRefusal>> {
        if let Some(prekey) = &self.signed {
            store_current(tx.conn, &self.device, prekey.id, prekey.signed(), &SIGNED).await?;
        }
        Ok(Remaining {
            one_time: self.store_all_one_time(tx.conn).await?,
            one_time_kem: self.kem.store(&self.device, tx.conn).await?,
        })
    }
}

impl PublishPrekeys {
    /// Returns how many the device now has here.
    async fn store_all_one_time(
        &self,
        conn: &mut SqliteConnection,
    ) -> Result<u64, WriteError<PublishRefusal>> {
        let (high_water,): (i64,) = query_as("SELECT one_time_high_water FROM devices WHERE id = ?")
            .bind(id(&self.device))
            .fetch_one(&mut *conn)
            .await?;
        for prekey in &self.one_time {
            self.store_one_time(conn, prekey, high_water).await?;
        }
        let highest = self.one_time.iter().map(|prekey| i64::from(prekey.id)).max();
        if highest.is_some_and(|highest| highest > high_water) {
            query("UPDATE devices SET one_time_high_water = ? WHERE id = ?")
                .bind(highest)
                .bind(id(&self.device))
                .execute(&mut *conn)
                .await?;
        }
        let remaining = count(conn, &self.device).await?;
        if remaining > u64::from(self.max_one_time) {
            return Err(WriteError::Refused(PublishRefusal::TooMany {
                field: "one_time_prekeys",
                limit: self.max_one_time,
            }));
        }
        Ok(remaining)
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
            let Some(kem) = kem_prekeys::take(tx.conn, device).await? else {
                return refused(FetchRefusal::PrekeysMissing);
            };
            bundles.push(Bundle {
                device: *device,
                signed: SignedStatement { statement, signature },
                one_time: take_one_time(tx.conn, device).await?,
                kem,
            });
        }
        Ok(bundles)
    }
}

impl Store {
    /// How many one-time prekeys of each kind a device has here.
    pub(crate) async fn one_time_prekeys(&self, device: &DeviceId) -> Result<Remaining, ReadError> {
        let mut conn = self.readers.acquire().await?;
        Ok(Remaining {
            one_time: count(&mut conn, device).await?,
            one_time_kem: kem_prekeys::count(&mut conn, device).await?,
        })
    }
}

/// Makes a statement the current one, unless that has the same id or a higher one.
pub(super) async fn store_current<S>(
    conn: &mut SqliteConnection,
    device: &DeviceId,
    prekey_id: u32,
    statement: &Signed<S>,
    place: &Current,
) -> Result<(), WriteError<PublishRefusal>> {
    let current: Option<(i64, Vec<u8>)> = query_as(place.select)
        .bind(id(device))
        .fetch_optional(&mut *conn)
        .await?;
    if let Some((current_id, stored)) = current {
        if current_id == i64::from(prekey_id) && stored != statement.statement_bytes() {
            return Err(WriteError::Refused(PublishRefusal::Conflict(place.field)));
        }
        // A lower id is a request that arrived late.
        if current_id >= i64::from(prekey_id) {
            return Ok(());
        }
    }
    query(place.replace)
        .bind(id(device))
        .bind(i64::from(prekey_id))
        .bind(statement.statement_bytes())
        .bind(statement.signature_bytes().as_slice())
        .execute(&mut *conn)
        .await?;
    Ok(())
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
