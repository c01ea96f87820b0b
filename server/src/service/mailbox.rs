//! Mailboxes: sending into them, streaming from them, acknowledging.

mod connect;
mod read_send;

use std::sync::Arc;

use sottovoce_proto::v1::mailbox_service_server::MailboxService;
use sottovoce_proto::v1::send_result::Outcome;
use sottovoce_proto::v1::subscribe_response::Event as Frame;
use sottovoce_proto::v1::{
    AcknowledgeRequest, AcknowledgeResponse, CancelScheduledRequest, CancelScheduledResponse, ConnectRequest,
    ConnectResponse, DeviceMismatch, ErrorReason, QueueEmpty, SendBatchRequest, SendBatchResponse,
    SendRequest, SendResponse, SendResult, SendSealedRequest, SubscribeRequest, SubscribeResponse,
};
use sottovoce_statements::DeviceId;
use tonic::{Request, Response, Status, Streaming};

use crate::app::App;
use crate::fields;
use crate::gate::caller;
use crate::limits::{MAX_ACKNOWLEDGED, MAX_BATCH};
use crate::rates::DeviceRate;
use crate::refusal::Refusal;
use crate::store::{
    Acknowledge, Caller, CancelScheduled, Deposit, DepositRefusal, Pending, Receipt, Schedule,
};
use crate::stream::{self, Answers, Event};
use read_send::Send;

/// `sottovoce.v1.MailboxService`.
#[derive(Clone, Debug)]
pub(crate) struct Mailboxes(pub(crate) Arc<App>);

#[tonic::async_trait]
impl MailboxService for Mailboxes {
    type SubscribeStream = Answers<SubscribeResponse>;
    type ConnectStream = Answers<ConnectResponse>;

    async fn send(&self, request: Request<SendRequest>) -> Result<Response<SendResponse>, Status> {
        let caller = caller(&request)?;
        let send = self.0.read_send(&caller, request.into_inner())?;
        let receipt = self.0.begin(send).await?.answer().await?;
        Ok(Response::new(to_response(receipt)))
    }

    async fn send_sealed(
        &self,
        request: Request<SendSealedRequest>,
    ) -> Result<Response<SendResponse>, Status> {
        let send = self.0.read_sealed(request.into_inner())?;
        let receipt = self.0.begin(send).await?.answer().await?;
        Ok(Response::new(to_response(receipt)))
    }

    async fn send_batch(
        &self,
        request: Request<SendBatchRequest>,
    ) -> Result<Response<SendBatchResponse>, Status> {
        let caller = caller(&request)?;
        let sends = request.into_inner().sends;
        fields::count(sends.len(), MAX_BATCH, "sends")?;
        // The first was drawn for with the call.
        let beyond = u32::try_from(sends.len()).unwrap_or(u32::MAX) - 1;
        self.0.rates.device(DeviceRate::Sends, caller.device, beyond)?;
        let mut begun = Vec::with_capacity(sends.len());
        for send in sends {
            let id = send.client_message_id.clone();
            begun.push((id, self.0.begin_one(&caller, send).await));
        }
        let mut results = Vec::with_capacity(begun.len());
        for (id, begun) in begun {
            results.push(result(id, begun).await);
        }
        Ok(Response::new(SendBatchResponse { results }))
    }

    async fn cancel_scheduled(
        &self,
        request: Request<CancelScheduledRequest>,
    ) -> Result<Response<CancelScheduledResponse>, Status> {
        let caller = caller(&request)?;
        let change = CancelScheduled {
            sender_device: caller.device,
            client_message_id: fields::id(&request.get_ref().client_message_id, "client_message_id")?,
        };
        let cancelled = self.0.store.write(change).await.map_err(Refusal::from)?;
        Ok(Response::new(CancelScheduledResponse { cancelled }))
    }

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let course = stream::open(&self.0, &caller(&request)?).await?;
        let answers = stream::answer(|out| async move { Some(course.run(&out).await) });
        Ok(Response::new(answers))
    }

    async fn acknowledge(
        &self,
        request: Request<AcknowledgeRequest>,
    ) -> Result<Response<AcknowledgeResponse>, Status> {
        let caller = caller(&request)?;
        let change = read_acknowledgement(&caller, request.get_ref())?;
        self.0.store.write_together(change).await.map_err(Refusal::from)?;
        Ok(Response::new(AcknowledgeResponse {}))
    }

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let caller = caller(&request)?;
        let answers = connect::open(&self.0, caller, request.into_inner()).await?;
        Ok(Response::new(answers))
    }
}

