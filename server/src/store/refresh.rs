//! Refreshing a session. What a presented token may be is in `auth/refresh.rs`.

use sottovoce_statements::DeviceId;

use super::Store;
use super::db::{Conn, sql};
use super::rows::{fixed, from_db, to_db};
use super::sessions::{end_streams, insert_access_token, next_use, see_device};
use super::writer::{Tx, Write, WriteError};
use crate::auth::{Origin, RefreshHashes, SecretHash, TokenHash};
use crate::clock::day;
use crate::hub::News;

/// Trades a refresh token for new tokens.
pub(crate) struct Refresh {
    pub(crate) presented: RefreshHashes,
    pub(crate) origin: Origin,
    pub(crate) next: SecretHash,
    pub(crate) access: TokenHash,
    pub(crate) access_expires_at_ms: u64,
    /// When the next token ends, unless the session has lasted its days by then.
    pub(crate) refresh_expires_at_ms: u64,
    pub(crate) session_days: u64,
    pub(crate) now_ms: u64,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// The session has new tokens, of which the refresh token is good until then.
    Renewed { refresh_expires_at_ms: u64 },
    /// The token had been used before: the session has ended.
    Reused,
}

/// Why nothing was refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshRefusal {
    /// Unknown, expired, revoked or forged.
    Invalid,
    OriginMismatch,
}

/// What the database knows of the session of a token that belongs to it.
struct Found {
    device: DeviceId,
    generation: i64,
    created_day: u64,
    place: Place,
}

/// Which of its session's tokens a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Newest,
    /// The answer that brought the newest may have been lost.
    Before,
    Older,
}

impl Write for Refresh {
    type Output = Refreshed;
    type Refusal = RefreshRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Refreshed, WriteError<RefreshRefusal>> {
        let found = self.find_locked(&mut tx.conn).await?;
        match found.place {
            Place::Newest => self.rotate(tx, &found).await?,
            Place::Before => self.repeat(tx, &found).await?,
            Place::Older => {
                sql("DELETE FROM sessions WHERE id = $1")
                    .bind(self.presented.session)
                    .execute(&mut tx.conn)
                    .await?;
                end_streams(tx, found.device);
                return Ok(Refreshed::Reused);
            }
        }
        see_device(&mut tx.conn, &found.device, self.now_ms).await?;
        Ok(Refreshed::Renewed {
            refresh_expires_at_ms: self.expires_at_ms(&found),
        })
    }
}

type FoundRow = (
    Vec<u8>,
    i64,
    i64,
    i64,
    Option<Vec<u8>>,
    Vec<u8>,
    Vec<u8>,
    Option<Vec<u8>>,
);

impl Refresh {
    /// The device is locked first, and then the session, as everybody does who takes both.
    async fn find_locked(&self, conn: &mut Conn<'_>) -> Result<Found, WriteError<RefreshRefusal>> {
        let lock = conn.lock_rows();
        if !lock.is_empty() {
            let _: Vec<(i64,)> = sql(format!(
                "SELECT position FROM devices WHERE id = (SELECT device FROM sessions WHERE id = $1){lock}"
            ))
            .bind(self.presented.session)
            .fetch_all(conn)
            .await?;
        }
        self.find(conn, lock).await
    }

    async fn find(&self, conn: &mut Conn<'_>, lock: &str) -> Result<Found, WriteError<RefreshRefusal>> {
        let row: Option<FoundRow> = sql(format!(
            "SELECT device, generation, created_day, refresh_expires_at_ms, origin_hash, family_hash, \
             refresh_hash, refreshed_hash FROM sessions WHERE id = $1{lock}"
        ))
        .bind(self.presented.session)
        .fetch_optional(conn)
        .await?;
        let invalid = WriteError::Refused(RefreshRefusal::Invalid);
        let Some((device, generation, created_day, expires_at_ms, origin, family, newest, before)) = row
        else {
            return Err(invalid);
        };
        // Before anything else: who does not know the family has never had a token of the session.
        if !self.presented.family.is(&family) || from_db(expires_at_ms) <= self.now_ms {
            return Err(invalid);
        }
        if self.origin.0.as_ref().map(<[u8; 32]>::as_slice) != origin.as_deref() {
            return Err(WriteError::Refused(RefreshRefusal::OriginMismatch));
        }
        let own = self.presented.own;
        let place = if own.is(&newest) {
            Place::Newest
        } else if before.is_some_and(|before| own.is(&before)) {
            Place::Before
        } else {
            Place::Older
        };
        Ok(Found {
            device: DeviceId::from_bytes(fixed(&device)?),
            generation,
            created_day: from_db(created_day),
            place,
        })
    }

    async fn rotate(&self, tx: &mut Tx<'_>, found: &Found) -> Result<(), sqlx::Error> {
        // The access token beside the presented one is good until it expires; older ones go.
        let void = sql("DELETE FROM access_tokens WHERE session = $1 AND generation < $2")
            .bind(self.presented.session)
            .bind(found.generation)
            .execute(&mut tx.conn)
            .await?;
        if void > 0 {
            tx.tell(News::TokensVoid(found.device));
        }
        sql("UPDATE sessions SET refreshed_hash = refresh_hash WHERE id = $1")
            .bind(self.presented.session)
            .execute(&mut tx.conn)
            .await?;
        self.renew(tx, found, found.generation + 1).await
    }

    /// What was issued for the same token before is void: its holder and this one cannot both go on.
    async fn repeat(&self, tx: &mut Tx<'_>, found: &Found) -> Result<(), sqlx::Error> {
        sql("DELETE FROM access_tokens WHERE session = $1 AND generation = $2")
            .bind(self.presented.session)
            .bind(found.generation)
            .execute(&mut tx.conn)
            .await?;
        // Streams that were begun with them end too, also at a node that does not hear of it in time.
        sql("UPDATE sessions SET breaks = breaks + 1 WHERE id = $1")
            .bind(self.presented.session)
            .execute(&mut tx.conn)
            .await?;
        end_streams(tx, found.device);
        self.renew(tx, found, found.generation).await
    }

    async fn renew(&self, tx: &mut Tx<'_>, found: &Found, generation: i64) -> Result<(), sqlx::Error> {
        let order = next_use(&mut tx.conn, &found.device).await?;
        sql(
            "UPDATE sessions SET refresh_hash = $2, generation = $3, use_order = $4, last_used_day = $5, \
             refresh_expires_at_ms = $6 WHERE id = $1",
        )
        .bind(self.presented.session)
        .bind(self.next.0)
        .bind(generation)
        .bind(order)
        .bind(to_db(day(self.now_ms)))
        .bind(to_db(self.expires_at_ms(found)))
        .execute(&mut tx.conn)
        .await?;
        let (session, expires_at_ms) = (&self.presented.session, self.access_expires_at_ms);
        insert_access_token(&mut tx.conn, &self.access, session, generation, expires_at_ms).await
    }

    fn expires_at_ms(&self, found: &Found) -> u64 {
        let last_day = found.created_day.saturating_add(self.session_days);
        self.refresh_expires_at_ms
            .min(crate::clock::day_begins_ms(last_day))
    }
}

impl Store {
    /// Refreshes a session, and returns once that is on the disk. A token that belongs to no session never
    /// reaches the writer: nobody needs an access token to ask.
    pub(crate) async fn refresh(&self, change: Refresh) -> Result<Refreshed, WriteError<RefreshRefusal>> {
        {
            let mut reader = self.read().await?;
            change.find(&mut reader.conn(), "").await?;
        }
        self.write(change).await
    }
}
