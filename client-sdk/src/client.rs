//! The client an app holds: a handle to the driver, and the stream of events.

use std::sync::Arc;
use std::time::Duration;

use sottovoce_crypto::statements::{AccountKey, Address, DeviceId};
use sottovoce_engine::{Body, Delivery, Engine, Event, EventId, Input, MessageId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::calls::Caller;
use crate::config::Config;
use crate::driver::{Command, Driver};
use crate::error::{ClientError, JoinError, OpenError, RegisterError};
use crate::joining;
use crate::register::{abandon, load, registered};
use crate::status::Status;
use crate::store::Store;
use crate::transport::{Token, Transport};

/// Commands waiting for the driver; more make the caller wait.
const COMMANDS: usize = 64;

/// How long registering waits for the first prekeys to be published.
const REACHABLE_TIMEOUT: Duration = Duration::from_secs(10);

/// One device of one account. Cheap to clone; the client runs until it is [closed](Self::close) or
/// every clone is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
    device_id: DeviceId,
    account_key: AccountKey,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
}

/// What has happened, oldest first: messages received, and also what became of each message sent.
///
/// Whatever is not [acknowledged](Client::acknowledge) is kept, and comes again when the client is opened
/// the next time. So an app acknowledges every event, of whatever kind, one that only sends included:
/// when thousands have piled up, nothing more is taken from the mailbox or [sent](Client::send).
///
/// Dropping this stops nothing: messages still go out and come in, and their events wait for the next
/// time the client is opened.
#[derive(Debug)]
pub struct Events(mpsc::UnboundedReceiver<Event>);

impl Client {
    /// Makes a new account, registers it, and starts its first device.
    ///
    /// # Errors
    /// [`RegisterError`]. After [`RegisterError::Unavailable`] the store keeps the new keys, and
    /// registering the same address again goes on with them; after any other error it is as it was. The
    /// same holds when the future is dropped before it is done: registering again goes on.
    pub async fn register(config: Config, address: &Address) -> Result<(Self, Events), RegisterError> {
        Self::register_with(config, address, None).await
    }

    /// Does what [`register`](Self::register) does, at a server that wants an invite from its operator.
    ///
    /// # Errors
    /// As [`register`](Self::register); [`RegisterError::InviteInvalid`] keeps the new keys as well.
    pub async fn register_invited(
        config: Config,
        address: &Address,
        invite: &str,
    ) -> Result<(Self, Events), RegisterError> {
        Self::register_with(config, address, Some(invite)).await
    }

    async fn register_with(
        config: Config,
        address: &Address,
        invite: Option<&str>,
    ) -> Result<(Self, Events), RegisterError> {
        let transport = Transport::of(&config)?;
        let mut store = Store::open(&config.store, &config.key).await?;
        let engine = match registered(&mut store, &transport, address, invite).await {
            Ok(engine) => engine,
            Err(error) => return Err(abandon(store, error).await),
        };
        Ok(start_reachable(engine, store, transport).await)
    }

    /// Starts the device a store holds. Does not wait for the server, unless the device was cut off while
    /// joining its account.
    ///
    /// # Errors
    /// [`OpenError`], and nothing is changed.
    pub async fn open(config: Config) -> Result<(Self, Events), OpenError> {
        let transport = Transport::of(&config)?;
        let mut store = Store::open(&config.store, &config.key).await?;
        match load(&mut store).await {
            Ok(Some(mut engine)) if engine.registration().is_none() => {
                match joining::complete(&mut engine, &mut store, &transport).await {
                    Ok(()) => Ok(start(engine, store, transport)),
                    Err(JoinError::Open(error)) => Err(abandon(store, error).await),
                    Err(_) => Err(abandon(store, OpenError::NotJoined).await),
                }
            }
            Ok(_) => Err(abandon(store, OpenError::NoAccount).await),
            Err(error) => Err(abandon(store, error).await),
        }
    }

