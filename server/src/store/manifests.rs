//! Device manifests: the newest, which is the account, and those it replaced.

use sottovoce_proto::v1::SignedStatement;
use sottovoce_statements::{Address, DeviceBinding, DeviceId, DeviceManifest, ManifestDevice, Verified};

use super::db::{Conn, sql};
use super::devices::{insert_device, is_in_use, load_keys};
use super::leaving::{is_leaving, leave_device};
use super::rows::{fixed, from_db, id, to_db};
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// Manifests in one answer.
const HISTORY_PAGE: i64 = 32;

/// Replaces the device manifest of an account.
pub(crate) struct UpdateManifest {
    /// Signed by the account key that the server has.
    pub(crate) manifest: Verified<DeviceManifest>,
    /// Those signed before it that may be missing between it and the newest one, oldest first.
    pub(crate) skipped: Vec<Verified<DeviceManifest>>,
    /// One for each device of the manifest that is new to the account, in its order.
    pub(crate) bindings: Vec<Verified<DeviceBinding>>,
    /// The oldest beyond these are forgotten.
    pub(crate) max_manifests: u64,
}

/// Why a manifest does not replace the newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateRefusal {
    AccountUnknown,
    /// It is not the one after the newest.
    Conflict,
    /// The bindings are not those of the devices that are new.
    Bindings,
    /// A new device's id or key is in use.
    IdentityTaken,
    /// What a device with a new device's id has left is being deleted.
    Leaving,
}

/// An account as a manifest is judged by.
pub(crate) struct Standing {
    pub(crate) account_key: [u8; 32],
    pub(crate) newest: SignedStatement,
    pub(crate) version: u64,
    pub(crate) devices: Vec<(DeviceId, Vec<u8>)>,
}

impl Standing {
    /// Whether this manifest is the newest already, or follows it, perhaps by others that were skipped.
    pub(crate) fn judge<'m>(
        &self,
        skipped: &'m [Verified<DeviceManifest>],
        manifest: &'m Verified<DeviceManifest>,
    ) -> Result<Judged<'m>, UpdateRefusal> {
        let is_newest =
            |signed: &Verified<DeviceManifest>| signed.signed().statement_bytes() == self.newest.statement;
        if is_newest(manifest) {
            return Ok(Judged::Newest);
        }
        let had = skipped
            .iter()
            .position(is_newest)
            .map_or(0, |newest| newest.saturating_add(1));
        let between = skipped.get(had..).unwrap_or_default();
        let mut last = (self.version, sha256(&self.newest.statement));
        for next in between.iter().chain(std::iter::once(manifest)) {
            if Some(next.version) != last.0.checked_add(1) || next.previous != last.1 {
                return Err(UpdateRefusal::Conflict);
            }
            last = (next.version, next.hash());
        }
        Ok(Judged::Follows(between))
    }

    /// The devices of a manifest that the account does not have yet: another key under a known id is
    /// another device.
    pub(crate) fn new_devices<'m>(
        &'m self,
        manifest: &'m DeviceManifest,
    ) -> impl Iterator<Item = (usize, &'m ManifestDevice)> {
        manifest
            .devices
            .iter()
            .enumerate()
            .filter(|(_, device)| !self.has(device))
    }

    fn has(&self, device: &ManifestDevice) -> bool {
        self.devices
            .iter()
            .any(|(id, key)| *id == device.device_id && key.as_slice() == device.identity_key.as_bytes())
    }
}

/// How a manifest stands to the newest one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Judged<'m> {
    Newest,
    /// With these between, which nobody has been shown.
    Follows(&'m [Verified<DeviceManifest>]),
}

impl Write for UpdateManifest {
    /// The devices that are gone, and have left something.
    type Output = Vec<DeviceId>;
    type Refusal = UpdateRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<DeviceId>, WriteError<UpdateRefusal>> {
        let refused = |refusal| Err(WriteError::Refused(refusal));
        let Some(account) = find(&mut tx.conn, &self.manifest.address).await? else {
            return refused(UpdateRefusal::AccountUnknown);
        };
        // Devices before their account, as everybody locks them.
        let lock = tx.conn.lock_rows();
        load_keys(&mut tx.conn, account, lock).await?;
        let Some(standing) = load(&mut tx.conn, account, lock).await? else {
            return refused(UpdateRefusal::AccountUnknown);
        };
        let between = match standing.judge(&self.skipped, &self.manifest) {
            Ok(Judged::Newest) => return Ok(Vec::new()),
            Ok(Judged::Follows(between)) => between,
            Err(refusal) => return refused(refusal),
        };
        let gone = self.remove(tx, &standing).await?;
        self.replace(&mut tx.conn, account, &standing, between).await?;
        self.place(&mut tx.conn, account, &standing).await?;
        Ok(gone)
    }
}

impl UpdateManifest {
    async fn remove(&self, tx: &mut Tx<'_>, standing: &Standing) -> Result<Vec<DeviceId>, sqlx::Error> {
        let mut gone = Vec::new();
        for (device, _) in &standing.devices {
            // Under another key it stays, and the other one finds its id in use.
            if self.manifest.identity_key(*device).is_none() {
                leave_device(tx, *device).await?;
                gone.push(*device);
            }
        }
        Ok(gone)
    }

