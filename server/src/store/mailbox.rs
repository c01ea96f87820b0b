//! Mailboxes: what was sent and not yet acknowledged, one queue per device.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;

use sottovoce_statements::DeviceId;

use super::db::{Rows, sql};
use super::posts::drop_delivered;
use super::rows::{fixed, from_db, to_db};
use super::sessions::Grounds;
use super::writer::{Task, Tx, Waiting, Write, WriteError, WriteTogether};
use super::{ReadError, Store};

/// Bytes of messages read at a time; one more message, if it is the first, whatever its size.
pub(crate) const READ_BYTES: usize = 128 * 1024;

/// Envelopes that one statement deletes: SQLite takes 32,766 values in a statement, two for each.
const DELETED_AT_ONCE: usize = 4_096;

/// Deletes envelopes from the mailbox of one device.
pub(crate) struct Acknowledge {
    pub(crate) device: DeviceId,
    pub(crate) envelopes: Vec<[u8; 16]>,
}

/// A message as it waits in a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredEnvelope {
    /// Its place in the order of delivery. Never leaves the server.
    pub(crate) sequence: i64,
    pub(crate) id: Vec<u8>,
    /// None when the sender is sealed.
    pub(crate) sender: Option<String>,
    pub(crate) sender_device: Option<Vec<u8>>,
    pub(crate) ciphertext: Vec<u8>,
    /// The channel it was posted to.
    pub(crate) channel: Option<Vec<u8>>,
    /// Bytes it counts for in the mailbox.
    pub(crate) size: usize,
    pub(crate) received_at_ms: u64,
    pub(crate) expires_at_ms: Option<u64>,
}

impl WriteTogether for Acknowledge {
    type Output = ();
    type Refusal = Infallible;

    fn queue(waiting: Waiting<Self>) -> Task {
        Task::Acknowledge(waiting)
    }
}

/// What was acknowledged, as it is deleted.
pub(super) fn acknowledged(acknowledgements: &[&Acknowledge]) -> Vec<(DeviceId, [u8; 16])> {
    let each = |change: &&Acknowledge| {
        let device = change.device;
        change.envelopes.clone().into_iter().map(move |id| (device, id))
    };
    acknowledgements.iter().flat_map(each).collect()
}

/// Takes envelopes out of their mailboxes and the mailboxes' counts, and posts with their last envelope.
pub(super) async fn remove(ids: Vec<(DeviceId, [u8; 16])>, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
    let deleted = delete(ids, tx).await?;
    uncount(deleted.counts, tx).await?;
    drop_delivered(deleted.posts, &mut tx.conn).await
}

/// What was deleted of each device's: how many, and their bytes.
pub(super) type Counts = BTreeMap<DeviceId, (i64, i64)>;

#[derive(Debug, Default)]
pub(super) struct Deleted {
    pub(super) counts: Counts,
    /// Posts that were among it, and may have been wanted by nobody else any more.
    pub(super) posts: BTreeSet<Vec<u8>>,
}

/// Takes envelopes out of their mailboxes, and no more.
pub(super) async fn delete(ids: Vec<(DeviceId, [u8; 16])>, tx: &mut Tx<'_>) -> Result<Deleted, sqlx::Error> {
    let mut deleted = Deleted::default();
    for ids in ids.chunks(DELETED_AT_ONCE) {
        let mut rows = Rows::default();
        for (device, id) in ids {
            rows.push([device.into(), id.into()]);
        }
        let rows: Vec<(Vec<u8>, i64, Option<Vec<u8>>)> =
            sql("WITH r(device, id) AS ({rows}) DELETE FROM envelopes \
             WHERE (device, id) IN (SELECT device, id FROM r) RETURNING device, size, post")
            .rows(rows)
            .fetch_all(&mut tx.conn)
            .await?;
        for (device, size, post) in rows {
            deleted.posts.extend(post);
            let device = DeviceId::from_bytes(fixed(&device)?);
            let counts = deleted.counts.entry(device).or_default();
            counts.0 += 1;
            counts.1 += size;
        }
    }
    Ok(deleted)
}

