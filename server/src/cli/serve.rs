//! `serve`: the server, until it is told to stop.

use std::process::ExitCode;

use tokio::signal;

use super::options::Options;
use super::out::causes;
use super::{Failure, advice};
use crate::announce::Announcer;
use crate::config::{Config, LogFormat};
use crate::server::Server;

/// Exit code of a server that was told twice to stop, as shells count an interrupt.
const INTERRUPTED: i32 = 130;

pub(super) async fn serve(options: &Options) -> Result<ExitCode, Failure> {
    // Before anything else, so that no signal finds the server unprepared.
    let signals = Signals::listen().map_err(Failure::Signals)?;
    let config = options.sources().load()?;
    let announcer = Announcer(config.log.format);
    super::log::start(config.log);
    match run(options, config, announcer, signals).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Whatever reads the log of a server that speaks to programs finds no other text in it.
        Err(failure) if announcer.0 == LogFormat::Json => {
            let (causes, advice) = (causes(&failure), advice::about(&failure));
            tracing::error!(error = %failure, causes, advice, "ended");
            Ok(ExitCode::FAILURE)
        }
        Err(failure) => Err(failure),
    }
}

async fn run(
    options: &Options,
    config: Config,
    announcer: Announcer,
    signals: Signals,
) -> Result<(), Failure> {
    let stop = stop(signals, announcer);
    let server = Server::bind(config.clone()).await?;
    announcer.ready(&server, &config, &options.command());
    server.serve(stop).await?;
    announcer.stopped();
    Ok(())
}

/// Done at the first SIGTERM or Ctrl-C; the second ends the process at once.
fn stop(mut signals: Signals, announcer: Announcer) -> impl Future<Output = ()> {
    let (first, stop) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        announcer.stopping();
        let _ = first.send(());
        signals.next().await;
        std::process::exit(INTERRUPTED);
    });
    async {
        // The sender lives until it has sent.
        let _ = stop.await;
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: signal::unix::Signal,
    terminate: signal::unix::Signal,
    // Heard so that it does not end the process, also where there is no certificate to look at again.
    _hangup: signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            _hangup: signal(SignalKind::hangup())?,
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
