//! Messages on their way out, in order for each recipient. They stay until the server has taken them.

use std::collections::{BTreeMap, VecDeque};

use sottovoce_crypto::statements::{Address, ChannelId};
use zeroize::Zeroizing;

use crate::delivery::Delivery;
use crate::message::MessageId;
use crate::records::{RecordError, id16, pack, text, u64_of, unpack};
use crate::said::Said;
use crate::sealing::Encrypted;
use crate::turn::Turn;

/// Most messages waiting to be sent. An app that gets no further should say so, not fill the disk.
pub(crate) const OUTBOX_LIMIT: usize = 10_000;

/// One message not yet taken by the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outgoing {
    pub(crate) number: u64,
    pub(crate) to: Address,
    pub(crate) message_id: MessageId,
    /// What the server tells repeats by. Random; says nothing of the message.
    pub(crate) client_message_id: [u8; 16],
    pub(crate) queued_at_ms: u64,
    pub(crate) said: Said,
    pub(crate) delivery: Delivery,
    /// Whether it is to be taken back as soon as the server has it.
    pub(crate) cancelled: bool,
    /// The encrypted request, once made.
    pub(crate) encrypted: Option<Encrypted>,
    /// How often the server has found it encrypted for the wrong devices, since the engine was loaded.
    pub(crate) mismatches: u8,
}

impl Outgoing {
    /// A message in its first state.
    pub(crate) fn new(to: &Address, said: Said, turn: &mut Turn<'_>) -> Self {
        Self {
            number: turn.counters.outbox(),
            to: to.clone(),
            message_id: MessageId(turn.random_id()),
            client_message_id: turn.random_id(),
            queued_at_ms: turn.now,
            said,
            delivery: Delivery::default(),
            cancelled: false,
            encrypted: None,
            mismatches: 0,
        }
    }

    /// The name the app knows it by: that of a copy is its original's.
    pub(crate) fn shown_as(&self) -> MessageId {
        match &self.said {
            Said::Copy { message_id, .. } => *message_id,
            _ => self.message_id,
        }
    }

    pub(crate) fn key(&self) -> String {
        format!("outbox/{}", self.number)
    }

    pub(crate) fn to_record(&self) -> Zeroizing<Vec<u8>> {
        let [open, sealed] = Encrypted::to_fields(self.encrypted.as_ref());
        pack(&[
            &self.number.to_be_bytes(),
            self.to.as_str().as_bytes(),
            &self.message_id.0,
            &self.client_message_id,
            &self.queued_at_ms.to_be_bytes(),
            &self.said.to_bytes(),
            &open,
            &sealed,
            &self.delivery.to_bytes(),
            &[u8::from(self.cancelled)],
        ])
    }

    fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [
            number,
            to,
            message_id,
            client_message_id,
            queued_at_ms,
            said,
            open,
            // Absent in records from before there were sealed messages, and then scheduled ones.
            rest @ ..,
        ] = fields.as_slice()
        else {
            return Err(RecordError);
        };
        let (sealed, delivery, cancelled) = match rest {
            [] => (&[][..], Delivery::default(), false),
            [sealed] => (*sealed, Delivery::default(), false),
            [sealed, delivery, [cancelled]] => (*sealed, Delivery::from_bytes(delivery)?, *cancelled != 0),
            _ => return Err(RecordError),
        };
        Ok(Self {
            number: u64_of(number)?,
            to: Address::parse(&text(to)?).map_err(|_| RecordError)?,
            message_id: MessageId(id16(message_id)?),
            client_message_id: id16(client_message_id)?,
            queued_at_ms: u64_of(queued_at_ms)?,
            said: Said::from_bytes(said)?,
            delivery,
            cancelled,
            encrypted: Encrypted::from_fields(open, sealed)?,
            mismatches: 0,
        })
    }
}

#[derive(Default)]
pub(crate) struct Outbox(BTreeMap<Address, VecDeque<Outgoing>>);

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(VecDeque::len).sum()
    }

    pub(crate) fn recipients(&self) -> Vec<Address> {
        self.0.keys().cloned().collect()
    }

    pub(crate) fn push(&mut self, message: Outgoing) {
        self.0.entry(message.to.clone()).or_default().push_back(message);
    }

    /// Whether a sender key of this channel is still on its way: posts under it come after it.
    pub(crate) fn holds_key_for(&self, channel: ChannelId) -> bool {
        let is_key = |message: &Outgoing| matches!(message.said, Said::SenderKey(of, _) if of == channel);
        self.0.values().flatten().any(is_key)
    }

    /// The message that is next for a recipient.
    pub(crate) fn head(&mut self, to: &Address) -> Option<&mut Outgoing> {
        self.0.get_mut(to)?.front_mut()
    }

    pub(crate) fn pop(&mut self, to: &Address) -> Option<Outgoing> {
        let queue = self.0.get_mut(to)?;
        let message = queue.pop_front();
        if queue.is_empty() {
            self.0.remove(to);
        }
        message
    }

    /// Takes out what goes by this name and waits for its time, or notes that it is not wanted any more
    /// where it may be on its way; gives all of it.
    pub(crate) fn cancel(&mut self, message_id: MessageId) -> Vec<Outgoing> {
        let mut cancelled = Vec::new();
        self.0.retain(|_, queue| {
            queue.retain_mut(|message| {
                if message.shown_as() != message_id || !message.delivery.is_scheduled() {
                    return true;
                }
                message.cancelled = true;
                cancelled.push(message.clone());
                message.encrypted.is_some()
            });
            !queue.is_empty()
        });
        cancelled
    }

    pub(crate) fn load(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let message = Outgoing::from_record(bytes)?;
        let queue = self.0.entry(message.to.clone()).or_default();
        let position = queue.partition_point(|earlier| earlier.number < message.number);
        queue.insert(position, message);
        Ok(())
    }
}
