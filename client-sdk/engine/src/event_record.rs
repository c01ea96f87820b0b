//! Events as records.

use sottovoce_crypto::statements::{AccountKey, Address, ChannelId, DeviceId};
use zeroize::Zeroizing;

use crate::event::{EventKind, SendFailure, Unreadable};
use crate::message::{Body, ChannelPost, MessageId, ReceivedMessage};
use crate::records::{RecordError, id16, pack, text, u64_of, unpack};

impl EventKind {
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::MessageReceived(message) => pack(&[
                &[1],
                message.from.as_str().as_bytes(),
                message.device_id.as_bytes(),
                &message.message_id.0,
                &message.sent_at_ms.to_be_bytes(),
                &[u8::from(message.late)],
                &message.body.to_bytes(),
            ]),
            Self::MessageSent {
                to,
                message_id,
                accepted_at_ms,
            } => pack(&[
                &[2],
                to.as_str().as_bytes(),
                &message_id.0,
                &accepted_at_ms.to_be_bytes(),
            ]),
            Self::MessageFailed {
                to,
                message_id,
                reason,
            } => pack(&[&[3], to.as_str().as_bytes(), &message_id.0, &[*reason as u8]]),
            Self::MessagesMissing {
                from,
                device_id,
                count,
            } => pack(&[
                &[4],
                from.as_str().as_bytes(),
                device_id.as_bytes(),
                &count.to_be_bytes(),
            ]),
            Self::Unreadable { from, reason } => pack(&[&[5], from.as_bytes(), &[*reason as u8]]),
            Self::AccountKeyChanged { address, account_key } => {
                pack(&[&[6], address.as_str().as_bytes(), account_key.as_bytes()])
            }
            Self::ManifestConflict { address } => pack(&[&[7], address.as_str().as_bytes()]),
            Self::ManifestDisputed { address, by } => {
                pack(&[&[8], address.as_str().as_bytes(), by.as_str().as_bytes()])
            }
            Self::SealedRefused { address } => pack(&[&[9], address.as_str().as_bytes()]),
            Self::TokenReused => pack(&[&[10]]),
            Self::MessageSynced {
                to,
                message_id,
                sent_at_ms,
                body,
            } => pack(&[
                &[11],
                to.as_str().as_bytes(),
                &message_id.0,
                &sent_at_ms.to_be_bytes(),
                &body.to_bytes(),
            ]),
            Self::DevicesChanged { added, removed } => {
                pack(&[&[12], &devices_to_bytes(added), &devices_to_bytes(removed)])
            }
            Self::DeviceChangeFailed => pack(&[&[13]]),
            Self::Revoked => pack(&[&[14]]),
            Self::ChannelJoined { channel } => pack(&[&[15], channel.as_bytes()]),
            Self::ChannelChanged { channel, height } => {
                pack(&[&[16], channel.as_bytes(), &height.to_be_bytes()])
            }
            Self::ChannelLeft { channel } => pack(&[&[17], channel.as_bytes()]),
            Self::ChannelRefused { channel } => pack(&[&[18], channel.as_bytes()]),
            Self::ChannelUnverified { channel } => pack(&[&[19], channel.as_bytes()]),
            Self::ChannelDisputed { channel, by } => {
                pack(&[&[20], channel.as_bytes(), by.as_str().as_bytes()])
            }
            Self::ChannelForked { channel } => pack(&[&[21], channel.as_bytes()]),
            Self::PostReceived(post) => pack(&[
                &[22],
                post.channel.as_bytes(),
                post.from.as_str().as_bytes(),
                post.device_id.as_bytes(),
                &post.message_id.0,
                &post.sent_at_ms.to_be_bytes(),
                &post.body.to_bytes(),
            ]),
            Self::PostSent { channel, message_id } => pack(&[&[23], channel.as_bytes(), &message_id.0]),
            Self::PostFailed { channel, message_id } => pack(&[&[24], channel.as_bytes(), &message_id.0]),
            Self::ScheduledCancelled {
                to,
                message_id,
                in_time,
            } => pack(&[
                &[25],
                to.as_str().as_bytes(),
                &message_id.0,
                &[u8::from(*in_time)],
            ]),
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let (kind, fields) = fields.split_first().ok_or(RecordError)?;
        let address = |bytes: &[u8]| Address::parse(&text(bytes)?).map_err(|_| RecordError);
        match (*kind, fields) {
            ([1], [from, device_id, message_id, sent_at_ms, [late], body]) => {
                Ok(Self::MessageReceived(ReceivedMessage {
                    from: address(from)?,
                    device_id: DeviceId::from_slice(device_id).map_err(|_| RecordError)?,
                    message_id: MessageId(id16(message_id)?),
                    sent_at_ms: u64_of(sent_at_ms)?,
                    late: *late != 0,
                    body: Body::from_bytes(body)?,
                }))
            }
            ([2], [to, message_id, accepted_at_ms]) => Ok(Self::MessageSent {
                to: address(to)?,
                message_id: MessageId(id16(message_id)?),
                accepted_at_ms: u64_of(accepted_at_ms)?,
            }),
            ([3], [to, message_id, [reason]]) => Ok(Self::MessageFailed {
                to: address(to)?,
                message_id: MessageId(id16(message_id)?),
                reason: match reason {
                    1 => SendFailure::NoSuchAccount,
                    2 => SendFailure::RecipientNotVerified,
                    3 => SendFailure::Refused,
                    4 => SendFailure::Downgraded,
                    _ => return Err(RecordError),
                },
            }),
            ([4], [from, device_id, count]) => Ok(Self::MessagesMissing {
                from: address(from)?,
                device_id: DeviceId::from_slice(device_id).map_err(|_| RecordError)?,
                count: u64_of(count)?,
            }),
            ([5], [from, [reason]]) => Ok(Self::Unreadable {
                from: text(from)?,
                reason: match reason {
                    1 => Unreadable::Malformed,
                    2 => Unreadable::UnknownDevice,
                    3 => Unreadable::NotAuthentic,
                    4 => Unreadable::KeyNotAccepted,
                    5 => Unreadable::Downgraded,
                    _ => return Err(RecordError),
                },
            }),
            ([6], [of, key]) => Ok(Self::AccountKeyChanged {
                address: address(of)?,
                account_key: AccountKey::from_slice(key).map_err(|_| RecordError)?,
            }),
            ([7], [of]) => Ok(Self::ManifestConflict {
                address: address(of)?,
            }),
            ([8], [of, by]) => Ok(Self::ManifestDisputed {
                address: address(of)?,
                by: address(by)?,
            }),
            ([9], [of]) => Ok(Self::SealedRefused {
                address: address(of)?,
            }),
            ([10], []) => Ok(Self::TokenReused),
            ([11], [to, message_id, sent_at_ms, body]) => Ok(Self::MessageSynced {
                to: address(to)?,
                message_id: MessageId(id16(message_id)?),
                sent_at_ms: u64_of(sent_at_ms)?,
                body: Body::from_bytes(body)?,
            }),
            ([12], [added, removed]) => Ok(Self::DevicesChanged {
                added: devices_from_bytes(added)?,
                removed: devices_from_bytes(removed)?,
            }),
            ([13], []) => Ok(Self::DeviceChangeFailed),
            ([14], []) => Ok(Self::Revoked),
            ([15], [channel]) => Ok(Self::ChannelJoined {
                channel: channel_of(channel)?,
            }),
            ([16], [channel, height]) => Ok(Self::ChannelChanged {
                channel: channel_of(channel)?,
                height: u64_of(height)?,
            }),
            ([17], [channel]) => Ok(Self::ChannelLeft {
                channel: channel_of(channel)?,
            }),
            ([18], [channel]) => Ok(Self::ChannelRefused {
                channel: channel_of(channel)?,
            }),
            ([19], [channel]) => Ok(Self::ChannelUnverified {
                channel: channel_of(channel)?,
            }),
            ([20], [channel, by]) => Ok(Self::ChannelDisputed {
                channel: channel_of(channel)?,
                by: address(by)?,
            }),
            ([21], [channel]) => Ok(Self::ChannelForked {
                channel: channel_of(channel)?,
            }),
            ([22], [channel, from, device_id, message_id, sent_at_ms, body]) => {
                Ok(Self::PostReceived(ChannelPost {
                    channel: channel_of(channel)?,
                    from: address(from)?,
                    device_id: DeviceId::from_slice(device_id).map_err(|_| RecordError)?,
                    message_id: MessageId(id16(message_id)?),
                    sent_at_ms: u64_of(sent_at_ms)?,
                    body: Body::from_bytes(body)?,
                }))
            }
            ([23], [channel, message_id]) => Ok(Self::PostSent {
                channel: channel_of(channel)?,
                message_id: MessageId(id16(message_id)?),
            }),
            ([24], [channel, message_id]) => Ok(Self::PostFailed {
                channel: channel_of(channel)?,
                message_id: MessageId(id16(message_id)?),
            }),
            ([25], [to, message_id, [in_time]]) => Ok(Self::ScheduledCancelled {
                to: address(to)?,
                message_id: MessageId(id16(message_id)?),
                in_time: *in_time != 0,
            }),
            _ => Err(RecordError),
        }
    }
}

