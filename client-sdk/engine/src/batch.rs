//! Several messages by name in one call, where several are to go out at one time: after a connection came
//! up, or when all members of a channel are sent a key. Each is another recipient's, so that none overtakes
//! another one.

use prost::Message;
use sottovoce_crypto::statements::Address;
use sottovoce_proto::v1;

use crate::engine::Engine;
use crate::io::{Call, Refusal, Reply};
use crate::turn::{Purpose, Turn};

/// Most sends in a call: what a server takes (`proto/PROTOCOL.md`).
const SENDS: usize = 64;

/// Longest call, in bytes: half of what a server takes, so that the sends of others are not kept waiting.
const LENGTH: usize = 1024 * 1024;

/// Most fields in a call, of the 2,048 that a server takes.
const FIELDS: usize = 2_000;

/// Fields of a send besides its messages, and of each message.
const SEND_FIELDS: usize = 8;
const MESSAGE_FIELDS: usize = 3;

/// A call being filled.
#[derive(Default)]
struct Batch {
    to: Vec<Option<Address>>,
    sends: Vec<v1::SendRequest>,
    length: usize,
    fields: usize,
}

impl Batch {
    fn has_room_for(&self, send: &v1::SendRequest) -> bool {
        self.sends.len() < SENDS
            && self.length + length_of(send) <= LENGTH
            && self.fields + fields_of(send) <= FIELDS
    }

    fn add(&mut self, to: Address, send: v1::SendRequest) {
        self.length += length_of(&send);
        self.fields += fields_of(&send);
        self.to.push(Some(to));
        self.sends.push(send);
    }

    fn into_call(mut self) -> Option<(Purpose, Call)> {
        match (self.to.as_slice(), self.sends.len()) {
            ([Some(to)], 1) => {
                let to = to.clone();
                let send = self.sends.pop()?;
                Some((Purpose::Send(to), Call::Send(send)))
            }
            (_, 0) => None,
            _ => {
                let request = v1::SendBatchRequest { sends: self.sends };
                Some((Purpose::Batch(self.to), Call::SendBatch(request)))
            }
        }
    }
}

/// The same calls, with those together that can be made together.
pub(crate) fn batched(calls: Vec<(Purpose, Call)>) -> Vec<(Purpose, Call)> {
    let mut out = Vec::new();
    let mut batch = Batch::default();
    for call in calls {
        match call {
            (Purpose::Send(to), Call::Send(send)) => {
                if !batch.has_room_for(&send) {
                    out.extend(std::mem::take(&mut batch).into_call());
                }
                batch.add(to, send);
            }
            other => out.push(other),
        }
    }
    out.extend(batch.into_call());
    out
}

impl Engine {
    pub(crate) fn batch_answered(
        &mut self,
        to: &[Option<Address>],
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        let mut results = match answer {
            Ok(Reply::SentBatch(response)) => response.results.into_iter(),
            Err(Refusal::Because(_)) => {
                // Whatever is wrong with them together, each by itself is told more of.
                self.one_by_one = true;
                Vec::new().into_iter()
            }
            _ => Vec::new().into_iter(),
        };
        for to in to {
            let result = results.next();
            let Some(to) = to else { continue };
            let is_its = |result: &v1::SendResult| {
                let head = self.outbox.head(to);
                head.is_some_and(|head| head.client_message_id.as_slice() == result.client_message_id)
            };
            let answer = result.filter(is_its).map_or(Err(Refusal::Unavailable), outcome);
            self.send_answered(to, answer, turn);
        }
    }
}

/// What the server says of one send, as if it had been made alone.
fn outcome(result: v1::SendResult) -> Result<Reply, Refusal> {
    match result.outcome {
        Some(v1::send_result::Outcome::Taken(receipt)) => Ok(Reply::Sent(receipt)),
        Some(v1::send_result::Outcome::Refused(refused)) => Err(match refused.reason() {
            v1::ErrorReason::Unspecified => Refusal::Unavailable,
            reason => Refusal::Because(reason),
        }),
        None => Err(Refusal::Unavailable),
    }
}

fn length_of(send: &v1::SendRequest) -> usize {
    // With its own length before it.
    send.encoded_len().saturating_add(8)
}

fn fields_of(send: &v1::SendRequest) -> usize {
    SEND_FIELDS + MESSAGE_FIELDS * send.messages.len()
}
