//! Drives the engine: one task that owns it, its store and its calls, and takes everything in turn.
//!
//! The order is the promise: records are committed before a call is made or an event is shown. Should a
//! commit fail, the driver stops, because memory and disk no longer agree; opening the client again
//! goes on from the disk.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use sottovoce_crypto::AccountMaterial;
use sottovoce_crypto::statements::{AccountKey, Address, ChannelId, Role};
use sottovoce_engine::{Body, Delivery, Engine, Event, Input, InputError, MessageId, Outputs};
use sottovoce_proto::v1;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::calls::Caller;
use crate::connection::{Connection, Happened};
use crate::error::ClientError;
use crate::link::{self, LinkEvent};
use crate::mailbox_stream::Incoming;
use crate::status::Status;
use crate::store::Store;
use crate::transport::{Token, Transport};

/// How often the engine looks for what can be tried again, and the store erases what it has replaced.
const TICK: Duration = Duration::from_secs(5);

/// What the app asks, and where the answer goes.
pub(crate) enum Command {
    Send(
        Address,
        Body,
        Delivery,
        oneshot::Sender<Result<MessageId, ClientError>>,
    ),
    /// Something for the engine to deal with.
    Tell(Input, oneshot::Sender<Result<(), ClientError>>),
    TrustedAccountKey(Address, oneshot::Sender<Option<AccountKey>>),
    Access(oneshot::Sender<(Transport, Option<Token>)>),
    CreateChannel(oneshot::Sender<Result<ChannelId, ClientError>>),
    Post(ChannelId, Body, oneshot::Sender<Result<MessageId, ClientError>>),
    Channels(oneshot::Sender<Vec<ChannelId>>),
    Members(ChannelId, oneshot::Sender<Vec<(Address, Role)>>),
    /// What recovering the account takes; nothing on a device without the account's secret.
    Material(oneshot::Sender<Option<AccountMaterial>>),
    SignDeletion(
        v1::BeginAuthenticationResponse,
        oneshot::Sender<Result<v1::DeleteAccountRequest, ClientError>>,
    ),
    /// Erase everything, and stop.
    Forget(oneshot::Sender<()>),
    /// Who makes calls in the name of this device; nobody without a connection.
    Caller(oneshot::Sender<Option<Caller>>),
    Reconnect(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// Everything a running client consists of.
pub(crate) struct Driver {
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) transport: Transport,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Unbounded here, bounded in the engine: it lets only so many events go unacknowledged.
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) status: watch::Sender<Status>,
    /// Wakes the link: it is to try the server at once.
    pub(crate) reconnect: Arc<Notify>,
}

/// The store did not take what it was given.
struct StoreFailed;

/// The connection, while there is one.
#[derive(Default)]
struct Online {
    connection: Option<Connection>,
    /// Whether the mailbox has been emptied since the connection came up.
    mailbox_emptied: bool,
    /// For how long the server last asked to be called less, until it has answered a call again.
    limited: Option<Duration>,
}

impl Driver {
    pub(crate) async fn run(mut self) {
        for event in self.engine.unacknowledged() {
            // Nobody listening is no reason to stop: messages still go out.
            let _ = self.events.send(event);
        }
        let closed = match self.drive().await {
            Ok(closed) => closed,
            Err(StoreFailed) => {
                tracing::error!("the store failed: the client has stopped");
                None
            }
        };
        if self.store.close().await.is_err() {
            tracing::warn!("the store did not close cleanly");
        }
        show(&self.status, Status::Stopped);
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }

