//! What the server says to the person who starts it, in plain words, on standard output.

use std::io::Write;

use sottovoce_server::{Config, Registration, Server};

/// Said once clients can connect.
pub(crate) fn ready(server: &Server, config: &Config) {
    let address = server.local_addr();
    let database = server.database_path();
    let data = if server.is_new() {
        "new, made just now"
    } else {
        "found, and brought up to date"
    };
    let reach = if address.ip().is_loopback() {
        "only programs on this machine can reach it, and connections are not encrypted"
    } else {
        "OTHER MACHINES CAN REACH IT, AND CONNECTIONS ARE NOT ENCRYPTED"
    };
    let registration = match config.registration {
        Registration::Open => "open: whoever can reach the address may make an account",
        Registration::Closed => "closed: no new accounts",
    };
    let folder = database.parent().unwrap_or(&database).display();
    say(&format!(
        "Sottovoce server {version} is ready.\n\
         \x20 Address       http://{address} for gRPC and gRPC-Web;\n\
         \x20               {reach}\n\
         \x20 Accounts      name@{server_name}; registration is {registration}\n\
         \x20 Data folder   {folder}\n\
         \x20 Database      {database} ({data})\n\
         \x20 To stop       press Ctrl-C or send SIGTERM; a second time stops at once\n",
        version = env!("CARGO_PKG_VERSION"),
        server_name = config.server_name,
        database = database.display(),
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
