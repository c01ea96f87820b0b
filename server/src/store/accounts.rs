//! Accounts and their devices.

use super::db::{Conn, sql};
use sottovoce_proto::v1::SignedStatement;
use sottovoce_statements::{
    AccessKeyHash, AccountKey, Address, DeviceBinding, DeviceId, DeviceManifest, Statement, Verified,
};

use super::deletion;
use super::devices::{insert_device, is_in_use};
use super::leaving::is_leaving;
use super::operating::{is_invited, use_invite};
use super::rows::{id, to_db};
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// Creates an account with its first devices.
pub(crate) struct Register {
    pub(crate) account_key: AccountKey,
    pub(crate) manifest: Verified<DeviceManifest>,
    /// One for each device of the manifest, in its order.
    pub(crate) bindings: Vec<Verified<DeviceBinding>>,
    pub(crate) now_ms: u64,
    pub(crate) admission: Admission,
    pub(crate) max_accounts: u64,
}

/// Who may make an account. An identical repeat succeeds either way.
pub(crate) enum Admission {
    Anybody,
    /// Who shows an invite; this was shown.
    Invited(String),
    Nobody,
}

/// Why an account was not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegisterRefusal {
    AddressTaken,
    /// The named part belongs to another account.
    IdentityTaken(&'static str),
    /// What a device with the device's id has left is being deleted.
    Leaving,
    Closed,
    InviteInvalid,
    Full,
}

/// An account as others may see it.
pub(crate) struct StoredAccount {
    pub(crate) account_key: Vec<u8>,
    pub(crate) manifest: SignedStatement,
    pub(crate) bindings: Vec<SignedStatement>,
}

/// What the database says to a registration that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// This very account exists.
    Registered,
    New,
}

impl Write for Register {
    type Output = ();
    type Refusal = RegisterRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<RegisterRefusal>> {
        match self.check(&mut tx.conn).await? {
            Standing::Registered => Ok(()),
            Standing::New => self.insert(&mut tx.conn).await,
        }
    }
}

impl Register {
    /// In the order of PROTOCOL.md: a server that takes no accounts says so before it says anything of
    /// the accounts it has.
    async fn check(&self, conn: &mut Conn<'_>) -> Result<Standing, WriteError<RegisterRefusal>> {
        let refused = |refusal| Err(WriteError::Refused(refusal));
        let stored = load_account(conn, &self.manifest.address).await?;
        if stored.as_ref().is_some_and(|stored| self.is_same_as(stored)) {
            return Ok(Standing::Registered);
        }
        match &self.admission {
            Admission::Nobody => return refused(RegisterRefusal::Closed),
            Admission::Invited(code) if !is_invited(conn, code, self.now_ms).await? => {
                return refused(RegisterRefusal::InviteInvalid);
            }
            Admission::Invited(_) | Admission::Anybody => {}
        }
        if stored.is_some() || deletion::is_retired(conn, &self.manifest.address, self.now_ms).await? {
            return refused(RegisterRefusal::AddressTaken);
        }
        self.check_unused(conn).await?;
        let (accounts,): (i64,) = sql("SELECT accounts FROM totals").fetch_one(conn).await?;
        if accounts >= to_db(self.max_accounts) {
            return refused(RegisterRefusal::Full);
        }
        Ok(Standing::New)
    }

    fn is_same_as(&self, stored: &StoredAccount) -> bool {
        stored.account_key == self.account_key.as_bytes()
            && stored.manifest == to_message(&self.manifest)
            && stored
                .bindings
                .iter()
                .eq(self.bindings.iter().map(to_message).collect::<Vec<_>>().iter())
    }

