//! What is read of channels: their rosters, the entries these came of, and who may see them.

use std::convert::Infallible;

use sottovoce_proto::v1::SignedStatement;
use sottovoce_statements::{Address, ChannelId, RosterHead};

use super::db::{Rows, sql};
use super::rows::{fixed, from_db, to_db};
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// Channels, and posts, looked at in one step of a sweep.
const SWEEP_BATCH: i64 = 1_000;

/// What a channel looks like to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChannelView {
    /// The newest entry the account may read.
    pub(crate) readable_until: u64,
    pub(crate) is_member: bool,
}

impl Store {
    /// The bytes of a channel's roster.
    pub(crate) async fn roster(&self, channel: &ChannelId) -> Result<Option<Vec<u8>>, ReadError> {
        let row: Option<(Vec<u8>,)> = sql("SELECT state FROM rosters WHERE channel = $1")
            .bind(channel.as_bytes())
            .fetch_optional(&mut self.read().await?.conn())
            .await?;
        Ok(row.map(|(state,)| state))
    }

    /// What an account sees of a channel, if it is or was a member.
    pub(crate) async fn channel_view(
        &self,
        channel: &ChannelId,
        address: &str,
    ) -> Result<Option<ChannelView>, ReadError> {
        let row: Option<(i64, Option<i64>, Option<i64>)> = sql(
            "SELECT channels.head_height, channel_members.since_height, former_members.until_height \
             FROM accounts JOIN channels ON channels.id = $1 \
             LEFT JOIN channel_members ON channel_members.channel = channels.id \
             AND channel_members.account = accounts.id \
             LEFT JOIN former_members ON former_members.channel = channels.id \
             AND former_members.account = accounts.id WHERE accounts.address = $2",
        )
        .bind(channel.as_bytes())
        .bind(address)
        .fetch_optional(&mut self.read().await?.conn())
        .await?;
        Ok(row.and_then(|(head, since, until)| {
            let readable_until = if since.is_some() { Some(head) } else { until };
            readable_until.map(|until| ChannelView {
                readable_until: from_db(until),
                is_member: since.is_some(),
            })
        }))
    }

    /// Entries of a channel from one height to another, oldest first, at most `at_most`.
    pub(crate) async fn roster_entries(
        &self,
        channel: &ChannelId,
        from: u64,
        until: u64,
        at_most: usize,
    ) -> Result<Vec<SignedStatement>, ReadError> {
        let rows: Vec<(Vec<u8>, Vec<u8>)> = sql(
            "SELECT statement, signature FROM roster_entries WHERE channel = $1 AND height >= $2 \
             AND height <= $3 ORDER BY height LIMIT $4",
        )
        .bind(channel.as_bytes())
        .bind(to_db(from))
        .bind(to_db(until))
        .bind(to_db(at_most as u64))
        .fetch_all(&mut self.read().await?.conn())
        .await?;
        let entries = rows.into_iter();
        Ok(entries
            .map(|(statement, signature)| SignedStatement { statement, signature })
            .collect())
    }

    /// The channels an account is in, with their heads, in the order of their ids.
    pub(crate) async fn channels_of(
        &self,
        address: &str,
        after: &[u8],
        at_most: usize,
    ) -> Result<Vec<(Vec<u8>, RosterHead)>, ReadError> {
        let rows: Vec<(Vec<u8>, i64, Vec<u8>)> = sql(
            "SELECT channels.id, channels.head_height, channels.head_hash FROM accounts \
             JOIN channel_members ON channel_members.account = accounts.id \
             JOIN channels ON channels.id = channel_members.channel \
             WHERE accounts.address = $1 AND channel_members.channel > $2 \
             ORDER BY channel_members.channel LIMIT $3",
        )
        .bind(address)
        .bind(after)
        .bind(to_db(at_most as u64))
        .fetch_all(&mut self.read().await?.conn())
        .await?;
        rows.into_iter()
            .map(|(id, height, hash)| Ok((id, to_head(height, &hash)?)))
            .collect()
    }

    /// The account key of an address.
    pub(crate) async fn account_key(&self, address: &Address) -> Result<Option<Vec<u8>>, ReadError> {
        let row: Option<(Vec<u8>,)> = sql("SELECT account_key FROM accounts WHERE address = $1")
            .bind(address.as_str())
            .fetch_optional(&mut self.read().await?.conn())
            .await?;
        Ok(row.map(|(key,)| key))
    }

    /// The next channels, and posts, in the order of their ids, that nobody is left for; and where to go on.
    pub(crate) async fn forsaken(&self, after: &Forsaken) -> Result<Forsaken, ReadError> {
        const CHANNELS: &str = "SELECT id, (SELECT COUNT(*) FROM (SELECT account FROM channel_members \
                                WHERE channel = channels.id LIMIT 1) AS members) FROM channels \
                                WHERE id > $1 ORDER BY id LIMIT $2";
        const POSTS: &str = "SELECT id, (SELECT COUNT(*) FROM (SELECT device FROM envelopes \
                             WHERE post = posts.id LIMIT 1) AS left_over) FROM posts \
                             WHERE id > $1 ORDER BY id LIMIT $2";
        let mut found = Forsaken::default();
        let mut reader = self.read().await?;
        for (text, after, page) in [
            (CHANNELS, &after.channels, &mut found.channels),
            (POSTS, &after.posts, &mut found.posts),
        ] {
            if after.ended {
                page.ended = true;
                continue;
            }
            let rows: Vec<(Vec<u8>, i64)> = sql(text)
                .bind(after.until.as_slice())
                .bind(SWEEP_BATCH)
                .fetch_all(&mut reader.conn())
                .await?;
            page.ended = (rows.len() as i64) < SWEEP_BATCH;
            page.until = rows.last().map(|(id, _)| id.clone()).unwrap_or_default();
            let unused = rows.into_iter().filter(|(_, users)| *users == 0);
            page.ids = unused.map(|(id, _)| id).collect();
        }
        Ok(found)
    }
}

/// Channels without members, whose accounts are all gone, and posts without envelopes, whose recipients are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forsaken {
    channels: Page,
    posts: Page,
}

/// What one step of the look through a table found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Page {
    ids: Vec<Vec<u8>>,
    /// The last id looked at.
    until: Vec<u8>,
    ended: bool,
}

impl Forsaken {
    /// How many channels and posts this step found.
    pub(crate) fn len(&self) -> u64 {
        (self.channels.ids.len() + self.posts.ids.len()) as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.channels.ids.is_empty() && self.posts.ids.is_empty()
    }

    /// Whether there is nothing behind these.
    pub(crate) fn is_last(&self) -> bool {
        self.channels.ended && self.posts.ended
    }
}

/// Deletes what it holds, as far as that is still so.
impl Write for Forsaken {
    type Output = ();
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        super::posts::drop_delivered(self.posts.ids.iter().cloned(), &mut tx.conn).await?;
        if !self.channels.ids.is_empty() {
            sql(
                "WITH r(channel) AS ({rows}) DELETE FROM channels WHERE id IN (SELECT channel FROM r) \
                 AND NOT EXISTS (SELECT 1 FROM channel_members WHERE channel_members.channel = channels.id)",
            )
            .rows(Rows::column(self.channels.ids.iter().cloned()))
            .execute(&mut tx.conn)
            .await?;
        }
        Ok(())
    }
}

pub(super) fn to_head(height: i64, hash: &[u8]) -> Result<RosterHead, sqlx::Error> {
    Ok(RosterHead {
        height: from_db(height),
        hash: fixed(hash)?,
    })
}
