//! A connection while it lasts: what the server delivers, and the calls under way.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sottovoce_engine::{Call, CallId, Refusal, Reply};
use sottovoce_proto::v1::send_result::Outcome;
use sottovoce_proto::v1::{self, ErrorReason};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::calls::Caller;
use crate::mailbox_stream::{Frames, Incoming};
use crate::transport::{LONGEST_WAIT, Token, Transport};

/// Calls made at one time; more wait here. Servers commonly let a connection make 100 calls at once, the
/// mailbox stream being one of them: what is beyond that would sit in the HTTP/2 library, using up its
/// time to be answered.
const RUNNING: usize = 64;

/// Messages that wait for what becomes of them on a stream that goes both ways: half of those after which a
/// server reads no more. What is beyond that is called for, so that no more calls wait than otherwise.
const FRAMED: usize = 32;

/// Signed in, with the mailbox stream open. Dropping it breaks the link, and nobody waits any more for
/// what its calls would have been answered.
pub(crate) struct Connection {
    transport: Transport,
    token: Token,
    deliveries: mpsc::Receiver<Incoming>,
    running: JoinSet<(CallId, Result<Reply, Refusal>)>,
    /// Where calls that were told to wait say so.
    limited: (mpsc::Sender<Duration>, mpsc::Receiver<Duration>),
    /// Where messages by name and acknowledgements go out, if the stream goes both ways.
    frames: Option<Frames>,
    /// Messages that went out there, by their ids, until the stream brings what became of them.
    framed: BTreeMap<Vec<u8>, (CallId, Call)>,
    /// What went out there and has no answer: acknowledgements, of which the stream ends if one is not kept.
    done: VecDeque<CallId>,
    /// Calls to be made when others are answered. The engine bounds them: a few for each message that
    /// waits to be sent, and what deliveries lead to, of which none is read while calls wait.
    waiting: VecDeque<(CallId, Call)>,
}

/// What happened on a connection.
pub(crate) enum Happened {
    /// A call was answered.
    Answered(CallId, Result<Reply, Refusal>),
    /// The server wants to be called less: some calls wait for so long.
    RateLimited(Duration),
    /// The stream brought something.
    Delivered(Incoming),
}

impl Connection {
    pub(crate) fn new(
        transport: Transport,
        token: Token,
        deliveries: mpsc::Receiver<Incoming>,
        frames: Option<Frames>,
    ) -> Self {
        Self {
            transport,
            token,
            deliveries,
            running: JoinSet::new(),
            limited: mpsc::channel(1),
            frames,
            framed: BTreeMap::new(),
            done: VecDeque::new(),
            waiting: VecDeque::new(),
        }
    }

    /// The proof of being signed in, for calls that are not the engine's.
    pub(crate) fn token(&self) -> Token {
        self.token.clone()
    }

    /// Makes calls, or has them wait for their turn.
    pub(crate) fn make(&mut self, calls: Vec<(CallId, Call)>) {
        self.waiting.extend(calls);
        while self.running.len() < RUNNING
            && let Some((id, call)) = self.waiting.pop_front()
        {
            if let Some(call) = self.send_frame(id, call) {
                self.spawn(id, call, Duration::ZERO);
            }
        }
    }

    /// Makes a call, after a while.
    fn spawn(&mut self, id: CallId, call: Call, wait: Duration) {
        let (transport, token) = (self.transport.clone(), self.token.clone());
        let limited = self.limited.0.clone();
        self.running.spawn(async move {
            tokio::time::sleep(wait).await;
            (id, patiently(&transport, call, &token, &limited).await)
        });
    }

    /// Has a call go out on the stream, where that goes both ways; gives it back where it has to be made.
    fn send_frame(&mut self, id: CallId, call: Call) -> Option<Call> {
        let room = self.framed.len() < FRAMED;
        let sent = self
            .frames
            .as_ref()
            .is_some_and(|frames| room && frames.send(&call));
        match call {
            Call::Send(request) if sent => {
                let message = request.client_message_id.clone();
                self.framed.insert(message, (id, Call::Send(request)));
                None
            }
            _ if sent => {
                self.done.push_back(id);
                None
            }
            call => Some(call),
        }
    }

    /// The stream has brought what became of a message: the answer to a call, or that it has to be made
    /// again later.
    fn resulted(&mut self, result: v1::SendResult) -> Option<Happened> {
        let (id, call) = self.framed.remove(&result.client_message_id)?;
        let refused = match result.outcome {
            Some(Outcome::Taken(receipt)) => return Some(self.answered(id, Ok(Reply::Sent(receipt)))),
            Some(Outcome::Refused(refused)) => refused,
            None => return Some(self.answered(id, Err(Refusal::Unavailable))),
        };
        match refused.reason() {
            ErrorReason::RateLimited => {
                let wait = Duration::from_millis(refused.retry_after_ms).min(LONGEST_WAIT);
                self.spawn(id, call, wait);
                Some(Happened::RateLimited(wait))
            }
            ErrorReason::Unspecified => Some(self.answered(id, Err(Refusal::Unavailable))),
            reason => Some(self.answered(id, Err(Refusal::Because(reason)))),
        }
    }

