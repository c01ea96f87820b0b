//! Sessions of devices, and who is calling. Of tokens the server keeps only hashes.

use std::time::Duration;

use sottovoce_statements::{AuthChallenge, DeviceId, Verified};

use super::db::{Conn, sql};
use super::rows::{fixed, from_db, id, to_db};
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};
use crate::auth::{Origin, RefreshHashes, TokenHash};
use crate::clock::{day, millis};
use crate::hub::News;
use crate::limits::Limits;

/// The device a call is made by, and its account.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) device: DeviceId,
    /// The row of its account.
    pub(crate) account: i64,
    pub(crate) grounds: Grounds,
    pub(crate) identity_key: [u8; 32],
    /// `name@server`.
    pub(crate) address: String,
    /// Where the session was begun, and where its calls come from.
    pub(crate) origin: Origin,
    pub(crate) expires_at_ms: u64,
}

/// What a stream rests on: a session, as it was when its token was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grounds {
    pub(crate) session: [u8; 16],
    /// How often the session's streams had been ended while it went on.
    pub(crate) breaks: i64,
}

/// Lets a device in.
pub(crate) struct SignIn {
    /// Made by this server, and not expired.
    pub(crate) challenge: Verified<AuthChallenge>,
    pub(crate) access: TokenHash,
    pub(crate) access_expires_at_ms: u64,
    pub(crate) first: RefreshHashes,
    pub(crate) refresh_expires_at_ms: u64,
    pub(crate) origin: Origin,
    pub(crate) now_ms: u64,
    pub(crate) pace: SignInPace,
    /// The one used longest ago gives way to the new one.
    pub(crate) max_sessions: u32,
}

/// How often a device may sign in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignInPace {
    pub(crate) free: u32,
    pub(crate) first_wait: Duration,
    pub(crate) longest_wait: Duration,
    pub(crate) memory: Duration,
}

/// Why a device is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignInRefusal {
    /// It has left its account, or has another key, since the signature was checked.
    DeviceUnknown,
    DeviceBlocked,
    ChallengeUsed,
    Throttled {
        wait_ms: u64,
    },
}

/// Ends a session of the account of `device`.
pub(crate) struct RevokeSession {
    pub(crate) device: DeviceId,
    pub(crate) session: [u8; 16],
}

/// The account has no such session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionUnknown;

/// A session, as its account may see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredSession {
    pub(crate) id: [u8; 16],
    pub(crate) device: DeviceId,
    pub(crate) created_day: u32,
    pub(crate) last_used_day: u32,
    pub(crate) web: bool,
}

impl SignInPace {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            free: limits.free_sign_ins,
            first_wait: limits.sign_in_wait,
            longest_wait: limits.max_sign_in_wait,
            memory: limits.sign_in_memory,
        }
    }

    /// How long after its last sign-in a device that signed in `count` times of late may again: the wait
    /// doubles each time.
    fn wait_ms(&self, count: u64) -> u64 {
        let Some(beyond) = count.checked_sub(u64::from(self.free)) else {
            return 0;
        };
        let factor = 1_u64.checked_shl(u32::try_from(beyond).unwrap_or(u32::MAX));
        millis(self.first_wait)
            .saturating_mul(factor.unwrap_or(u64::MAX))
            .min(millis(self.longest_wait))
    }
}

impl Write for SignIn {
    type Output = ();
    type Refusal = SignInRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<SignInRefusal>> {
        self.check_device(&mut tx.conn).await?;
        self.use_up_challenge(&mut tx.conn).await?;
        self.count(&mut tx.conn).await?;
        self.make_room(tx).await?;
        self.insert(&mut tx.conn).await?;
        see_device(&mut tx.conn, self.device(), self.now_ms).await?;
        Ok(())
    }
}

impl SignIn {
    fn device(&self) -> &DeviceId {
        &self.challenge.device_id
    }

    /// Locks the device: who revokes it waits, or has done so before. Who shut it out while another node took it
    /// on has not seen it there: asked for both, it is out.
    async fn check_device(&self, conn: &mut Conn<'_>) -> Result<(), WriteError<SignInRefusal>> {
        let lock = conn.lock_rows();
        let row: Option<(i64,)> = sql(format!(
            "SELECT blocked + (SELECT COUNT(*) FROM shut_outs WHERE shut_outs.device = devices.id) \
             FROM devices WHERE id = $1 AND identity_key = $2{lock}"
        ))
        .bind(id(self.device()))
        .bind(self.challenge.signer().as_bytes().as_slice())
        .fetch_optional(conn)
        .await?;
        match row {
            None => Err(WriteError::Refused(SignInRefusal::DeviceUnknown)),
            Some((0,)) => Ok(()),
            Some(_) => Err(WriteError::Refused(SignInRefusal::DeviceBlocked)),
        }
    }

    async fn use_up_challenge(&self, conn: &mut Conn<'_>) -> Result<(), WriteError<SignInRefusal>> {
        if use_up_challenge(conn, &self.challenge).await? {
            Ok(())
        } else {
            Err(WriteError::Refused(SignInRefusal::ChallengeUsed))
        }
    }

