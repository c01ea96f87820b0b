//! The list of a backup: every file, its length and its SHA-256.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The list's own file.
pub(super) const LIST_FILE: &str = "backup.json";

/// What this version writes and reads.
pub(super) const FORMAT: u32 = 1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct List {
    pub(super) format: u32,
    /// `sqlite` or `postgres`.
    pub(super) database: String,
    pub(super) server_name: String,
    pub(super) version: String,
    /// Unix time in milliseconds.
    pub(super) made_at_ms: u64,
    pub(super) files: Vec<Listed>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    /// Below the backup's folder, with `/`.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// What is wrong with a file of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("it is not what was written")]
    Differs,
    #[error("its name leads out of the backup")]
    Outside,
}

impl Listed {
    pub(super) fn of(folder: &Path, path: &str) -> io::Result<Self> {
        let (bytes, sha256) = digest(&folder.join(path))?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            sha256,
        })
    }

    /// Where it is, below `folder` and nowhere else.
    pub(super) fn below(&self, folder: &Path) -> Result<PathBuf, Damage> {
        let path = Path::new(&self.path);
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        if inside && !self.path.is_empty() {
            Ok(folder.join(path))
        } else {
            Err(Damage::Outside)
        }
    }

    pub(super) fn check(&self, folder: &Path) -> io::Result<Result<(), Damage>> {
        let path = match self.below(folder) {
            Ok(path) => path,
            Err(damage) => return Ok(Err(damage)),
        };
        let same = digest(&path)? == (self.bytes, self.sha256.clone());
        Ok(if same { Ok(()) } else { Err(Damage::Differs) })
    }
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1024 * 1024];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        hash.update(chunk);
        bytes += chunk.len() as u64;
    }
    let hex = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_noticed_and_none_outside_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"abc").unwrap();
        let listed = Listed::of(folder.path(), "a").unwrap();
        assert_eq!(
            listed.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(listed.check(folder.path()).unwrap(), Ok(()));
        std::fs::write(folder.path().join("a"), b"abd").unwrap();
        assert_eq!(listed.check(folder.path()).unwrap(), Err(Damage::Differs));
        for path in ["../a", "/etc/passwd", "", "b/../../a"] {
            let listed = Listed {
                path: path.to_owned(),
                bytes: 0,
                sha256: String::new(),
            };
            assert_eq!(
                listed.check(folder.path()).unwrap(),
                Err(Damage::Outside),
                "{path}"
            );
        }
    }
}
