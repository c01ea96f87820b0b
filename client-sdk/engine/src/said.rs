//! What a message on its way says: the app's words, or something between the devices themselves.

use prost::Message;
use sottovoce_crypto::statements::Address;
use sottovoce_proto::content::{Content, SentCopy, SessionRenewal, content};

use crate::event::{Body, MessageId};
use crate::records::RecordError;

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// Nothing: it only renews the session.
    Renewal,
    /// What the app said.
    App(Body),
    /// What one device of an account tells the others that it sent.
    Copy {
        to: Address,
        message_id: MessageId,
        body: Body,
    },
}

impl Said {
    /// The app's own words, whose fate the app is told of.
    pub(crate) fn is_the_apps(&self) -> bool {
        matches!(self, Self::App(_))
    }

    pub(crate) fn to_content(&self) -> Option<content::Body> {
        Some(match self {
            Self::Renewal => content::Body::SessionRenewal(SessionRenewal {}),
            Self::App(body) => body.to_content()?,
            Self::Copy { to, message_id, body } => content::Body::SentCopy(SentCopy {
                recipient: to.to_string(),
                message_id: message_id.0.to_vec(),
                content: body.to_bytes(),
            }),
        })
    }

    /// Reads what came; `None` where it is malformed.
    pub(crate) fn from_content(body: Option<content::Body>) -> Option<Self> {
        Some(match body {
            Some(content::Body::SessionRenewal(_)) => Self::Renewal,
            Some(content::Body::SentCopy(copy)) => Self::Copy {
                to: Address::parse(&copy.recipient).ok()?,
                message_id: MessageId(copy.message_id.try_into().ok()?),
                body: Body::from_bytes(&copy.content).ok()?,
            },
            body => Self::App(Body::from_content(body)),
        })
    }

    /// As a [`Content`] with nothing else in it: how records hold it. Nothing at all for a renewal.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        if *self == Self::Renewal {
            return Vec::new();
        }
        Content {
            body: self.to_content(),
            ..Default::default()
        }
        .encode_to_vec()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.is_empty() {
            return Ok(Self::Renewal);
        }
        let content = Content::decode(bytes).map_err(|_| RecordError)?;
        Self::from_content(content.body).ok_or(RecordError)
    }
}
