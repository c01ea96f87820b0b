//! Asking the server, again if need be.

use std::time::Duration;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use sottovoce_engine::Refusal;
use sottovoce_proto::v1::ErrorReason;

use super::error::Failed;
use crate::backoff::Backoff;
use crate::client::Client;
use crate::status::Status;
use crate::transport::{Token, Transport};

/// Failures in a row after which the app is told: a minute or so.
const PATIENCE: u32 = 9;

/// How long to wait for the client to be signed in.
const SIGN_IN: Duration = Duration::from_secs(60);

/// Repeats of something that makes progress. Only failures without any in between are counted.
#[derive(Default)]
pub(super) struct Attempts {
    failures: u32,
    backoff: Backoff,
}

impl Attempts {
    pub(super) fn progress(&mut self) {
        self.failures = 0;
        self.backoff.reset();
    }

    /// Waits before the next attempt, unless another is of no use.
    pub(super) async fn after(&mut self, refusal: Refusal) -> Result<(), Failed> {
        match refusal {
            Refusal::Because(reason) if !passes(reason) => return Err(Failed::Refused(reason)),
            _ => {}
        }
        self.failures += 1;
        if self.failures >= PATIENCE {
            return Err(Failed::Unavailable);
        }
        tokio::time::sleep(self.backoff.next(&mut UnwrapErr(SysRng))).await;
        Ok(())
    }
}

/// What another attempt, after a while or from another place, may get over.
fn passes(reason: ErrorReason) -> bool {
    matches!(
        reason,
        ErrorReason::Internal
            | ErrorReason::DeadlineExceeded
            | ErrorReason::ShuttingDown
            | ErrorReason::ServerFull
            | ErrorReason::RateLimited
            | ErrorReason::TokenInvalid
            | ErrorReason::TokenMissing
            | ErrorReason::UploadOffset
    )
}

impl Client {
    /// The transport, and the token of the connection there is, as soon as there is one.
    pub(super) async fn signed_in(&self) -> Result<(Transport, Token), Failed> {
        let signed_in = async {
            let mut status = self.status();
            loop {
                let (transport, token) = self.access().await.map_err(|_| Failed::Stopped)?;
                if let Some(token) = token {
                    return Ok((transport, token));
                }
                let up =
                    |status: &Status| matches!(status, Status::Online | Status::CaughtUp | Status::Stopped);
                status.wait_for(up).await.map_err(|_| Failed::Stopped)?;
            }
        };
        tokio::time::timeout(SIGN_IN, signed_in)
            .await
            .unwrap_or(Err(Failed::Unavailable))
    }
}
