//! Where attachments are kept, as it is written.

use std::path::PathBuf;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Secret;
use crate::blobs::{S3Config, S3Secret, StorageConfig};

/// A local folder, or a bucket that speaks S3.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StorageSettings {
    /// The local folder; unset, `blobs` in `data_dir`. Nodes of one database must all see the same.
    pub folder: Option<PathBuf>,
    /// The bucket, which must exist; with one, there must be no `folder`.
    pub bucket: Option<String>,
    /// Put before the names of all objects, with a `/`.
    pub prefix: Option<String>,
    /// Where the S3 service is, `https://host:port`; unset, that of AWS for the region.
    pub endpoint: Option<String>,
    /// The bucket's region; `us-east-1` is what compatible services take for theirs.
    pub region: String,
    /// Id of the key that requests are signed with; unset, what AWS gives its machines. A secret.
    pub access_key: Option<Secret>,
    /// The secret of that key. A secret.
    pub secret_key: Option<Secret>,
    /// The bucket comes before the endpoint's host name, not in the path.
    pub virtual_hosted: bool,
    /// Lets `endpoint` be plain `http`: who is on the way sees ciphertext and can take it away.
    pub allow_http: bool,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            folder: None,
            bucket: None,
            prefix: None,
            endpoint: None,
            region: "us-east-1".to_owned(),
            access_key: None,
            secret_key: None,
            virtual_hosted: false,
            allow_http: false,
        }
    }
}

/// Why the settings of the storage do not go together.
#[derive(Debug, thiserror::Error)]
enum StorageSettingsError {
    #[error("a folder and a bucket are named; it is one or the other")]
    FolderAndBucket,
    #[error("an S3 service is described, and no bucket")]
    NoBucket,
    #[error("access_key and secret_key come together")]
    HalfAKey,
    #[error("the file a secret is in cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl StorageSettings {
    fn into_config(self) -> Result<StorageConfig, StorageSettingsError> {
        let keys = match (self.access_key, self.secret_key) {
            (Some(id), Some(secret)) => {
                let secret = S3Secret::new(secret.reveal()?.to_string());
                Some((id.reveal()?.to_string(), secret))
            }
            (None, None) => None,
            _ => return Err(StorageSettingsError::HalfAKey),
        };
        match (self.folder, self.bucket) {
            (Some(_), Some(_)) => Err(StorageSettingsError::FolderAndBucket),
            (_, None) if keys.is_some() || self.endpoint.is_some() || self.prefix.is_some() => {
                Err(StorageSettingsError::NoBucket)
            }
            (Some(folder), None) => Ok(StorageConfig::Folder(folder)),
            (None, None) => Ok(StorageConfig::DataDir),
            (None, Some(bucket)) => Ok(StorageConfig::S3(S3Config {
                bucket,
                prefix: self.prefix,
                endpoint: self.endpoint,
                region: self.region,
                access_key: keys,
                virtual_hosted: self.virtual_hosted,
                allow_http: self.allow_http,
            })),
        }
    }

    /// What may be shown of a storage.
    fn shown(config: &StorageConfig) -> Self {
        match config {
            StorageConfig::DataDir => Self::default(),
            StorageConfig::Folder(folder) => Self {
                folder: Some(folder.clone()),
                ..Self::default()
            },
            StorageConfig::S3(s3) => Self {
                bucket: Some(s3.bucket.clone()),
                prefix: s3.prefix.clone(),
                endpoint: s3.endpoint.clone(),
                region: s3.region.clone(),
                virtual_hosted: s3.virtual_hosted,
                allow_http: s3.allow_http,
                ..Self::default()
            },
        }
    }
}

pub(super) fn serialize<S: Serializer>(config: &StorageConfig, serializer: S) -> Result<S::Ok, S::Error> {
    StorageSettings::shown(config).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StorageConfig, D::Error> {
    let settings = StorageSettings::deserialize(deserializer)?;
    settings.into_config().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<StorageConfig, StorageSettingsError> {
        serde_json::from_str::<StorageSettings>(json)
            .unwrap()
            .into_config()
    }

    #[test]
    fn a_storage_is_a_folder_or_a_bucket() {
        assert!(matches!(read("{}"), Ok(StorageConfig::DataDir)));
        assert!(matches!(read(r#"{"folder": "a"}"#), Ok(StorageConfig::Folder(_))));
        let bucket =
            r#"{"bucket": "b", "access_key": "id", "secret_key": "hush", "endpoint": "https://s3.example"}"#;
        let Ok(StorageConfig::S3(s3)) = read(bucket) else {
            panic!("a bucket")
        };
        assert_eq!((s3.bucket.as_str(), s3.region.as_str()), ("b", "us-east-1"));
        assert_eq!(s3.access_key.as_ref().unwrap().0, "id");
        assert!(
            !serde_json::to_string(&StorageSettings::shown(&StorageConfig::S3(s3)))
                .unwrap()
                .contains("hush")
        );
        for wrong in [
            r#"{"folder": "a", "bucket": "b"}"#,
            r#"{"endpoint": "https://s3.example"}"#,
            r#"{"bucket": "b", "access_key": "id"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
