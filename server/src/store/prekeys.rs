//! Prekeys: one signed prekey per device, and one-time prekeys that are handed out once. Those for the
//! KEM are in `kem_prekeys.rs`, in the same changes.

use super::db::{Conn, sql};
use sottovoce_proto::v1::{PrekeysLow, SignedStatement};
use sottovoce_statements::{Address, DeviceId, Signed, SignedPrekey, Verified, X25519Key};

use super::accounts::{admits, load_devices};
use super::kem_prekeys::{self, KemPrekeys};
use super::rows::{from_db, id, small};
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};
use crate::hub::News;

/// With fewer one-time prekeys of either kind a device is told to publish new ones.
const LOW_WATER: u64 = 20;

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
    /// What somebody without a token presents.
    pub(crate) access_key: Option<[u8; 32]>,
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
    /// There is no such account, or it has another access key.
    AccessDenied,
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
    select: "SELECT id, statement FROM signed_prekeys WHERE device = $1",
    replace: "INSERT INTO signed_prekeys (device, id, statement, signature) VALUES ($1, $2, $3, $4) \
              ON CONFLICT (device) DO UPDATE SET id = excluded.id, statement = excluded.statement, \
              signature = excluded.signature",
};

impl Write for PublishPrekeys {
    /// What the device now has here.
    type Output = Remaining;
    type Refusal = PublishRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Remaining, WriteError<PublishRefusal>> {
        // First: of two requests at two nodes, the second sees what the first has stored.
        lock_device(&mut tx.conn, &self.device).await?;
        if let Some(prekey) = &self.signed {
            store_current(&mut tx.conn, &self.device, prekey.id, prekey.signed(), &SIGNED).await?;
        }
        Ok(Remaining {
            one_time: self.store_all_one_time(&mut tx.conn).await?,
            one_time_kem: self.kem.store(&self.device, &mut tx.conn).await?,
        })
    }
}

