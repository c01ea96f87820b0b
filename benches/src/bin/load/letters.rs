//! Messages that can be told apart: numbered, of one length, and checked to the last byte when they arrive.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sottovoce_proto::v1::{DeviceMessage, SendRequest};

use crate::device::Device;

/// The sender's mark and the number at the front of a ciphertext, in bytes.
const HEADER: usize = 16;

/// An odd number: multiplied by it, consecutive numbers become ids that lie far apart, as random ones do,
/// and each can be turned back into its number.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// No two writers of a run have the same mark.
static MARKS: AtomicU64 = AtomicU64::new(1);

/// Writes the messages of one sender, and knows them again.
#[derive(Clone)]
pub(crate) struct Writer {
    mark: u64,
    salt: [u8; 8],
    to: Arc<[(String, Vec<u8>)]>,
    template: Vec<u8>,
}

impl Writer {
    /// Of messages to these devices in turn, with ciphertexts of `len` bytes.
    pub(crate) fn to<'a>(recipients: impl IntoIterator<Item = &'a Device>, len: usize) -> Self {
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).unwrap();
        let mut template = vec![0; len];
        getrandom::fill(&mut template).unwrap();
        let to = |device: &Device| (device.address.to_string(), device.id.as_bytes().to_vec());
        Self {
            mark: MARKS.fetch_add(1, Ordering::Relaxed),
            salt,
            to: recipients.into_iter().map(to).collect(),
            template,
        }
    }

    /// Message `number`.
    pub(crate) fn letter(&self, number: u64) -> SendRequest {
        let turn = number as usize % self.to.len().max(1);
        let (recipient, device_id) = self.to.get(turn).unwrap().clone();
        SendRequest {
            recipient,
            client_message_id: self.id(number),
            messages: vec![DeviceMessage {
                device_id,
                ciphertext: self.ciphertext(number),
            }],
            ..SendRequest::default()
        }
    }

    pub(crate) fn ciphertext(&self, number: u64) -> Vec<u8> {
        let mut ciphertext = self.template.clone();
        let (mark, rest) = ciphertext.split_first_chunk_mut().unwrap();
        *mark = self.mark.to_be_bytes();
        *rest.first_chunk_mut().unwrap() = number.to_be_bytes();
        ciphertext
    }

    /// The number of a message that arrived, which must be one of these, whole.
    pub(crate) fn read(&self, ciphertext: &[u8]) -> u64 {
        let (mark, rest) = ciphertext.split_first_chunk().unwrap();
        assert_eq!(u64::from_be_bytes(*mark), self.mark, "a message of somebody else");
        assert_eq!(
            ciphertext.get(HEADER..),
            self.template.get(HEADER..),
            "a message has changed on its way"
        );
        u64::from_be_bytes(*rest.first_chunk().unwrap())
    }

    pub(crate) fn id(&self, number: u64) -> Vec<u8> {
        let mut id = number.wrapping_mul(SPREAD).to_be_bytes().to_vec();
        id.extend_from_slice(&self.salt);
        id
    }

    /// The number of the message with this id.
    pub(crate) fn number(&self, id: &[u8]) -> u64 {
        let (spread, salt) = id.split_first_chunk().unwrap();
        assert_eq!(salt, self.salt, "a receipt for somebody else's message");
        u64::from_be_bytes(*spread).wrapping_mul(inverse(SPREAD))
    }
}

/// Of an odd number, modulo 2^64: each step of Newton's doubles the bits that are right, from 3.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

/// What may still become of a message that is under way.
struct Flight {
    sent: Instant,
    receipted: bool,
    delivered: bool,
}

/// The messages of one sender that are under way, by number. Nothing comes twice, and nothing unasked.
#[derive(Default)]
pub(crate) struct Flights {
    /// The number of the first that is not over.
    first: u64,
    under_way: VecDeque<Flight>,
    over: usize,
}

impl Flights {
    pub(crate) fn open(&self) -> usize {
        self.under_way.len() - self.over
    }

    /// How many there have been.
    pub(crate) fn launched(&self) -> u64 {
        self.first + self.under_way.len() as u64
    }

    /// The number of a message that is sent now.
    pub(crate) fn launch(&mut self) -> u64 {
        let number = self.launched();
        self.under_way.push_back(Flight {
            sent: Instant::now(),
            receipted: false,
            delivered: false,
        });
        number
    }

    /// How long the receipt took, and whether the message is over with it.
    pub(crate) fn receipted(&mut self, number: u64) -> (Duration, bool) {
        let flight = self.flight(number);
        assert!(!flight.receipted, "two receipts for one message");
        flight.receipted = true;
        let (took, over) = (flight.sent.elapsed(), flight.delivered);
        self.land(over);
        (took, over)
    }

    /// How long the delivery took, and whether the message is over with it.
    pub(crate) fn delivered(&mut self, number: u64) -> (Duration, bool) {
        let flight = self.flight(number);
        assert!(!flight.delivered, "one message was delivered twice");
        flight.delivered = true;
        let (took, over) = (flight.sent.elapsed(), flight.receipted);
        self.land(over);
        (took, over)
    }

    fn flight(&mut self, number: u64) -> &mut Flight {
        let place = number
            .checked_sub(self.first)
            .and_then(|n| usize::try_from(n).ok());
        let flight = place.and_then(|place| self.under_way.get_mut(place));
        flight.unwrap_or_else(|| panic!("message {number} is not under way"))
    }

    fn land(&mut self, over: bool) {
        self.over += usize::from(over);
        while let Some(flight) = self.under_way.front()
            && flight.receipted
            && flight.delivered
        {
            self.under_way.pop_front();
            self.over -= 1;
            self.first += 1;
        }
    }
}