    async fn replace(
        &self,
        conn: &mut Conn<'_>,
        account: i64,
        standing: &Standing,
        between: &[Verified<DeviceManifest>],
    ) -> Result<(), sqlx::Error> {
        let newest = (
            standing.version,
            standing.newest.statement.as_slice(),
            standing.newest.signature.as_slice(),
        );
        let between = between.iter().map(|manifest| {
            let signed = manifest.signed();
            let signature = signed.signature_bytes().as_slice();
            (manifest.version, signed.statement_bytes(), signature)
        });
        let mut last = standing.version;
        for (version, statement, signature) in std::iter::once(newest).chain(between) {
            sql("INSERT INTO manifests (account, version, statement, signature) VALUES ($1, $2, $3, $4)")
                .bind(account)
                .bind(to_db(version))
                .bind(statement)
                .bind(signature)
                .execute(conn)
                .await?;
            last = version;
        }
        sql("DELETE FROM manifests WHERE account = $1 AND version <= $2")
            .bind(account)
            .bind(to_db(last.saturating_sub(self.max_manifests)))
            .execute(conn)
            .await?;
        sql(
            "UPDATE accounts SET manifest_version = $2, manifest_statement = $3, manifest_signature = $4 \
             WHERE id = $1",
        )
        .bind(account)
        .bind(to_db(self.manifest.version))
        .bind(self.manifest.signed().statement_bytes())
        .bind(self.manifest.signed().signature_bytes().as_slice())
        .execute(conn)
        .await?;
        Ok(())
    }

    /// Gives every device its place, and adds those that are new.
    async fn place(
        &self,
        conn: &mut Conn<'_>,
        account: i64,
        standing: &Standing,
    ) -> Result<(), WriteError<UpdateRefusal>> {
        for (position, device) in self.manifest.devices.iter().enumerate() {
            sql("UPDATE devices SET position = $1 WHERE id = $2 AND account = $3")
                .bind(to_db(position as u64))
                .bind(id(&device.device_id))
                .bind(account)
                .execute(conn)
                .await?;
        }
        let mut bindings = self.bindings.iter();
        for (position, device) in standing.new_devices(&self.manifest) {
            let binding = bindings
                .next()
                .filter(|binding| binding.device_id == device.device_id);
            let Some(binding) = binding else {
                return Err(WriteError::Refused(UpdateRefusal::Bindings));
            };
            if is_leaving(conn, device.device_id).await? {
                return Err(WriteError::Refused(UpdateRefusal::Leaving));
            }
            if is_in_use(conn, device).await? {
                return Err(WriteError::Refused(UpdateRefusal::IdentityTaken));
            }
            insert_device(conn, account, position, self.manifest.version, binding).await?;
        }
        match bindings.next() {
            None => Ok(()),
            Some(_) => Err(WriteError::Refused(UpdateRefusal::Bindings)),
        }
    }
}

impl Store {
    /// What a manifest for this address is judged by.
    pub(crate) async fn standing(&self, address: &Address) -> Result<Option<Standing>, ReadError> {
        let mut reader = self.read().await?;
        match find(&mut reader.conn(), address).await? {
            Some(account) => Ok(load(&mut reader.conn(), account, "").await?),
            None => Ok(None),
        }
    }

    /// Manifests of an account that newer ones replaced, of versions above `after`, oldest first.
    pub(crate) async fn manifests(
        &self,
        address: &Address,
        after: u64,
    ) -> Result<Option<Vec<SignedStatement>>, ReadError> {
        let mut reader = self.read().await?;
        let Some(account) = find(&mut reader.conn(), address).await? else {
            return Ok(None);
        };
        let rows: Vec<(Vec<u8>, Vec<u8>)> = sql("SELECT statement, signature FROM manifests \
             WHERE account = $1 AND version > $2 ORDER BY version LIMIT $3")
        .bind(account)
        .bind(to_db(after))
        .bind(HISTORY_PAGE)
        .fetch_all(&mut reader.conn())
        .await?;
        Ok(Some(
            rows.into_iter()
                .map(|(statement, signature)| SignedStatement { statement, signature })
                .collect(),
        ))
    }
}

/// The row of an account.
pub(super) async fn find(conn: &mut Conn<'_>, address: &Address) -> Result<Option<i64>, sqlx::Error> {
    let row: Option<(i64,)> = sql("SELECT id FROM accounts WHERE address = $1")
        .bind(address.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(account,)| account))
}

type NewestRow = (Vec<u8>, Vec<u8>, Vec<u8>, i64);

async fn load(conn: &mut Conn<'_>, account: i64, lock: &str) -> Result<Option<Standing>, sqlx::Error> {
    let row: Option<NewestRow> = sql(format!(
        "SELECT account_key, manifest_statement, manifest_signature, manifest_version FROM accounts \
         WHERE id = $1 AND gone = 0{lock}"
    ))
    .bind(account)
    .fetch_optional(conn)
    .await?;
    let Some((account_key, statement, signature, version)) = row else {
        return Ok(None);
    };
    Ok(Some(Standing {
        account_key: fixed(&account_key)?,
        newest: SignedStatement { statement, signature },
        version: from_db(version),
        devices: load_keys(conn, account, lock).await?,
    }))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
