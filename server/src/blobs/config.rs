//! What an operator says about the storage.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// Where the bytes of blobs are kept. The default is a folder `blobs` in the server's data folder.
#[derive(Clone, Debug, Default)]
pub enum StorageConfig {
    /// `blobs` in the data folder. Right for one node.
    #[default]
    DataDir,
    /// A folder of its own; created where it is missing. Nodes of one cluster must all see the same.
    Folder(PathBuf),
    /// A bucket that speaks S3.
    S3(S3Config),
}

/// A bucket that speaks S3: of AWS, or of anything that is compatible.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// The bucket, which must exist.
    pub bucket: String,
    /// Put before the names of all objects, with a `/`. Default none.
    pub prefix: Option<String>,
    /// `https://host:port` of the service. Default that of AWS for the region.
    pub endpoint: Option<String>,
    /// Default `us-east-1`, which compatible services take for theirs.
    pub region: String,
    /// Id and secret of the key to sign requests with. Default those that AWS gives its machines.
    pub access_key: Option<(String, S3Secret)>,
    /// The bucket comes before the endpoint's host name, not in the path. Default `false` where there is an
    /// endpoint: few compatible services are set up for it.
    pub virtual_hosted: bool,
    /// Lets `endpoint` be plain `http`. Who is on the way sees ciphertext and names of objects, and can take
    /// both away. Default `false`.
    pub allow_http: bool,
}

impl S3Config {
    /// A bucket, with the defaults for everything else.
    #[must_use]
    pub fn new(bucket: &str) -> Self {
        Self {
            bucket: bucket.to_owned(),
            prefix: None,
            endpoint: None,
            region: "us-east-1".to_owned(),
            access_key: None,
            virtual_hosted: false,
            allow_http: false,
        }
    }
}

/// The secret part of an access key. Not printed, erased when dropped; the copy that the S3 client makes of
/// it is not.
#[derive(Clone)]
pub struct S3Secret(Zeroizing<String>);

impl S3Secret {
    /// Takes a secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for S3Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_key_is_never_printed() {
        let mut config = S3Config::new("bucket");
        config.access_key = Some(("id".to_owned(), S3Secret::new("hush".to_owned())));
        let printed = format!("{:?}", StorageConfig::S3(config));
        assert!(printed.contains("[redacted]") && !printed.contains("hush"));
    }
}
