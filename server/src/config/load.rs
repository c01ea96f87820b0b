//! Reading the settings: a file, over it the environment, over that the command line.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::explain::{OF_VARIABLE, PREFIX, explained};
use super::{Config, ConfigError, Registration};

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
        Some(Self::new(format!("{OF_VARIABLE}{name}"), &key, value))
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
            ("tls_key = \"a\"", &[], "tls_key", Some("tls.key")),
            (
                "",
                &[("SOTTOVOCE_LISTN", "127.0.0.1:1")],
                "listn",
                Some("SOTTOVOCE_LISTEN"),
            ),
            ("", &[("SOTTOVOCE_LOG__COLOUR", "red")], "log.colour", None),
            (
                "",
                &[("SOTTOVOCE_TLS_CERT", "a.pem")],
                "tls_cert",
                Some("SOTTOVOCE_TLS__CERTIFICATE"),
            ),
            (
                "",
                &[("SOTTOVOCE_TLS__CERT", "a.pem")],
                "tls.cert",
                Some("SOTTOVOCE_TLS__CERTIFICATE"),
            ),
            (
                "",
                &[("SOTTOVOCE_LIMITS_RATES_SCALE", "2")],
                "limits_rates_scale",
                Some("SOTTOVOCE_LIMITS__RATES__SCALE"),
            ),
        ] {
            match load(toml, variables).unwrap_err() {
                ConfigError::Unknown {
                    key: told,
                    meant: guess,
                    place,
                } => {
                    assert_eq!((told.as_str(), guess.as_deref()), (key, meant), "{toml}");
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
