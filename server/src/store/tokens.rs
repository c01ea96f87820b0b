//! Access tokens, of which the server keeps only hashes.

use super::db::sql;
use sottovoce_statements::DeviceId;

use super::rows::{fixed, from_db, id, to_db};
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// Lets a device in until `expires_at_ms`.
pub(crate) struct IssueToken {
    pub(crate) hash: [u8; 32],
    pub(crate) device: DeviceId,
    pub(crate) expires_at_ms: u64,
    pub(crate) now_ms: u64,
    /// The device's oldest tokens give way to the new one.
    pub(crate) max_per_device: u32,
}

/// The device a call is made by, and its account.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) device: DeviceId,
    pub(crate) identity_key: [u8; 32],
    /// `name@server`.
    pub(crate) address: String,
    pub(crate) expires_at_ms: u64,
}

impl Write for IssueToken {
    type Output = ();
    type Refusal = std::convert::Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Self::Refusal>> {
        sql("DELETE FROM access_tokens WHERE device = $1 AND expires_at_ms <= $2")
            .bind(id(&self.device))
            .bind(to_db(self.now_ms))
            .execute(&mut tx.conn)
            .await?;
        sql("INSERT INTO access_tokens (hash, device, expires_at_ms) VALUES ($1, $2, $3)")
            .bind(self.hash.as_slice())
            .bind(id(&self.device))
            .bind(to_db(self.expires_at_ms))
            .execute(&mut tx.conn)
            .await?;
        sql(
            "DELETE FROM access_tokens WHERE hash IN (SELECT hash FROM access_tokens WHERE device = $1 \
             ORDER BY expires_at_ms DESC, hash = $2 DESC LIMIT 1000000 OFFSET $3)",
        )
        .bind(id(&self.device))
        .bind(self.hash.as_slice())
        .bind(i64::from(self.max_per_device))
        .execute(&mut tx.conn)
        .await?;
        Ok(())
    }
}

impl Store {
    /// Who holds the token with this hash, if it is good at `now_ms`.
    ///
    /// The hash is looked up by an index, which takes time that depends on it. That tells nothing: who
    /// could steer a hash already knows the token.
    pub(crate) async fn caller(&self, hash: &[u8; 32], now_ms: u64) -> Result<Option<Caller>, ReadError> {
        let row: Option<(Vec<u8>, Vec<u8>, String, i64)> = sql(
            "SELECT devices.id, devices.identity_key, accounts.address, access_tokens.expires_at_ms \
             FROM access_tokens JOIN devices ON devices.id = access_tokens.device \
             JOIN accounts ON accounts.id = devices.account \
             WHERE access_tokens.hash = $1 AND access_tokens.expires_at_ms > $2",
        )
        .bind(hash.as_slice())
        .bind(to_db(now_ms))
        .fetch_optional(&mut self.read().await?.conn())
        .await?;
        row.map(|(device, identity_key, address, expires_at_ms)| {
            Ok(Caller {
                device: DeviceId::from_bytes(fixed(&device)?),
                identity_key: fixed(&identity_key)?,
                address,
                expires_at_ms: from_db(expires_at_ms),
            })
        })
        .transpose()
    }
}
