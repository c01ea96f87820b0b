//! NATS core as the way of hints: fast, and free to lose them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use futures_util::StreamExt;
use prost::Message;
use sottovoce_statements::ServerName;

use super::wire::Batch;
use super::{Hint, Outgoing, Outgoings};
use crate::auth::random;
use crate::error::StartError;
use crate::hub::Hub;

/// Hints in one message at most; one with ephemeral envelopes stays below NATS' usual limit of 1 MiB.
const BATCH: usize = 256;

/// Their bytes at most.
const BATCH_LEN: usize = 256 * 1024;

/// Messages that the library holds for a NATS server that does not read.
const UNSENT: usize = 64;

/// How long a connection may take; until it is there the watch has to do.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the NATS server is: `nats://user:password@host:port` or `tls://…`. May hold a password, so it is
/// not printed.
#[derive(Clone)]
pub struct NatsUrl(Vec<ServerAddr>);

/// The text is not a NATS URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a nats:// URL")]
pub struct NatsUrlError;

impl NatsUrl {
    /// Reads one URL, or several of one cluster, with commas between.
    ///
    /// # Errors
    /// [`NatsUrlError`] when it is none. The text is not repeated in it.
    pub fn parse(text: &str) -> Result<Self, NatsUrlError> {
        text.split(',')
            .map(|url| url.trim().parse().map_err(|_| NatsUrlError))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NatsUrl([redacted])")
    }
}

/// The connection to the other nodes.
#[derive(Debug)]
pub(crate) struct Nats {
    client: Client,
    subject: String,
    node: [u8; 16],
    connected: Arc<AtomicBool>,
}

impl Nats {
    /// Begins to connect. A NATS server that is not there does not keep this one from starting.
    pub(crate) async fn connect(url: &NatsUrl, server: &ServerName) -> Result<Self, StartError> {
        let connected = Arc::new(AtomicBool::new(false));
        let state = connected.clone();
        let client = ConnectOptions::new()
            .name("sottovoce-server")
            .connection_timeout(CONNECT_TIMEOUT)
            .client_capacity(UNSENT)
            .retry_on_initial_connect()
            .event_callback(move |event| {
                let state = state.clone();
                async move { note(&event, &state) }
            })
            .connect(&url.0)
            .await
            .map_err(|_| StartError::Nats)?;
        Ok(Self {
            client,
            // Dots would be levels of NATS' own.
            subject: format!("sottovoce.hints.{}", server.as_str().replace('.', "_")),
            node: random().map_err(|_| StartError::Randomness)?,
            connected,
        })
    }

    /// Whether hints arrive just now, as far as is known.
    pub(crate) fn connected(&self) -> Arc<AtomicBool> {
        self.connected.clone()
    }

    /// Sends what is put into the outbox and tells the hub what others send, for as long as it is polled.
    pub(crate) async fn run(self, hub: Hub, mut outbox: Outgoings) {
        let mut subscription = match self.client.subscribe(self.subject.clone()).await {
            Ok(subscription) => subscription,
            Err(error) => {
                tracing::error!(%error, "hints of other nodes cannot be heard; the watch goes on");
                return;
            }
        };
        let mut hints = Vec::new();
        loop {
            tokio::select! {
                taken = outbox.recv_many(&mut hints, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    self.send(std::mem::take(&mut hints)).await;
                }
                message = subscription.next() => match message {
                    Some(message) => self.hear(&message.payload, &hub),
                    None => return,
                },
            }
        }
    }

    /// While NATS is away nothing waits for it: what there was to look at then the watch has found long before,
    /// and messages that are never stored are for now or never.
    async fn send(&self, hints: Vec<Outgoing>) {
        if !self.connected.load(Ordering::Relaxed) {
            return;
        }
        let (hints, _room): (Vec<Hint>, Vec<_>) = hints
            .into_iter()
            .map(|outgoing| (outgoing.hint, outgoing.room))
            .unzip();
        let batch = Batch::new(self.node, hints.iter().cloned());
        if batch.encoded_len() <= BATCH_LEN {
            self.publish(&batch).await;
            return;
        }
        for hint in hints {
            self.publish(&Batch::new(self.node, [hint])).await;
        }
    }

    async fn publish(&self, batch: &Batch) {
        // What NATS does not take is lost, as hints may be.
        let _ = self
            .client
            .publish(self.subject.clone(), batch.encode_to_vec().into())
            .await;
    }

    fn hear(&self, payload: &[u8], hub: &Hub) {
        match Batch::decode(payload) {
            Ok(batch) if batch.node == self.node => {}
            Ok(batch) => hub.hear(batch.into_hints()),
            Err(_) => tracing::warn!("a hint that could not be read was passed over"),
        }
    }
}

fn note(event: &Event, connected: &AtomicBool) {
    match event {
        Event::Connected => {
            connected.store(true, Ordering::Relaxed);
            tracing::info!("hints go to and come from the other nodes");
        }
        Event::Disconnected => {
            connected.store(false, Ordering::Relaxed);
            tracing::warn!("NATS is away: what other nodes take is noticed later");
        }
        _ => tracing::debug!("NATS has news of the connection"),
    }
}
