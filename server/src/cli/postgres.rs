//! PostgreSQL's own programs, which know best how to copy a database.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use sqlx::ConnectOptions;
use sqlx::postgres::PgSslMode;
use tokio::process::Command;

use crate::config::PostgresUrl;

/// Why one of them did not do its work. What it said itself is on standard error.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    #[error("`{program}` cannot be run: it comes with PostgreSQL's client programs")]
    Missing {
        program: &'static str,
        source: io::Error,
    },
    #[error("`{program}` ended with {status}")]
    Failed {
        program: &'static str,
        status: ExitStatus,
    },
}

pub(super) async fn dump(url: &PostgresUrl, to: &Path) -> Result<(), ToolError> {
    let mut command = command("pg_dump", url);
    command
        .args(["--format=custom", "--no-owner", "--no-privileges", "--file"])
        .arg(to);
    run("pg_dump", command).await
}

/// All of it or nothing. Tables that are there make it fail, unless they are to give way.
pub(super) async fn restore(url: &PostgresUrl, from: &Path, over: bool) -> Result<(), ToolError> {
    let mut command = command("pg_restore", url);
    command.args([
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
    ]);
    command
        .arg("--dbname")
        .arg(url.options().get_database().unwrap_or("sottovoce"));
    if over {
        command.args(["--clean", "--if-exists"]);
    }
    command.arg(from);
    run("pg_restore", command).await
}

async fn run(program: &'static str, mut command: Command) -> Result<(), ToolError> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .await
        .map_err(|source| ToolError::Missing { program, source })?;
    if status.success() {
        Ok(())
    } else {
        Err(ToolError::Failed { program, status })
    }
}

/// Told in the environment where the database is: command lines can be read by every user of a machine.
fn command(program: &'static str, url: &PostgresUrl) -> Command {
    let options = url.options();
    let mut command = Command::new(program);
    let host = options.get_socket().map_or_else(
        || options.get_host().to_owned(),
        |socket| socket.display().to_string(),
    );
    command
        .env("PGHOST", host)
        .env("PGPORT", options.get_port().to_string())
        .env("PGUSER", options.get_username())
        .env("PGSSLMODE", ssl_mode(options.get_ssl_mode()));
    if let Some(database) = options.get_database() {
        command.env("PGDATABASE", database);
    }
    if let Some(password) = options.to_url_lossy().password() {
        command.env("PGPASSWORD", unescaped(password));
    }
    command
}

fn ssl_mode(mode: PgSslMode) -> &'static str {
    match mode {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    }
}

/// Percent-encoding undone (RFC 3986 section 2.1).
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_reaches_the_program_as_it_is_and_not_on_its_command_line() {
        let url =
            PostgresUrl::parse("postgres://me:p%40ss%2Fword@db.example:5433/chat?sslmode=require").unwrap();
        let command = command("pg_dump", &url);
        let command = command.as_std();
        let variable = |name: &str| {
            let found = command.get_envs().find(|(key, _)| *key == name);
            found
                .and_then(|(_, value)| value)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(variable("PGPASSWORD").as_deref(), Some("p@ss/word"));
        assert_eq!(variable("PGHOST").as_deref(), Some("db.example"));
        assert_eq!(variable("PGPORT").as_deref(), Some("5433"));
        assert_eq!(variable("PGDATABASE").as_deref(), Some("chat"));
        assert_eq!(variable("PGSSLMODE").as_deref(), Some("require"));
        assert!(
            command
                .get_args()
                .all(|argument| !argument.to_string_lossy().contains("p@ss"))
        );
    }

    #[test]
    fn what_is_not_escaped_stays() {
        assert_eq!(unescaped("100%"), "100%");
        assert_eq!(unescaped("%zz%2"), "%zz%2");
        assert_eq!(unescaped("%41b"), "Ab");
    }
}
