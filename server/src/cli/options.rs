//! Options every command takes. All other settings are in the file and the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use figment::value::Value;

use crate::config::{ListenError, LogFormat, LogLevel, Registration, Secret, Sources};

/// What the program is called.
const PROGRAM: &str = "sottovoce-server";

#[derive(Clone, Debug, Default, Args)]
pub(super) struct Options {
    /// The file of settings [default: sottovoce.toml in the working directory, where it is there]
    #[arg(long, global = true, env = "SOTTOVOCE_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:7443]
    #[arg(long, global = true, value_name = "IP:PORT", value_parser = listen)]
    listen: Option<SocketAddr>,
    /// The folder everything is kept in; created where it is missing [default: ./sottovoce-data]
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// A PostgreSQL database instead of the file in the data folder. Other users of this machine can read
    /// command lines: where the URL holds a password, put it in the file or the environment
    #[arg(long, global = true, value_name = "URL", value_parser = Secret::parse)]
    database: Option<Secret>,
    /// Where several nodes on one PostgreSQL database tell each other what is new
    #[arg(long, global = true, value_name = "URL", value_parser = Secret::parse)]
    nats: Option<Secret>,
    /// The part after the @ of every account here; it cannot be changed later [default: localhost]
    #[arg(long, global = true, value_name = "NAME")]
    server_name: Option<String>,
    /// Who may make an account [default: open on this machine alone, else invite]
    #[arg(long, global = true, value_enum)]
    registration: Option<Registration>,
    /// Listen beyond this machine although connections are not encrypted
    #[arg(long, global = true)]
    insecure_allow_plaintext_network: bool,
    /// How the log on standard error is written [default: text]
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
    /// How much is logged; never who, whatever the level [default: info]
    #[arg(long, global = true, value_enum)]
    log_level: Option<LogLevel>,
}

impl Options {
    /// The same without any file.
    pub(super) fn without_file(&self) -> Sources {
        let sources = self.sources();
        Sources {
            no_file: true,
            ..sources
        }
    }

    /// The same with this file.
    pub(super) fn with_file(&self, path: &Path) -> Sources {
        let sources = self.sources();
        Sources {
            file: Some(path.to_owned()),
            ..sources
        }
    }

    /// How the program is called for another command on the same server, as a shell reads it.
    pub(super) fn command(&self) -> String {
        let mut words = vec![PROGRAM.to_owned()];
        let mut add = |option: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{option} {}", quoted(&value))));
        };
        add(
            "--config",
            self.config.as_ref().map(|path| path.display().to_string()),
        );
        add(
            "--data-dir",
            self.data_dir.as_ref().map(|path| path.display().to_string()),
        );
        add("--server-name", self.server_name.clone());
        words.join(" ")
    }

    /// The same where everything is in this file.
    pub(super) fn command_with(&self, path: &Path) -> String {
        match &self.config {
            Some(_) => format!("{PROGRAM} --config {}", quoted(&path.display().to_string())),
            None => PROGRAM.to_owned(),
        }
    }

    /// With the environment of this process below them, and the file below that.
    pub(super) fn sources(&self) -> Sources {
        let mut settings = Vec::new();
        let mut set = |key, text: Option<String>| settings.extend(text.map(|text| (key, Value::from(text))));
        set("listen", self.listen.map(|address| address.to_string()));
        set(
            "data_dir",
            self.data_dir.as_ref().map(|path| path.display().to_string()),
        );
        set(
            "database",
            self.database.as_ref().map(|url| url.written().to_owned()),
        );
        set("nats", self.nats.as_ref().map(|url| url.written().to_owned()));
        set("server_name", self.server_name.clone());
        set("registration", self.registration.map(word));
        set("log.format", self.log_format.map(word));
        set("log.level", self.log_level.map(word));
        if self.insecure_allow_plaintext_network {
            settings.push(("insecure_allow_plaintext_network", Value::from(true)));
        }
        Sources::of_process(self.config.clone(), settings)
    }
}

/// An address to listen on, as it is typed.
fn listen(text: &str) -> Result<SocketAddr, ListenError> {
    text.parse().map_err(|_| ListenError)
}

/// One word for a shell (POSIX.1-2017, Shell Command Language, 2.2.2).
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// An alternative as it stands in the file, which is as it stands on the command line.
fn word<E: clap::ValueEnum>(alternative: E) -> String {
    alternative
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_shell_is_read_back_as_it_was() {
        for text in ["a b", "it's", "$HOME", "plain/path.toml", "", "~"] {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(text))])
                .output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), text);
        }
        assert_eq!(quoted("plain/path.toml"), "plain/path.toml");
    }

    #[test]
    fn the_same_server_is_named_again() {
        let options = Options {
            config: Some("my settings.toml".into()),
            ..Options::default()
        };
        assert_eq!(options.command(), "sottovoce-server --config 'my settings.toml'");
        assert_eq!(Options::default().command(), "sottovoce-server");
    }
}
