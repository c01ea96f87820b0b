//! Drives the engine: one task that owns it, its store and its calls, and takes everything in turn.
//!
//! The order is the promise: records are committed before a call is made or an event is shown. Should a
//! commit fail, the driver stops, because memory and disk no longer agree; opening the client again
//! goes on from the disk.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use sottovoce_crypto::statements::{AccountKey, Address};
use sottovoce_engine::{
    Body, CallId, Engine, Event, EventId, Input, InputError, MessageId, Outputs, Refusal, Reply,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::client::Status;
use crate::error::ClientError;
use crate::link::{self, LinkEvent};
use crate::store::Store;
use crate::transport::{Token, Transport};

/// How often the engine looks for what can be tried again.
const TICK: Duration = Duration::from_secs(5);

/// What the app asks, and where the answer goes.
pub(crate) enum Command {
    Send(Address, Body, oneshot::Sender<Result<MessageId, ClientError>>),
    Acknowledge(EventId, oneshot::Sender<Result<(), ClientError>>),
    AcceptAccountKey(Address, AccountKey, oneshot::Sender<Result<(), ClientError>>),
    TrustedAccountKey(Address, oneshot::Sender<Option<AccountKey>>),
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
}

/// The store did not take what it was given.
struct StoreFailed;

/// Calls under way, with the token they are made with.
#[derive(Default)]
struct Calls {
    token: Option<Token>,
    running: JoinSet<(CallId, Result<Reply, Refusal>)>,
    /// Whether the mailbox has been emptied since the link came up.
    mailbox_emptied: bool,
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
        self.show(Status::Stopped);
        if self.store.close().await.is_err() {
            tracing::warn!("the store did not close cleanly");
        }
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }

    /// Runs until the app closes the client or lets go of it.
    async fn drive(&mut self) -> Result<Option<oneshot::Sender<()>>, StoreFailed> {
        let mut calls = Calls::default();
        let mut link = link::start(
            self.transport.clone(),
            self.engine.device_id().as_bytes().to_vec(),
        );
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Close(done)) => return Ok(Some(done)),
                    Some(command) => self.command(command, &mut calls).await?,
                    None => return Ok(None),
                },
                Some(event) = link.recv() => self.link_event(event, &mut calls).await?,
                Some(answered) = calls.running.join_next(), if !calls.running.is_empty() => {
                    // A call that was cut off is one nobody waits for any more.
                    if let Ok((call, answer)) = answered {
                        self.input(Input::Answered { call, answer }, &mut calls).await?;
                        self.show_caught_up(&calls);
                    }
                }
                _ = tick.tick() => self.input(Input::Tick, &mut calls).await?,
            }
        }
    }

    async fn command(&mut self, command: Command, calls: &mut Calls) -> Result<(), StoreFailed> {
        match command {
            Command::Send(to, body, reply) => {
                let queued = self.engine.send(now_ms(), &mut UnwrapErr(SysRng), &to, body);
                let queued = match queued {
                    Ok((message_id, outputs)) => self.apply(outputs, calls).await.map(|()| Ok(message_id))?,
                    Err(error) => Err(ClientError::Input(error)),
                };
                let _ = reply.send(queued);
            }
            Command::Acknowledge(id, reply) => {
                self.answer(Input::AcknowledgeEvent(id), reply, calls).await?;
            }
            Command::AcceptAccountKey(address, account_key, reply) => {
                self.answer(Input::AcceptAccountKey { address, account_key }, reply, calls)
                    .await?;
            }
            Command::TrustedAccountKey(address, reply) => {
                let _ = reply.send(self.engine.trusted_account_key(&address));
            }
            Command::Close(done) => drop(done),
        }
        Ok(())
    }

    async fn answer(
        &mut self,
        input: Input,
        reply: oneshot::Sender<Result<(), ClientError>>,
        calls: &mut Calls,
    ) -> Result<(), StoreFailed> {
        let done = match self.handle(input) {
            Ok(outputs) => self.apply(outputs, calls).await.map(Ok)?,
            Err(error) => Err(ClientError::Input(error)),
        };
        let _ = reply.send(done);
        Ok(())
    }

    async fn link_event(&mut self, event: LinkEvent, calls: &mut Calls) -> Result<(), StoreFailed> {
        match event {
            LinkEvent::Sign(challenge, signed) => {
                if let Ok(request) = self.engine.sign_challenge(&challenge) {
                    let _ = signed.send(request);
                }
                Ok(())
            }
            LinkEvent::Up(token) => {
                calls.token = Some(token);
                self.show(Status::Online);
                self.input(Input::Connected, calls).await
            }
            LinkEvent::Delivered(envelope) => self.input(Input::Delivered(envelope), calls).await,
            LinkEvent::CaughtUp => {
                calls.mailbox_emptied = true;
                self.show_caught_up(calls);
                Ok(())
            }
            LinkEvent::Down => {
                calls.token = None;
                calls.mailbox_emptied = false;
                calls.running.abort_all();
                self.show(Status::Offline);
                self.input(Input::Disconnected, calls).await
            }
        }
    }

    fn show_caught_up(&self, calls: &Calls) {
        if calls.mailbox_emptied && self.engine.is_reachable() {
            self.show(Status::CaughtUp);
        }
    }

    /// Tells of a status that is another than before.
    fn show(&self, status: Status) {
        self.status
            .send_if_modified(|before| std::mem::replace(before, status) != status);
    }

    /// An input of the driver's own, which the engine never refuses.
    async fn input(&mut self, input: Input, calls: &mut Calls) -> Result<(), StoreFailed> {
        match self.handle(input) {
            Ok(outputs) => self.apply(outputs, calls).await,
            Err(error) => {
                tracing::error!(%error, "the engine refused what happened");
                Ok(())
            }
        }
    }

    fn handle(&mut self, input: Input) -> Result<Outputs, InputError> {
        self.engine.handle(now_ms(), &mut UnwrapErr(SysRng), input)
    }

    async fn apply(&mut self, outputs: Outputs, calls: &mut Calls) -> Result<(), StoreFailed> {
        self.store.commit(&outputs.records).await.map_err(|error| {
            tracing::error!(%error, "a commit failed");
            StoreFailed
        })?;
        for (id, call) in outputs.calls {
            let Some(token) = calls.token.clone() else { break };
            let transport = self.transport.clone();
            calls
                .running
                .spawn(async move { (id, transport.call(call, &token).await) });
        }
        for event in outputs.events {
            let _ = self.events.send(event);
        }
        Ok(())
    }
}

/// Unix time in milliseconds, by the system's clock.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
