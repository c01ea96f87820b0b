//! Hints as bytes. Nodes of one cluster run the same version, or the one before or after: fields that are
//! not known are passed over, as protobuf has it.

use prost::Message;
use sottovoce_proto::v1::{Envelope, ErrorReason};
use sottovoce_statements::DeviceId;

use super::Hint;

/// Hints that were sent together.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Batch {
    /// 16 random bytes that name the sending node, so that it passes over its own.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) node: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    hints: Vec<WireHint>,
}

#[derive(Clone, PartialEq, Message)]
struct WireHint {
    #[prost(bytes = "vec", tag = "1")]
    device: Vec<u8>,
    /// Set for the end of a stream.
    #[prost(enumeration = "ErrorReason", optional, tag = "2")]
    end: Option<i32>,
    /// Set for a stream that was opened.
    #[prost(int64, optional, tag = "3")]
    epoch: Option<i64>,
    #[prost(message, optional, tag = "4")]
    ephemeral: Option<Envelope>,
}

impl Batch {
    pub(super) fn new(node: [u8; 16], hints: impl IntoIterator<Item = Hint>) -> Self {
        Self {
            node: node.to_vec(),
            hints: hints.into_iter().map(WireHint::from).collect(),
        }
    }

    /// Those that could be read.
    pub(super) fn into_hints(self) -> impl Iterator<Item = Hint> {
        self.hints.into_iter().filter_map(WireHint::read)
    }
}

impl From<Hint> for WireHint {
    fn from(hint: Hint) -> Self {
        let (device, end, epoch, ephemeral) = match hint {
            Hint::Look(device) => (device, None, None, None),
            Hint::End(device, reason) => (device, Some(reason.into()), None, None),
            Hint::Opened(device, epoch) => (device, None, Some(epoch), None),
            Hint::Ephemeral(device, envelope) => (device, None, None, Some(envelope)),
        };
        Self {
            device: device.as_bytes().to_vec(),
            end,
            epoch,
            ephemeral,
        }
    }
}

impl WireHint {
    fn read(self) -> Option<Hint> {
        let device = DeviceId::from_bytes(self.device.try_into().ok()?);
        Some(match (self.end, self.epoch, self.ephemeral) {
            (Some(reason), _, _) => Hint::End(device, ErrorReason::try_from(reason).ok()?),
            (None, Some(epoch), _) => Hint::Opened(device, epoch),
            (None, None, Some(envelope)) => Hint::Ephemeral(device, envelope),
            (None, None, None) => Hint::Look(device),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_survive_the_journey() {
        let device = DeviceId::from_bytes([7; 16]);
        let hints = vec![
            Hint::Look(device),
            Hint::End(device, ErrorReason::TokenInvalid),
            Hint::Opened(device, 3),
            Hint::Ephemeral(device, Envelope::default()),
        ];
        let bytes = Batch::new([1; 16], hints.clone()).encode_to_vec();
        let batch = Batch::decode(bytes.as_slice()).unwrap();
        assert_eq!(batch.node, [1; 16]);
        assert_eq!(batch.into_hints().collect::<Vec<_>>(), hints);
    }
}