fn channel_of(bytes: &[u8]) -> Result<ChannelId, RecordError> {
    bytes
        .try_into()
        .map(ChannelId::from_bytes)
        .map_err(|_| RecordError)
}

fn devices_to_bytes(devices: &[DeviceId]) -> Vec<u8> {
    devices.iter().flat_map(|id| *id.as_bytes()).collect()
}

fn devices_from_bytes(bytes: &[u8]) -> Result<Vec<DeviceId>, RecordError> {
    let ids = bytes.chunks(16).map(DeviceId::from_slice);
    ids.collect::<Result<_, _>>().map_err(|_| RecordError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_survives_its_record() {
        let alice = Address::parse("alice@host").unwrap();
        let device_id = DeviceId::from_bytes([4; 16]);
        let message_id = MessageId([5; 16]);
        let key = {
            let mut bytes = [0x66; 32];
            bytes[0] = 0x58; // the Ed25519 base point (RFC 8032 section 5.1)
            AccountKey::from_slice(&bytes).unwrap()
        };
        let kinds = [
            EventKind::MessageReceived(ReceivedMessage {
                from: alice.clone(),
                device_id,
                message_id,
                sent_at_ms: 7,
                late: true,
                body: Body::Text("words".into()),
            }),
            EventKind::MessageSent {
                to: alice.clone(),
                message_id,
                accepted_at_ms: 8,
            },
            EventKind::MessageFailed {
                to: alice.clone(),
                message_id,
                reason: SendFailure::Downgraded,
            },
            EventKind::MessagesMissing {
                from: alice.clone(),
                device_id,
                count: 3,
            },
            EventKind::ScheduledCancelled {
                to: alice.clone(),
                message_id,
                in_time: true,
            },
            EventKind::Unreadable {
                from: "?".into(),
                reason: Unreadable::Downgraded,
            },
            EventKind::AccountKeyChanged {
                address: alice.clone(),
                account_key: key,
            },
            EventKind::ManifestConflict {
                address: alice.clone(),
            },
            EventKind::ManifestDisputed {
                address: alice.clone(),
                by: alice,
            },
        ];
        for kind in kinds {
            assert_eq!(EventKind::from_bytes(&kind.to_bytes()).unwrap(), kind);
        }
        assert_eq!(EventKind::from_bytes(&[]), Err(RecordError));
        assert_eq!(EventKind::from_bytes(&pack(&[&[0]])), Err(RecordError));
    }
}
