//! Why settings cannot be used, in the words of whoever wrote them.

use std::fmt;
use std::io;
use std::path::PathBuf;

use figment::error::{Actual, Kind};
use serde_json::Value;

use super::{Config, TlsFiles};

/// What every variable of ours begins with.
pub(super) const PREFIX: &str = "SOTTOVOCE_";

/// Before the name of a variable, where one is the origin of a setting.
pub(super) const OF_VARIABLE: &str = "the variable ";

/// Letters in which a name that is meant and the one that stands there may differ.
const NEAR: usize = 2;

/// Letters that the shorter of two names has at least where it stands for the longer.
const SHORTEST: usize = 4;

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
    #[error("there is no setting `{key}` ({place}){}", Meant(meant.as_deref()))]
    Unknown {
        /// The key that is none.
        key: String,
        /// Where it stands.
        place: String,
        /// The one it is most like, as it is written there.
        meant: Option<String>,
    },
    /// A setting is there and another that it needs is not.
    #[error("`{key}` is not set, and what is set beside it cannot do without")]
    Missing {
        /// The setting that is missing.
        key: String,
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

/// What was given is not an address with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes an address and a port, such as 127.0.0.1:7443 or [::1]:7443")]
pub(crate) struct ListenError;

pub(super) fn explained(error: &figment::Error) -> ConfigError {
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
            let meant = match place.strip_prefix(OF_VARIABLE) {
                Some(_) => nearest_setting(&key).map(|meant| variable(&meant)),
                None => nearest(name, known).or_else(|| nearest_setting(&key)),
            };
            ConfigError::Unknown { key, place, meant }
        }
        Kind::MissingField(name) => ConfigError::Missing {
            key: if path.is_empty() {
                name.to_string()
            } else {
                format!("{path}.{name}")
            },
        },
        // A quoted line may hold a secret.
        Kind::Message(text) if path.is_empty() => ConfigError::Syntax {
            place,
            problem: without_quotes(text),
        },
        kind => ConfigError::Wrong {
            problem: problem(&path, kind),
            key: path,
            place,
        },
    }
}

fn path_or(path: String, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { path }
}

/// What is wrong with a value. It is not repeated: it may be a secret that stands in the wrong place.
fn problem(key: &str, kind: &Kind) -> String {
    match kind {
        Kind::Message(_) if key == "listen" || key.ends_with(".listen") => ListenError.to_string(),
        Kind::InvalidType(found, wanted) => format!("it is {}, and takes {}", found_in(found), taken(wanted)),
        Kind::InvalidValue(_, wanted) => format!("it takes {}", taken(wanted)),
        Kind::UnknownVariant(_, known) => format!("it is one of {}", known.join(", ")),
        Kind::InvalidLength(found, wanted) => format!("it has {found} parts, and takes {wanted}"),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "it is out of range".to_owned(),
        kind => kind.to_string(),
    }
}

/// What stands there, as TOML has it.
fn found_in(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) => "a number",
        Actual::Float(_) => "a number with a point",
        Actual::Char(_) | Actual::Str(_) => "text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}

/// What a setting takes, for what Rust calls it.
fn taken(wanted: &str) -> String {
    match wanted {
        "u16" | "u32" | "u64" | "usize" | "a nonzero u32" => "a whole number, not below zero",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" | "text" => "text in quotes",
        "socket address" => "an address and a port in quotes, such as \"127.0.0.1:7443\"",
        "a sequence" => "a list, such as [\"…\", \"…\"]",
        wanted if wanted.starts_with("struct ") || wanted == "a map" => "settings of its own: it is a table",
        wanted => return wanted.to_owned(),
    }
    .to_owned()
}

/// The message of a TOML error without the lines that quote the file.
fn without_quotes(text: &str) -> String {
    let quotes = |line: &&str| {
        let line = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
        !line.trim_start().starts_with('|')
    };
    text.lines().filter(quotes).collect::<Vec<_>>().join(": ")
}