/// A message on its way into the database, or past it.
enum Begun {
    /// What was to be done with it is done.
    Done(Receipt),
    Queued(Pending<Deposit>),
}

impl Begun {
    async fn answer(self) -> Result<Receipt, Refusal> {
        match self {
            Self::Done(receipt) => Ok(receipt),
            Self::Queued(pending) => pending.answer().await.map_err(Refusal::from),
        }
    }
}

impl App {
    /// Messages are taken in the order in which this is called.
    async fn begin(&self, send: Send) -> Result<Begun, Refusal> {
        let (Send::Stored(deposit) | Send::Ephemeral(deposit)) = &send;
        let lengths = deposit.letters.iter().map(|letter| letter.ciphertext.len());
        self.metrics.counts.sent(lengths);
        match send {
            // In boxes: what the rare cases need would otherwise be held ready by every stream.
            Send::Stored(deposit) if deposit.due_ms.is_some() => {
                Ok(Begun::Done(Box::pin(self.store.write(Schedule(deposit))).await?))
            }
            Send::Stored(deposit) => Ok(Begun::Queued(self.store.enqueue(deposit).await)),
            Send::Ephemeral(deposit) => Box::pin(self.hand_over(deposit)).await.map(Begun::Done),
        }
    }

    async fn begin_one(&self, caller: &Caller, send: SendRequest) -> Result<Begun, Refusal> {
        self.begin(self.read_send(caller, send)?).await
    }

    /// To the streams that are open, after the same checks as any other.
    async fn hand_over(&self, deposit: Deposit) -> Result<Receipt, Refusal> {
        let receipt = self.store.would_take(&deposit).await?;
        for (device, envelope) in read_send::ephemeral(deposit) {
            self.hub.hand_over(device, envelope);
        }
        Ok(receipt)
    }
}

/// One answer among several.
async fn result(client_message_id: Vec<u8>, begun: Result<Begun, Refusal>) -> SendResult {
    let answer = match begun {
        Ok(begun) => begun.answer().await,
        Err(refusal) => Err(refusal),
    };
    SendResult {
        client_message_id,
        outcome: Some(match answer {
            Ok(receipt) => Outcome::Taken(to_response(receipt)),
            Err(refusal) => Outcome::Refused(refusal.into_message()),
        }),
    }
}

fn read_acknowledgement(caller: &Caller, request: &AcknowledgeRequest) -> Result<Acknowledge, Refusal> {
    let ids = &request.envelope_ids;
    fields::count(ids.len(), MAX_ACKNOWLEDGED, "envelope_ids")?;
    let envelopes = ids.iter().map(|id| fields::id(id, "envelope_ids"));
    Ok(Acknowledge {
        device: caller.device,
        envelopes: envelopes.collect::<Result<_, _>>()?,
    })
}

fn to_response(receipt: Receipt) -> SendResponse {
    SendResponse {
        receipt_id: receipt.receipt_id.to_vec(),
        accepted_at_ms: receipt.accepted_at_ms,
    }
}

impl From<Event> for SubscribeResponse {
    fn from(event: Event) -> Self {
        Self {
            event: Some(match event {
                Event::Envelope(envelope) => Frame::Envelope(envelope),
                Event::QueueEmpty => Frame::QueueEmpty(QueueEmpty {}),
                Event::PrekeysLow(low) => Frame::PrekeysLow(low),
            }),
        }
    }
}

impl From<DepositRefusal> for Refusal {
    fn from(refusal: DepositRefusal) -> Self {
        let to_bytes = |ids: Vec<DeviceId>| ids.iter().map(|id| id.as_bytes().to_vec()).collect();
        match refusal {
            DepositRefusal::MessageIdConflict => Self::because(ErrorReason::MessageIdConflict),
            DepositRefusal::AccountUnknown => Self::because(ErrorReason::AccountUnknown),
            DepositRefusal::AccessDenied => Self::because(ErrorReason::AccessDenied),
            DepositRefusal::MailboxFull => Self::because(ErrorReason::MailboxFull),
            DepositRefusal::ReceiptsFull { limit } => Self::because(ErrorReason::ServerFull).limit(limit),
            DepositRefusal::DevicesMismatch(mismatch) => Self::mismatch(DeviceMismatch {
                missing: to_bytes(mismatch.missing),
                extra: to_bytes(mismatch.extra),
                stale: to_bytes(mismatch.stale),
            }),
        }
    }
}
