//! Posts on their way: a bounded number of deliveries in one change, from where the last one ended.
//!
//! ```text
//!   lease the channels ─▶ plan: the oldest post first, member by member ─▶ lock the devices, in order
//!     ─▶ a row for each in its mailbox ─▶ note how far each post has come
//! ```
//!
//! Nothing but one chunk is in memory, however many members a channel has. How far a post has come is in
//! the database, and changes with the deliveries themselves: whoever goes on after a crash goes on there.
//! Of the nodes one delivers the posts of a channel at a time: while it does, the others find its lease or
//! the row locked. Two that both thought it theirs would still come one after the other, and in order.

mod plan;

use std::convert::Infallible;
use std::time::Duration;

use sottovoce_statements::{ChannelId, DeviceId};

use super::db::{Rows, sql};
use super::mailbox::StoredEnvelope;
use super::rows::{fixed, from_db, to_db};
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};
use crate::clock::millis;
use crate::hub::News;
use plan::{Plan, Planned};

/// Deliveries in one change. Other changes wait for it no longer than some milliseconds.
const CHUNK: usize = 512;

/// For how long a node that goes silent keeps others from its channels.
const LEASE: Duration = Duration::from_secs(10);

/// Longest ciphertext that streams are handed with the news, in bytes; longer ones they read.
const MAX_HANDED: i64 = 4 * 1024;

/// Brings posts of these channels on, by one chunk.
pub(crate) struct FanOut {
    /// Ascending.
    pub(crate) channels: Vec<ChannelId>,
    /// Who does it.
    pub(crate) node: [u8; 16],
    pub(crate) now_ms: u64,
    pub(crate) max_messages: u64,
    pub(crate) max_bytes: u64,
}

/// Gives up what a node has leased, so that others need not wait.
pub(crate) struct EndLeases {
    pub(crate) node: [u8; 16],
}

/// What came of it. A channel that is in neither list has no posts on their way, or another node has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FannedOut {
    /// There may be more to deliver.
    pub(crate) unfinished: Vec<ChannelId>,
    /// Another node was at work just now.
    pub(crate) busy: Vec<ChannelId>,
    pub(crate) delivered: u64,
    /// Mailboxes that were full, and went without.
    pub(crate) skipped: u64,
}

impl Write for FanOut {
    type Output = FannedOut;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<FannedOut, WriteError<Infallible>> {
        let (leased, busy) = self.lease(tx).await?;
        let mut plan = Plan::new(CHUNK);
        let mut outcome = FannedOut {
            busy,
            ..FannedOut::default()
        };
        let mut leases = Rows::default();
        for channel in leased {
            let unfinished = plan.take_on(channel, &mut tx.conn).await?;
            let until = self.now_ms.saturating_add(millis(LEASE));
            leases.push([
                channel.as_bytes().into(),
                if unfinished { to_db(until) } else { 0 }.into(),
            ]);
            if unfinished {
                outcome.unfinished.push(channel);
            }
        }
        if leases.is_empty() {
            return Ok(outcome);
        }
        sql(
            "WITH r(channel, until_ms) AS ({rows}) UPDATE fan_out_leases SET node = $1, \
             leased_until_ms = r.until_ms FROM r WHERE fan_out_leases.channel = r.channel",
        )
        .bind(self.node)
        .rows(leases)
        .execute(&mut tx.conn)
        .await?;
        self.deliver(&plan, &mut outcome, tx).await?;
        plan.keep(&mut tx.conn).await?;
        Ok(outcome)
    }
}

impl FanOut {
    /// Those of the channels that are this node's to serve, their leases locked; and those whose leases
    /// another node has locked.
    async fn lease(&self, tx: &mut Tx<'_>) -> Result<(Vec<ChannelId>, Vec<ChannelId>), sqlx::Error> {
        // Never waiting: who waits here may hold what the other waits for.
        let lock = tx.conn.lock_free_rows();
        let rows: Vec<(Vec<u8>, Option<Vec<u8>>, i64)> = sql(format!(
            "WITH r(channel) AS ({{rows}}) SELECT channel, node, leased_until_ms FROM fan_out_leases \
             WHERE channel IN (SELECT channel FROM r) ORDER BY channel{lock}"
        ))
        .rows(Rows::column(
            self.channels.iter().map(|channel| channel.as_bytes()),
        ))
        .fetch_all(&mut tx.conn)
        .await?;
        let mut leased = Vec::new();
        let mut found = Vec::new();
        for (channel, node, until) in rows {
            let channel = ChannelId::from_bytes(fixed(&channel)?);
            found.push(channel);
            if node.as_deref() == Some(self.node.as_slice()) || until <= to_db(self.now_ms) {
                leased.push(channel);
            }
        }
        // Where nothing is locked, what was not found is a channel that is gone.
        let missing = self.channels.iter().filter(|channel| !found.contains(channel));
        let busy = missing.filter(|_| !lock.is_empty()).copied().collect();
        Ok((leased, busy))
    }

