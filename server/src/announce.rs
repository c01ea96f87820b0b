//! What the server says to the person who starts it: in plain words on standard output, or, where the log
//! is for programs, the same facts as lines of the log and nothing else.

use std::io::Write;

use crate::config::{Config, Database, LogFormat, Registration};
use crate::server::Server;

/// Says it in the way that was chosen for the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announcer(pub(crate) LogFormat);

impl Announcer {
    /// Said once clients can connect. `command` is how the program is called for another command on the
    /// same server.
    pub(crate) fn ready(self, server: &Server, config: &Config, command: &str) {
        let facts = Facts::of(server, config);
        match self.0 {
            LogFormat::Text => say(&facts.in_words(config, command)),
            LogFormat::Json => facts.log(config),
        }
    }

    /// Said at the first signal.
    pub(crate) fn stopping(self) {
        match self.0 {
            LogFormat::Text => say("Stopping: finishing what is under way.\n"),
            LogFormat::Json => tracing::info!("stopping"),
        }
    }

    /// Said when everything is closed.
    pub(crate) fn stopped(self) {
        match self.0 {
            LogFormat::Text => say("Stopped. Everything acknowledged is on the disk.\n"),
            LogFormat::Json => tracing::info!("stopped"),
        }
    }
}

/// What there is to say of a server. None of it names a user.
struct Facts {
    address: String,
    is_exposed: bool,
    is_encrypted: bool,
    /// Of a file: whether this start has made it.
    is_new: Option<bool>,
    folder: String,
    database: String,
    operators: Option<String>,
}

impl Facts {
    fn of(server: &Server, config: &Config) -> Self {
        let scheme = if server.is_encrypted() { "https" } else { "http" };
        let file = server.database_path();
        Self {
            address: format!("{scheme}://{}", server.local_addr()),
            is_exposed: !server.local_addr().ip().is_loopback(),
            is_encrypted: server.is_encrypted(),
            is_new: matches!(config.database, Database::Sqlite).then(|| server.is_new()),
            folder: file.parent().unwrap_or(&file).display().to_string(),
            database: match &config.database {
                Database::Sqlite => file.display().to_string(),
                Database::Postgres(url) => {
                    let options = url.options();
                    let name = options.get_database().unwrap_or("the user's own");
                    format!("PostgreSQL on {}, {name}", options.get_host())
                }
            },
            operators: server.admin_addr().map(|address| address.to_string()),
        }
    }

    fn in_words(&self, config: &Config, command: &str) -> String {
        let reach = match (self.is_exposed, self.is_encrypted) {
            (false, true) => "only programs on this machine can reach it",
            (false, false) => "only programs on this machine can reach it, and connections are not encrypted",
            (true, true) => "other machines can reach it",
            (true, false) => "OTHER MACHINES CAN REACH IT, AND CONNECTIONS ARE NOT ENCRYPTED",
        };
        let registration = match config.registration {
            Registration::Open => "open: whoever can reach the address may make an account".to_owned(),
            Registration::Invite => format!("by invite: `{command} invite create` makes one"),
            Registration::Closed => "closed: no new accounts".to_owned(),
        };
        let found = match self.is_new {
            None => "",
            Some(true) => " (new, made just now)",
            Some(false) => " (found, and brought up to date)",
        };
        let operators = match &self.operators {
            Some(address) => format!("{address}: status page, /metrics, /ready, /live (plain HTTP)"),
            None => "nowhere; see admin.listen".to_owned(),
        };
        format!(
            "Sottovoce server {version} is ready.\n\
             \x20 Address       {address} for gRPC and gRPC-Web;\n\
             \x20               {reach}\n\
             \x20 Accounts      name@{server_name}; registration is {registration}\n\
             \x20 Data folder   {folder}\n\
             \x20 Database      {database}{found}\n\
             \x20 Operators     {operators}\n\
             \x20 To stop       press Ctrl-C or send SIGTERM; a second time stops at once\n",
            version = env!("CARGO_PKG_VERSION"),
            address = self.address,
            server_name = config.server_name,
            folder = self.folder,
            database = self.database,
        )
    }

    fn log(&self, config: &Config) {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            address = self.address,
            exposed = self.is_exposed,
            encrypted = self.is_encrypted,
            server_name = config.server_name.as_str(),
            registration = ?config.registration,
            data_dir = self.folder,
            database = self.database,
            new = self.is_new,
            operators = self.operators,
            "ready"
        );
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason to stop serving.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
