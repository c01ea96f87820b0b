//! `serve`: the server, until it is told to stop.

use std::process::ExitCode;

use tokio::signal;

use super::Failure;
use super::options::Options;
use crate::announce;
use crate::error::StartError;
use crate::server::Server;

/// Exit code of a server that was told twice to stop, as shells count an interrupt.
const INTERRUPTED: i32 = 130;

pub(super) async fn serve(options: &Options) -> Result<ExitCode, Failure> {
    // Before anything else, so that no signal finds the server unprepared.
    let stop = stop_signals()?;
    let config = options.sources().load()?;
    super::log::start(config.log);
    let server = Server::bind(config.clone()).await?;
    announce::ready(&server, &config);
    server.serve(stop).await?;
    announce::stopped();
    Ok(ExitCode::SUCCESS)
}

/// Done at the first SIGTERM or Ctrl-C; the second ends the process at once.
fn stop_signals() -> Result<impl Future<Output = ()>, Failure> {
    let (first, stop) = tokio::sync::oneshot::channel();
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    tokio::spawn(async move {
        signals.next().await;
        announce::stopping();
        let _ = first.send(());
        signals.next().await;
        std::process::exit(INTERRUPTED);
    });
    Ok(async {
        // The sender lives until it has sent.
        let _ = stop.await;
    })
}

#[cfg(unix)]
struct Signals {
    interrupt: signal::unix::Signal,
    terminate: signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What to do about a server that does not start, where that is known.
pub(super) fn advice(error: &StartError) -> Option<&'static str> {
    match error {
        StartError::PlaintextNetwork { .. } => Some(
            "Listen on 127.0.0.1 and put a proxy that speaks TLS in front, or, on a network you trust \
             entirely, add --insecure-allow-plaintext-network.",
        ),
        StartError::Listen { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => Some(
            "Another program, perhaps another Sottovoce server, has that port. Stop it, or choose \
             another with --listen 127.0.0.1:PORT (0 takes a free one).",
        ),
        StartError::DataDirInUse { .. } => {
            Some("Stop that server first, or choose another folder with --data-dir.")
        }
        _ => None,
    }
}
