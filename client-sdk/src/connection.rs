//! A connection while it lasts: what the server delivers, and the calls under way.

use std::collections::VecDeque;
use std::time::Duration;

use sottovoce_engine::{Call, CallId, Refusal, Reply};
use sottovoce_proto::v1::ErrorReason;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::calls::Caller;
use crate::link::Incoming;
use crate::transport::{Token, Transport};

/// Calls made at one time; more wait here. Servers commonly let a connection make 100 calls at once, the
/// mailbox stream being one of them: what is beyond that would sit in the HTTP/2 library, using up its
/// time to be answered.
const RUNNING: usize = 64;

/// Signed in, with the mailbox stream open. Dropping it breaks the link, and nobody waits any more for
/// what its calls would have been answered.
pub(crate) struct Connection {
    transport: Transport,
    token: Token,
    deliveries: mpsc::Receiver<Incoming>,
    running: JoinSet<(CallId, Result<Reply, Refusal>)>,
    /// Where calls that were told to wait say so.
    limited: (mpsc::Sender<Duration>, mpsc::Receiver<Duration>),
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
    pub(crate) fn new(transport: Transport, token: Token, deliveries: mpsc::Receiver<Incoming>) -> Self {
        Self {
            transport,
            token,
            deliveries,
            running: JoinSet::new(),
            limited: mpsc::channel(1),
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
            let (transport, token) = (self.transport.clone(), self.token.clone());
            let limited = self.limited.0.clone();
            self.running
                .spawn(async move { (id, patiently(&transport, call, &token, &limited).await) });
        }
    }

    /// The next thing to happen. While as many calls run as may, nothing is read from the stream: what is
    /// delivered leads to calls, and is safe where it is. Cancel safe.
    pub(crate) async fn next(&mut self) -> Happened {
        loop {
            let may_read = self.running.len() < RUNNING;
            tokio::select! {
                Some(answered) = self.running.join_next() => {
                    self.make(Vec::new());
                    match answered {
                        Ok((call, answer)) => {
                            if let Err(Refusal::Because(ErrorReason::TokenInvalid | ErrorReason::TokenMissing)) = answer {
                                self.give_up();
                            }
                            return Happened::Answered(call, answer);
                        }
                        // A call that panicked is never answered: only beginning anew repeats it.
                        Err(_) => self.give_up(),
                    }
                }
                Some(wait) = self.limited.1.recv() => return Happened::RateLimited(wait),
                Some(delivery) = self.deliveries.recv(), if may_read => return Happened::Delivered(delivery),
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
        let mut connection = Connection::new(transport, Token::new("token").unwrap(), deliveries);
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