/// The known name a mistyped one is most like.
fn nearest(name: &str, known: &'static [&'static str]) -> Option<String> {
    known
        .iter()
        .map(|known| (distance(name, known), *known))
        .filter(|(distance, _)| *distance <= NEAR)
        .min()
        .map(|(_, known)| known.to_owned())
}

/// The setting whose whole name a mistyped one is most like, or stands for, wherever its dots are.
fn nearest_setting(name: &str) -> Option<String> {
    let bare = |name: &str| name.replace(['.', '_'], "");
    let name = bare(name);
    let rank = |setting: &String| {
        let setting = bare(setting);
        let shorter = name.len().min(setting.len());
        match distance(&name, &setting) {
            near if near <= NEAR => Some(near),
            _ if shorter < SHORTEST => None,
            // What begins alike is further away than what is like it as a whole.
            far => (setting.starts_with(&name) || name.starts_with(&setting)).then_some(far + NEAR),
        }
    };
    let ranked = settings()
        .into_iter()
        .filter_map(|setting| Some((rank(&setting)?, setting)));
    ranked.min().map(|(_, setting)| setting)
}

/// The name of the variable for a setting.
fn variable(setting: &str) -> String {
    format!("{PREFIX}{}", setting.to_ascii_uppercase().replace('.', "__"))
}

/// The names of all settings.
fn settings() -> Vec<String> {
    let config = Config {
        tls: Some(TlsFiles {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
        }),
        ..Config::default()
    };
    let mut names = Vec::new();
    // What cannot be written down has no names to suggest.
    collect("", &serde_json::to_value(config).unwrap_or_default(), &mut names);
    names
}

fn collect(above: &str, value: &Value, names: &mut Vec<String>) {
    let Value::Object(fields) = value else {
        names.push(above.to_owned());
        return;
    };
    for (name, value) in fields {
        let dot = if above.is_empty() { "" } else { "." };
        collect(&format!("{above}{dot}{name}"), value, names);
    }
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

struct Meant<'a>(Option<&'a str>);

impl fmt::Display for Meant<'_> {
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
    use crate::config::Sources;

    fn told(toml: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sottovoce.toml");
        std::fs::write(&path, toml).unwrap();
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        sources.load().unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_the_file() {
        for (toml, words) in [
            ("listen = \"7443\"", "such as 127.0.0.1:7443"),
            ("listen = 7443", "it is a number, and takes an address and a port"),
            ("admin.listen = \"localhost:1\"", "`admin.listen`"),
            ("node = 5", "it is a number, and takes text in quotes"),
            (
                "[limits]\nmax_calls = \"many\"",
                "it is text, and takes a whole number",
            ),
            ("[limits]\nmax_calls = -1", "it takes a whole number"),
            ("insecure_allow_plaintext_network = 1", "takes true or false"),
            ("web_origins = \"https://a.example\"", "takes a list"),
            ("tls = \"a.pem\"", "it is a table"),
            ("[log]\nlevel = \"loud\"", "it is one of error, warn, info, debug"),
            ("trusted_proxies = [\"10.0.0.1/8\"]", "did you mean 10.0.0.0/8?"),
            ("[tls]\ncertificate = \"a.pem\"", "`tls.key` is not set"),
        ] {
            let text = told(toml);
            assert!(text.contains(words), "{toml}: {text}");
        }
    }

    #[test]
    fn every_setting_of_the_manual_is_known_by_name() {
        let manual = include_str!("../../OPERATING.md");
        let settings = settings();
        for setting in settings.iter().filter(|name| !name.contains("limits.rates.")) {
            assert!(manual.contains(&format!("| `{setting}` |")), "{setting}");
        }
        assert!(
            settings.contains(&"tls.key".to_owned()) && settings.len() > 80,
            "{settings:?}"
        );
    }
}
