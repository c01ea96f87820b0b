//! Reading what is sent: its fields, and the digest that knows it again.

use sha2::{Digest, Sha256};
use sottovoce_proto::v1::{Delivery, DeviceMessage, Envelope, SendRequest, SendSealedRequest};
use sottovoce_statements::{Address, DeviceId};

use crate::app::App;
use crate::auth::random;
use crate::clock::{millis, now_ms};
use crate::fields;
use crate::limits::{MAX_CIPHERTEXT_LEN, MAX_DEVICES, MAX_KEPT};
use crate::rates::AccountRate;
use crate::refusal::Refusal;
use crate::store::{Bounds, Caller, Deposit, DepositFrom, Letter};

/// Opens every request digest, so that it is a digest of nothing else.
const DIGEST_LABEL: &[u8] = b"Sottovoce-v1 send request";

/// Before what stands for an access key where answers are remembered. It is not the hash that the server
/// keeps of the key, and the recipient is in it: an answer tells nothing of who has which key.
const SCOPE_LABEL: &[u8] = b"Sottovoce-v1 sealed send";

/// A message that was read.
pub(super) enum Send {
    Stored(Deposit),
    /// For streams that are open just now.
    Ephemeral(Deposit),
}

/// What a request says of its delivery.
#[derive(Clone, Copy)]
struct Timing {
    ephemeral: bool,
    expires_after_s: u32,
    deliver_after_ms: u64,
}

impl App {
    pub(super) fn read_send(&self, caller: &Caller, request: SendRequest) -> Result<Send, Refusal> {
        let from = DepositFrom::Device {
            address: Address::parse(&caller.address).map_err(|_| Refusal::field("recipient"))?,
            device: caller.device,
        };
        self.read(from, request)
    }

    pub(super) fn read_sealed(&self, request: SendSealedRequest) -> Result<Send, Refusal> {
        let access_key: [u8; 32] = request
            .access_key
            .as_slice()
            .try_into()
            .map_err(|_| Refusal::field("access_key"))?;
        let scope = Sha256::new()
            .chain_update(SCOPE_LABEL)
            .chain_update(access_key)
            .chain_update(request.recipient.as_bytes())
            .finalize()
            .into();
        let send = self.read(
            DepositFrom::Sealed { access_key, scope },
            SendRequest {
                recipient: request.recipient,
                client_message_id: request.client_message_id,
                messages: request.messages,
                manifest_version: request.manifest_version,
                delivery: request.delivery,
            },
        )?;
        let (Send::Stored(deposit) | Send::Ephemeral(deposit)) = &send;
        self.rates
            .recipient(AccountRate::SealedSends, &deposit.recipient, &access_key)?;
        Ok(send)
    }

    fn read(&self, from: DepositFrom, request: SendRequest) -> Result<Send, Refusal> {
        let recipient = fields::local_address(&request.recipient, &self.server_name, "recipient")?;
        let client_message_id = fields::id(&request.client_message_id, "client_message_id")?;
        fields::count(request.messages.len(), MAX_DEVICES, "messages")?;
        let letters = request.messages.into_iter().map(read_letter);
        let mut letters: Vec<_> = letters.collect::<Result<_, _>>()?;
        letters.sort_unstable_by_key(|letter: &Letter| letter.device);
        fields::distinct(
            letters.iter().map(|letter| letter.device).collect(),
            "messages.device_id",
        )?;
        let now_ms = now_ms();
        let timing = Timing::read(request.delivery, now_ms)?;
        let deposit = Deposit {
            request_digest: digest(recipient.as_str(), request.manifest_version, timing, &letters),
            from,
            recipient,
            client_message_id,
            manifest_version: request.manifest_version,
            letters,
            receipt_id: random()?,
            now_ms,
            expires_at_ms: timing.expires_at_ms(now_ms),
            due_ms: (timing.deliver_after_ms > now_ms).then_some(timing.deliver_after_ms),
            bounds: Bounds {
                max_messages: self.limits.max_mailbox_messages,
                max_bytes: self.limits.max_mailbox_bytes,
                max_receipts: self.limits.max_receipts_per_device,
            },
        };
        Ok(if timing.ephemeral {
            Send::Ephemeral(deposit)
        } else {
            Send::Stored(deposit)
        })
    }
}

impl Timing {
    fn read(delivery: Option<Delivery>, now_ms: u64) -> Result<Self, Refusal> {
        let delivery = delivery.unwrap_or_default();
        let latest = now_ms.saturating_add(millis(MAX_KEPT));
        if u64::from(delivery.expires_after_s) > MAX_KEPT.as_secs() {
            return Err(Refusal::field("delivery.expires_after_s"));
        }
        if delivery.deliver_after_ms > latest || (delivery.ephemeral && delivery.deliver_after_ms != 0) {
            return Err(Refusal::field("delivery.deliver_after_ms"));
        }
        Ok(Self {
            ephemeral: delivery.ephemeral,
            expires_after_s: delivery.expires_after_s,
            deliver_after_ms: delivery.deliver_after_ms,
        })
    }

    /// Counted from when it can first be delivered.
    fn expires_at_ms(self, now_ms: u64) -> Option<u64> {
        let lifetime_ms = u64::from(self.expires_after_s) * 1000;
        (lifetime_ms > 0).then(|| now_ms.max(self.deliver_after_ms).saturating_add(lifetime_ms))
    }
}

/// The letters of a message that is never stored, for each device.
pub(super) fn ephemeral(deposit: Deposit) -> Vec<(DeviceId, Envelope)> {
    let (sender, sender_device_id) = match &deposit.from {
        DepositFrom::Device { address, device } => (address.as_str().to_owned(), device.as_bytes().to_vec()),
        DepositFrom::Sealed { .. } => Default::default(),
    };
    let received_at_ms = deposit.now_ms;
    deposit
        .letters
        .into_iter()
        .map(|letter| {
            let envelope = Envelope {
                envelope_id: letter.envelope_id.to_vec(),
                sender: sender.clone(),
                sender_device_id: sender_device_id.clone(),
                ciphertext: letter.ciphertext,
                received_at_ms,
                channel_id: Vec::new(),
                ephemeral: true,
            };
            (letter.device, envelope)
        })
        .collect()
}

fn read_letter(message: DeviceMessage) -> Result<Letter, Refusal> {
    fields::count(
        message.ciphertext.len(),
        MAX_CIPHERTEXT_LEN,
        "messages.ciphertext",
    )?;
    Ok(Letter {
        device: fields::device_id(&message.device_id, "messages.device_id")?,
        envelope_id: random()?,
        ciphertext: message.ciphertext,
    })
}

/// Two requests have one digest exactly when they say the same, whatever the order of their messages:
/// every part has its length before it, and the letters are in the order of their devices.
fn digest(recipient: &str, manifest_version: u64, timing: Timing, letters: &[Letter]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(DIGEST_LABEL);
    hash.update((recipient.len() as u64).to_be_bytes());
    hash.update(recipient.as_bytes());
    hash.update(manifest_version.to_be_bytes());
    hash.update([u8::from(timing.ephemeral)]);
    hash.update(timing.expires_after_s.to_be_bytes());
    hash.update(timing.deliver_after_ms.to_be_bytes());
    for letter in letters {
        hash.update(letter.device.as_bytes());
        hash.update((letter.ciphertext.len() as u64).to_be_bytes());
        hash.update(&letter.ciphertext);
    }
    hash.finalize().into()
}
