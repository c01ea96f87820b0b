//! Messages and posts as the app has them: their names, and what they say.

use core::fmt;
use prost::Message;
use sottovoce_crypto::statements::{Address, ChannelId, DeviceId};
use sottovoce_proto::content;

use crate::records::RecordError;

/// A message's name, 16 random bytes chosen by its sender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// What a message says.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Words.
    Text(String),
    /// Something a newer version sent. Only ever received.
    Unsupported,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text([redacted])",
            Self::Unsupported => "Unsupported",
        })
    }
}

impl Body {
    pub(crate) fn to_content(&self) -> Option<content::content::Body> {
        match self {
            Self::Text(body) => Some(content::content::Body::Text(content::Text { body: body.clone() })),
            Self::Unsupported => None,
        }
    }

    pub(crate) fn from_content(body: Option<content::content::Body>) -> Self {
        match body {
            Some(content::content::Body::Text(text)) => Self::Text(text.body),
            // What devices tell each other is taken out before this: see `said.rs`.
            _ => Self::Unsupported,
        }
    }

    /// As a [`content::Content`] with nothing else in it: how records hold a body.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        content::Content {
            body: self.to_content(),
            ..Default::default()
        }
        .encode_to_vec()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let content = content::Content::decode(bytes).map_err(|_| RecordError)?;
        Ok(Self::from_content(content.body))
    }
}

/// A message that arrived and was authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Who sent it.
    pub from: Address,
    /// From which of their devices.
    pub device_id: DeviceId,
    /// The message's name.
    pub message_id: MessageId,
    /// When it was sent, by the sender's clock, Unix time in milliseconds.
    pub sent_at_ms: u64,
    /// Whether it comes after later ones of the same device, filling a gap told of before.
    pub late: bool,
    /// What it says.
    pub body: Body,
}

impl ReceivedMessage {
    /// The words, if that is what it is.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.body {
            Body::Text(text) => Some(text),
            Body::Unsupported => None,
        }
    }
}

/// A post that arrived and was authenticated as its sender's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPost {
    /// Where.
    pub channel: ChannelId,
    /// Who sent it.
    pub from: Address,
    /// From which of their devices.
    pub device_id: DeviceId,
    /// The message's name.
    pub message_id: MessageId,
    /// When it was sent, by the sender's clock, Unix time in milliseconds.
    pub sent_at_ms: u64,
    /// What it says.
    pub body: Body,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_not_printed() {
        assert_eq!(
            format!("{:?}", Body::Text("hush-hush".into())),
            "Text([redacted])"
        );
    }
}
