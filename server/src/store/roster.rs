//! Taking roster entries in. What an entry comes to is worked out before it gets here, on what was read;
//! here is checked that it is still so, and all of it is kept.

use sottovoce_proto::v1::SignedStatement;
use sottovoce_statements::{AccountKey, Address, ChannelId, DeviceId, RosterHead};

use super::db::{Conn, sql};
use super::rows::to_db;
use super::writer::{Tx, Write, WriteError};

/// Begins a channel. Done already, it changes nothing.
pub(crate) struct FoundChannel {
    pub(crate) genesis: NewEntry,
    pub(crate) max_channels: u64,
}

/// Takes in the entry that follows `before`.
pub(crate) struct AppendEntry {
    pub(crate) entry: NewEntry,
    /// The head it was worked out on.
    pub(crate) before: RosterHead,
    pub(crate) membership: Option<Membership>,
    pub(crate) max_channels: u64,
}

/// An entry that was verified, and the roster with it.
pub(crate) struct NewEntry {
    pub(crate) channel: ChannelId,
    /// The entry's own place.
    pub(crate) head: RosterHead,
    pub(crate) signed: SignedStatement,
    /// The roster's bytes.
    pub(crate) roster: Vec<u8>,
    pub(crate) signer: Address,
    pub(crate) device: DeviceId,
    /// The signer's newest manifest when the entry was verified.
    pub(crate) manifest_version: u64,
}

/// Who comes or goes with an entry.
pub(crate) enum Membership {
    Joins(Address, AccountKey),
    Departs(Address),
}

/// Why an entry was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RosterRefusal {
    /// What it was worked out on is not so any more: read again.
    Moved,
    /// The account is in as many channels as it may.
    TooManyChannels { limit: u64 },
}

const MOVED: WriteError<RosterRefusal> = WriteError::Refused(RosterRefusal::Moved);

impl Write for FoundChannel {
    type Output = ();
    type Refusal = RosterRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<RosterRefusal>> {
        let conn = &mut tx.conn;
        let channel = self.genesis.channel.as_bytes();
        let founder = self.genesis.check_signer(conn).await?;
        // Locked, the founder founds one channel at a time.
        lock_account(conn, founder).await?;
        if head(conn, &self.genesis.channel).await?.is_some() {
            return Ok(());
        }
        check_room(conn, founder, self.max_channels).await?;
        sql("INSERT INTO channels (id, head_height, head_hash) VALUES ($1, $2, $3)")
            .bind(channel)
            .bind(to_db(self.genesis.head.height))
            .bind(self.genesis.head.hash)
            .execute(conn)
            .await?;
        sql("INSERT INTO fan_out_leases (channel) VALUES ($1)")
            .bind(channel)
            .execute(conn)
            .await?;
        sql("INSERT INTO rosters (channel, state) VALUES ($1, $2)")
            .bind(channel)
            .bind(self.genesis.roster.as_slice())
            .execute(conn)
            .await?;
        sql("INSERT INTO channel_members (channel, account, since_height) VALUES ($1, $2, $3)")
            .bind(channel)
            .bind(founder)
            .bind(to_db(self.genesis.head.height))
            .execute(conn)
            .await?;
        self.genesis.keep(conn).await
    }
}

impl Write for AppendEntry {
    type Output = ();
    type Refusal = RosterRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<RosterRefusal>> {
        let conn = &mut tx.conn;
        if head(conn, &self.entry.channel).await? != Some(self.before) {
            return Err(MOVED);
        }
        self.entry.check_signer(conn).await?;
        match &self.membership {
            Some(Membership::Joins(address, key)) => self.join(address, key, conn).await?,
            Some(Membership::Departs(address)) => self.depart(address, conn).await?,
            None => {}
        }
        sql("UPDATE channels SET head_height = $1, head_hash = $2 WHERE id = $3")
            .bind(to_db(self.entry.head.height))
            .bind(self.entry.head.hash)
            .bind(self.entry.channel.as_bytes())
            .execute(conn)
            .await?;
        sql("UPDATE rosters SET state = $1 WHERE channel = $2")
            .bind(self.entry.roster.as_slice())
            .bind(self.entry.channel.as_bytes())
            .execute(conn)
            .await?;
        self.entry.keep(conn).await
    }
}

