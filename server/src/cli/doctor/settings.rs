//! What the settings say, taken together.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Finding, is_exposed};
use crate::config::{Config, Registration};
use crate::cors::Cors;

/// A clock that says less was never set: this program is younger. 1 January 2026.
const YOUNGEST: Duration = Duration::from_secs(1_767_225_600);

/// Files the process needs besides its connections.
const OTHER_FILES: u64 = 200;

pub(super) fn look(config: &Config, file: Option<&Path>) -> Vec<Finding> {
    let mut findings = vec![match file {
        Some(path) => of_file(path, config),
        None => Finding::fine(
            "settings",
            "no file; from the environment and the command line, else as they come",
        ),
    }];
    findings.push(name(config));
    findings.push(exposure(config));
    findings.push(registration(config));
    findings.push(admin(config));
    findings.extend(web_origins(config));
    findings.push(clock());
    findings.push(open_files(config));
    findings
}

fn of_file(path: &Path, config: &Config) -> Finding {
    let shown = path.display().to_string();
    if is_readable_by_others(path) && holds_secret(config) {
        return Finding::doubtful(
            "settings",
            format!("{shown} can be read by other users, and there are secrets in the settings"),
            "chmod 600 it, or put the secrets into files of their own (\"file:…\").",
        );
    }
    Finding::fine("settings", shown)
}

fn holds_secret(config: &Config) -> bool {
    matches!(config.database, crate::Database::Postgres(_)) || config.nats.is_some()
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}

fn name(config: &Config) -> Finding {
    let name = config.server_name.as_str();
    if name == Config::default().server_name.as_str() && is_exposed(config) {
        return Finding::doubtful(
            "server name",
            format!("{name}, while other machines can reach it"),
            "Set server_name before the first account is made: it cannot be changed later.",
        );
    }
    Finding::fine("server name", format!("accounts are called name@{name}"))
}

fn exposure(config: &Config) -> Finding {
    let at = config.listen;
    match (
        is_exposed(config),
        config.tls.is_some(),
        config.allow_plaintext_network,
    ) {
        (_, true, _) => Finding::fine("listen", format!("{at}, encrypted")),
        (false, false, _) => Finding::fine("listen", format!("{at}, this machine only")),
        (true, false, true) => Finding::doubtful(
            "listen",
            format!("{at}, not encrypted, as told"),
            "Right only on a closed network or behind a proxy that speaks TLS.",
        ),
        (true, false, false) => Finding::wrong(
            "listen",
            format!("{at}, which other machines can reach, without a certificate"),
            "Set tls.certificate and tls.key, or listen on 127.0.0.1 behind a proxy that speaks TLS.",
        ),
    }
}

fn registration(config: &Config) -> Finding {
    match config.registration {
        Registration::Open if is_exposed(config) => Finding::doubtful(
            "registration",
            "open to everybody who can reach it",
            "Set registration = \"invite\" unless that is meant.",
        ),
        Registration::Open => Finding::fine("registration", "open"),
        Registration::Invite => Finding::fine("registration", "by invite"),
        Registration::Closed => Finding::fine("registration", "closed"),
    }
}

fn admin(config: &Config) -> Finding {
    match config.admin.listen {
        None => Finding::doubtful(
            "admin",
            "no listener for operators: no metrics, no readiness, no status page",
            "Set admin.listen = \"127.0.0.1:7444\".",
        ),
        Some(at) if at.ip().is_loopback() => {
            Finding::fine("admin", format!("http://{at}, this machine only"))
        }
        Some(at) => Finding::doubtful(
            "admin",
            format!("http://{at}, without encryption and for whoever can reach it"),
            "It names nobody and changes nothing; all the same it belongs on a network of your own.",
        ),
    }
}

/// Read as the server reads them at its start.
fn web_origins(config: &Config) -> Option<Finding> {
    Cors::new(&config.web_origins).err().map(|error| {
        Finding::wrong(
            "web origins",
            error.to_string(),
            "As browsers write it: scheme, host and, where it is not the usual one, port; nothing after them.",
        )
    })
}

fn clock() -> Finding {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if now < YOUNGEST {
        return Finding::wrong(
            "clock",
            "it says a time before this program was written",
            "Set it, and keep it set (NTP).",
        );
    }
    Finding::fine("clock", "plausible")
}

#[cfg(unix)]
fn open_files(config: &Config) -> Finding {
    let wanted = u64::try_from(config.limits.max_connections)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHER_FILES);
    match rlimit::getrlimit(rlimit::Resource::NOFILE) {
        Ok((_, hard)) if hard >= wanted => {
            Finding::fine("open files", format!("{hard} allowed, {wanted} wanted"))
        }
        Ok((_, hard)) => Finding::doubtful(
            "open files",
            format!("{hard} allowed, {wanted} wanted for limits.max_connections"),
            "Raise the limit (LimitNOFILE= of systemd, ulimit -Hn), or it serves fewer connections.",
        ),
        Err(_) => Finding::doubtful("open files", "the system does not say how many are allowed", ""),
    }
}

#[cfg(not(unix))]
fn open_files(_: &Config) -> Finding {
    Finding::fine(
        "open files",
        format!("no such limit here; {OTHER_FILES} and one for each connection are used"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    fn verdict(what: &str, change: impl FnOnce(&mut Config)) -> Verdict {
        let mut config = Config::default();
        change(&mut config);
        let found = look(&config, None);
        found.iter().find(|finding| finding.what == what).unwrap().verdict
    }

    #[test]
    fn what_should_not_be_is_said() {
        let public = "0.0.0.0:7443".parse().unwrap();
        assert_eq!(verdict("listen", |_| {}), Verdict::Fine);
        assert_eq!(verdict("listen", |config| config.listen = public), Verdict::Wrong);
        let plain = |config: &mut Config| {
            config.listen = public;
            config.allow_plaintext_network = true;
        };
        assert_eq!(verdict("listen", plain), Verdict::Doubtful);
        assert_eq!(verdict("registration", plain), Verdict::Doubtful);
        assert_eq!(verdict("server name", plain), Verdict::Doubtful);
        assert_eq!(verdict("admin", |_| {}), Verdict::Doubtful);
        assert_eq!(
            verdict("admin", |config| config.admin.listen = Some(public)),
            Verdict::Doubtful
        );
        let origins = |config: &mut Config| config.web_origins = vec!["chat.example/".to_owned()];
        assert_eq!(verdict("web origins", origins), Verdict::Wrong);
        assert_eq!(verdict("clock", |_| {}), Verdict::Fine);
        assert_eq!(
            verdict("open files", |config| config.limits.max_connections = usize::MAX),
            Verdict::Doubtful
        );
    }
}
