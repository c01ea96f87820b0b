//! Mailboxes: sending into them, streaming from them, acknowledging.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sottovoce_proto::v1;
use sottovoce_proto::v1::mailbox_service_server::MailboxService;
use sottovoce_proto::v1::{
    AcknowledgeRequest, AcknowledgeResponse, DeviceMessage, ErrorReason, SendRequest, SendResponse,
    SubscribeRequest,
};
use sottovoce_statements::DeviceId;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::auth::random;
use crate::clock::now_ms;
use crate::fields;
use crate::gate::caller;
use crate::limits::{MAX_ACKNOWLEDGED, MAX_CIPHERTEXT_LEN, MAX_DEVICES};
use crate::refusal::Refusal;
use crate::service::unsupported;
use crate::store::{Acknowledge, Caller, Deposit, DepositRefusal, Letter};
use crate::stream::{self, Deliveries};

/// Opens every request digest, so that it is a digest of nothing else.
const DIGEST_LABEL: &[u8] = b"Sottovoce-v1 send request";

/// `sottovoce.v1.MailboxService`.
#[derive(Clone, Debug)]
pub(crate) struct Mailboxes(pub(crate) Arc<App>);

#[tonic::async_trait]
impl MailboxService for Mailboxes {
    type SubscribeStream = Deliveries;

    async fn send(&self, request: Request<SendRequest>) -> Result<Response<SendResponse>, Status> {
        let caller = caller(&request)?;
        let change = self.0.read_send(caller, request.into_inner())?;
        let receipt = self.0.store.write(change).await.map_err(Refusal::from)?;
        Ok(Response::new(SendResponse {
            receipt_id: receipt.receipt_id.to_vec(),
            accepted_at_ms: receipt.accepted_at_ms,
        }))
    }

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Deliveries>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(stream::open(&self.0, &caller)?))
    }

    async fn acknowledge(
        &self,
        request: Request<AcknowledgeRequest>,
    ) -> Result<Response<AcknowledgeResponse>, Status> {
        let caller = caller(&request)?;
        let ids = &request.get_ref().envelope_ids;
        fields::count(ids.len(), MAX_ACKNOWLEDGED, "envelope_ids")?;
        let change = Acknowledge {
            device: caller.device,
            envelopes: ids
                .iter()
                .map(|id| fields::id(id, "envelope_ids"))
                .collect::<Result<_, _>>()?,
        };
        self.0.store.write(change).await.map_err(Refusal::from)?;
        Ok(Response::new(AcknowledgeResponse {}))
    }

    async fn send_sealed(&self, _: Request<v1::SendSealedRequest>) -> Result<Response<SendResponse>, Status> {
        Err(unsupported())
    }

    async fn send_batch(
        &self,
        _: Request<v1::SendBatchRequest>,
    ) -> Result<Response<v1::SendBatchResponse>, Status> {
        Err(unsupported())
    }

    async fn cancel_scheduled(
        &self,
        _: Request<v1::CancelScheduledRequest>,
    ) -> Result<Response<v1::CancelScheduledResponse>, Status> {
        Err(unsupported())
    }

    type ConnectStream = tokio_stream::Empty<Result<v1::ConnectResponse, Status>>;

    async fn connect(
        &self,
        _: Request<tonic::Streaming<v1::ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        Err(unsupported())
    }
}

impl App {
    fn read_send(&self, caller: Caller, request: SendRequest) -> Result<Deposit, Refusal> {
        let recipient = fields::local_address(&request.recipient, &self.server_name, "recipient")?;
        let client_message_id = fields::id(&request.client_message_id, "client_message_id")?;
        fields::count(request.messages.len(), MAX_DEVICES, "messages")?;
        let mut letters: Vec<_> = request
            .messages
            .into_iter()
            .map(read_letter)
            .collect::<Result<_, _>>()?;
        fields::distinct(
            letters.iter().map(|letter| letter.device).collect(),
            "messages.device_id",
        )?;
        letters.sort_unstable_by_key(|letter| letter.device);
        Ok(Deposit {
            request_digest: digest(recipient.as_str(), &letters),
            sender: caller.address,
            sender_device: caller.device,
            recipient,
            client_message_id,
            letters,
            receipt_id: random()?,
            now_ms: now_ms(),
            max_messages: self.limits.max_mailbox_messages,
            max_bytes: self.limits.max_mailbox_bytes,
            max_receipts: self.limits.max_receipts_per_device,
        })
    }
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
fn digest(recipient: &str, letters: &[Letter]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(DIGEST_LABEL);
    hash.update((recipient.len() as u64).to_be_bytes());
    hash.update(recipient.as_bytes());
    for letter in letters {
        hash.update(letter.device.as_bytes());
        hash.update((letter.ciphertext.len() as u64).to_be_bytes());
        hash.update(&letter.ciphertext);
    }
    hash.finalize().into()
}

impl From<DepositRefusal> for Refusal {
    fn from(refusal: DepositRefusal) -> Self {
        let to_bytes = |ids: Vec<DeviceId>| ids.iter().map(|id| id.as_bytes().to_vec()).collect();
        match refusal {
            DepositRefusal::MessageIdConflict => Self::because(ErrorReason::MessageIdConflict),
            DepositRefusal::AccountUnknown => Self::because(ErrorReason::AccountUnknown),
            DepositRefusal::MailboxFull => Self::because(ErrorReason::MailboxFull),
            DepositRefusal::ReceiptsFull { limit } => Self::because(ErrorReason::ServerFull).limit(limit),
            DepositRefusal::DevicesMismatch { missing, extra } => Self::mismatch(v1::DeviceMismatch {
                missing: to_bytes(missing),
                extra: to_bytes(extra),
                stale: Vec::new(),
            }),
        }
    }
}