    /// This account's address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// This device's id.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        self.device_id
    }

    /// This account's key, to compare with what others see.
    #[must_use]
    pub fn account_key(&self) -> AccountKey {
        self.account_key
    }

    /// How the client stands with its server, as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until the client is connected and has caught up with its mailbox.
    ///
    /// # Errors
    /// [`ClientError::Stopped`] when it has stopped instead.
    pub async fn caught_up(&self) -> Result<(), ClientError> {
        let settled = |status: &Status| matches!(status, Status::CaughtUp | Status::Stopped);
        match self.status().wait_for(settled).await.as_deref() {
            Ok(Status::CaughtUp) => Ok(()),
            _ => Err(ClientError::Stopped),
        }
    }

    /// Sends words. See [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_text(&self, to: &Address, text: &str) -> Result<MessageId, ClientError> {
        self.send(to, Body::Text(text.to_owned())).await
    }

    /// Queues a message, durably: once this returns, the message will be sent, after a restart if need
    /// be. An event tells when the server has it, or why it never will; it wants to be
    /// [acknowledged](Self::acknowledge) as every other. Whoever sends and acknowledges nothing is refused
    /// when thousands of events have piled up.
    ///
    /// # Errors
    /// [`ClientError::Input`], and nothing is queued. After [`ClientError::Stopped`], or when the future is
    /// dropped before it is done, the message may be queued or not: its event tells.
    pub async fn send(&self, to: &Address, body: Body) -> Result<MessageId, ClientError> {
        self.send_as(to, body, Delivery::default()).await
    }

    /// Queues a message that the server keeps until a time, Unix time in milliseconds, at most 6 days ahead,
    /// and delivers then. Until then it can be [taken back](Self::cancel_scheduled). To its recipients, what is sent
    /// after it and delivered before seems to follow a gap, until it comes. The server is told who sends it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_later(&self, to: &Address, body: Body, at_ms: u64) -> Result<MessageId, ClientError> {
        self.send_as(to, body, Delivery::later(at_ms)).await
    }

    /// Queues a message that is not delivered any more when it has waited at the server for so long, in whole
    /// seconds, at most 30 days. The next message then tells its recipients that one is missing.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_expiring(
        &self,
        to: &Address,
        body: Body,
        after: Duration,
    ) -> Result<MessageId, ClientError> {
        // Nothing would stand for no end; more than fits is too long in any case.
        let after_s = u32::try_from(after.as_secs().max(1)).unwrap_or(u32::MAX);
        self.send_as(to, body, Delivery::expiring(after_s)).await
    }

    /// Takes back what is to be [sent later](Self::send_later).
    /// [`ScheduledCancelled`](crate::EventKind::ScheduledCancelled) tells whether that came in time.
    ///
    /// # Errors
    /// [`ClientError::Input`] when no such message waits for its time.
    pub async fn cancel_scheduled(&self, message: MessageId) -> Result<(), ClientError> {
        self.tell(Input::CancelScheduled(message)).await
    }

    async fn send_as(&self, to: &Address, body: Body, delivery: Delivery) -> Result<MessageId, ClientError> {
        self.ask(|reply| Command::Send(to.clone(), body, delivery, reply))
            .await?
    }

    /// Tells the client that the app has dealt with an event, so that it does not come again.
    ///
    /// # Errors
    /// [`ClientError::Stopped`]: the event comes again when the client is opened.
    pub async fn acknowledge(&self, event: EventId) -> Result<(), ClientError> {
        self.tell(Input::AcknowledgeEvent(event)).await
    }

    /// The account key trusted for an address, to compare with what its owner sees; `None` before
    /// anything was sent to or received from it.
    ///
    /// # Errors
    /// [`ClientError::Stopped`].
    pub async fn trusted_account_key(&self, address: &Address) -> Result<Option<AccountKey>, ClientError> {
        self.ask(|reply| Command::TrustedAccountKey(address.clone(), reply))
            .await
    }

    /// Takes a changed account key for genuine, after comparing it with its owner.
    ///
    /// # Errors
    /// [`ClientError`] when no such key is waiting to be accepted.
    pub async fn accept_account_key(&self, address: &Address, key: AccountKey) -> Result<(), ClientError> {
        self.tell(Input::AcceptAccountKey {
            address: address.clone(),
            account_key: key,
        })
        .await
    }

    /// Takes a changed account key for false, after comparing it with its owner. The trusted key stays, and
    /// what waits to be sent goes out as soon as the server shows that one again; should it go on showing
    /// the other, that is told anew.
    ///
    /// # Errors
    /// [`ClientError`] when no such key is waiting to be accepted.
    pub async fn reject_account_key(&self, address: &Address, key: AccountKey) -> Result<(), ClientError> {
        self.tell(Input::RejectAccountKey {
            address: address.clone(),
            account_key: key,
        })
        .await
    }

    /// Blocks an address: what comes from there is not told, and whoever had this account's access key
    /// loses it. Everybody else is told the new one with the next message.
    ///
    /// # Errors
    /// [`ClientError::Stopped`].
    pub async fn block(&self, address: &Address) -> Result<(), ClientError> {
        let (address, blocked) = (address.clone(), true);
        self.tell(Input::Block { address, blocked }).await
    }

    /// Ends a block. What came meanwhile is gone.
    ///
    /// # Errors
    /// [`ClientError::Stopped`].
    pub async fn unblock(&self, address: &Address) -> Result<(), ClientError> {
        let (address, blocked) = (address.clone(), false);
        self.tell(Input::Block { address, blocked }).await
    }

    /// Draws a new access key: who has the present one cannot write unseen any more, until told the new
    /// one by a message.
    ///
    /// # Errors
    /// [`ClientError::Stopped`].
    pub async fn rotate_access_key(&self) -> Result<(), ClientError> {
        self.tell(Input::RotateAccessKey).await
    }

    /// Tries the server at once: after [`Status::Displaced`], or when the network is known to be back.
    ///
    /// # Errors
    /// [`ClientError::Stopped`].
    pub async fn reconnect(&self) -> Result<(), ClientError> {
        self.ask(Command::Reconnect).await
    }

    /// Stops the client and closes its store, which can be opened again at once.
    pub async fn close(self) {
        // A client that has stopped already is closed already.
        let _ = self.ask(Command::Close).await;
    }

    /// What calls of the client's own are made with; the token while there is a connection.
    pub(crate) async fn access(&self) -> Result<(Transport, Option<Token>), ClientError> {
        self.ask(Command::Access).await
    }

    pub(crate) async fn tell(&self, input: Input) -> Result<(), ClientError> {
        self.ask(|reply| Command::Tell(input, reply)).await?
    }

    /// Who makes calls in the name of this device.
    pub(crate) async fn caller(&self) -> Result<Caller, ClientError> {
        self.ask(Command::Caller).await?.ok_or(ClientError::Offline)
    }

    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| ClientError::Stopped)?;
        answer.await.map_err(|_| ClientError::Stopped)
    }
}

impl Events {
    /// The next event; `None` once the client has stopped and all its events have been told.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// Starts a new device. Others can write to it once its prekeys are published; that goes on in the
/// background should the server be slow.
pub(crate) async fn start_reachable(engine: Engine, store: Store, transport: Transport) -> (Client, Events) {
    let (client, events) = start(engine, store, transport);
    let _ = tokio::time::timeout(REACHABLE_TIMEOUT, client.caught_up()).await;
    (client, events)
}

fn start(engine: Engine, store: Store, transport: Transport) -> (Client, Events) {
    let (commands, command_receiver) = mpsc::channel(COMMANDS);
    let (events, event_receiver) = mpsc::unbounded_channel();
    let (status_sender, status) = watch::channel(Status::Offline);
    let client = Client {
        address: engine.address().clone(),
        device_id: engine.device_id(),
        account_key: engine.account_key(),
        commands,
        status,
    };
    let driver = Driver {
        engine,
        store,
        transport,
        commands: command_receiver,
        events,
        status: status_sender,
        reconnect: Arc::default(),
    };
    tokio::spawn(driver.run());
    (client, Events(event_receiver))
}