impl PublishPrekeys {
    /// Returns how many the device now has here.
    async fn store_all_one_time(&self, conn: &mut Conn<'_>) -> Result<u64, WriteError<PublishRefusal>> {
        let (high_water,): (i64,) = sql("SELECT one_time_high_water FROM devices WHERE id = $1")
            .bind(id(&self.device))
            .fetch_one(conn)
            .await?;
        for prekey in &self.one_time {
            self.store_one_time(conn, prekey, high_water).await?;
        }
        let highest = self.one_time.iter().map(|prekey| i64::from(prekey.id)).max();
        if highest.is_some_and(|highest| highest > high_water) {
            sql("UPDATE devices SET one_time_high_water = $1 WHERE id = $2")
                .bind(highest)
                .bind(id(&self.device))
                .execute(conn)
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
        conn: &mut Conn<'_>,
        prekey: &OneTime,
        high_water: i64,
    ) -> Result<(), WriteError<PublishRefusal>> {
        if i64::from(prekey.id) > high_water {
            sql("INSERT INTO one_time_prekeys (device, id, public_key) VALUES ($1, $2, $3)")
                .bind(id(&self.device))
                .bind(i64::from(prekey.id))
                .bind(prekey.key.as_bytes().as_slice())
                .execute(conn)
                .await?;
            return Ok(());
        }
        let stored: Option<(Vec<u8>,)> =
            sql("SELECT public_key FROM one_time_prekeys WHERE device = $1 AND id = $2")
                .bind(id(&self.device))
                .bind(i64::from(prekey.id))
                .fetch_optional(conn)
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
        self.check_access(&mut tx.conn).await?;
        let Some(mut known) = load_devices(&mut tx.conn, &self.address).await? else {
            return refused(FetchRefusal::AccountUnknown);
        };
        if !self.devices.iter().all(|device| known.contains(device)) {
            return refused(FetchRefusal::DeviceUnknown);
        }
        // Of two who take at one time, on whatever node, the second looks after the first is done. In the
        // order in which everybody locks devices.
        known.sort_unstable();
        for device in &known {
            lock_device(&mut tx.conn, device).await?;
        }
        let mut bundles = Vec::with_capacity(self.devices.len());
        for device in &self.devices {
            let signed: Option<(Vec<u8>, Vec<u8>)> =
                sql("SELECT statement, signature FROM signed_prekeys WHERE device = $1")
                    .bind(id(device))
                    .fetch_optional(&mut tx.conn)
                    .await?;
            // The refusal undoes this whole change, so no key of an earlier device is lost to it.
            let Some((statement, signature)) = signed else {
                return refused(FetchRefusal::PrekeysMissing);
            };
            let Some(kem) = kem_prekeys::take(&mut tx.conn, device).await? else {
                return refused(FetchRefusal::PrekeysMissing);
            };
            bundles.push(Bundle {
                device: *device,
                signed: SignedStatement { statement, signature },
                one_time: take_one_time(&mut tx.conn, device).await?,
                kem,
            });
            warn(tx, device).await?;
        }
        Ok(bundles)
    }
}

impl FetchBundles {
    async fn check_access(&self, conn: &mut Conn<'_>) -> Result<(), WriteError<FetchRefusal>> {
        match &self.access_key {
            Some(key) if !admits(conn, &self.address, key).await? => {
                Err(WriteError::Refused(FetchRefusal::AccessDenied))
            }
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Whether bundles may be asked for with what is presented. Asked before the writer is: nobody needs a
    /// token for it.
    pub(crate) async fn check_access(&self, fetch: &FetchBundles) -> Result<(), WriteError<FetchRefusal>> {
        if fetch.access_key.is_some() {
            let mut reader = self.read().await?;
            fetch.check_access(&mut reader.conn()).await?;
        }
        Ok(())
    }

    /// How many one-time prekeys of each kind a device has here.
    pub(crate) async fn one_time_prekeys(&self, device: &DeviceId) -> Result<Remaining, ReadError> {
        let mut reader = self.read().await?;
        Ok(Remaining {
            one_time: count(&mut reader.conn(), device).await?,
            one_time_kem: kem_prekeys::count(&mut reader.conn(), device).await?,
        })
    }
}

/// Makes a statement the current one, unless that has the same id or a higher one.
pub(super) async fn store_current<S>(
    conn: &mut Conn<'_>,
    device: &DeviceId,
    prekey_id: u32,
    statement: &Signed<S>,
    place: &Current,
) -> Result<(), WriteError<PublishRefusal>> {
    let current: Option<(i64, Vec<u8>)> = sql(place.select).bind(id(device)).fetch_optional(conn).await?;
    if let Some((current_id, stored)) = current {
        if current_id == i64::from(prekey_id) && stored != statement.statement_bytes() {
            return Err(WriteError::Refused(PublishRefusal::Conflict(place.field)));
        }
        // A lower id is a request that arrived late.
        if current_id >= i64::from(prekey_id) {
            return Ok(());
        }
    }
    sql(place.replace)
        .bind(id(device))
        .bind(i64::from(prekey_id))
        .bind(statement.statement_bytes())
        .bind(statement.signature_bytes().as_slice())
        .execute(conn)
        .await?;
    Ok(())
}

/// Tells the device when its one-time prekeys run out.
async fn warn(tx: &mut Tx<'_>, device: &DeviceId) -> Result<(), sqlx::Error> {
    let one_time = count(&mut tx.conn, device).await?;
    let one_time_kem = kem_prekeys::count(&mut tx.conn, device).await?;
    if one_time.min(one_time_kem) < LOW_WATER {
        let remaining = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let low = PrekeysLow {
            one_time_remaining: remaining(one_time),
            one_time_kem_remaining: remaining(one_time_kem),
        };
        tx.tell(News::PrekeysLow(*device, low));
    }
    Ok(())
}

async fn lock_device(conn: &mut Conn<'_>, device: &DeviceId) -> Result<(), sqlx::Error> {
    let lock = conn.lock_rows();
    let _: Vec<(i64,)> = sql(format!("SELECT position FROM devices WHERE id = $1{lock}"))
        .bind(device)
        .fetch_all(conn)
        .await?;
    Ok(())
}

async fn take_one_time(
    conn: &mut Conn<'_>,
    device: &DeviceId,
) -> Result<Option<(u32, Vec<u8>)>, sqlx::Error> {
    let taken: Option<(i64, Vec<u8>)> = sql("DELETE FROM one_time_prekeys WHERE device = $1 AND id = \
         (SELECT MIN(id) FROM one_time_prekeys WHERE device = $1) RETURNING id, public_key")
    .bind(id(device))
    .fetch_optional(conn)
    .await?;
    taken.map(|(key_id, key)| Ok((small(key_id)?, key))).transpose()
}

async fn count(conn: &mut Conn<'_>, device: &DeviceId) -> Result<u64, sqlx::Error> {
    let (count,): (i64,) = sql("SELECT COUNT(*) FROM one_time_prekeys WHERE device = $1")
        .bind(id(device))
        .fetch_one(conn)
        .await?;
    Ok(from_db(count))
}
