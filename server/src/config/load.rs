//! Reading the settings: a file, over it the environment, over that the command line.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{Config, Registration};

/// What every variable of ours begins with.
const PREFIX: &str = "SOTTOVOCE_";

/// The file taken where none is named and it is there.
const DEFAULT_FILE: &str = "sottovoce.toml";

/// Variables with our prefix that are no settings of the server: the file itself, and those of the
/// project's other programs and scripts.
const NOT_SETTINGS: [&str; 6] = ["CONFIG", "PASSPHRASE", "CACHE", "STD", "SEED", "SEEDS"];

/// Before the names of variables that only tests read.
const TESTS: &str = "TEST_";

/// Settings that are text whatever they look like: a variable has no quotes to say so.
pub(crate) const TEXT: [&str; 10] = [
    "server_name",
    "database",
    "node",
    "nats",
    "storage.bucket",
    "storage.prefix",
    "storage.endpoint",
    "storage.region",
    "storage.access_key",
    "storage.secret_key",
];

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// A file that must be there; where none is named, `sottovoce.toml` in the working directory, which
    /// need not be.
    pub(crate) file: Option<PathBuf>,
    /// Take no file, even where there is one.
    pub(crate) no_file: bool,
    /// The environment.
    pub(crate) variables: Vec<(String, String)>,
    /// The command line: a key and its value.
    pub(crate) options: Vec<(&'static str, Value)>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no such setting.
    #[error("there is no setting `{key}` ({place}){}", Meant(*meant))]
    Unknown {
        /// The key that is none.
        key: String,
        /// Where it stands.
        place: String,
        /// The one it is most like.
        meant: Option<&'static str>,
    },
    /// What stands there is not what the setting takes.
    #[error("`{key}` cannot be what it is ({place}): {problem}")]
    Wrong {
        /// The setting.
        key: String,
        /// Where it is set.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file is not TOML.
    #[error("{place} is not TOML: {problem}")]
    Syntax {
        /// The file.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Sources {
    /// With the environment of this process.
    pub(crate) fn of_process(file: Option<PathBuf>, options: Vec<(&'static str, Value)>) -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            file,
            no_file: false,
            variables,
            options,
        }
    }

    /// The file that is read, if one is.
    pub(crate) fn file(&self) -> Option<&Path> {
        if self.no_file {
            return None;
        }
        let default = Path::new(DEFAULT_FILE);
        self.file
            .as_deref()
            .or_else(|| default.exists().then_some(default))
    }

    /// The settings they add up to.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = self.file() {
            figment = figment.merge(Toml::string(&read(path)?).into_layer(path));
        }
        for (name, text) in &self.variables {
            if let Some(layer) = Layer::of_variable(name, text) {
                figment = figment.merge(layer);
            }
        }
        for (key, value) in &self.options {
            figment = figment.merge(Layer::new("the command line".to_owned(), key, value.clone()));
        }
        let mut config: Config = figment.extract().map_err(|error| explained(&error))?;
        if !figment.contains("registration") {
            config.registration = unsaid_registration(&config);
        }
        Ok(config)
    }
}