    /// Nothing can be guessed here, so only what succeeded counts: who knows of a device and nothing else
    /// cannot keep it out.
    async fn count(&self, conn: &mut Conn<'_>) -> Result<(), WriteError<SignInRefusal>> {
        let before: Option<(i64, i64)> = sql("SELECT count, last_ms FROM sign_ins WHERE device = $1")
            .bind(id(self.device()))
            .fetch_optional(conn)
            .await?;
        let (count, last_ms) = before.map_or((0, 0), |(count, last)| (from_db(count), from_db(last)));
        let paused = last_ms.saturating_add(millis(self.pace.memory)) <= self.now_ms;
        let count = if paused { 0 } else { count };
        let free_at_ms = last_ms.saturating_add(self.pace.wait_ms(count));
        // Nodes' clocks differ a little, and none of them makes anybody wait for longer than the rule.
        let wait_ms = free_at_ms
            .saturating_sub(self.now_ms)
            .min(self.pace.wait_ms(count));
        if count > 0 && wait_ms > 0 {
            return Err(WriteError::Refused(SignInRefusal::Throttled { wait_ms }));
        }
        sql(
            "INSERT INTO sign_ins (device, count, last_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (device) DO UPDATE SET count = excluded.count, last_ms = excluded.last_ms",
        )
        .bind(id(self.device()))
        .bind(to_db(count + 1))
        .bind(to_db(self.now_ms))
        .execute(conn)
        .await?;
        Ok(())
    }

    async fn make_room(&self, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
        let keep = i64::from(self.max_sessions.saturating_sub(1));
        let ended = sql(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE device = $1 \
             ORDER BY use_order DESC LIMIT 1000 OFFSET $2)",
        )
        .bind(id(self.device()))
        .bind(keep)
        .execute(&mut tx.conn)
        .await?;
        if ended > 0 {
            end_streams(tx, *self.device());
        }
        Ok(())
    }

    async fn insert(&self, conn: &mut Conn<'_>) -> Result<(), sqlx::Error> {
        let today = to_db(day(self.now_ms));
        let order = next_use(conn, self.device()).await?;
        sql(
            "INSERT INTO sessions (id, device, use_order, created_day, last_used_day, origin_hash, \
             family_hash, refresh_hash, refresh_expires_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(self.first.session)
        .bind(id(self.device()))
        .bind(order)
        .bind(today)
        .bind(today)
        .bind(self.origin.0.map(|hash| hash.to_vec()))
        .bind(self.first.family.0)
        .bind(self.first.own.0)
        .bind(to_db(self.refresh_expires_at_ms))
        .execute(conn)
        .await?;
        let (session, expires_at_ms) = (&self.first.session, self.access_expires_at_ms);
        insert_access_token(conn, &self.access, session, 0, expires_at_ms).await
    }
}

impl Write for RevokeSession {
    type Output = ();
    type Refusal = SessionUnknown;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<SessionUnknown>> {
        let ended: Option<(Vec<u8>,)> = sql(
            "DELETE FROM sessions WHERE id = $1 AND device IN (SELECT theirs.id FROM devices AS theirs \
             JOIN devices AS own ON own.account = theirs.account WHERE own.id = $2) RETURNING device",
        )
        .bind(self.session)
        .bind(id(&self.device))
        .fetch_optional(&mut tx.conn)
        .await?;
        let (device,) = ended.ok_or(WriteError::Refused(SessionUnknown))?;
        end_streams(tx, DeviceId::from_bytes(fixed(&device)?));
        Ok(())
    }
}

type CallerRow = (Vec<u8>, i64, Vec<u8>, i64, Vec<u8>, String, Option<Vec<u8>>, i64);
type SessionRow = (Vec<u8>, Vec<u8>, i64, i64, Option<Vec<u8>>);

impl Store {
    /// Who holds the token with this hash, if it is good at `now_ms`.
    ///
    /// The hash is looked up by an index, which takes time that depends on it. That tells nothing: who
    /// could steer a hash already knows the token.
    pub(crate) async fn caller(&self, hash: &[u8; 32], now_ms: u64) -> Result<Option<Caller>, ReadError> {
        let before = match self.callers.find(hash, self.caller_memory, now_ms) {
            Ok(caller) => return Ok(Some(caller)),
            Err(before) => before,
        };
        let row: Option<CallerRow> = sql("SELECT devices.id, devices.account, sessions.id, \
             sessions.breaks, devices.identity_key, accounts.address, sessions.origin_hash, \
             access_tokens.expires_at_ms \
             FROM access_tokens JOIN sessions ON sessions.id = access_tokens.session \
             JOIN devices ON devices.id = sessions.device JOIN accounts ON accounts.id = devices.account \
             WHERE access_tokens.hash = $1 AND access_tokens.expires_at_ms > $2")
        .bind(hash.as_slice())
        .bind(to_db(now_ms))
        .fetch_optional(&mut self.read().await?.conn())
        .await?;
        let Some((device, account, session, breaks, identity_key, address, origin, expires_at_ms)) = row
        else {
            return Ok(None);
        };
        let caller = Caller {
            device: DeviceId::from_bytes(fixed(&device)?),
            account,
            grounds: Grounds {
                session: fixed(&session)?,
                breaks,
            },
            identity_key: fixed(&identity_key)?,
            address,
            origin: Origin(origin.as_deref().map(fixed).transpose()?),
            expires_at_ms: from_db(expires_at_ms),
        };
        self.callers.remember(*hash, &caller, before);
        Ok(Some(caller))
    }