/// Takes what is gone out of the counts of its mailboxes.
async fn uncount(deleted: Counts, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
    let mut rows = Rows::default();
    for (device, (messages, bytes)) in deleted {
        rows.push([device.into(), messages.into(), bytes.into()]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    sql("WITH r(device, messages, bytes) AS ({rows}) UPDATE devices \
         SET mailbox_messages = mailbox_messages - r.messages, mailbox_bytes = mailbox_bytes - r.bytes \
         FROM r WHERE devices.id = r.device")
    .rows(rows)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// Counts a new stream of the device, and returns its number.
pub(crate) struct OpenStream {
    pub(crate) device: DeviceId,
    pub(crate) grounds: Grounds,
}

/// The session a stream was to rest on has ended. A number of its own would have displaced others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionOver;

/// What the database knows that a stream should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamState {
    /// The sequence of the newest envelope ever put into the mailbox.
    pub(crate) last_sequence: i64,
    /// How many streams the device has opened.
    pub(crate) epoch: i64,
    /// What the stream rests on is as it was.
    pub(crate) stands: bool,
}

impl Write for OpenStream {
    type Output = i64;
    type Refusal = SessionOver;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<i64, WriteError<SessionOver>> {
        let counted: Option<(i64,)> = sql("UPDATE devices SET stream_epoch = stream_epoch + 1 \
             WHERE id = $1 AND EXISTS (SELECT 1 FROM sessions \
             WHERE sessions.id = $2 AND sessions.device = devices.id AND sessions.breaks = $3) \
             RETURNING stream_epoch")
        .bind(self.device)
        .bind(self.grounds.session)
        .bind(self.grounds.breaks)
        .fetch_optional(&mut tx.conn)
        .await?;
        counted
            .map(|(epoch,)| epoch)
            .ok_or(WriteError::Refused(SessionOver))
    }
}

type EnvelopeRow = (
    i64,
    Vec<u8>,
    Option<String>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    i64,
    i64,
    Option<i64>,
);

impl Store {
    /// The sequence of the newest envelope ever put into the mailbox of a device.
    pub(crate) async fn newest_sequence(&self, device: &DeviceId) -> Result<i64, ReadError> {
        let newest: Option<(i64,)> = sql("SELECT last_sequence FROM devices WHERE id = $1")
            .bind(device)
            .fetch_optional(&mut self.read().await?.conn())
            .await?;
        Ok(newest.map_or(0, |(newest,)| newest))
    }

    /// What there is to know for these streams, of those whose device exists. At least one.
    pub(crate) async fn states(
        &self,
        streams: impl Iterator<Item = (DeviceId, Grounds)>,
    ) -> Result<HashMap<DeviceId, StreamState>, ReadError> {
        let mut asked = Rows::default();
        for (device, grounds) in streams {
            asked.push([device.into(), grounds.session.into(), grounds.breaks.into()]);
        }
        let rows: Vec<(Vec<u8>, i64, i64, i64)> = sql("WITH r(device, session, breaks) AS ({rows}) \
             SELECT devices.id, last_sequence, stream_epoch, (SELECT COUNT(*) FROM sessions \
             WHERE sessions.id = r.session AND sessions.device = r.device AND sessions.breaks = r.breaks) \
             FROM r JOIN devices ON devices.id = r.device")
        .rows(asked)
        .fetch_all(&mut self.read().await?.conn())
        .await?;
        let states = rows.into_iter().map(|(device, last_sequence, epoch, sessions)| {
            let state = StreamState {
                last_sequence,
                epoch,
                stands: sessions > 0,
            };
            Ok((DeviceId::from_bytes(fixed(&device)?), state))
        });
        Ok(states.collect::<Result<_, sqlx::Error>>()?)
    }

    /// The envelopes up to `cursor` that still wait for their acknowledgement, `at_most` of them.
    pub(crate) async fn unacknowledged(
        &self,
        device: &DeviceId,
        cursor: i64,
        at_most: u64,
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        let ids: Vec<(Vec<u8>,)> =
            sql("SELECT id FROM envelopes WHERE device = $1 AND sequence <= $2 LIMIT $3")
                .bind(device)
                .bind(cursor)
                .bind(to_db(at_most))
                .fetch_all(&mut self.read().await?.conn())
                .await?;
        Ok(ids.into_iter().map(|(id,)| id).collect())
    }

    /// The oldest envelopes of a device after `cursor` and up to `until` that have not expired.
    pub(crate) async fn envelopes(
        &self,
        device: &DeviceId,
        cursor: i64,
        until: i64,
        at_most: u64,
        now_ms: u64,
    ) -> Result<Vec<StoredEnvelope>, ReadError> {
        let rows: Vec<EnvelopeRow> = sql(
            "SELECT sequence, oldest.id, COALESCE(oldest.sender, posts.sender), \
             COALESCE(oldest.sender_device, posts.sender_device), \
             COALESCE(oldest.ciphertext, posts.ciphertext), posts.channel, oldest.size, received_at_ms, \
             expires_at_ms FROM (SELECT *, SUM(size) OVER (ORDER BY sequence) AS total FROM envelopes \
             WHERE device = $1 AND sequence > $2 AND sequence <= $3 \
             AND (expires_at_ms IS NULL OR expires_at_ms > $4) ORDER BY sequence LIMIT $5) AS oldest \
             LEFT JOIN posts ON posts.id = oldest.post WHERE total - oldest.size < $6 ORDER BY sequence",
        )
        .bind(device)
        .bind(cursor)
        .bind(until)
        .bind(to_db(now_ms))
        .bind(to_db(at_most))
        .bind(to_db(READ_BYTES as u64))
        .fetch_all(&mut self.read().await?.conn())
        .await?;
        Ok(rows.into_iter().map(to_envelope).collect())
    }
}

fn to_envelope(row: EnvelopeRow) -> StoredEnvelope {
    StoredEnvelope {
        sequence: row.0,
        id: row.1,
        sender: row.2,
        sender_device: row.3,
        ciphertext: row.4.unwrap_or_default(),
        channel: row.5,
        size: usize::try_from(row.6).unwrap_or(0),
        received_at_ms: from_db(row.7),
        expires_at_ms: row.8.map(from_db),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Database;
    use crate::hints::Outbox;
    use crate::hub::Hub;
    use crate::limits::Limits;

    /// As many as several streams may acknowledge at one time, of envelopes that there are not.
    struct Many(u32);

    impl Write for Many {
        type Output = usize;
        type Refusal = Infallible;

        async fn apply(&self, tx: &mut Tx<'_>) -> Result<usize, WriteError<Infallible>> {
            let id = |n: u32| std::array::from_fn(|at| n.to_be_bytes()[at % 4]);
            let ids = (0..self.0).map(|n| (DeviceId::from_bytes([1; 16]), id(n)));
            Ok(delete(ids.collect(), tx).await?.counts.len())
        }
    }

    #[tokio::test]
    async fn very_many_are_acknowledged_at_one_time() {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::new(1, Outbox::nowhere());
        let store = Store::open(folder.path(), &Database::Sqlite, &Limits::default(), hub)
            .await
            .unwrap();
        assert_eq!(store.write(Many(40_000)).await, Ok(0));
        store.close().await;
    }
}
