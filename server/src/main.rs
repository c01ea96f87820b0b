//! `sottovoce-server`: the command line of the reference server.

mod announce;
mod cli;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use sottovoce_server::{ServeError, Server, StartError};
use tokio::signal;

use cli::{Cli, Command, ServeOptions};

/// Exit code of a server that was told twice to stop, as shells count an interrupt.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let Command::Serve(options) = Cli::parse().command;
    cli::start_log(&options);
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)
        .and_then(|runtime| runtime.block_on(serve(options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            explain(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Why the program ended with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the runtime could not be started")]
    Runtime(#[source] std::io::Error),
    #[error("the server cannot hear signals")]
    Signals(#[source] std::io::Error),
    #[error("the server did not start")]
    Start(#[from] StartError),
    #[error("the server stopped by itself")]
    Serve(#[from] ServeError),
}

async fn serve(options: ServeOptions) -> Result<(), Failure> {
    // Before anything else, so that no signal finds the server unprepared.
    let stop = stop_signals()?;
    let config = options.into_config();
    let server = Server::bind(config.clone()).await?;
    announce::ready(&server, &config);
    server.serve(stop).await?;
    announce::stopped();
    Ok(())
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

/// The failure and its causes, one a line, and what to do about it where that is known.
fn explain(failure: &Failure) {
    let mut text = format!("error: {failure}\n");
    let mut cause = failure.source();
    while let Some(error) = cause {
        text.push_str(&format!("  because: {error}\n"));
        cause = error.source();
    }
    if let Failure::Start(error) = failure
        && let Some(advice) = advice(error)
    {
        text.push_str(&format!("  {advice}\n"));
    }
    // Nobody can be told that nobody could be told.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn advice(error: &StartError) -> Option<&'static str> {
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
