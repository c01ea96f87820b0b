//! `init`: what a server needs before it is served for the first time.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::options::Options;
use super::orders::{self, OrderError};
use super::out::say;
use super::present::{self, Absent};
use crate::clock::{millis, now_ms};
use crate::config::{Config, ConfigError, Database};
use crate::orders::{Answer, Order};

/// The file as it is written, with marks where the answers go.
const TEMPLATE: &str = include_str!("sottovoce.toml");

const DEFAULT_FILE: &str = "sottovoce.toml";

/// How long the first invite is good for: as long as one of `invite create` unless told otherwise.
const FIRST_INVITE_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

#[derive(Clone, Debug, Args)]
pub(super) struct InitArgs {
    /// How many accounts may be made with the first invite
    #[arg(long, default_value_t = 1)]
    invite_uses: u32,
}

/// Why nothing, or not all, was set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    #[error("{} is there already, and is left as it is", .0.display())]
    FileExists(PathBuf),
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the settings cannot be used")]
    Config(#[from] ConfigError),
    #[error("nothing was written")]
    Absent(#[from] Absent),
    #[error(
        "the settings are written, the database is not set up: mend that; then `serve` sets it up, and \
         `invite create` makes an invite"
    )]
    Order(#[from] OrderError),
}

pub(super) async fn init(options: &Options, args: InitArgs) -> Result<ExitCode, InitError> {
    let path = options
        .config
        .clone()
        .unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    if path.exists() {
        return Err(InitError::FileExists(path));
    }
    // What the command line and the environment say; there is no file yet.
    let mut config = options.without_file().load()?;
    present::expect_none_or_same(&config).await?;
    let failed = |source| InitError::Write {
        path: path.clone(),
        source,
    };
    // A file that is read from another folder finds its data all the same.
    config.data_dir = std::path::absolute(&config.data_dir).map_err(failed)?;
    write_private(&path, &filled_in(&config)).map_err(failed)?;
    let config = options.with_file(&path).load()?;
    let store = orders::open(&config).await.map_err(OrderError::from)?;
    store.close().await;
    let order = Order::CreateInvite {
        uses: args.invite_uses,
        expires_at_ms: Some(now_ms().saturating_add(millis(FIRST_INVITE_LIFETIME))),
        note: "the first".to_owned(),
    };
    let answer = orders::give(&config, order).await?;
    let command = options.command_with(&path);
    say(&told(&path, &config, &answer, &command, args.invite_uses));
    Ok(ExitCode::SUCCESS)
}

fn told(path: &Path, config: &Config, answer: &Answer, command: &str, uses: u32) -> String {
    let code = match answer {
        Answer::Invite { code, .. } => code.as_str(),
        _ => "(none was made: see `invite create`)",
    };
    let accounts = match uses {
        1 => "one account".to_owned(),
        uses => format!("{uses} accounts"),
    };
    let database = match config.database {
        Database::Sqlite => "",
        Database::Postgres(_) => {
            "Database       PostgreSQL, and not in the settings, since it is a secret: SOTTOVOCE_DATABASE must be\n\
             \x20              set for `serve` and every other command too, or `database` written there\n"
        }
    };
    let days = FIRST_INVITE_LIFETIME.as_secs() / 86_400;
    format!(
        "Settings       {path}\n\
         Data folder    {data}\n\
         {database}\
         First invite   {code}\n\
         \x20              shown this once, good for {accounts} and {days} days; more with\n\
         \x20              `{command} invite create`\n\n\
         Next: `{command} doctor`, then `{command} serve`.\n",
        path = path.display(),
        data = config.data_dir.display(),
    )
}

fn filled_in(config: &Config) -> String {
    let quoted = |text: &str| format!("{:?}", text);
    let listen = config.listen.to_string();
    let database = match config.database {
        Database::Sqlite => "# database = \"postgres://sottovoce:password@localhost/sottovoce\"".to_owned(),
        // Its secret is where the operator has put it, not in a file written here.
        Database::Postgres(_) => {
            "# database: a PostgreSQL URL, given when this was written and not kept, since it is a secret. Set it\n\
             # here, or SOTTOVOCE_DATABASE for `serve` and every other command: else they take SQLite."
                .to_owned()
        }
    };
    TEMPLATE
        .replace("{{server_name}}", &quoted(config.server_name.as_str()))
        .replace("{{listen}}", &quoted(&listen))
        .replace("{{data_dir}}", &quoted(&config.data_dir.display().to_string()))
        .replace("{{database}}", &database)
}

#[cfg(unix)]
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(not(unix))]
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Registration, Sources};

    fn read(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sottovoce.toml");
        std::fs::write(&path, text).unwrap();
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        sources.load().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_and_takes_accounts_by_invite() {
        let config = Config {
            server_name: crate::ServerName::parse("chat.example").unwrap(),
            listen: "127.0.0.1:7001".parse().unwrap(),
            data_dir: PathBuf::from("a \"folder\" of ours"),
            ..Config::default()
        };
        let written = read(&filled_in(&config));
        assert_eq!(written.server_name, config.server_name);
        assert_eq!(written.listen, config.listen);
        assert_eq!(written.data_dir, config.data_dir);
        assert_eq!(written.registration, Registration::Invite);
        assert!(written.admin.listen.unwrap().ip().is_loopback());
    }

    #[test]
    fn a_database_that_is_a_secret_is_not_written_and_that_is_said() {
        let url = crate::PostgresUrl::parse("postgres://me:hunter2@db.example/chat").unwrap();
        let config = Config {
            database: Database::Postgres(url),
            ..Config::default()
        };
        let said = told(
            Path::new("sottovoce.toml"),
            &config,
            &Answer::Done,
            "sottovoce-server",
            1,
        );
        assert!(said.contains("SOTTOVOCE_DATABASE must be"), "{said}");
        let written = filled_in(&config);
        assert!(written.contains("SOTTOVOCE_DATABASE"), "{written}");
        assert!(!said.contains("hunter2") && !written.contains("hunter2"));
        assert!(matches!(read(&written).database, Database::Sqlite));
        let said = told(
            Path::new("a"),
            &Config::default(),
            &Answer::Done,
            "sottovoce-server",
            1,
        );
        assert!(!said.contains("SOTTOVOCE_DATABASE"), "{said}");
    }

    #[test]
    fn every_setting_the_template_suggests_is_one() {
        // A suggestion is `# name = value`; a remark is not.
        let with_suggestions: String = filled_in(&Config::default())
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') || rest.contains(" = ") => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config = read(&with_suggestions);
        assert!(
            config.tls.is_some()
                && config.nats.is_some()
                && matches!(config.storage, crate::StorageConfig::S3(_))
        );
    }
}
