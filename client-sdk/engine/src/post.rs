//! A post on its way to a channel. It stays until the server has taken it.

use prost::Message;
use sottovoce_crypto::statements::ChannelId;
use sottovoce_proto::content::Content;
use zeroize::Zeroizing;

use crate::message::{Body, MessageId};
use crate::records::{RecordError, id16, pack, u64_of, unpack};
use crate::turn::Turn;

/// One post not yet taken by the server.
pub(crate) struct Post {
    pub(crate) number: u64,
    pub(crate) channel: ChannelId,
    pub(crate) message_id: MessageId,
    pub(crate) client_message_id: [u8; 16],
    queued_at_ms: u64,
    pub(crate) body: Body,
    /// The height of the roster it was encrypted under, and the bytes that every repeat sends.
    pub(crate) encrypted: Option<(u64, Vec<u8>)>,
}

impl Post {
    pub(crate) fn new(channel: ChannelId, body: Body, turn: &mut Turn<'_>) -> Self {
        Self {
            number: turn.counters.outbox(),
            channel,
            message_id: MessageId(turn.random_id()),
            client_message_id: turn.random_id(),
            queued_at_ms: turn.now,
            body,
            encrypted: None,
        }
    }

    /// What is encrypted: a [`Content`] of which the sender key says whose it is, and the roster head in
    /// the message whom it is for.
    pub(crate) fn plaintext(&self) -> Zeroizing<Vec<u8>> {
        let content = Content {
            message_id: self.message_id.0.to_vec(),
            sent_at_ms: self.queued_at_ms,
            body: self.body.to_content(),
            ..Default::default()
        };
        Zeroizing::new(content.encode_to_vec())
    }

    /// What was encrypted for another roster is encrypted again, under a new id.
    pub(crate) fn discard_encrypted(&mut self, turn: &mut Turn<'_>) {
        if self.encrypted.take().is_some() {
            self.client_message_id = turn.random_id();
            self.put(turn);
        }
    }

    pub(crate) fn key(&self) -> String {
        format!("post/{}", self.number)
    }

    pub(crate) fn put(&self, turn: &mut Turn<'_>) {
        let (height, ciphertext) = match &self.encrypted {
            Some((height, ciphertext)) => (height.to_be_bytes().to_vec(), ciphertext.as_slice()),
            None => (Vec::new(), &[][..]),
        };
        let record = pack(&[
            &self.number.to_be_bytes(),
            self.channel.as_bytes(),
            &self.message_id.0,
            &self.client_message_id,
            &self.queued_at_ms.to_be_bytes(),
            &self.body.to_bytes(),
            &height,
            ciphertext,
        ]);
        turn.put(self.key(), record);
    }

    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [
            number,
            channel,
            message_id,
            client_message_id,
            queued_at_ms,
            body,
            height,
            ciphertext,
        ] = fields.as_slice()
        else {
            return Err(RecordError);
        };
        Ok(Self {
            number: u64_of(number)?,
            channel: ChannelId::from_bytes((*channel).try_into().map_err(|_| RecordError)?),
            message_id: MessageId(id16(message_id)?),
            client_message_id: id16(client_message_id)?,
            queued_at_ms: u64_of(queued_at_ms)?,
            body: Body::from_bytes(body)?,
            encrypted: if height.is_empty() {
                None
            } else {
                Some((u64_of(height)?, ciphertext.to_vec()))
            },
        })
    }
}

/// What a post says, once decrypted; `None` when it is not a post.
pub(crate) fn read(plaintext: &[u8]) -> Option<(MessageId, u64, Body)> {
    let content = Content::decode(plaintext).ok()?;
    let message_id = MessageId(content.message_id.try_into().ok()?);
    Some((message_id, content.sent_at_ms, Body::from_content(content.body)))
}