/// Nobody gets a server that strangers can reach and register at without having asked for it.
fn unsaid_registration(config: &Config) -> Registration {
    let of_this_machine =
        config.listen.ip().is_loopback() && config.server_name == Config::default().server_name;
    if of_this_machine {
        Registration::Open
    } else {
        Registration::Invite
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Settings of one origin, which its errors name.
struct Layer {
    place: String,
    data: Result<Dict, figment::Error>,
}

impl Layer {
    fn new(place: String, key: &str, value: Value) -> Self {
        let nested = figment::util::nest(key, value);
        Self {
            place,
            data: nested
                .into_dict()
                .ok_or_else(|| figment::Error::from("a setting has a name".to_owned())),
        }
    }

    fn of_variable(name: &str, text: &str) -> Option<Self> {
        let setting = name.strip_prefix(PREFIX)?;
        if NOT_SETTINGS.contains(&setting) || setting.starts_with(TESTS) || setting.is_empty() {
            return None;
        }
        let key = setting.to_ascii_lowercase().replace("__", ".");
        let value = if TEXT.contains(&key.as_str()) {
            Value::from(text)
        } else {
            text.parse()
                .unwrap_or_else(|never: std::convert::Infallible| match never {})
        };
        Some(Self::new(format!("the variable {name}"), &key, value))
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.place.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        self.data.clone().map(|dict| Profile::Default.collect(dict))
    }
}

trait IntoLayer {
    fn into_layer(self, path: &Path) -> Layer;
}

impl IntoLayer for figment::providers::Data<Toml> {
    fn into_layer(self, path: &Path) -> Layer {
        Layer {
            place: path.display().to_string(),
            data: self
                .data()
                .map(|mut profiles| profiles.remove(&Profile::Default).unwrap_or_default()),
        }
    }
}

fn explained(error: &figment::Error) -> ConfigError {
    let place = error.metadata.as_ref().map_or_else(
        || "the configuration".to_owned(),
        |metadata| metadata.name.to_string(),
    );
    let path = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(name, known) => {
            let key = if error.path.last() == Some(name) || path.is_empty() {
                path_or(path, name)
            } else {
                format!("{path}.{name}")
            };
            ConfigError::Unknown {
                key,
                place,
                meant: nearest(name, known),
            }
        }
        // A quoted line may hold a secret.
        Kind::Message(text) if path.is_empty() => ConfigError::Syntax {
            place,
            problem: without_quotes(text),
        },
        kind => ConfigError::Wrong {
            key: path,
            place,
            problem: kind.to_string(),
        },
    }
}

fn path_or(path: String, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { path }
}

/// The message of a TOML error without the lines that quote the file.
fn without_quotes(text: &str) -> String {
    let quotes = |line: &&str| {
        let line = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
        !line.trim_start().starts_with('|')
    };
    text.lines().filter(quotes).collect::<Vec<_>>().join(": ")
}

/// The known name a mistyped one is most like, within two letters.
fn nearest(name: &str, known: &'static [&'static str]) -> Option<&'static str> {
    known
        .iter()
        .map(|known| (distance(name, known), *known))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, known)| known)
}