    /// Puts what was planned into the mailboxes that have room.
    async fn deliver(
        &self,
        plan: &Plan,
        outcome: &mut FannedOut,
        tx: &mut Tx<'_>,
    ) -> Result<(), sqlx::Error> {
        if plan.is_empty() {
            return Ok(());
        }
        let lock = tx.conn.lock_rows();
        let devices: Vec<(Vec<u8>, i64, i64, i64)> = sql(format!(
            "WITH r(device) AS ({{rows}}) SELECT id, mailbox_messages, mailbox_bytes, last_sequence \
             FROM devices WHERE id IN (SELECT device FROM r) AND gone = 0 ORDER BY id{lock}"
        ))
        .rows(Rows::column(plan.devices()))
        .fetch_all(&mut tx.conn)
        .await?;
        let mut envelopes = Rows::default();
        let mut changes = Rows::default();
        for (id, messages, bytes, last) in devices {
            let device = DeviceId::from_bytes(fixed(&id)?);
            let (mut count, mut size) = (0, 0);
            for post in plan.posts_for(&device) {
                let full = from_db(messages + count) >= self.max_messages
                    || from_db(bytes + size + post.size) > self.max_bytes;
                if full {
                    outcome.skipped += 1;
                    continue;
                }
                count += 1;
                size += post.size;
                let sequence = last + count;
                envelopes.push([device.into(), sequence.into(), post.id.as_slice().into()]);
                tell(device, sequence, post, tx);
            }
            if count > 0 {
                outcome.delivered += from_db(count);
                changes.push([device.into(), count.into(), size.into()]);
            }
        }
        if envelopes.is_empty() {
            return Ok(());
        }
        sql("WITH r(device, sequence, post) AS ({rows}) \
             INSERT INTO envelopes (device, sequence, id, post, size, received_at_ms) \
             SELECT r.device, r.sequence, posts.id, posts.id, posts.size, posts.accepted_at_ms \
             FROM r JOIN posts ON posts.id = r.post")
        .rows(envelopes)
        .execute(&mut tx.conn)
        .await?;
        sql("WITH r(device, messages, bytes) AS ({rows}) UPDATE devices \
             SET mailbox_messages = mailbox_messages + r.messages, mailbox_bytes = mailbox_bytes + r.bytes, \
             last_sequence = last_sequence + r.messages FROM r WHERE devices.id = r.device")
        .rows(changes)
        .execute(&mut tx.conn)
        .await?;
        Ok(())
    }
}

impl Write for EndLeases {
    type Output = ();
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        sql("UPDATE fan_out_leases SET leased_until_ms = 0 WHERE node = $1 AND leased_until_ms > 0")
            .bind(self.node)
            .execute(&mut tx.conn)
            .await?;
        Ok(())
    }
}

/// Hands a short post to a stream that is open here, and has any other look.
fn tell(device: DeviceId, sequence: i64, post: &Planned, tx: &mut Tx<'_>) {
    let news = match &post.handed {
        Some(ciphertext) if tx.has_stream(&device) => News::Fresh(
            device,
            StoredEnvelope {
                sequence,
                id: post.id.clone(),
                sender: Some(post.sender.clone()),
                sender_device: Some(post.sender_device.clone()),
                ciphertext: ciphertext.clone(),
                channel: Some(post.channel.as_bytes().to_vec()),
                size: ciphertext.len(),
                received_at_ms: post.accepted_at_ms,
                expires_at_ms: None,
            },
        ),
        _ => News::Look(device),
    };
    tx.tell(news);
}

impl Store {
    /// Channels with posts on their way that no other node has just now, `at_most` of them.
    pub(crate) async fn waiting_channels(
        &self,
        node: &[u8; 16],
        now_ms: u64,
        at_most: usize,
    ) -> Result<Vec<ChannelId>, ReadError> {
        let rows: Vec<(Vec<u8>,)> = sql("SELECT DISTINCT fan_outs.channel FROM fan_outs \
             JOIN fan_out_leases ON fan_out_leases.channel = fan_outs.channel \
             WHERE fan_out_leases.node = $1 OR fan_out_leases.leased_until_ms <= $2 LIMIT $3")
        .bind(node)
        .bind(to_db(now_ms))
        .bind(to_db(at_most as u64))
        .fetch_all(&mut self.read().await?.conn())
        .await?;
        rows.iter()
            .map(|(channel,)| Ok(ChannelId::from_bytes(fixed(channel)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