    /// Keys and device ids name one account each: two with the same could pass for each other.
    async fn check_unused(&self, conn: &mut Conn<'_>) -> Result<(), WriteError<RegisterRefusal>> {
        let taken = |field| Err(WriteError::Refused(RegisterRefusal::IdentityTaken(field)));
        let key: Option<(i64,)> = sql("SELECT id FROM accounts WHERE account_key = $1")
            .bind(self.account_key.as_bytes().as_slice())
            .fetch_optional(conn)
            .await?;
        if key.is_some() {
            return taken("account_key");
        }
        for device in &self.manifest.devices {
            if is_leaving(conn, device.device_id).await? {
                return Err(WriteError::Refused(RegisterRefusal::Leaving));
            }
            if is_in_use(conn, device).await? {
                return taken("manifest.devices");
            }
        }
        Ok(())
    }

    async fn insert(&self, conn: &mut Conn<'_>) -> Result<(), WriteError<RegisterRefusal>> {
        // Another node may have taken its last use since it was looked at.
        if let Admission::Invited(code) = &self.admission
            && !use_invite(conn, code, self.now_ms).await?
        {
            return Err(WriteError::Refused(RegisterRefusal::InviteInvalid));
        }
        let (account,): (i64,) = sql(
            "INSERT INTO accounts (address, account_key, manifest_version, manifest_statement, \
             manifest_signature, created_at_ms) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(self.manifest.address.as_str())
        .bind(self.account_key.as_bytes().as_slice())
        .bind(to_db(self.manifest.version))
        .bind(self.manifest.signed().statement_bytes())
        .bind(self.manifest.signed().signature_bytes().as_slice())
        .bind(to_db(self.now_ms))
        .fetch_one(conn)
        .await?;
        for (position, binding) in self.bindings.iter().enumerate() {
            insert_device(conn, account, position, self.manifest.version, binding).await?;
        }
        sql("UPDATE totals SET accounts = accounts + 1")
            .execute(conn)
            .await?;
        Ok(())
    }
}

/// Sets the hash of the access key of the account of `device`, or takes it away. With another key goes what is
/// remembered of messages sent under the one before: else whoever had that could use up the memory that all
/// others need as well.
pub(crate) struct SetAccessKey {
    pub(crate) device: DeviceId,
    pub(crate) hash: Option<AccessKeyHash>,
}

impl Write for SetAccessKey {
    type Output = ();
    type Refusal = std::convert::Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Self::Refusal>> {
        let conn = &mut tx.conn;
        let row: Option<(i64, Option<Vec<u8>>)> = sql(
            "SELECT id, access_key_hash FROM accounts WHERE gone = 0 AND id = \
             (SELECT account FROM devices WHERE id = $1)",
        )
        .bind(id(&self.device))
        .fetch_optional(conn)
        .await?;
        let Some((account, before)) = row else {
            return Ok(());
        };
        let hash = self.hash.map(|hash| hash.as_bytes().to_vec());
        if hash == before {
            return Ok(());
        }
        // The receipts first, as a sweep does it; counted, so that one that comes meanwhile stays in the count.
        let forgotten = sql("DELETE FROM receipts WHERE account = $1")
            .bind(account)
            .execute(conn)
            .await?;
        sql(
            "UPDATE accounts SET access_key_hash = $1, sealed_receipts = sealed_receipts - $2 \
             WHERE id = $3 AND gone = 0",
        )
        .bind(hash)
        .bind(to_db(forgotten))
        .bind(account)
        .execute(conn)
        .await?;
        Ok(())
    }
}

impl Store {
    /// Creates an account, and returns once it is on the disk. What is refused, or made already, never
    /// reaches the writer: nobody needs a token to ask.
    pub(crate) async fn register(&self, change: Register) -> Result<(), WriteError<RegisterRefusal>> {
        let standing = {
            let mut reader = self.read().await?;
            change.check(&mut reader.conn()).await?
        };
        match standing {
            Standing::Registered => Ok(()),
            Standing::New => self.write(change).await,
        }
    }