    /// Runs until the app closes the client or lets go of it.
    async fn drive(&mut self) -> Result<Option<oneshot::Sender<()>>, StoreFailed> {
        let mut online = Online::default();
        let mut link = self.link();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Close(done)) => return Ok(Some(done)),
                    Some(Command::Forget(done)) => {
                        self.store.clear().await.map_err(|_| StoreFailed)?;
                        self.store.erase_replaced().await;
                        return Ok(Some(done));
                    }
                    Some(command) => self.command(command, &mut online).await?,
                    None => return Ok(None),
                },
                Some(event) = link.recv() => self.link_event(event, &mut online).await?,
                happened = online.next() => self.happened(happened, &mut online).await?,
                _ = tick.tick() => {
                    if link.is_closed() {
                        // It ends by itself only by a defect; a client must not stay deaf for that.
                        link = self.link();
                        self.link_event(LinkEvent::Down(Status::Offline), &mut online).await?;
                    }
                    self.input(Input::Tick, &mut online).await?;
                    self.store.erase_replaced().await;
                }
            }
        }
    }

    fn link(&self) -> mpsc::Receiver<LinkEvent> {
        let device_id = self.engine.device_id().as_bytes().to_vec();
        link::start(self.transport.clone(), device_id, self.reconnect.clone())
    }

    async fn command(&mut self, command: Command, online: &mut Online) -> Result<(), StoreFailed> {
        match command {
            Command::Send(to, body, delivery, reply) => {
                let rng = &mut UnwrapErr(SysRng);
                let queued = self.engine.send_as(now_ms(), rng, &to, body, delivery);
                self.named(queued, reply, online).await?;
            }
            Command::Tell(input, reply) => self.answer(input, reply, online).await?,
            Command::TrustedAccountKey(address, reply) => {
                let _ = reply.send(self.engine.trusted_account_key(&address));
            }
            Command::Access(reply) => {
                let token = online.connection.as_ref().map(Connection::token);
                let _ = reply.send((self.transport.clone(), token));
            }
            Command::CreateChannel(reply) => {
                let founded = self.engine.create_channel(now_ms(), &mut UnwrapErr(SysRng));
                self.named(founded, reply, online).await?;
            }
            Command::Post(channel, body, reply) => {
                let queued = self.engine.post(now_ms(), &mut UnwrapErr(SysRng), channel, body);
                self.named(queued, reply, online).await?;
            }
            Command::Channels(reply) => {
                let _ = reply.send(self.engine.channels().collect());
            }
            Command::Members(channel, reply) => {
                let roster = self.engine.roster(channel);
                let members = roster.into_iter().flat_map(|roster| roster.members());
                let _ = reply.send(
                    members
                        .map(|(address, member)| (address.clone(), member.role))
                        .collect(),
                );
            }
            Command::Material(reply) => {
                let _ = reply.send(self.engine.material());
            }
            Command::SignDeletion(challenge, reply) => {
                let signed = self.engine.sign_deletion(&challenge);
                let _ = reply.send(signed.map_err(ClientError::Input));
            }
            Command::Caller(reply) => {
                let _ = reply.send(online.connection.as_ref().map(Connection::caller));
            }
            Command::Reconnect(done) => {
                self.reconnect.notify_one();
                let _ = done.send(());
            }
            Command::Close(done) | Command::Forget(done) => drop(done),
        }
        Ok(())
    }

    /// Carries out what the engine has queued and named, and tells the name.
    async fn named<T>(
        &mut self,
        queued: Result<(T, Outputs), InputError>,
        reply: oneshot::Sender<Result<T, ClientError>>,
        online: &mut Online,
    ) -> Result<(), StoreFailed> {
        let named = match queued {
            Ok((name, outputs)) => self.apply(outputs, online).await.map(|()| Ok(name))?,
            Err(error) => Err(ClientError::Input(error)),
        };
        let _ = reply.send(named);
        Ok(())
    }

    async fn answer(
        &mut self,
        input: Input,
        reply: oneshot::Sender<Result<(), ClientError>>,
        online: &mut Online,
    ) -> Result<(), StoreFailed> {
        let done = match self.handle(input) {
            Ok(outputs) => self.apply(outputs, online).await.map(Ok)?,
            Err(error) => Err(ClientError::Input(error)),
        };
        let _ = reply.send(done);
        Ok(())
    }

    async fn link_event(&mut self, event: LinkEvent, online: &mut Online) -> Result<(), StoreFailed> {
        match event {
            LinkEvent::Sign(challenge, signed) => {
                if let Ok(request) = self.engine.sign_challenge(&challenge) {
                    let _ = signed.send(request);
                }
                Ok(())
            }
            LinkEvent::Up(token, deliveries, frames) => {
                let transport = self.transport.clone();
                online.connection = Some(Connection::new(transport, token, deliveries, frames));
                show(&self.status, Status::Online);
                self.input(Input::Connected, online).await
            }
            LinkEvent::TokenReused => self.input(Input::TokenReused, online).await,
            LinkEvent::Down(status) => {
                *online = Online::default();
                show(&self.status, status);
                self.input(Input::Disconnected, online).await
            }
        }
    }

    async fn happened(&mut self, happened: Happened, online: &mut Online) -> Result<(), StoreFailed> {
        match happened {
            Happened::Answered(call, answer) => {
                if answer.is_ok() {
                    online.limited = None;
                }
                self.input(Input::Answered { call, answer }, online).await?;
            }
            Happened::RateLimited(wait) => online.limited = Some(wait),
            Happened::Delivered(Incoming::Envelope(envelope)) => {
                self.input(Input::Delivered(envelope), online).await?;
            }
            Happened::Delivered(Incoming::PrekeysLow(left)) => {
                self.input(Input::PrekeysLow(left), online).await?;
            }
            Happened::Delivered(Incoming::QueueEmpty) => online.mailbox_emptied = true,
            // The connection knows whose answer it is, and tells that instead.
            Happened::Delivered(Incoming::Result(_)) => {}
        }
        let status = match online.limited {
            Some(wait) => Status::RateLimited(wait),
            None if online.mailbox_emptied && self.engine.is_reachable() => Status::CaughtUp,
            None => Status::Online,
        };
        show(&self.status, status);
        Ok(())
    }

    /// An input of the driver's own, which the engine never refuses.
    async fn input(&mut self, input: Input, online: &mut Online) -> Result<(), StoreFailed> {
        match self.handle(input) {
            Ok(outputs) => self.apply(outputs, online).await,
            Err(error) => {
                tracing::error!(%error, "the engine refused what happened");
                Ok(())
            }
        }
    }

    fn handle(&mut self, input: Input) -> Result<Outputs, InputError> {
        self.engine.handle(now_ms(), &mut UnwrapErr(SysRng), input)
    }

    async fn apply(&mut self, outputs: Outputs, online: &mut Online) -> Result<(), StoreFailed> {
        self.store.commit(&outputs.records).await.map_err(|error| {
            tracing::error!(%error, "a commit failed");
            StoreFailed
        })?;
        // Without a connection the engine makes no calls.
        if let Some(connection) = &mut online.connection {
            connection.make(outputs.calls);
        }
        for event in outputs.events {
            let _ = self.events.send(event);
        }
        Ok(())
    }
}

impl Online {
    /// The next thing to happen on the connection, as soon as there is one. Cancel safe.
    async fn next(&mut self) -> Happened {
        match &mut self.connection {
            Some(connection) => connection.next().await,
            None => std::future::pending().await,
        }
    }
}

/// Tells of a status that is another than before.
fn show(shown: &watch::Sender<Status>, status: Status) {
    shown.send_if_modified(|before| std::mem::replace(before, status) != status);
}

/// Unix time in milliseconds, by the system's clock.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
