//! The data folder: whose it is, and how fast its disk syncs, which is how fast anything is acknowledged.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Finding;
use crate::config::Config;

const PROBE_FILE: &str = "sottovoce.probe";

/// Syncs timed; the middle one counts.
const PROBES: usize = 21;

/// Slower than a spinning disk: people would wait for each message.
const SLOW: Duration = Duration::from_millis(25);

/// Faster than any disk keeps anything.
const TOO_FAST: Duration = Duration::from_micros(15);

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let shown = config.data_dir.display();
    let (found, folder) = match existing(&config.data_dir) {
        Ok(found) => found,
        Err(finding) => return vec![finding],
    };
    let mut findings = vec![match found {
        Found::Itself if is_open_to_others(&folder) => Finding::doubtful(
            "data folder",
            format!("{shown} can be entered by other users"),
            "chmod 700 it. The server's files in it are its own either way.",
        ),
        Found::Itself => Finding::fine("data folder", shown.to_string()),
        Found::Above => Finding::fine("data folder", format!("{shown}, not there yet; it will be made")),
    }];
    findings.push(match sync_time(&folder) {
        Err(error) => Finding::wrong(
            "disk",
            format!("nothing can be written to {}: {error}", folder.display()),
            "The folder must belong to the user the server runs as, and the disk must have room.",
        ),
        Ok(time) if time > SLOW => Finding::doubtful(
            "disk",
            format!("a sync takes {}", shown_time(time)),
            "Every acknowledgement waits for one. A disk of its own, or a faster one, helps most.",
        ),
        Ok(time) if time < TOO_FAST => Finding::doubtful(
            "disk",
            format!("a sync takes {}: faster than a disk can be", shown_time(time)),
            "If that is memory, or a disk that does not keep its word, a power cut loses what was acknowledged.",
        ),
        Ok(time) => Finding::fine("disk", format!("a sync takes {}", shown_time(time))),
    });
    findings
}

enum Found {
    Itself,
    Above,
}

/// The folder itself, or the nearest one above it that is there.
fn existing(path: &Path) -> Result<(Found, PathBuf), Finding> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for ancestor in absolute.ancestors() {
        let looked = fs::metadata(ancestor).and_then(|metadata| match metadata.is_dir() {
            // To be there is not to be open to whoever looks.
            true if ancestor == absolute => fs::read_dir(ancestor).map(|_| true),
            is_folder => Ok(is_folder),
        });
        match looked {
            Ok(true) if ancestor == absolute => return Ok((Found::Itself, path.to_owned())),
            Ok(true) => return Ok((Found::Above, ancestor.to_owned())),
            Ok(false) => {
                return Err(Finding::wrong(
                    "data folder",
                    format!("{} is a file, and no folder", ancestor.display()),
                    "Set data_dir to a folder, or to where one can be made.",
                ));
            }
            Err(error) if is_absence(&error) => {}
            Err(error) => {
                return Err(Finding::wrong(
                    "data folder",
                    format!("this user may not look at {}: {error}", ancestor.display()),
                    "Run `doctor` as the user the server runs as.",
                ));
            }
        }
    }
    Ok((Found::Above, PathBuf::from(".")))
}

/// Whether nothing is there, also since what would be above it is a file.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|folder| folder.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

/// How long the middle one of several small writes takes to be on the disk.
fn sync_time(folder: &Path) -> io::Result<Duration> {
    let path = folder.join(format!("{PROBE_FILE}.{}", std::process::id()));
    let mut file = File::create_new(&path)?;
    let mut times = Vec::with_capacity(PROBES);
    let probed = (0..PROBES).try_for_each(|_| {
        let begun = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
        Ok(())
    });
    drop(file);
    fs::remove_file(&path)?;
    probed.map(|()| {
        times.sort();
        times.get(PROBES / 2).copied().unwrap_or_default()
    })
}

fn shown_time(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: folder.path().to_owned(),
            ..Config::default()
        };
        assert_eq!(look(&config).len(), 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: folder.path().join("a/b"),
            ..Config::default()
        };
        assert!(look(&config)[0].found.contains("not there yet"));
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn what_cannot_be_the_folder_or_cannot_be_looked_at_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        // A name that no file system takes stands for what may not be looked at: root may look at everything.
        let forbidden = "a".repeat(5_000);
        for (name, words) in [
            ("file", "is a file"),
            ("file/below", "is a file"),
            (forbidden.as_str(), "may not look at"),
        ] {
            let config = Config {
                data_dir: folder.path().join(name),
                ..Config::default()
            };
            let found = look(&config);
            assert_eq!((found.len(), found[0].verdict), (1, Verdict::Wrong), "{found:?}");
            assert!(found[0].found.contains(words), "{found:?}");
        }
    }
}
