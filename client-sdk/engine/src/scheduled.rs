//! Messages that wait at the server for their time, and are taken back from there.
//!
//! ```text
//!  queued ──▶ taken by the server ──▶ waits there ──▶ its time has come: forgotten here
//!    │ taken back          │ taken back      │ taken back
//!    ▼                     ▼                 ▼
//!  never sent           when taken ──────▶ CancelScheduled, until there is an answer ──▶ told
//! ```
//!
//! What was taken back and never was taken is sent again, to be taken back, only while its time is to come.

use std::collections::BTreeMap;

use sottovoce_crypto::statements::Address;
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::engine::Engine;
use crate::error::InputError;
use crate::event::EventKind;
use crate::io::{Call, Refusal, Reply};
use crate::message::MessageId;
use crate::outbox::Outgoing;
use crate::records::{RecordError, id16, pack, text, u64_of, unpack};
use crate::turn::{Purpose, Turn};

/// Most messages that wait at the server for their time.
pub(crate) const SCHEDULED_LIMIT: usize = 1_000;

/// How far our clock may be from the server's, in milliseconds, before what is concluded from it is wrong.
const CLOCKS_APART_MS: u64 = 5 * 60 * 1000;

/// A message that the server has, and delivers later.
pub(crate) struct Scheduled {
    to: Address,
    /// What the app knows it by; a copy for one's own devices goes by the same.
    message_id: MessageId,
    client_message_id: [u8; 16],
    due_ms: u64,
    cancelling: bool,
    /// How often the server was asked to take it back since the engine was loaded.
    asked: u32,
}

impl Scheduled {
    fn to_record(&self) -> Zeroizing<Vec<u8>> {
        pack(&[
            self.to.as_str().as_bytes(),
            &self.message_id.0,
            &self.client_message_id,
            &self.due_ms.to_be_bytes(),
            &[u8::from(self.cancelling)],
        ])
    }

    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        match unpack(bytes)?.as_slice() {
            [to, message_id, client_message_id, due_ms, [cancelling]] => Ok(Self {
                to: Address::parse(&text(to)?).map_err(|_| RecordError)?,
                message_id: MessageId(id16(message_id)?),
                client_message_id: id16(client_message_id)?,
                due_ms: u64_of(due_ms)?,
                cancelling: *cancelling != 0,
                asked: 0,
            }),
            _ => Err(RecordError),
        }
    }
}

pub(crate) type AllScheduled = BTreeMap<u64, Scheduled>;

impl Engine {
    /// The server has a message that is to wait there, or perhaps has one that is to be taken back: that is
    /// asked for also when its time has come, and the answer told.
    pub(crate) fn note_scheduled(&mut self, message: &Outgoing, turn: &mut Turn<'_>) {
        let due_ms = message.delivery.not_before_ms();
        if due_ms <= turn.now && !message.cancelled {
            return;
        }
        let scheduled = Scheduled {
            to: message.to.clone(),
            message_id: message.shown_as(),
            client_message_id: message.client_message_id,
            due_ms,
            cancelling: message.cancelled,
            asked: 0,
        };
        turn.put(key(message.number), scheduled.to_record());
        self.scheduled.insert(message.number, scheduled);
        self.drive_cancellations(turn);
    }

    /// Takes a message back, with what one's own other devices were to be told of it.
    pub(crate) fn cancel_scheduled(
        &mut self,
        message_id: MessageId,
        turn: &mut Turn<'_>,
    ) -> Result<(), InputError> {
        let mut found = false;
        for message in self.outbox.cancel(message_id) {
            found = true;
            if message.encrypted.is_some() {
                // Perhaps the server has it already.
                turn.put(message.key(), message.to_record());
            } else {
                turn.delete(message.key());
                self.tell_cancelled(&message.to, message_id, true, turn);
            }
        }
        for (number, scheduled) in &mut self.scheduled {
            if scheduled.message_id == message_id {
                found = true;
                scheduled.cancelling = true;
                turn.put(key(*number), scheduled.to_record());
            }
        }
        if !found {
            return Err(InputError::NotScheduled);
        }
        self.drive_cancellations(turn);
        Ok(())
    }

    /// Takes the next message, which was taken back, out without sending it again.
    pub(crate) fn drop_cancelled(&mut self, to: &Address, turn: &mut Turn<'_>) {
        let Some(message) = self.outbox.pop(to) else {
            return;
        };
        turn.delete(message.key());
        if message.encrypted.is_some() {
            self.note_scheduled(&message, turn);
        } else {
            self.tell_cancelled(to, message.shown_as(), true, turn);
        }
    }

    /// Asks the server for what is to be taken back, and forgets what it has delivered.
    pub(crate) fn drive_cancellations(&mut self, turn: &mut Turn<'_>) {
        self.scheduled.retain(|number, scheduled| {
            let kept = scheduled.cancelling || scheduled.due_ms > turn.now;
            if !kept {
                turn.delete(key(*number));
            }
            kept
        });
        if !self.online {
            return;
        }
        let waiting: Vec<u64> = self
            .scheduled
            .iter()
            .filter(|(_, scheduled)| scheduled.cancelling)
            .map(|(number, _)| *number)
            .collect();
        for number in waiting {
            let same = |purpose: &Purpose| matches!(purpose, Purpose::Cancel(of) if *of == number);
            if self.is_under_way(turn, same) {
                continue;
            }
            if let Some(scheduled) = self.scheduled.get_mut(&number) {
                scheduled.asked = scheduled.asked.saturating_add(1);
                let client_message_id = scheduled.client_message_id.to_vec();
                let request = v1::CancelScheduledRequest { client_message_id };
                turn.call(Purpose::Cancel(number), Call::CancelScheduled(request));
            }
        }
    }

    pub(crate) fn cancel_answered(
        &mut self,
        number: u64,
        answer: &Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        let cancelled = match answer {
            Ok(Reply::Cancelled(cancelled)) => *cancelled,
            Err(Refusal::Because(v1::ErrorReason::Unsupported | v1::ErrorReason::FieldInvalid)) => false,
            _ => return, // asked again at the next tick or connection
        };
        let Some(scheduled) = self.scheduled.remove(&number) else {
            return;
        };
        turn.delete(key(number));
        // Gone before its time: it was taken back by a call whose answer was lost.
        let before = scheduled.asked > 1 && turn.now.saturating_add(CLOCKS_APART_MS) < scheduled.due_ms;
        self.tell_cancelled(&scheduled.to, scheduled.message_id, cancelled || before, turn);
    }

    fn tell_cancelled(&self, to: &Address, message_id: MessageId, in_time: bool, turn: &mut Turn<'_>) {
        if !self.is_own(to) {
            turn.event(EventKind::ScheduledCancelled {
                to: to.clone(),
                message_id,
                in_time,
            });
        }
    }
}

fn key(number: u64) -> String {
    format!("scheduled/{number}")
}