impl AppendEntry {
    async fn join(
        &self,
        address: &Address,
        key: &AccountKey,
        conn: &mut Conn<'_>,
    ) -> Result<(), WriteError<RosterRefusal>> {
        let account: Option<(i64,)> = sql("SELECT id FROM accounts WHERE address = $1 AND account_key = $2")
            .bind(address.as_str())
            .bind(key.as_bytes())
            .fetch_optional(conn)
            .await?;
        let (account,) = account.ok_or(MOVED)?;
        lock_account(conn, account).await?;
        check_room(conn, account, self.max_channels).await?;
        sql("INSERT INTO channel_members (channel, account, since_height) VALUES ($1, $2, $3)")
            .bind(self.entry.channel.as_bytes())
            .bind(account)
            .bind(to_db(self.entry.head.height))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// An account that was deleted, or is another by now, is no member here whatever the roster says.
    async fn depart(&self, address: &Address, conn: &mut Conn<'_>) -> Result<(), WriteError<RosterRefusal>> {
        let gone: Option<(i64,)> = sql("DELETE FROM channel_members WHERE channel = $1 \
             AND account IN (SELECT id FROM accounts WHERE address = $2) RETURNING account")
        .bind(self.entry.channel.as_bytes())
        .bind(address.as_str())
        .fetch_optional(conn)
        .await?;
        let Some((account,)) = gone else { return Ok(()) };
        sql(
            "INSERT INTO former_members (channel, account, until_height) VALUES ($1, $2, $3) \
             ON CONFLICT (channel, account) DO UPDATE SET until_height = excluded.until_height",
        )
        .bind(self.entry.channel.as_bytes())
        .bind(account)
        .bind(to_db(self.entry.head.height))
        .execute(conn)
        .await?;
        Ok(())
    }
}

impl NewEntry {
    /// The signer's account, if its newest manifest is still the one that the entry was verified under.
    async fn check_signer(&self, conn: &mut Conn<'_>) -> Result<i64, WriteError<RosterRefusal>> {
        let account: Option<(i64,)> = sql(
            "SELECT accounts.id FROM accounts JOIN devices ON devices.account = accounts.id \
             WHERE accounts.address = $1 AND accounts.manifest_version = $2 AND devices.id = $3",
        )
        .bind(self.signer.as_str())
        .bind(to_db(self.manifest_version))
        .bind(self.device)
        .fetch_optional(conn)
        .await?;
        Ok(account.ok_or(MOVED)?.0)
    }

    async fn keep(&self, conn: &mut Conn<'_>) -> Result<(), WriteError<RosterRefusal>> {
        sql("INSERT INTO roster_entries (channel, height, statement, signature) VALUES ($1, $2, $3, $4)")
            .bind(self.channel.as_bytes())
            .bind(to_db(self.head.height))
            .bind(self.signed.statement.as_slice())
            .bind(self.signed.signature.as_slice())
            .execute(conn)
            .await?;
        Ok(())
    }
}

/// The head of a channel, locked until the end of the transaction.
async fn head(conn: &mut Conn<'_>, channel: &ChannelId) -> Result<Option<RosterHead>, sqlx::Error> {
    let lock = conn.lock_rows();
    let row: Option<(i64, Vec<u8>)> = sql(format!(
        "SELECT head_height, head_hash FROM channels WHERE id = $1{lock}"
    ))
    .bind(channel.as_bytes())
    .fetch_optional(conn)
    .await?;
    row.map(|(height, hash)| super::channels::to_head(height, &hash))
        .transpose()
}

/// Locks an account, unless it has gone meanwhile.
async fn lock_account(conn: &mut Conn<'_>, account: i64) -> Result<(), WriteError<RosterRefusal>> {
    let lock = conn.lock_rows();
    let there: Option<(i64,)> = sql(format!(
        "SELECT id FROM accounts WHERE id = $1 AND gone = 0{lock}"
    ))
    .bind(account)
    .fetch_optional(conn)
    .await?;
    there.map(|_| ()).ok_or(MOVED)
}

/// Whether the account may be in one channel more.
async fn check_room(conn: &mut Conn<'_>, account: i64, limit: u64) -> Result<(), WriteError<RosterRefusal>> {
    let (channels,): (i64,) = sql("SELECT COUNT(*) FROM channel_members WHERE account = $1")
        .bind(account)
        .fetch_one(conn)
        .await?;
    if channels >= to_db(limit) {
        return Err(WriteError::Refused(RosterRefusal::TooManyChannels { limit }));
    }
    Ok(())
}
