//! Settings that must not be seen.

use std::fmt;
use std::io;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Before the name of a file that holds the secret.
const FILE: &str = "file:";

/// Longest file a secret is read from, in bytes: a private key fits many times over.
const MAX_FILE: u64 = 64 * 1024;

/// A setting that is never shown: printed it is `[redacted]`, dropped it is overwritten. Its text may
/// also be `file:` and the path of a file that holds it, without the newline at its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text as it would stand in the configuration.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, read from its file where it is in one.
    ///
    /// # Errors
    /// What the system says about the file; one longer than 64 KiB is refused.
    pub fn reveal(&self) -> io::Result<Zeroizing<String>> {
        let Some(path) = self.0.strip_prefix(FILE) else {
            return Ok(self.0.clone());
        };
        if std::fs::metadata(path)?.len() > MAX_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let text = Zeroizing::new(std::fs::read_to_string(path)?);
        Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Takes the text as it stands on the command line.
    pub(crate) fn parse(text: &str) -> Result<Self, std::convert::Infallible> {
        Ok(Self::new(text.to_owned()))
    }

    /// The text as it stands in the configuration.
    pub(crate) fn written(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text.to_owned()))
            }

            // What is refused is quoted in the refusal, so nothing that may be a secret is.
            fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
                Err(E::custom("expected text in quotes"))
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
                Err(E::custom("expected text in quotes"))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
                Err(E::custom("expected text in quotes"))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_shown() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"[redacted]\"");
        assert_eq!(secret.reveal().unwrap().as_str(), "hunter2");
    }

    #[test]
    fn it_may_be_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "hunter2\n").unwrap();
        let secret = Secret::new(format!("file:{}", path.display()));
        assert_eq!(secret.reveal().unwrap().as_str(), "hunter2");
        std::fs::write(&path, vec![b'x'; 65 * 1024]).unwrap();
        assert_eq!(secret.reveal().unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(secret.reveal().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
