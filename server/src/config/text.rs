//! How settings are written where Rust's own way is not what a person would write.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest duration a setting may have, in seconds: a hundred years. Sums with it stay in range.
const MAX_SECONDS: f64 = 100.0 * 366.0 * 86_400.0;

const UNITS: [(&str, f64); 5] = [
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
];

/// A server name.
pub(crate) mod name {
    use super::{Deserializer, Error, Serializer};
    use serde::Deserialize;
    use sottovoce_statements::ServerName;

    pub(crate) fn serialize<S: Serializer>(name: &ServerName, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ServerName, D::Error> {
        let text = String::deserialize(deserializer)?;
        ServerName::parse(&text).map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
    }
}

/// Where NATS is, as a secret.
pub(crate) mod nats {
    use super::{Deserialize, Deserializer, Error, Serialize, Serializer};
    use crate::config::Secret;
    use crate::hints::NatsUrl;

    pub(crate) fn serialize<S: Serializer>(url: &Option<NatsUrl>, serializer: S) -> Result<S::Ok, S::Error> {
        url.as_ref().map(|_| "[redacted]").serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<NatsUrl>, D::Error> {
        let Some(secret) = Option::<Secret>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let text = secret
            .reveal()
            .map_err(|error| D::Error::custom(format!("the file it is in cannot be read: {error}")))?;
        let url = NatsUrl::parse(&text).map_err(|_| D::Error::custom("not a nats:// URL"))?;
        Ok(Some(url))
    }
}

/// A duration: seconds as a number, or a number and its unit: `"250ms"`, `"15s"`, `"10m"`, `"1h"`, `"7d"`.
pub(crate) mod seconds {
    use super::{Deserialize, Deserializer, Duration, Seconds, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        Seconds(*duration).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Ok(Seconds::deserialize(deserializer)?.0)
    }
}

/// The two times of HTTP/2 pings.
pub(crate) mod keepalive {
    use super::{Deserialize, Deserializer, Duration, Seconds, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Keepalive {
        interval: Seconds,
        timeout: Seconds,
    }

    pub(crate) fn serialize<S: Serializer>(
        times: &(Duration, Duration),
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let (interval, timeout) = (Seconds(times.0), Seconds(times.1));
        Keepalive { interval, timeout }.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<(Duration, Duration), D::Error> {
        let times = Keepalive::deserialize(deserializer)?;
        Ok((times.interval.0, times.timeout.0))
    }
}

/// A duration as it is written in the settings, from the command line.
pub(crate) fn duration(text: &str) -> Result<Duration, serde::de::value::Error> {
    let seconds = match text.parse::<f64>() {
        Ok(number) => SecondsVisitor.visit_f64(number),
        Err(_) => SecondsVisitor.visit_str(text),
    };
    seconds.map(|Seconds(duration)| duration)
}

struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanos() == 0 {
            serializer.serialize_u64(self.0.as_secs())
        } else {
            serializer.serialize_f64(self.0.as_secs_f64())
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecondsVisitor)
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
    type Value = Seconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds, or a number with its unit such as \"250ms\", \"15s\", \"10m\", \"1h\", \"7d\"")
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "beyond the longest duration long before it matters"
    )]
    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Seconds, E> {
        self.visit_f64(seconds as f64)
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "beyond the longest duration long before it matters"
    )]
    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Seconds, E> {
        self.visit_f64(seconds as f64)
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Seconds, E> {
        if !(0.0..=MAX_SECONDS).contains(&seconds) {
            return Err(E::custom("a duration is from zero to a hundred years"));
        }
        Ok(Seconds(Duration::from_secs_f64(seconds)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Seconds, E> {
        let read = || {
            let unit_at = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
            let (number, unit) = text.split_at_checked(unit_at)?;
            let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
            Some(number.parse::<f64>().ok()? * scale)
        };
        let seconds = read().ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))?;
        self.visit_f64(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_people_write_it() {
        for (text, expected) in [
            ("15", Duration::from_secs(15)),
            ("0.5", Duration::from_millis(500)),
            ("\"250ms\"", Duration::from_millis(250)),
            ("\"15s\"", Duration::from_secs(15)),
            ("\"1.5 m\"", Duration::from_secs(90)),
            ("\"2h\"", Duration::from_secs(7200)),
            ("\"7d\"", Duration::from_secs(604_800)),
        ] {
            let Seconds(read) = serde_json::from_str(text).unwrap();
            assert_eq!(read, expected, "{text}");
        }
        for text in [
            "-1",
            "\"\"",
            "\"7\"",
            "\"7 weeks\"",
            "\"h\"",
            "\"1.2.3s\"",
            "1e300",
            "\"99999999d\"",
            "true",
        ] {
            assert!(serde_json::from_str::<Seconds>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_in_seconds() {
        let write = |duration| serde_json::to_string(&Seconds(duration)).unwrap();
        assert_eq!(write(Duration::from_secs(15)), "15");
        assert_eq!(write(Duration::from_millis(500)), "0.5");
    }
}