    /// Whether a stream of the device still has what it rests on. Asked of the database, whatever is
    /// remembered of the token.
    pub(crate) async fn stands(&self, device: &DeviceId, grounds: Grounds) -> Result<bool, ReadError> {
        let found: Option<(i64,)> =
            sql("SELECT breaks FROM sessions WHERE id = $1 AND device = $2 AND breaks = $3")
                .bind(grounds.session)
                .bind(device)
                .bind(grounds.breaks)
                .fetch_optional(&mut self.read().await?.conn())
                .await?;
        Ok(found.is_some())
    }

    /// The sessions of the account of `device`, those used last first.
    pub(crate) async fn sessions(
        &self,
        device: &DeviceId,
        now_ms: u64,
    ) -> Result<Vec<StoredSession>, ReadError> {
        let rows: Vec<SessionRow> = sql(
            "SELECT sessions.id, sessions.device, created_day, last_used_day, \
             origin_hash FROM sessions JOIN devices ON devices.id = sessions.device \
             WHERE devices.account = (SELECT account FROM devices WHERE id = $1) \
             AND refresh_expires_at_ms > $2 ORDER BY last_used_day DESC, sessions.device, use_order DESC",
        )
        .bind(id(device))
        .bind(to_db(now_ms))
        .fetch_all(&mut self.read().await?.conn())
        .await?;
        rows.into_iter()
            .map(|(session, device, created_day, last_used_day, origin)| {
                Ok(StoredSession {
                    id: fixed(&session)?,
                    device: DeviceId::from_bytes(fixed(&device)?),
                    created_day: super::rows::small(created_day)?,
                    last_used_day: super::rows::small(last_used_day)?,
                    web: origin.is_some(),
                })
            })
            .collect()
    }
}

/// Marks a challenge, whose signature was verified, as used; false when it was before. Of many callers at
/// one time, at whatever node, exactly one succeeds.
pub(super) async fn use_up_challenge(
    conn: &mut Conn<'_>,
    challenge: &AuthChallenge,
) -> Result<bool, sqlx::Error> {
    let first = sql(
        "INSERT INTO used_challenges (nonce, expires_at_ms) VALUES ($1, $2) \
         ON CONFLICT (nonce) DO NOTHING",
    )
    .bind(challenge.nonce.as_slice())
    .bind(to_db(challenge.expires_at_ms))
    .execute(conn)
    .await?;
    Ok(first == 1)
}

/// The device was here today.
pub(super) async fn see_device(
    conn: &mut Conn<'_>,
    device: &DeviceId,
    now_ms: u64,
) -> Result<(), sqlx::Error> {
    let today = to_db(day(now_ms));
    sql("UPDATE devices SET last_seen_day = $1 WHERE id = $2 AND last_seen_day < $1")
        .bind(today)
        .bind(id(device))
        .execute(conn)
        .await?;
    Ok(())
}

/// The place of the next use among those of the device's sessions.
pub(super) async fn next_use(conn: &mut Conn<'_>, device: &DeviceId) -> Result<i64, sqlx::Error> {
    let (order,): (i64,) = sql("SELECT COALESCE(MAX(use_order), 0) + 1 FROM sessions WHERE device = $1")
        .bind(id(device))
        .fetch_one(conn)
        .await?;
    Ok(order)
}

pub(super) async fn insert_access_token(
    conn: &mut Conn<'_>,
    hash: &TokenHash,
    session: &[u8; 16],
    generation: i64,
    expires_at_ms: u64,
) -> Result<(), sqlx::Error> {
    sql("INSERT INTO access_tokens (hash, session, generation, expires_at_ms) VALUES ($1, $2, $3, $4)")
        .bind(hash.0)
        .bind(session)
        .bind(generation)
        .bind(to_db(expires_at_ms))
        .execute(conn)
        .await?;
    Ok(())
}

/// A session of the device has ended. Its stream is ended whichever session began it: with another
/// session the device begins the next.
pub(super) fn end_streams(tx: &mut Tx<'_>, device: DeviceId) {
    tx.tell(News::End(device, sottovoce_proto::v1::ErrorReason::TokenInvalid));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_longest() {
        let pace = SignInPace {
            free: 3,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            memory: Duration::from_secs(3_600),
        };
        let waits: Vec<_> = (0..10).map(|count| pace.wait_ms(count) / 1000).collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60]);
        assert_eq!(pace.wait_ms(u64::MAX), 60_000);
    }
}
