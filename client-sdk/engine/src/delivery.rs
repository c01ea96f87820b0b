//! How the server is to deliver a message, besides as soon as it can.

use sottovoce_proto::v1;

use crate::error::InputError;
use crate::records::{RecordError, pack, u32_of, u64_of, unpack};

const DAY_S: u32 = 24 * 60 * 60;

/// Longest that a message may wait to be delivered: what a server takes (`proto/PROTOCOL.md`).
const MAX_EXPIRY_S: u32 = 30 * DAY_S;

/// Furthest ahead that a message may be delivered. It is encrypted when it is sent, and the key to one that
/// others have overtaken, or whose session was replaced, is kept for 7 days.
const MAX_AHEAD_MS: u64 = 6 * DAY_S as u64 * 1000;

/// How the server is to deliver a message. By default at once, and it keeps what it cannot deliver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    expires_after_s: u32,
    not_before_ms: u64,
}

impl Delivery {
    /// Not any more after so many seconds, at most 30 days. What was not delivered by then never is, and
    /// shows as a gap when the next message comes.
    #[must_use]
    pub const fn expiring(after_s: u32) -> Self {
        Self {
            expires_after_s: after_s,
            not_before_ms: 0,
        }
    }

    /// Not before this time, Unix time in milliseconds, at most 6 days ahead. The server is told who sends
    /// it, also where it would not be otherwise: else nobody could take it back.
    #[must_use]
    pub const fn later(at_ms: u64) -> Self {
        Self {
            expires_after_s: 0,
            not_before_ms: at_ms,
        }
    }

    /// Whether it is one that waits at the server for its time, and can be taken back until then.
    pub(crate) fn is_scheduled(self) -> bool {
        self.not_before_ms != 0
    }

    pub(crate) fn not_before_ms(self) -> u64 {
        self.not_before_ms
    }

    pub(crate) fn check(self, now: u64) -> Result<(), InputError> {
        let furthest = now.saturating_add(MAX_AHEAD_MS);
        if self.expires_after_s > MAX_EXPIRY_S || self.not_before_ms > furthest {
            return Err(InputError::DeliveryTime);
        }
        Ok(())
    }

    /// As a request has it: nothing where nothing is special.
    pub(crate) fn to_field(self) -> Option<v1::Delivery> {
        (self != Self::default()).then_some(v1::Delivery {
            ephemeral: false,
            expires_after_s: self.expires_after_s,
            deliver_after_ms: self.not_before_ms,
        })
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        pack(&[
            &self.expires_after_s.to_be_bytes(),
            &self.not_before_ms.to_be_bytes(),
        ])
        .to_vec()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        match unpack(bytes)?.as_slice() {
            [expires_after_s, not_before_ms] => Ok(Self {
                expires_after_s: u32_of(expires_after_s)?,
                not_before_ms: u64_of(not_before_ms)?,
            }),
            _ => Err(RecordError),
        }
    }
}
