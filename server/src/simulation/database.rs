//! A model of the database: what it says it has taken is there from that instant on, whatever happens to
//! who asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use sottovoce_statements::DeviceId;

use super::random::Random;
use crate::store::{Grounds, READ_BYTES, ReadError, StoredEnvelope, StreamState};
use crate::stream::Mail;

#[derive(Debug)]
pub(super) struct Database {
    tables: Mutex<Tables>,
    random: Mutex<Random>,
    /// Slow, and some of what it is asked fails, half of that after it was done.
    sick: AtomicBool,
}

#[derive(Debug, Default)]
struct Tables {
    mailboxes: HashMap<DeviceId, Mailbox>,
    /// Messages that were taken: who sent it, and its number.
    taken: HashMap<(DeviceId, u64), ()>,
    ids: u128,
}

#[derive(Debug, Default)]
struct Mailbox {
    last: i64,
    epoch: i64,
    /// How often the device's session was ended and begun again.
    breaks: i64,
    envelopes: BTreeMap<i64, StoredEnvelope>,
}

impl Database {
    pub(super) fn new(random: Random) -> Self {
        Self {
            tables: Mutex::default(),
            random: Mutex::new(random),
            sick: AtomicBool::new(false),
        }
    }

    pub(super) fn set_sick(&self, sick: bool) {
        self.sick.store(sick, Ordering::Relaxed);
    }

    /// Takes a message, once. The new envelope, unless it was taken before.
    pub(super) async fn deposit(
        &self,
        from: DeviceId,
        number: u64,
        to: DeviceId,
        ciphertext: Vec<u8>,
    ) -> Result<Option<StoredEnvelope>, ReadError> {
        self.answer(|tables| {
            if tables.taken.insert((from, number), ()).is_some() {
                return None;
            }
            tables.ids += 1;
            let id = tables.ids.to_be_bytes().to_vec();
            let mailbox = tables.mailboxes.entry(to).or_default();
            mailbox.last += 1;
            let envelope = StoredEnvelope {
                sequence: mailbox.last,
                id,
                size: ciphertext.len(),
                ciphertext,
                ..StoredEnvelope::default()
            };
            mailbox.envelopes.insert(mailbox.last, envelope.clone());
            Some(envelope)
        })
        .await
    }

    pub(super) async fn acknowledge(&self, device: DeviceId, ids: &[Vec<u8>]) -> Result<(), ReadError> {
        self.answer(|tables| {
            let mailbox = tables.mailboxes.entry(device).or_default();
            mailbox
                .envelopes
                .retain(|_, envelope| !ids.contains(&envelope.id));
        })
        .await
    }

    /// What a stream of the device rests on, if it is begun now.
    pub(super) async fn grounds(&self, device: DeviceId) -> Result<Grounds, ReadError> {
        self.answer(|tables| {
            let mailbox = tables.mailboxes.entry(device).or_default();
            grounds(mailbox.breaks)
        })
        .await
    }

    /// Ends the device's session; it has another at once.
    pub(super) fn end_session(&self, device: DeviceId) {
        let mut tables = self.tables.lock().unwrap();
        tables.mailboxes.entry(device).or_default().breaks += 1;
    }

    /// Counts a stream of the device; none for a session that is over.
    pub(super) async fn open_stream(
        &self,
        device: DeviceId,
        rests_on: Grounds,
    ) -> Result<Option<i64>, ReadError> {
        self.answer(|tables| {
            let mailbox = tables.mailboxes.entry(device).or_default();
            if grounds(mailbox.breaks) != rests_on {
                return None;
            }
            mailbox.epoch += 1;
            Some(mailbox.epoch)
        })
        .await
    }

    /// What there is to know for a stream of the device.
    pub(super) async fn state(&self, device: DeviceId, rests_on: Grounds) -> Result<StreamState, ReadError> {
        self.answer(|tables| {
            let mailbox = tables.mailboxes.entry(device).or_default();
            StreamState {
                last_sequence: mailbox.last,
                epoch: mailbox.epoch,
                stands: grounds(mailbox.breaks) == rests_on,
            }
        })
        .await
    }

    /// Envelopes that are there.
    pub(super) fn left(&self) -> usize {
        let tables = self.tables.lock().unwrap();
        tables
            .mailboxes
            .values()
            .map(|mailbox| mailbox.envelopes.len())
            .sum()
    }

    async fn answer<T>(&self, ask: impl FnOnce(&mut Tables) -> T) -> Result<T, ReadError> {
        let sick = self.sick.load(Ordering::Relaxed);
        let (before, after, fails, done) = {
            let mut random = self.random.lock().unwrap();
            let slowest = if sick { 400 } else { 6 };
            (
                random.millis(0..slowest),
                random.millis(0..slowest),
                sick && random.one_in(4),
                random.one_in(2),
            )
        };
        tokio::time::sleep(before).await;
        if fails && !done {
            return Err(ReadError);
        }
        let answer = ask(&mut self.tables.lock().unwrap());
        tokio::time::sleep(after).await;
        if fails { Err(ReadError) } else { Ok(answer) }
    }
}

fn grounds(breaks: i64) -> Grounds {
    Grounds {
        session: [0; 16],
        breaks,
    }
}

impl Mail for Database {
    async fn newest(&self, device: &DeviceId) -> Result<i64, ReadError> {
        self.answer(|tables| tables.mailboxes.entry(*device).or_default().last)
            .await
    }

    async fn next(
        &self,
        device: &DeviceId,
        cursor: i64,
        until: i64,
        at_most: u64,
    ) -> Result<Vec<StoredEnvelope>, ReadError> {
        self.answer(|tables| {
            let mailbox = tables.mailboxes.entry(*device).or_default();
            let mut before = 0;
            mailbox
                .envelopes
                .range(cursor + 1..)
                .take_while(|(sequence, _)| **sequence <= until)
                .take(at_most as usize)
                .map(|(_, envelope)| envelope.clone())
                .take_while(|envelope| {
                    let room = before < READ_BYTES;
                    before += envelope.size;
                    room
                })
                .collect()
        })
        .await
    }

    async fn unacknowledged(
        &self,
        device: &DeviceId,
        cursor: i64,
        at_most: u64,
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        self.answer(|tables| {
            let mailbox = tables.mailboxes.entry(*device).or_default();
            mailbox
                .envelopes
                .range(..=cursor)
                .map(|(_, envelope)| envelope.id.clone())
                .take(at_most as usize)
                .collect()
        })
        .await
    }
}
