//! Posts to channels: taken once, kept once, and then on their way to the members.

use sottovoce_statements::{Address, ChannelId, DeviceId};

use super::db::{Conn, Rows, sql};
use super::deposit::Receipt;
use super::rows::{fixed, from_db, to_db};
use super::writer::{Tx, Write, WriteError};

/// Takes a ciphertext for every member of a channel. The deliveries follow.
pub(crate) struct Post {
    pub(crate) channel: ChannelId,
    pub(crate) sender: Address,
    pub(crate) device: DeviceId,
    pub(crate) client_message_id: [u8; 16],
    /// SHA-256 of the request in its one canonical form.
    pub(crate) request_digest: [u8; 32],
    /// Of the roster it was made under.
    pub(crate) height: u64,
    pub(crate) ciphertext: Vec<u8>,
    /// Names the post, and every envelope it comes in.
    pub(crate) post_id: [u8; 16],
    pub(crate) receipt_id: [u8; 16],
    pub(crate) now_ms: u64,
    pub(crate) max_receipts: u64,
    /// Posts of one channel that may be on their way at one time.
    pub(crate) max_waiting: u64,
}

/// Why a post was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostRefusal {
    MessageIdConflict,
    /// No such channel, or not a member.
    ChannelUnknown,
    /// Made under another roster than that of this height.
    Stale {
        height: u64,
    },
    /// As many answers are remembered for the sender as may be.
    ReceiptsFull {
        limit: u64,
    },
    /// As many posts of the channel are on their way as may be.
    TooManyWaiting,
}

impl Write for Post {
    type Output = Receipt;
    type Refusal = PostRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Receipt, WriteError<PostRefusal>> {
        let conn = &mut tx.conn;
        let refused = |refusal| Err(WriteError::Refused(refusal));
        // The channel first: who waits for it holds nothing that the deliveries of its posts need. And who
        // waits here for another node's commit sees that node's answer afterwards.
        let lock = conn.lock_rows();
        let _: Option<(i64,)> = sql(format!("SELECT head_height FROM channels WHERE id = $1{lock}"))
            .bind(self.channel.as_bytes())
            .fetch_optional(conn)
            .await?;
        let sender: Option<(i64, i64)> = sql(format!(
            "SELECT account, receipts FROM devices WHERE id = $1 AND gone = 0{lock}"
        ))
        .bind(self.device)
        .fetch_optional(conn)
        .await?;
        let Some((account, receipts)) = sender else {
            return refused(PostRefusal::ChannelUnknown);
        };
        if let Some((digest, receipt)) = self.answer(conn).await? {
            return if digest == self.request_digest {
                Ok(receipt)
            } else {
                refused(PostRefusal::MessageIdConflict)
            };
        }
        let number = self.take_number(account, conn).await?;
        if from_db(receipts) >= self.max_receipts {
            return refused(PostRefusal::ReceiptsFull {
                limit: self.max_receipts,
            });
        }
        self.keep(number, conn).await?;
        Ok(Receipt {
            receipt_id: self.receipt_id,
            accepted_at_ms: self.now_ms,
        })
    }
}

impl Post {
    /// What was answered to this message id before, and to which request.
    async fn answer(&self, conn: &mut Conn<'_>) -> Result<Option<([u8; 32], Receipt)>, sqlx::Error> {
        let row: Option<(Vec<u8>, Vec<u8>, i64)> =
            sql("SELECT request_digest, receipt_id, accepted_at_ms FROM receipts \
             WHERE scope = $1 AND client_message_id = $2")
            .bind(self.device)
            .bind(self.client_message_id)
            .fetch_optional(conn)
            .await?;
        row.map(|(digest, receipt_id, accepted_at_ms)| {
            let receipt = Receipt {
                receipt_id: fixed(&receipt_id)?,
                accepted_at_ms: from_db(accepted_at_ms),
            };
            Ok((fixed(&digest)?, receipt))
        })
        .transpose()
    }

    /// The place among the posts of the channel, which nobody else gets: the row stays locked.
    async fn take_number(&self, account: i64, conn: &mut Conn<'_>) -> Result<i64, WriteError<PostRefusal>> {
        let taken: Option<(i64, i64)> = sql(
            "UPDATE channels SET last_post = last_post + 1 WHERE id = $1 AND EXISTS \
             (SELECT 1 FROM channel_members WHERE channel = $1 AND account = $2) \
             RETURNING last_post, head_height",
        )
        .bind(self.channel.as_bytes())
        .bind(account)
        .fetch_optional(conn)
        .await?;
        let Some((number, height)) = taken else {
            return Err(WriteError::Refused(PostRefusal::ChannelUnknown));
        };
        if from_db(height) != self.height {
            let height = from_db(height);
            return Err(WriteError::Refused(PostRefusal::Stale { height }));
        }
        let (oldest,): (Option<i64>,) = sql("SELECT MIN(number) FROM fan_outs WHERE channel = $1")
            .bind(self.channel.as_bytes())
            .fetch_one(conn)
            .await?;
        let waiting = oldest.map_or(0, |oldest| number.saturating_sub(oldest));
        if from_db(waiting) >= self.max_waiting {
            return Err(WriteError::Refused(PostRefusal::TooManyWaiting));
        }
        Ok(number)
    }

    async fn keep(&self, number: i64, conn: &mut Conn<'_>) -> Result<(), WriteError<PostRefusal>> {
        sql(
            "INSERT INTO posts (id, channel, sender, sender_device, accepted_at_ms, size, ciphertext) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(self.post_id)
        .bind(self.channel.as_bytes())
        .bind(self.sender.as_str())
        .bind(self.device)
        .bind(to_db(self.now_ms))
        .bind(to_db(self.ciphertext.len() as u64))
        .bind(self.ciphertext.as_slice())
        .execute(conn)
        .await?;
        sql("INSERT INTO fan_outs (channel, number, post, height) VALUES ($1, $2, $3, $4)")
            .bind(self.channel.as_bytes())
            .bind(number)
            .bind(self.post_id)
            .bind(to_db(self.height))
            .execute(conn)
            .await?;
        sql(
            "INSERT INTO receipts (scope, client_message_id, request_digest, receipt_id, accepted_at_ms) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(self.device)
        .bind(self.client_message_id)
        .bind(self.request_digest)
        .bind(self.receipt_id)
        .bind(to_db(self.now_ms))
        .execute(conn)
        .await?;
        sql("UPDATE devices SET receipts = receipts + 1 WHERE id = $1")
            .bind(self.device)
            .execute(conn)
            .await?;
        Ok(())
    }
}

/// Posts that one statement looks at: SQLite takes 32,766 values in a statement.
const DROPPED_AT_ONCE: usize = 4_096;

/// Deletes those of these posts that have reached everybody and wait in no mailbox any more.
pub(super) async fn drop_delivered(
    posts: impl IntoIterator<Item = Vec<u8>>,
    conn: &mut Conn<'_>,
) -> Result<(), sqlx::Error> {
    let posts: Vec<_> = posts.into_iter().collect();
    for posts in posts.chunks(DROPPED_AT_ONCE) {
        sql(
            "WITH r(post) AS ({rows}) DELETE FROM posts WHERE id IN (SELECT post FROM r) \
             AND NOT EXISTS (SELECT 1 FROM envelopes WHERE envelopes.post = posts.id) \
             AND NOT EXISTS (SELECT 1 FROM fan_outs WHERE fan_outs.post = posts.id)",
        )
        .rows(Rows::column(posts.iter().cloned()))
        .execute(conn)
        .await?;
    }
    Ok(())
}
