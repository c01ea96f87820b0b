//! What the server says to the person who starts it, in plain words, on standard output.

use std::io::Write;

use crate::config::{Config, Database, Registration};
use crate::server::Server;

/// Said once clients can connect.
pub(crate) fn ready(server: &Server, config: &Config) {
    let address = server.local_addr();
    let database = server.database_path();
    let data = if server.is_new() {
        "new, made just now"
    } else {
        "found, and brought up to date"
    };
    let scheme = if server.is_encrypted() { "https" } else { "http" };
    let reach = match (address.ip().is_loopback(), server.is_encrypted()) {
        (true, true) => "only programs on this machine can reach it",
        (true, false) => "only programs on this machine can reach it, and connections are not encrypted",
        (false, true) => "other machines can reach it",
        (false, false) => "OTHER MACHINES CAN REACH IT, AND CONNECTIONS ARE NOT ENCRYPTED",
    };
    let registration = match config.registration {
        Registration::Open => "open: whoever can reach the address may make an account",
        Registration::Invite => "by invite: `sottovoce-server invite create` makes one",
        Registration::Closed => "closed: no new accounts",
    };
    let folder = database.parent().unwrap_or(&database).display();
    let database = match &config.database {
        Database::Sqlite => format!("{} ({data})", database.display()),
        Database::Postgres(url) => {
            let options = url.options();
            let name = options.get_database().unwrap_or("the user's own");
            format!("PostgreSQL on {}, {name}", options.get_host())
        }
    };
    let operators = match server.admin_addr() {
        Some(address) => format!("{address}: status page, /metrics, /ready, /live (plain HTTP)"),
        None => "nowhere; see admin.listen".to_owned(),
    };
    say(&format!(
        "Sottovoce server {version} is ready.\n\
         \x20 Address       {scheme}://{address} for gRPC and gRPC-Web;\n\
         \x20               {reach}\n\
         \x20 Accounts      name@{server_name}; registration is {registration}\n\
         \x20 Data folder   {folder}\n\
         \x20 Database      {database}\n\
         \x20 Operators     {operators}\n\
         \x20 To stop       press Ctrl-C or send SIGTERM; a second time stops at once\n",
        version = env!("CARGO_PKG_VERSION"),
        server_name = config.server_name,
    ));
}

/// Said at the first signal.
pub(crate) fn stopping() {
    say("Stopping: finishing what is under way.\n");
}

/// Said when everything is closed.
pub(crate) fn stopped() {
    say("Stopped. Everything acknowledged is on the disk.\n");
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason to stop serving.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
