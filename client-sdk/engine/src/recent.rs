//! What came last from each device, so that a message that was sent again under another name at the server
//! is not shown again.

use std::collections::{BTreeMap, VecDeque};

use sottovoce_crypto::statements::DeviceId;

use crate::records::{RecordError, id16};

/// Message ids remembered of a device. A sender goes on to the next message only when it has an answer to
/// the one before, so of what is sent again little comes in between.
const REMEMBERED: usize = 8;

/// Ids of the messages that came last from each device, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recent(BTreeMap<DeviceId, VecDeque<[u8; 16]>>);

impl Recent {
    /// Remembers a message, in the place of the oldest; `false` where it is remembered already.
    pub(crate) fn remember(&mut self, device_id: DeviceId, message_id: [u8; 16]) -> bool {
        let ids = self.0.entry(device_id).or_default();
        if ids.contains(&message_id) {
            return false;
        }
        if ids.len() >= REMEMBERED {
            ids.pop_front();
        }
        ids.push_back(message_id);
        true
    }

    pub(crate) fn forget(&mut self, device_id: &DeviceId) {
        self.0.remove(device_id);
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let each = self
            .0
            .iter()
            .flat_map(|(device_id, ids)| ids.iter().map(|id| [*device_id.as_bytes(), *id]));
        each.flatten().flatten().collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut recent = Self::default();
        for entry in bytes.chunks(32) {
            let (device_id, id) = entry.split_at_checked(16).ok_or(RecordError)?;
            let device_id = DeviceId::from_slice(device_id).map_err(|_| RecordError)?;
            recent.remember(device_id, id16(id)?);
        }
        Ok(recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_of_each_device_are_remembered_and_survive_packing() {
        let (one, other) = (DeviceId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        let mut recent = Recent::default();
        for n in 0..=8 {
            assert!(recent.remember(one, [n; 16]));
        }
        assert!(recent.remember(other, [8; 16]), "each device by itself");
        let mut recent = Recent::from_bytes(&recent.to_bytes()).unwrap();
        assert!(!recent.remember(one, [1; 16]));
        assert!(recent.remember(one, [0; 16]), "the oldest had to go");
        recent.forget(&other);
        assert!(recent.remember(other, [8; 16]));
        assert_eq!(Recent::from_bytes(&[1; 33]), Err(RecordError));
    }
}