    fn answered(&mut self, id: CallId, answer: Result<Reply, Refusal>) -> Happened {
        if let Err(Refusal::Because(ErrorReason::TokenInvalid | ErrorReason::TokenMissing)) = answer {
            self.give_up();
        }
        Happened::Answered(id, answer)
    }

    /// The next thing to happen. While as many calls run as may, nothing is read from the stream: what is
    /// delivered leads to calls, and is safe where it is. Cancel safe.
    pub(crate) async fn next(&mut self) -> Happened {
        loop {
            if let Some(id) = self.done.pop_front() {
                return Happened::Answered(id, Ok(Reply::Acknowledged));
            }
            let may_read = self.running.len() < RUNNING;
            tokio::select! {
                Some(answered) = self.running.join_next() => {
                    self.make(Vec::new());
                    match answered {
                        Ok((call, answer)) => return self.answered(call, answer),
                        // A call that panicked is never answered: only beginning anew repeats it.
                        Err(_) => self.give_up(),
                    }
                }
                Some(wait) = self.limited.1.recv() => return Happened::RateLimited(wait),
                Some(delivery) = self.deliveries.recv(), if may_read => match delivery {
                    Incoming::Result(result) => {
                        if let Some(happened) = self.resulted(result) {
                            return happened;
                        }
                    }
                    delivery => return Happened::Delivered(delivery),
                },
                // The stream has ended, which the link will tell.
                else => std::future::pending().await,
            }
        }
    }

    /// Who makes calls as this connection does.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            transport: self.transport.clone(),
            token: self.token.clone(),
        }
    }

    /// Has the link broken and mended: signed in again, with another token.
    fn give_up(&mut self) {
        self.deliveries.close();
    }
}

/// Makes a call, and again as long as the server says when: the same call, with the same ids.
async fn patiently(
    transport: &Transport,
    call: Call,
    token: &Token,
    limited: &mpsc::Sender<Duration>,
) -> Result<Reply, Refusal> {
    loop {
        let refused = match transport.call(call.clone(), token).await {
            Ok(reply) => return Ok(reply),
            Err(refused) => refused,
        };
        match (refused.because, refused.retry_after) {
            (Refusal::Because(ErrorReason::RateLimited), Some(wait)) => {
                // One that says so is enough.
                let _ = limited.try_send(wait);
                tokio::time::sleep(wait).await;
                if matches!(call, Call::SendBatch(_)) {
                    // Perhaps there are more in it than may ever come at one time.
                    return Err(refused.because);
                }
            }
            (because, _) => return Err(because),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use getrandom::SysRng;
    use rand_core::UnwrapErr;
    use sottovoce_crypto::statements::Address;
    use sottovoce_engine::{Body, Engine, Input};
    use tokio::net::TcpListener;

    const NOW: u64 = 1_800_000_000_000;

    /// What an engine asks for that writes to as many people as it has calls to make.
    fn calls(count: usize) -> Vec<(CallId, Call)> {
        let rng = &mut UnwrapErr(SysRng);
        let (mut engine, _) = Engine::create(NOW, rng, Address::parse("alice@host").unwrap()).unwrap();
        engine.handle(NOW, rng, Input::Connected).unwrap();
        let mut calls = Vec::new();
        for number in 0..count {
            let to = Address::parse(&format!("bob{number}@host")).unwrap();
            let (_, outputs) = engine.send(NOW, rng, &to, Body::Text("x".into())).unwrap();
            calls.extend(outputs.calls);
        }
        assert_eq!(calls.len(), count);
        calls
    }

    #[tokio::test]
    async fn more_calls_than_may_run_wait_and_so_does_the_stream() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let transport = Transport::new(&format!("http://{}", silent.local_addr().unwrap()), None).unwrap();
        let (stream, deliveries) = mpsc::channel(1);
        let mut connection = Connection::new(transport, Token::new("token").unwrap(), deliveries, None);
        connection.make(calls(RUNNING + 10));
        assert_eq!(
            (connection.running.len(), connection.waiting.len()),
            (RUNNING, 10)
        );
        stream.send(Incoming::QueueEmpty).await.unwrap();
        let nothing = tokio::time::timeout(Duration::from_millis(100), connection.next()).await;
        assert!(nothing.is_err(), "nobody was answered and nothing may be read");

        // The server goes, and with it every call that waits for it.
        drop(silent);
        let (mut answered, mut delivered) = (0, 0);
        while answered < RUNNING + 10 || delivered < 1 {
            match connection.next().await {
                Happened::Answered(_, answer) => {
                    assert_eq!(answer, Err(Refusal::Unavailable));
                    answered += 1;
                }
                Happened::RateLimited(_) => panic!("nobody said so"),
                Happened::Delivered(_) => delivered += 1,
            }
            assert!(connection.running.len() <= RUNNING);
        }
        assert_eq!((answered, delivered), (RUNNING + 10, 1));
    }
}
