//! Brings posts from the channels to the mailboxes, a chunk at a time, beside everything else that the
//! server writes. Which channels wait is remembered here as a hint; the database knows.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sottovoce_statements::ChannelId;
use tokio::sync::Notify;

use crate::app::App;
use crate::clock::now_ms;
use crate::config::Database;
use crate::refusal::Refusal;
use crate::store::{FanOut, ReadError, WriteError};

/// Channels that one change serves: the small ones together, so that they share its commit.
const CHANNELS_AT_ONCE: usize = 32;

/// Channels remembered; what is beyond is found when the database is looked through.
const MAX_WAITING: usize = 1_024;

/// Pause between two looks through the database, for what a crashed node has left.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Pause after a failure, and when other nodes hold all that waits.
const PAUSE: Duration = Duration::from_millis(50);

/// The channels whose posts wait, as far as this node knows.
#[derive(Debug)]
pub(crate) struct FanOuts {
    node: [u8; 16],
    waiting: Mutex<BTreeSet<ChannelId>>,
    bell: Notify,
    skipped: AtomicU64,
}

impl FanOuts {
    pub(crate) fn new(database: &Database) -> Result<Self, Refusal> {
        Ok(Self {
            node: match database {
                // The only one, also after a restart.
                Database::Sqlite => [0; 16],
                Database::Postgres(_) => crate::auth::random()?,
            },
            waiting: Mutex::default(),
            bell: Notify::new(),
            skipped: AtomicU64::new(0),
        })
    }

    /// Says that a post of the channel waits.
    pub(crate) fn begin(&self, channel: ChannelId) {
        self.add([channel]);
        self.bell.notify_one();
    }

    /// Deliveries that were not made, because a mailbox was full.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    fn add(&self, channels: impl IntoIterator<Item = ChannelId>) {
        let mut waiting = self.lock();
        for channel in channels {
            if waiting.len() < MAX_WAITING {
                waiting.insert(channel);
            }
        }
    }

    /// Takes the next few out: those behind the last ones first, so that each has its turn.
    fn take(&self, last: &mut Option<ChannelId>) -> Vec<ChannelId> {
        let mut waiting = self.lock();
        let behind = |channel: &&ChannelId| last.is_none_or(|last| **channel > last);
        let mut taken: Vec<ChannelId> = waiting
            .iter()
            .filter(behind)
            .take(CHANNELS_AT_ONCE)
            .copied()
            .collect();
        if taken.is_empty() {
            taken = waiting.iter().take(CHANNELS_AT_ONCE).copied().collect();
        }
        for channel in &taken {
            waiting.remove(channel);
        }
        *last = taken.last().copied();
        taken
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<ChannelId>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers posts until it is dropped, or the server stops.
pub(crate) async fn run(app: Arc<App>) {
    let fan_outs = &app.fan_outs;
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    let mut last = None;
    loop {
        tokio::select! {
            () = fan_outs.bell.notified() => {}
            _ = looks.tick() => if look(&app).await.is_err() {
                tracing::warn!("a look for posts on their way was put off");
            },
        }
        loop {
            let channels = fan_outs.take(&mut last);
            if channels.is_empty() {
                break;
            }
            match bring_on(&app, channels).await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(PAUSE).await,
                Err(Stopped) => return,
            }
        }
    }
}

/// The server is stopping.
struct Stopped;

/// What was on its way before this node knew of it.
async fn look(app: &App) -> Result<(), ReadError> {
    let found = app
        .store
        .waiting_channels(&app.fan_outs.node, now_ms(), MAX_WAITING)
        .await?;
    app.fan_outs.add(found);
    Ok(())
}

/// Delivers one chunk, and returns whether it is worth going on at once.
async fn bring_on(app: &App, channels: Vec<ChannelId>) -> Result<bool, Stopped> {
    let change = FanOut {
        channels: channels.clone(),
        node: app.fan_outs.node,
        now_ms: now_ms(),
        max_messages: app.limits.max_mailbox_messages,
        max_bytes: app.limits.max_mailbox_bytes,
    };
    match app.store.write(change).await {
        Ok(outcome) => {
            if outcome.skipped > 0 {
                app.fan_outs.skipped.fetch_add(outcome.skipped, Ordering::Relaxed);
                tracing::debug!(
                    mailboxes = outcome.skipped,
                    so_far = app.fan_outs.skipped(),
                    "posts were not delivered to full mailboxes"
                );
            }
            let goes_on = outcome.delivered > 0 || outcome.busy.is_empty();
            app.fan_outs.add(outcome.unfinished);
            app.fan_outs.add(outcome.busy);
            Ok(goes_on)
        }
        Err(WriteError::Stopping) => Err(Stopped),
        Err(WriteError::Refused(never)) => match never {},
        Err(WriteError::Failed) => {
            app.fan_outs.add(channels);
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(n: u8) -> ChannelId {
        ChannelId::from_bytes([n; 32])
    }

    #[test]
    fn channels_that_always_have_more_take_turns() {
        let fan_outs = FanOuts::new(&Database::Sqlite).unwrap();
        let all: Vec<_> = (0..100).map(channel).collect();
        fan_outs.add(all.clone());
        let mut last = None;
        let mut seen = BTreeSet::new();
        for _ in 0..all.len().div_ceil(CHANNELS_AT_ONCE) {
            let taken = fan_outs.take(&mut last);
            seen.extend(taken.iter().copied());
            fan_outs.add(taken);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn no_more_channels_are_remembered_than_may_be() {
        let fan_outs = FanOuts::new(&Database::Sqlite).unwrap();
        for n in 0..=u16::MAX {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&n.to_be_bytes());
            fan_outs.begin(ChannelId::from_bytes(id));
        }
        assert_eq!(fan_outs.lock().len(), MAX_WAITING);
    }
}
