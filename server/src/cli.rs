//! The command line and the environment, and the log they ask for.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sottovoce_server::{Config, Database, NatsUrl, PostgresUrl, Registration, ServerName};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The Sottovoce reference server. It stores ciphertext and can read none of it.
#[derive(Debug, Parser)]
#[command(name = "sottovoce-server", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server. Without options: a private server on this machine.
    Serve(ServeOptions),
}

/// Every option can also be set in the environment.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:7443]
    #[arg(long, env = "SOTTOVOCE_LISTEN", value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// The folder everything is kept in; created where it is missing [default: ./sottovoce-data]
    #[arg(long, env = "SOTTOVOCE_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// The part after the @ of every account here; do not change it later [default: localhost]
    #[arg(long, env = "SOTTOVOCE_SERVER_NAME", value_name = "NAME", value_parser = ServerName::parse)]
    server_name: Option<ServerName>,
    /// A PostgreSQL database instead of the file in the data folder
    #[arg(long, env = "SOTTOVOCE_DATABASE", value_name = "URL", hide_env_values = true, value_parser = PostgresUrl::parse)]
    database: Option<PostgresUrl>,
    /// Where several nodes on one PostgreSQL database tell each other what is new
    #[arg(long, env = "SOTTOVOCE_NATS", value_name = "URL", hide_env_values = true, value_parser = NatsUrl::parse)]
    nats: Option<NatsUrl>,
    /// Whether new accounts are taken
    #[arg(long, env = "SOTTOVOCE_REGISTRATION", value_enum, default_value = "open")]
    registration: RegistrationOption,
    /// Listen beyond this machine although connections are not encrypted
    #[arg(long, env = "SOTTOVOCE_INSECURE_ALLOW_PLAINTEXT_NETWORK")]
    insecure_allow_plaintext_network: bool,
    /// How the log on standard error is written
    #[arg(long, env = "SOTTOVOCE_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// How much is logged; never who, whatever the level
    #[arg(long, env = "SOTTOVOCE_LOG_LEVEL", value_enum, default_value = "info")]
    log_level: LogLevel,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RegistrationOption {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl ServeOptions {
    pub(crate) fn into_config(self) -> Config {
        let default = Config::default();
        Config {
            data_dir: self.data_dir.unwrap_or(default.data_dir),
            listen: self.listen.unwrap_or(default.listen),
            server_name: self.server_name.unwrap_or(default.server_name),
            registration: match self.registration {
                RegistrationOption::Open => Registration::Open,
                RegistrationOption::Closed => Registration::Closed,
            },
            allow_plaintext_network: self.insecure_allow_plaintext_network,
            database: self.database.map_or(default.database, Database::Postgres),
            nats: self.nats,
            ..default
        }
    }
}

/// Logs our own events only: those of the libraries below may hold headers, and so tokens.
pub(crate) fn start_log(options: &ServeOptions) {
    let level = match options.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let registry = tracing_subscriber::registry().with(Targets::new().with_target("sottovoce_server", level));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Text => registry.with(layer.with_ansi(false)).init(),
        LogFormat::Json => registry.with(layer.json()).init(),
    }
}