/// Letters to change, add or leave out to come from one word to the other (Levenshtein 1965).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, left) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(to.chars()) {
            let changed = diagonal + usize::from(left != right);
            diagonal = *cell;
            before = changed.min(before + 1).min(diagonal + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

struct Meant(Option<&'static str>);

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLevel;
    use std::time::Duration;

    fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sottovoce.toml");
        std::fs::write(&path, toml).unwrap();
        let sources = Sources {
            file: Some(path),
            no_file: false,
            variables: variables
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
            options: Vec::new(),
        };
        sources.load()
    }

    #[test]
    fn every_layer_wins_over_the_one_below() {
        let file = "listen = \"127.0.0.1:1\"\n[limits]\nmax_calls = 1\nrequest_timeout = \"2m\"\n[log]\nlevel = \"debug\"";
        let config = load(file, &[]).unwrap();
        assert_eq!(config.listen.port(), 1);
        assert_eq!(config.limits.max_calls, 1);
        assert_eq!(config.limits.request_timeout, Duration::from_secs(120));
        assert_eq!(config.log.level, LogLevel::Debug);
        let variables = [
            ("SOTTOVOCE_LISTEN", "127.0.0.1:2"),
            ("SOTTOVOCE_LIMITS__MAX_CALLS", "2"),
            ("SOTTOVOCE_LIMITS__KEEPALIVE__INTERVAL", "7"),
            ("SOTTOVOCE_LIMITS__KEEPALIVE__TIMEOUT", "5s"),
            ("SOTTOVOCE_PASSPHRASE", "not ours"),
            ("SOTTOVOCE_TEST_SOMETHING", "not ours"),
            ("PATH", "not ours"),
        ];
        let config = load(file, &variables).unwrap();
        assert_eq!((config.listen.port(), config.limits.max_calls), (2, 2));
        assert_eq!(
            config.limits.keepalive,
            (Duration::from_secs(7), Duration::from_secs(5))
        );
        let sources = Sources {
            variables: vec![("SOTTOVOCE_LISTEN".to_owned(), "127.0.0.1:2".to_owned())],
            options: vec![("listen", Value::from("127.0.0.1:3"))],
            ..Sources::default()
        };
        assert_eq!(sources.load().unwrap().listen.port(), 3);
    }

    #[test]
    fn what_is_no_setting_is_an_error_that_names_it() {
        for (toml, variables, key, meant) in [
            ("sever_name = \"a\"", &[][..], "sever_name", Some("server_name")),
            (
                "[limits]\nmax_cals = 1",
                &[],
                "limits.max_cals",
                Some("max_calls"),
            ),
            ("[nonsense]\na = 1", &[], "nonsense", None),
            ("", &[("SOTTOVOCE_LISTN", "127.0.0.1:1")], "listn", Some("listen")),
            ("", &[("SOTTOVOCE_LOG__COLOUR", "red")], "log.colour", None),
        ] {
            match load(toml, variables).unwrap_err() {
                ConfigError::Unknown {
                    key: told,
                    meant: guess,
                    place,
                } => {
                    assert_eq!((told.as_str(), guess), (key, meant), "{toml}");
                    let expected = variables.first().map_or("sottovoce.toml", |(name, _)| name);
                    assert!(place.ends_with(expected), "{place}");
                }
                other => panic!("{toml}: {other}"),
            }
        }
    }

    #[test]
    fn a_wrong_value_is_an_error_that_names_its_setting() {
        for (toml, key) in [
            ("listen = \"somewhere\"", "listen"),
            ("server_name = \"not a name\"", "server_name"),
            ("registration = \"maybe\"", "registration"),
            ("[limits]\nrequest_timeout = \"soon\"", "limits.request_timeout"),
            ("[limits]\nmax_calls = -1", "limits.max_calls"),
            ("database = 5", "database"),
        ] {
            match load(toml, &[]).unwrap_err() {
                ConfigError::Wrong { key: told, .. } => assert_eq!(told, key, "{toml}"),
                other => panic!("{toml}: {other}"),
            }
        }
    }

    #[test]
    fn no_error_shows_a_secret() {
        for (toml, variables) in [
            ("[storage]\nsecret_key = \"hunter2", &[][..]),
            ("[storage]\nsecret_key = hunter2", &[]),
            ("database = { password = \"hunter2\" }", &[]),
            ("database = [\"hunter2\"]", &[]),
            ("[storage]\nsecret_key = 4815162342", &[]),
            ("oops = 1", &[("SOTTOVOCE_STORAGE__SECRET_KEY", "hunter2")]),
        ] {
            let error = load(toml, variables).unwrap_err();
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(
                    !text.contains("hunter2") && !text.contains("4815162342"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn text_from_the_environment_stays_as_it_stands() {
        let variables = [
            ("SOTTOVOCE_NODE", "007"),
            ("SOTTOVOCE_STORAGE__BUCKET", "0123"),
            ("SOTTOVOCE_STORAGE__ACCESS_KEY", "0123"),
            ("SOTTOVOCE_STORAGE__SECRET_KEY", "0123"),
            ("SOTTOVOCE_DATABASE", "postgres://me:12@db/chat"),
        ];
        let config = load("", &variables).unwrap();
        assert_eq!(config.node.as_deref(), Some("007"));
        let crate::StorageConfig::S3(s3) = config.storage else {
            panic!("a bucket")
        };
        assert_eq!(s3.access_key.unwrap().0, "0123");
        assert!(matches!(config.database, crate::Database::Postgres(_)));
    }

    #[test]
    fn only_a_server_of_this_machine_is_open_unasked() {
        let registration = |toml| load(toml, &[]).unwrap().registration;
        assert_eq!(registration(""), Registration::Open);
        assert_eq!(registration("listen = \"0.0.0.0:7443\""), Registration::Invite);
        assert_eq!(
            registration("server_name = \"chat.example\""),
            Registration::Invite
        );
        assert_eq!(
            registration("server_name = \"chat.example\"\nregistration = \"open\""),
            Registration::Open
        );
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let sources = Sources {
            file: Some(PathBuf::from("no-such-file.toml")),
            ..Sources::default()
        };
        assert!(matches!(sources.load(), Err(ConfigError::Unreadable { .. })));
    }
}
