//! A change with its caller waiting, whatever kind of change it is.

use std::pin::Pin;

use tokio::sync::oneshot;

use super::{Task, Tx, Write, WriteError, WriteTogether};

type Outcome<T, R> = Result<T, WriteError<R>>;

/// Where the caller hears what became of its change.
pub(super) type Answer<T, R> = oneshot::Receiver<Outcome<T, R>>;

/// A change of any kind.
pub(crate) trait Job: Send {
    fn apply<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;
    /// Whether the caller has gone away, so that the change need not be made.
    fn is_abandoned(&self) -> bool;
    /// Whether the database failed it.
    fn has_failed(&self) -> bool;
    fn forget_outcome(&mut self);
    fn answer(self: Box<Self>);
}

#[derive(PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    Undo,
}

pub(super) struct Queued<W: Write> {
    write: W,
    reply: oneshot::Sender<Outcome<W::Output, W::Refusal>>,
    outcome: Option<Outcome<W::Output, W::Refusal>>,
}

impl<W: Write> Queued<W> {
    pub(super) fn new(write: W) -> (Self, Answer<W::Output, W::Refusal>) {
        let (reply, answer) = oneshot::channel();
        let queued = Self {
            write,
            reply,
            outcome: None,
        };
        (queued, answer)
    }
}

impl<W: Write> Job for Queued<W> {
    fn apply<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(async move {
            let outcome = self.write.apply(tx).await;
            let verdict = if outcome.is_ok() {
                Verdict::Keep
            } else {
                Verdict::Undo
            };
            self.outcome = Some(outcome);
            verdict
        })
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn has_failed(&self) -> bool {
        matches!(self.outcome, Some(Err(WriteError::Failed)))
    }

    fn forget_outcome(&mut self) {
        self.outcome = None;
    }

    fn answer(self: Box<Self>) {
        // A refusal rests on what the transaction read, so it too counts only once committed. The caller
        // may have gone away meanwhile; the change stands all the same.
        let _ = self.reply.send(self.outcome.unwrap_or(Err(WriteError::Failed)));
    }
}

/// A change that is made together with others of its kind.
pub(crate) struct Waiting<W: WriteTogether> {
    pub(super) change: W,
    pub(super) outcome: Option<Outcome<W::Output, W::Refusal>>,
    reply: oneshot::Sender<Outcome<W::Output, W::Refusal>>,
}

impl<W: WriteTogether> Waiting<W> {
    pub(super) fn new(change: W) -> (Self, Answer<W::Output, W::Refusal>) {
        let (reply, answer) = oneshot::channel();
        let waiting = Self {
            change,
            outcome: None,
            reply,
        };
        (waiting, answer)
    }

    fn answer(self) {
        let _ = self.reply.send(self.outcome.unwrap_or(Err(WriteError::Failed)));
    }
}

impl Task {
    /// Whether nobody waits for it any more. What goes into mailboxes and out of them is not asked: several
    /// messages of one sender, of which some were made and some not, would change places.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Change(job) => job.is_abandoned(),
            Self::Deposit(_) | Self::Acknowledge(_) => false,
        }
    }

    /// Whether it changes mailboxes only, with all others that do.
    pub(super) fn is_mail(&self) -> bool {
        !matches!(self, Self::Change(_))
    }

    /// Bytes it brings into a transaction, roughly.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Change(_) | Self::Acknowledge(_) => 0,
            Self::Deposit(waiting) => {
                let letters = &waiting.change.letters;
                letters.iter().map(|letter| letter.ciphertext.len()).sum()
            }
        }
    }

    /// Whether it failed beside others that did not. Those made together fail together.
    pub(super) fn has_failed(&self) -> bool {
        match self {
            Self::Change(job) => job.has_failed(),
            Self::Deposit(_) | Self::Acknowledge(_) => false,
        }
    }

    /// What was found out counts for nothing: the transaction is gone.
    pub(super) fn forget_outcome(&mut self) {
        match self {
            Self::Change(job) => job.forget_outcome(),
            Self::Deposit(waiting) => waiting.outcome = None,
            Self::Acknowledge(waiting) => waiting.outcome = None,
        }
    }

    pub(super) fn answer(self) {
        match self {
            Self::Change(job) => job.answer(),
            Self::Deposit(waiting) => waiting.answer(),
            Self::Acknowledge(waiting) => waiting.answer(),
        }
    }
}
