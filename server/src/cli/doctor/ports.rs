//! Whether what is to be listened on is free: seen by listening there for a moment.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::Finding;
use crate::config::Config;
use crate::store::is_in_use;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    if let Some(address) = config.admin.listen.filter(|address| *address == config.listen)
        && address.port() != 0
    {
        return vec![Finding::wrong(
            "ports",
            format!("{address} is wanted for listen and for admin.listen"),
            "Set admin.listen (SOTTOVOCE_ADMIN__LISTEN) to another.",
        )];
    }
    if is_in_use(&config.data_dir) {
        return vec![Finding::fine(
            "ports",
            "not looked at: a server runs on the data folder",
        )];
    }
    let listening = TcpListener::bind(config.listen);
    let mut findings = vec![of(
        &listening,
        config.listen,
        "listen",
        "Stop the program that has it, or set listen to another.",
    )];
    // While the first is listened on, as a server does: they may want the same port.
    findings.extend(config.admin.listen.map(|address| {
        of(
            &TcpListener::bind(address),
            address,
            "admin.listen",
            "Stop the program that has it, or set admin.listen (SOTTOVOCE_ADMIN__LISTEN) to another.",
        )
    }));
    findings
}

fn of(
    listening: &io::Result<TcpListener>,
    address: SocketAddr,
    setting: &str,
    advice: &'static str,
) -> Finding {
    match listening {
        Ok(_) => Finding::fine("ports", format!("{address} is free for {setting}")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::wrong(
            "ports",
            format!("{address} is in use by another program, and wanted for {setting}"),
            advice,
        ),
        // Whoever looks need not be whom the server runs as.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::doubtful(
            "ports",
            format!("{address}, wanted for {setting}, is not for this user to listen on"),
            "Ports below 1024 want a privilege: the server's user must have it (CAP_NET_BIND_SERVICE).",
        ),
        Err(error) => Finding::wrong(
            "ports",
            format!("{address} cannot be listened on for {setting}: {error}"),
            "The address must be one of this machine.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;
    use crate::config::AdminConfig;

    #[test]
    fn a_port_that_another_program_has_is_said_with_the_setting_that_wants_it() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = |listen: &str, admin: SocketAddr| Config {
            data_dir: folder.path().to_owned(),
            listen: listen.parse().unwrap(),
            admin: AdminConfig { listen: Some(admin) },
            ..Config::default()
        };
        let address = taken.local_addr().unwrap();
        let found = look(&config("127.0.0.1:0", address));
        assert_eq!(found[0].verdict, Verdict::Fine, "{found:?}");
        assert_eq!(found[1].verdict, Verdict::Wrong, "{found:?}");
        assert!(found[1].found.contains("admin.listen"), "{found:?}");
        // The same for both, as it is and by way of all addresses.
        drop(taken);
        let found = look(&config(&address.to_string(), address));
        assert_eq!(found[0].verdict, Verdict::Wrong, "{found:?}");
        let found = look(&config(&format!("0.0.0.0:{}", address.port()), address));
        assert_eq!(found[0].verdict, Verdict::Fine, "{found:?}");
        assert_eq!(found[1].verdict, Verdict::Wrong, "{found:?}");
        // An address that no machine has (RFC 5737).
        let found = look(&config("192.0.2.1:0", "127.0.0.1:0".parse().unwrap()));
        assert_eq!(found[0].verdict, Verdict::Wrong, "{found:?}");
        assert_eq!(found[1].verdict, Verdict::Fine, "{found:?}");
    }
}
