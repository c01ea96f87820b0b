//! Hints as bytes. Nodes of one cluster run the same version, or the one before or after: fields that are
//! not known are passed over, as protobuf has it.

use prost::Message;
use sottovoce_proto::v1::{Envelope, ErrorReason, PrekeysLow};
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
    #[prost(message, optional, tag = "5")]
    prekeys_low: Option<PrekeysLow>,
    /// Set when tokens of the device are void.
    #[prost(bool, optional, tag = "6")]
    tokens_void: Option<bool>,
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
        let mut wire = Self::default();
        let device = match hint {
            Hint::Look(device) => device,
            Hint::End(device, reason) => {
                wire.end = Some(reason.into());
                device
            }
            Hint::Opened(device, epoch) => {
                wire.epoch = Some(epoch);
                device
            }
            Hint::Ephemeral(device, envelope) => {
                wire.ephemeral = Some(envelope);
                device
            }
            Hint::PrekeysLow(device, low) => {
                wire.prekeys_low = Some(low);
                device
            }
            Hint::TokensVoid(device) => {
                wire.tokens_void = Some(true);
                device
            }
        };
        wire.device = device.as_bytes().to_vec();
        wire
    }
}

impl WireHint {
    fn read(self) -> Option<Hint> {
        let device = DeviceId::from_bytes(self.device.try_into().ok()?);
        Some(if let Some(reason) = self.end {
            Hint::End(device, ErrorReason::try_from(reason).ok()?)
        } else if let Some(epoch) = self.epoch {
            Hint::Opened(device, epoch)
        } else if let Some(envelope) = self.ephemeral {
            Hint::Ephemeral(device, envelope)
        } else if let Some(low) = self.prekeys_low {
            Hint::PrekeysLow(device, low)
        } else if self.tokens_void.is_some() {
            Hint::TokensVoid(device)
        } else {
            Hint::Look(device)
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
            Hint::PrekeysLow(device, PrekeysLow::default()),
            Hint::TokensVoid(device),
        ];
        let bytes = Batch::new([1; 16], hints.clone()).encode_to_vec();
        let batch = Batch::decode(bytes.as_slice()).unwrap();
        assert_eq!(batch.node, [1; 16]);
        assert_eq!(batch.into_hints().collect::<Vec<_>>(), hints);
    }
}