    /// The account at `address`, if there is one.
    pub(crate) async fn account(&self, address: &Address) -> Result<Option<StoredAccount>, ReadError> {
        let mut reader = self.read().await?;
        Ok(load_account(&mut reader.conn(), address).await?)
    }

    /// The same for somebody who presents its access key; none where there is no such account, where it has
    /// no access key, and where that is another.
    pub(crate) async fn account_unseen(
        &self,
        address: &Address,
        access_key: &[u8; 32],
    ) -> Result<Option<StoredAccount>, ReadError> {
        let mut reader = self.read().await?;
        if admits(&mut reader.conn(), address, access_key).await? {
            Ok(load_account(&mut reader.conn(), address).await?)
        } else {
            Ok(None)
        }
    }

    /// The identity key of a device, if the server knows the device.
    pub(crate) async fn identity_key(&self, device: &DeviceId) -> Result<Option<Vec<u8>>, ReadError> {
        let key: Option<(Vec<u8>,)> = sql("SELECT identity_key FROM devices WHERE id = $1 AND gone = 0")
            .bind(id(device))
            .fetch_optional(&mut self.read().await?.conn())
            .await?;
        Ok(key.map(|(key,)| key))
    }
}

/// Whether an account has this access key. Where there is none to compare with, another hash is compared,
/// so that the time tells nobody who has an account.
pub(super) async fn admits(
    conn: &mut Conn<'_>,
    address: &Address,
    access_key: &[u8; 32],
) -> Result<bool, sqlx::Error> {
    let row: Option<(Option<Vec<u8>>,)> = sql("SELECT access_key_hash FROM accounts WHERE address = $1")
        .bind(address.as_str())
        .fetch_optional(conn)
        .await?;
    let stored = row.and_then(|(hash,)| hash);
    let compared = stored.as_deref().unwrap_or(&[0; 32]);
    let same = AccessKeyHash::from_slice(compared).is_ok_and(|hash| hash.admits(access_key));
    Ok(same && stored.is_some())
}

type AccountRow = (i64, Vec<u8>, Vec<u8>, Vec<u8>);

async fn load_account(conn: &mut Conn<'_>, address: &Address) -> Result<Option<StoredAccount>, sqlx::Error> {
    let row: Option<AccountRow> = sql(
        "SELECT id, account_key, manifest_statement, manifest_signature FROM accounts WHERE address = $1",
    )
    .bind(address.as_str())
    .fetch_optional(conn)
    .await?;
    let Some((account, account_key, statement, signature)) = row else {
        return Ok(None);
    };
    let bindings: Vec<(Vec<u8>, Vec<u8>)> =
        sql("SELECT binding_statement, binding_signature FROM devices WHERE account = $1 ORDER BY position")
            .bind(account)
            .fetch_all(conn)
            .await?;
    Ok(Some(StoredAccount {
        account_key,
        manifest: SignedStatement { statement, signature },
        bindings: bindings
            .into_iter()
            .map(|(statement, signature)| SignedStatement { statement, signature })
            .collect(),
    }))
}

/// The account's row number and its device ids in the manifest's order.
pub(super) async fn load_devices(
    conn: &mut Conn<'_>,
    address: &Address,
) -> Result<Option<Vec<DeviceId>>, sqlx::Error> {
    let account: Option<(i64,)> = sql("SELECT id FROM accounts WHERE address = $1")
        .bind(address.as_str())
        .fetch_optional(conn)
        .await?;
    let Some((account,)) = account else {
        return Ok(None);
    };
    let rows: Vec<(Vec<u8>,)> = sql("SELECT id FROM devices WHERE account = $1 ORDER BY position")
        .bind(account)
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|(device,)| super::rows::fixed(device).map(DeviceId::from_bytes))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn to_message<S: Statement>(statement: &Verified<S>) -> SignedStatement {
    SignedStatement {
        statement: statement.signed().statement_bytes().to_vec(),
        signature: statement.signed().signature_bytes().to_vec(),
    }
}
