//! KEM prekeys: one of last resort per device, and one-time prekeys that are handed out once.

use super::db::{Conn, sql};
use sottovoce_proto::v1::SignedStatement;
use sottovoce_statements::{DeviceId, KemPrekey, Verified};

use super::prekeys::{Current, PublishRefusal, store_current};
use super::rows::{from_db, id};
use super::writer::WriteError;

/// The KEM prekeys among those one device publishes.
pub(crate) struct KemPrekeys {
    pub(crate) last_resort: Option<Verified<KemPrekey>>,
    /// No id twice, nor that of the last resort.
    pub(crate) one_time: Vec<Verified<KemPrekey>>,
    pub(crate) max_one_time: u32,
}

/// The part of a request that one-time KEM prekeys come in.
const ONE_TIME: &str = "one_time_kem_prekeys";

const LAST_RESORT: Current = Current {
    field: "last_resort_kem_prekey",
    select: "SELECT id, statement FROM last_resort_kem_prekeys WHERE device = $1",
    replace: "INSERT INTO last_resort_kem_prekeys (device, id, statement, signature) \
              VALUES ($1, $2, $3, $4) ON CONFLICT (device) DO UPDATE SET id = excluded.id, \
              statement = excluded.statement, signature = excluded.signature",
};

impl KemPrekeys {
    /// Returns how many one-time ones the device now has here.
    pub(super) async fn store(
        &self,
        device: &DeviceId,
        conn: &mut Conn<'_>,
    ) -> Result<u64, WriteError<PublishRefusal>> {
        if let Some(prekey) = &self.last_resort {
            if stored_one_time(conn, device, prekey.id).await?.is_some() {
                return conflict(LAST_RESORT.field);
            }
            store_current(conn, device, prekey.id, prekey.signed(), &LAST_RESORT).await?;
        }
        if !self.one_time.is_empty() {
            self.store_one_time(device, conn).await?;
        }
        let remaining = count(conn, device).await?;
        if remaining > u64::from(self.max_one_time) {
            return Err(WriteError::Refused(PublishRefusal::TooMany {
                field: ONE_TIME,
                limit: self.max_one_time,
            }));
        }
        Ok(remaining)
    }

    async fn store_one_time(
        &self,
        device: &DeviceId,
        conn: &mut Conn<'_>,
    ) -> Result<(), WriteError<PublishRefusal>> {
        let (mut high_water,): (i64,) = sql("SELECT one_time_kem_high_water FROM devices WHERE id = $1")
            .bind(id(device))
            .fetch_one(conn)
            .await?;
        let last_resort: Option<(i64,)> = sql("SELECT id FROM last_resort_kem_prekeys WHERE device = $1")
            .bind(id(device))
            .fetch_optional(conn)
            .await?;
        let taken_before = high_water;
        for prekey in &self.one_time {
            let prekey_id = i64::from(prekey.id);
            if prekey_id <= taken_before {
                let stored = stored_one_time(conn, device, prekey.id).await?;
                if stored.is_some_and(|statement| statement != prekey.signed().statement_bytes()) {
                    return conflict(ONE_TIME);
                }
                // Stored already, or handed out before: either way it is not taken again.
                continue;
            }
            if last_resort == Some((prekey_id,)) {
                return conflict(ONE_TIME);
            }
            sql(
                "INSERT INTO one_time_kem_prekeys (device, id, statement, signature) VALUES ($1, $2, $3, $4)",
            )
            .bind(id(device))
            .bind(prekey_id)
            .bind(prekey.signed().statement_bytes())
            .bind(prekey.signed().signature_bytes().as_slice())
            .execute(conn)
            .await?;
            high_water = high_water.max(prekey_id);
        }
        if high_water > taken_before {
            sql("UPDATE devices SET one_time_kem_high_water = $1 WHERE id = $2")
                .bind(high_water)
                .bind(id(device))
                .execute(conn)
                .await?;
        }
        Ok(())
    }
}

/// The KEM prekey of a bundle: a one-time one, which is then gone, or that of last resort.
pub(super) async fn take(
    conn: &mut Conn<'_>,
    device: &DeviceId,
) -> Result<Option<SignedStatement>, sqlx::Error> {
    let one_time: Option<(Vec<u8>, Vec<u8>)> =
        sql("DELETE FROM one_time_kem_prekeys WHERE device = $1 AND id = \
         (SELECT MIN(id) FROM one_time_kem_prekeys WHERE device = $1) RETURNING statement, signature")
        .bind(id(device))
        .fetch_optional(conn)
        .await?;
    let taken = match one_time {
        Some(taken) => Some(taken),
        None => {
            sql("SELECT statement, signature FROM last_resort_kem_prekeys WHERE device = $1")
                .bind(id(device))
                .fetch_optional(conn)
                .await?
        }
    };
    Ok(taken.map(|(statement, signature)| SignedStatement { statement, signature }))
}

/// How many one-time ones a device has here.
pub(super) async fn count(conn: &mut Conn<'_>, device: &DeviceId) -> Result<u64, sqlx::Error> {
    let (count,): (i64,) = sql("SELECT COUNT(*) FROM one_time_kem_prekeys WHERE device = $1")
        .bind(id(device))
        .fetch_one(conn)
        .await?;
    Ok(from_db(count))
}

async fn stored_one_time(
    conn: &mut Conn<'_>,
    device: &DeviceId,
    prekey_id: u32,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let stored: Option<(Vec<u8>,)> =
        sql("SELECT statement FROM one_time_kem_prekeys WHERE device = $1 AND id = $2")
            .bind(id(device))
            .bind(i64::from(prekey_id))
            .fetch_optional(conn)
            .await?;
    Ok(stored.map(|(statement,)| statement))
}

fn conflict<T>(field: &'static str) -> Result<T, WriteError<PublishRefusal>> {
    Err(WriteError::Refused(PublishRefusal::Conflict(field)))
}
