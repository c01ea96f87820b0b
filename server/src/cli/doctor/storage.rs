//! The storage of attachments.

use super::Finding;
use crate::blobs::test_storage;
use crate::cli::backup::local_blobs;
use crate::config::Config;

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    if let Some(folder) = local_blobs(config).filter(|folder| matches!(folder.try_exists(), Ok(false))) {
        let found = format!("{}, not there yet; it will be made", folder.display());
        return vec![Finding::fine("attachments", found)];
    }
    vec![match test_storage(&config.storage, &config.data_dir).await {
        Ok(steps) => {
            let time: std::time::Duration = steps.iter().map(|(_, time)| *time).sum();
            Finding::fine(
                "attachments",
                format!("written, read, listed and removed in {} ms", time.as_millis()),
            )
        }
        Err(error) => {
            let cause = std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default();
            Finding::wrong(
                "attachments",
                format!("{error}: {cause}"),
                "Is the folder the server's own, or are bucket, endpoint and keys right? `storage test` tells each step.",
            )
        }
    }]
}
