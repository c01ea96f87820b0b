//! What a message on its way says: the app's words, or something between the devices themselves.

use prost::Message;
use sottovoce_crypto::SenderKeyDistribution;
use sottovoce_crypto::statements::{Address, ChannelId};
use sottovoce_proto::content::{ChannelInvitation, Content, SenderKey, SentCopy, SessionRenewal, content};
use zeroize::Zeroizing;

use crate::message::{Body, MessageId};
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
    /// This device's sender key for a channel.
    SenderKey(ChannelId, Zeroizing<Vec<u8>>),
    /// A channel that the recipient is in.
    Invitation(Vec<u8>),
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
            Self::SenderKey(_, distribution) => content::Body::SenderKey(SenderKey {
                distribution: distribution.to_vec(),
            }),
            Self::Invitation(invitation) => content::Body::ChannelInvitation(ChannelInvitation {
                invitation: invitation.clone(),
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
            Some(content::Body::SenderKey(key)) => {
                let channel = SenderKeyDistribution::decode(&key.distribution)
                    .ok()?
                    .channel_id();
                Self::SenderKey(channel, Zeroizing::new(key.distribution))
            }
            Some(content::Body::ChannelInvitation(invited)) => Self::Invitation(invited.invitation),
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
