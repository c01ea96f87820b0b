//! Whose turn it is: which posts go to which devices in one chunk, and how far each post has then come.

use std::collections::BTreeMap;

use sottovoce_statements::{ChannelId, DeviceId};

use super::MAX_HANDED;
use crate::limits::MAX_DEVICES;
use crate::store::db::{Conn, Rows, sql};
use crate::store::posts::drop_delivered;
use crate::store::rows::{fixed, from_db, to_db};

/// Posts of one channel looked at in one chunk.
const POSTS: i64 = 64;

/// What one chunk delivers.
#[derive(Debug)]
pub(super) struct Plan {
    /// Deliveries that still fit.
    room: usize,
    posts: Vec<Planned>,
    /// For each device the places of its posts among `posts`, in the order of delivery.
    devices: BTreeMap<DeviceId, Vec<usize>>,
    /// Posts that are not through: channel, number, and the last account served.
    begun: Vec<(ChannelId, i64, i64)>,
    /// Posts that are: channel, number and id.
    finished: Vec<(ChannelId, i64, Vec<u8>)>,
}

/// A post of which some deliveries are planned.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) channel: ChannelId,
    pub(super) id: Vec<u8>,
    pub(super) sender: String,
    pub(super) sender_device: Vec<u8>,
    pub(super) accepted_at_ms: u64,
    pub(super) size: i64,
    /// The ciphertext, when it is short.
    pub(super) handed: Option<Vec<u8>>,
}

type PostRow = (i64, Vec<u8>, i64, i64, String, Vec<u8>, i64, i64, Option<Vec<u8>>);

impl Plan {
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            posts: Vec::new(),
            devices: BTreeMap::new(),
            begun: Vec::new(),
            finished: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Ascending.
    pub(super) fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.devices.keys()
    }

    pub(super) fn posts_for(&self, device: &DeviceId) -> impl Iterator<Item = &Planned> {
        let places = self.devices.get(device).into_iter().flatten();
        places.filter_map(|place| self.posts.get(*place))
    }

    /// Plans deliveries of a channel's oldest posts, one post after the other, as far as there is room.
    /// Returns whether there may be more.
    pub(super) async fn take_on(
        &mut self,
        channel: ChannelId,
        conn: &mut Conn<'_>,
    ) -> Result<bool, sqlx::Error> {
        let posts: Vec<PostRow> = sql(
            "SELECT fan_outs.number, fan_outs.post, fan_outs.height, fan_outs.served, posts.sender, \
             posts.sender_device, posts.accepted_at_ms, posts.size, \
             CASE WHEN posts.size <= $2 THEN posts.ciphertext END \
             FROM fan_outs JOIN posts ON posts.id = fan_outs.post \
             WHERE fan_outs.channel = $1 ORDER BY fan_outs.number LIMIT $3",
        )
        .bind(channel.as_bytes())
        .bind(MAX_HANDED)
        .bind(POSTS)
        .fetch_all(conn)
        .await?;
        let more = posts.len() as i64 == POSTS;
        for (number, id, height, served, sender, sender_device, accepted_at_ms, size, handed) in posts {
            let post = Planned {
                channel,
                id,
                sender,
                sender_device,
                accepted_at_ms: from_db(accepted_at_ms),
                size,
                handed,
            };
            // Room for one account at least: an account is served as a whole.
            if self.room <= MAX_DEVICES {
                return Ok(true);
            }
            let (recipients, last) = self.recipients(channel, height, served, conn).await?;
            let finished = last.is_none();
            match last {
                Some(account) => self.begun.push((channel, number, account)),
                None => self.finished.push((channel, number, post.id.clone())),
            }
            self.add(post, recipients)?;
            if !finished {
                return Ok(true);
            }
        }
        Ok(more)
    }

    /// Devices of the next members, as many as there is room for; and the last account among them, if
    /// there are more behind it.
    async fn recipients(
        &self,
        channel: ChannelId,
        height: i64,
        served: i64,
        conn: &mut Conn<'_>,
    ) -> Result<(Vec<Vec<u8>>, Option<i64>), sqlx::Error> {
        let mut rows: Vec<(i64, Vec<u8>)> =
            sql("SELECT channel_members.account, devices.id FROM channel_members \
             JOIN devices ON devices.account = channel_members.account \
             WHERE channel_members.channel = $1 AND channel_members.account > $2 \
             AND channel_members.since_height <= $3 ORDER BY channel_members.account LIMIT $4")
            .bind(channel.as_bytes())
            .bind(served)
            .bind(height)
            .bind(to_db(self.room as u64))
            .fetch_all(conn)
            .await?;
        let mut last = None;
        if rows.len() == self.room
            && let Some((cut, _)) = rows.last().cloned()
        {
            // The account at the end may have more devices than are here.
            rows.retain(|(account, _)| *account != cut);
            last = Some(rows.last().map_or(served, |(account, _)| *account));
        }
        Ok((rows.into_iter().map(|(_, device)| device).collect(), last))
    }

    fn add(&mut self, post: Planned, recipients: Vec<Vec<u8>>) -> Result<(), sqlx::Error> {
        let place = self.posts.len();
        self.room = self.room.saturating_sub(recipients.len().max(1));
        for device in recipients {
            if device != post.sender_device {
                let device = DeviceId::from_bytes(fixed(&device)?);
                self.devices.entry(device).or_default().push(place);
            }
        }
        self.posts.push(post);
        Ok(())
    }

    /// Notes how far the posts have come. Those that reached nobody are gone.
    pub(super) async fn keep(self, conn: &mut Conn<'_>) -> Result<(), sqlx::Error> {
        let mut begun = Rows::default();
        for (channel, number, account) in self.begun {
            begun.push([channel.as_bytes().into(), number.into(), account.into()]);
        }
        if !begun.is_empty() {
            sql(
                "WITH r(channel, number, served) AS ({rows}) UPDATE fan_outs SET served = r.served FROM r \
                 WHERE fan_outs.channel = r.channel AND fan_outs.number = r.number",
            )
            .rows(begun)
            .execute(conn)
            .await?;
        }
        let mut finished = Rows::default();
        let mut posts = Vec::with_capacity(self.finished.len());
        for (channel, number, post) in self.finished {
            finished.push([channel.as_bytes().into(), number.into()]);
            posts.push(post);
        }
        if !finished.is_empty() {
            sql(
                "WITH r(channel, number) AS ({rows}) DELETE FROM fan_outs WHERE (channel, number) \
                 IN (SELECT channel, number FROM r)",
            )
            .rows(finished)
            .execute(conn)
            .await?;
        }
        drop_delivered(posts, conn).await
    }
}
