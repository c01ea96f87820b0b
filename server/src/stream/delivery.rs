//! What a stream does between its beginning and its end.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use sottovoce_proto::v1::{Envelope, ErrorReason};

use super::mail::Mail;
use super::{Event, Saying};
use crate::clock::now_ms;
use crate::hub::{Inbound, Seat};
use crate::metrics::Counts;
use crate::store::{READ_BYTES, ReadError, StoredEnvelope};

/// Envelopes read from the database at a time, when they are small.
const READ_AT_ONCE: u64 = 32;

/// Delivers one mailbox.
pub(crate) struct Delivery<M> {
    mail: Arc<M>,
    counts: Arc<Counts>,
    seat: Seat,
    window: u64,
}

impl<M: Mail> Delivery<M> {
    /// Of the device that has the seat; at most `window` are unacknowledged at a time.
    pub(crate) fn new(mail: Arc<M>, counts: Arc<Counts>, seat: Seat, window: u64) -> Self {
        Self {
            mail,
            counts,
            seat,
            window,
        }
    }

    /// Delivers until something ends the stream, and says what.
    pub(crate) async fn run<A: From<Event>>(&self, out: &Saying<A>) -> ErrorReason {
        let mut progress = Progress {
            mail: &*self.mail,
            counts: &self.counts,
            seat: &self.seat,
            out,
            window: self.window,
            state: State::default(),
        };
        tokio::select! {
            biased;
            reason = self.seat.ended() => reason,
            result = progress.deliver() => match result {
                Err(Interrupted::ReadFailed) => ErrorReason::Internal,
                // Nobody is left to hear this.
                Err(Interrupted::ClientGone) => ErrorReason::Unspecified,
                Ok(never) => match never {},
            },
            () = out.closed() => ErrorReason::Unspecified,
        }
    }
}

/// One that runs.
struct Progress<'a, M, A> {
    mail: &'a M,
    counts: &'a Counts,
    seat: &'a Seat,
    out: &'a Saying<A>,
    window: u64,
    state: State,
}

/// How far the delivery has come.
#[derive(Debug, Default)]
struct State {
    /// The sequence of the last envelope delivered.
    cursor: i64,
    /// Delivered, and not acknowledged as far as is known here.
    outstanding: HashSet<Vec<u8>>,
    /// What waited at the beginning and is not delivered yet ends here; none once `queue_empty` is said.
    backlog_until: Option<i64>,
    /// The database may hold more than was delivered.
    look: bool,
}

impl<M: Mail, A: From<Event>> Progress<'_, M, A> {
    async fn deliver(&mut self) -> Result<Infallible, Interrupted> {
        self.state.backlog_until = Some(self.mail.newest(self.seat.device()).await?);
        self.state.look = true;
        loop {
            // In boxes: what is done with news would otherwise be held ready by every stream.
            if self.state.look {
                Box::pin(self.read_on()).await?;
            }
            let stuck = self.state.outstanding.len() as u64 >= self.window;
            self.seat.note(self.state.cursor, stuck);
            let inbound = self.seat.inbound().await;
            Box::pin(self.take_in(inbound)).await?;
        }
    }

    /// Delivers what the database holds, as far as the window has room.
    async fn read_on(&mut self) -> Result<(), Interrupted> {
        while self.state.look {
            let until = self.state.backlog_until.unwrap_or(i64::MAX);
            let room = self.room().await?;
            if room == 0 {
                // Even without room it may be said that nothing is left.
                let left = self
                    .mail
                    .next(self.seat.device(), self.state.cursor, until, 1)
                    .await?;
                if !left.is_empty() {
                    return Ok(());
                }
            }
            let at_most = room.clamp(1, READ_AT_ONCE);
            let envelopes = if room == 0 {
                Vec::new()
            } else {
                self.mail
                    .next(self.seat.device(), self.state.cursor, until, at_most)
                    .await?
            };
            let size: usize = envelopes.iter().map(|envelope| envelope.size).sum();
            // Fewer than asked for are all there are, unless they are so long that no more were read.
            let all = (envelopes.len() as u64) < at_most && size < READ_BYTES;
            for envelope in envelopes {
                self.say_envelope(envelope).await?;
            }
            if all || room == 0 {
                match self.state.backlog_until.take() {
                    // What came since the beginning is still to be read.
                    Some(_) => self.say(Event::QueueEmpty).await?,
                    None => self.state.look = false,
                }
            }
        }
        Ok(())
    }

    /// How many more may be delivered. When there seems to be no room, the database is asked: what was
    /// acknowledged elsewhere is not told here in every case.
    async fn room(&mut self) -> Result<u64, Interrupted> {
        if self.state.outstanding.len() as u64 >= self.window {
            let waiting = self
                .mail
                .unacknowledged(self.seat.device(), self.state.cursor, self.window)
                .await?;
            self.state.outstanding = waiting.into_iter().collect();
        }
        Ok(self.window.saturating_sub(self.state.outstanding.len() as u64))
    }

    async fn take_in(&mut self, inbound: Inbound) -> Result<(), Interrupted> {
        let had_no_room = self.state.outstanding.len() as u64 >= self.window;
        for id in &inbound.acknowledged {
            self.state.outstanding.remove(id.as_slice());
        }
        self.state.look |= inbound.look || (had_no_room && !inbound.acknowledged.is_empty());
        for envelope in inbound.fresh {
            let next = self.state.cursor.saturating_add(1);
            let in_turn = envelope.sequence == next && !self.state.look && self.state.backlog_until.is_none();
            if in_turn && envelope.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms()) {
                // It waited here behind a slow client.
                self.state.cursor = envelope.sequence;
            } else if in_turn && (self.state.outstanding.len() as u64) < self.window {
                self.say_envelope(envelope).await?;
            } else if envelope.sequence >= next {
                self.state.look = true;
            }
        }
        for envelope in inbound.ephemeral {
            self.say(Event::Envelope(envelope)).await?;
        }
        if let Some(low) = inbound.prekeys_low {
            self.say(Event::PrekeysLow(low)).await?;
        }
        Ok(())
    }

    async fn say_envelope(&mut self, envelope: StoredEnvelope) -> Result<(), Interrupted> {
        self.state.cursor = envelope.sequence;
        self.state.outstanding.insert(envelope.id.clone());
        self.say(Event::Envelope(to_message(envelope))).await
    }

    async fn say(&self, event: Event) -> Result<(), Interrupted> {
        if let Event::Envelope(envelope) = &event {
            self.counts.delivered(envelope.ciphertext.len());
        }
        let answer = Box::new(A::from(event));
        self.out.send(answer).await.map_err(|_| Interrupted::ClientGone)
    }
}

/// Why a delivery cannot go on.
enum Interrupted {
    ClientGone,
    ReadFailed,
}

impl From<ReadError> for Interrupted {
    fn from(_: ReadError) -> Self {
        Self::ReadFailed
    }
}

fn to_message(envelope: StoredEnvelope) -> Envelope {
    Envelope {
        envelope_id: envelope.id,
        sender: envelope.sender.unwrap_or_default(),
        sender_device_id: envelope.sender_device.unwrap_or_default(),
        ciphertext: envelope.ciphertext,
        received_at_ms: envelope.received_at_ms,
        channel_id: envelope.channel.unwrap_or_default(),
        ephemeral: false,
    }
}
