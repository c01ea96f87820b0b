//! One turn of the engine: what one input may use, and what it brings about.

use rand_core::CryptoRng;
use sottovoce_crypto::AccessKey;
use sottovoce_crypto::statements::{Address, ChannelId, DeviceId};
use zeroize::Zeroizing;

use crate::counters::Counters;
use crate::event::{Event, EventId, EventKind};
use crate::io::{Call, Outputs};
use crate::prekeys::Publication;

/// The time, the randomness and the numbers of one input, and the outputs it gathers.
pub(crate) struct Turn<'r> {
    /// Unix time in milliseconds.
    pub(crate) now: u64,
    pub(crate) rng: &'r mut dyn CryptoRng,
    pub(crate) counters: Counters,
    pub(crate) out: Outputs,
    /// Calls asked for, and what their answers are for.
    pub(crate) calls: Vec<(Purpose, Call)>,
}

/// What the answer to a call is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// To learn or refresh an account.
    Account(Address, Presented),
    /// To begin sessions with these devices of an account.
    Bundles(Address, Vec<DeviceId>, Presented),
    /// To renew the session with one device.
    Renewal(Address, DeviceId, Presented),
    /// To send the head of the outbox for an account.
    Send(Address),
    /// To send the heads of the outbox for these accounts, in this order; nobody in place of one that is not
    /// waited for any more.
    Batch(Vec<Option<Address>>),
    /// To take back what waits at the server.
    Cancel(u64),
    /// To publish these prekeys.
    Publish(Publication),
    /// To learn how many one-time prekeys are left.
    Count,
    /// To have the server keep the hash of this access key.
    AccessKey(AccessKey),
    /// To leave a device that is being linked its grant.
    Grant,
    /// To have the account's manifest of this version taken up.
    Manifest(u64),
    /// To learn which channels there are.
    Channels,
    /// For one channel.
    Channel(ChannelId, ChannelCall),
    /// To have envelopes deleted.
    Acknowledge,
}

/// The access key that a call presents, if it goes unseen: a refusal is of this one, whichever is known by
/// then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presented(pub(crate) Option<AccessKey>);

impl Presented {
    /// As a request has it: empty where the call goes by name.
    pub(crate) fn to_field(&self) -> Vec<u8> {
        let key = self.0.as_ref().map(AccessKey::to_secret_bytes);
        key.map(|key| key.to_vec()).unwrap_or_default()
    }

    pub(crate) fn from_field(field: &[u8]) -> Self {
        Self(field.try_into().ok().map(AccessKey::from_secret_bytes))
    }
}

/// What a call for a channel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelCall {
    Create,
    Fetch,
    Append,
    Post,
}

impl<'r> Turn<'r> {
    pub(crate) fn new(now: u64, rng: &'r mut dyn CryptoRng, counters: Counters) -> Self {
        Self {
            now,
            rng,
            counters,
            out: Outputs::default(),
            calls: Vec::new(),
        }
    }

    pub(crate) fn put(&mut self, key: String, value: Zeroizing<Vec<u8>>) {
        self.out.records.insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: String) {
        self.out.records.insert(key, None);
    }

    pub(crate) fn call(&mut self, purpose: Purpose, call: Call) {
        self.calls.push((purpose, call));
    }

    pub(crate) fn event(&mut self, kind: EventKind) {
        let id = self.counters.event();
        self.put(event_key(id), kind.to_bytes());
        self.out.events.push(Event { id, kind });
    }

    pub(crate) fn random_id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        id
    }
}

pub(crate) fn event_key(id: EventId) -> String {
    format!("event/{}", id.0)
}

impl Purpose {
    /// Takes this account out of what the answer is about, where it is about others as well.
    pub(crate) fn leave_out(&mut self, address: &Address) {
        if let Self::Batch(to) = self {
            for of in to.iter_mut().filter(|of| of.as_ref() == Some(address)) {
                *of = None;
            }
        }
    }

    /// Whether the answer is about this account alone.
    pub(crate) fn concerns(&self, address: &Address) -> bool {
        match self {
            Self::Account(of, _) | Self::Bundles(of, ..) | Self::Renewal(of, ..) | Self::Send(of) => {
                of == address
            }
            Self::Batch(_) => false,
            Self::Channels | Self::Channel(..) => false,
            Self::Publish(_)
            | Self::Cancel(_)
            | Self::Count
            | Self::AccessKey(_)
            | Self::Grant
            | Self::Manifest(_)
            | Self::Acknowledge => false,
        }
    }
}
