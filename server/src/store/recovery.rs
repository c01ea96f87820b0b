//! Recovery blobs: sealed by their account, kept for who presents the token that goes with them.

use std::convert::Infallible;

use sha2::{Digest, Sha256};
use sottovoce_proto::v1::SignedStatement;
use sottovoce_statements::{Address, DeviceId};
use subtle::ConstantTimeEq;

use super::db::sql;
use super::rows::id;
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// Keeps the recovery blob of the account of `device`, or takes it away.
pub(crate) struct PutRecoveryBlob {
    pub(crate) device: DeviceId,
    /// SHA-256 of the fetch token, and the blob.
    pub(crate) kept: Option<([u8; 32], Vec<u8>)>,
}

/// What an account is recovered with.
pub(crate) struct Recovery {
    pub(crate) blob: Vec<u8>,
    /// The account's newest, which may be newer than the blob.
    pub(crate) manifest: SignedStatement,
}

type RecoveryRow = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

impl Write for PutRecoveryBlob {
    type Output = ();
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        let Some((hash, blob)) = &self.kept else {
            sql("DELETE FROM recovery_blobs WHERE account = (SELECT account FROM devices WHERE id = $1)")
                .bind(id(&self.device))
                .execute(&mut tx.conn)
                .await?;
            return Ok(());
        };
        // Locked: an account that goes at this time keeps nothing more.
        let lock = tx.conn.lock_rows();
        sql(format!(
            "INSERT INTO recovery_blobs (account, fetch_token_hash, blob) \
             SELECT account, $2, $3 FROM devices WHERE id = $1 AND gone = 0{lock} \
             ON CONFLICT (account) DO UPDATE \
             SET fetch_token_hash = excluded.fetch_token_hash, blob = excluded.blob"
        ))
        .bind(id(&self.device))
        .bind(hash)
        .bind(blob.as_slice())
        .execute(&mut tx.conn)
        .await?;
        Ok(())
    }
}

impl Store {
    /// What an account is recovered with, for who has its fetch token; none where there is no such account,
    /// where it has no blob, and where the token is another.
    pub(crate) async fn recovery(
        &self,
        address: &Address,
        fetch_token: &[u8; 32],
    ) -> Result<Option<Recovery>, ReadError> {
        let row: Option<RecoveryRow> = sql(
            "SELECT fetch_token_hash, blob, manifest_statement, manifest_signature FROM recovery_blobs \
             JOIN accounts ON accounts.id = recovery_blobs.account WHERE accounts.address = $1",
        )
        .bind(address.as_str())
        .fetch_optional(&mut self.read().await?.conn())
        .await?;
        let presented: [u8; 32] = Sha256::digest(fetch_token).into();
        // As much is compared where there is nothing.
        let compared = row.as_ref().map_or([0; 32].as_slice(), |(hash, ..)| hash);
        let same: bool = presented.as_slice().ct_eq(compared).into();
        Ok(row
            .filter(|_| same)
            .map(|(_, blob, statement, signature)| Recovery {
                blob,
                manifest: SignedStatement { statement, signature },
            }))
    }
}
